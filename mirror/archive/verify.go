package archive

import (
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// Range is a part of the log.
type Range struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Problem is one thing that is wrong with an archive.
type Problem struct {
	File     string `json:"file"`
	Offset   int64  `json:"offset"`
	Position uint64 `json:"position"`
	Problem  string `json:"problem"`
}

func (p Problem) String() string {
	return (&Damage{p.File, p.Offset, p.Position, p.Problem}).Error()
}

// Verified is what Verify found.
type Verified struct {
	Dir      string `json:"dir"`
	Segments int    `json:"segments"`
	Begin    uint64 `json:"begin"`
	End      uint64 `json:"end"`
	Records  uint64 `json:"records"`
	FirstNs  int64  `json:"first_ns"`
	LastNs   int64  `json:"last_ns"`
	Epochs   Range  `json:"epochs"` // first and last
	Identity string `json:"identity"`
	// Chain is over everything up to End: two archives of one log, of one
	// segment size and beginning, have the same.
	Chain    string    `json:"chain"`
	Gaps     []Gap     `json:"gaps"`
	Problems []Problem `json:"problems"`
	// Salvageable are the parts whose every record is whole.
	Salvageable []Range `json:"salvageable"`
}

// problemsMax bounds what is listed of a badly harmed archive.
const problemsMax = 1000

// verifier goes through an archive from its beginning.
type verifier struct {
	fs  disk.FS
	v   *Verified
	pos func(done, all int64)
	all int64
	// what the segments before say about the next one
	end       uint64
	link      Hash
	known     bool // end and link
	lastNs    int64
	lastEpoch uint32
	done      int64
}

// Verify reads every byte of an archive: both ends of segments, every record's
// checksum, position, epoch and time, the index, and the hash chain over all of
// it. It goes on behind what is harmed. The archive's writer may live: what it
// compresses, removes or writes meanwhile is no harm. progress, if not nil, is told bytes.
func Verify(fs disk.FS, dir string, progress func(done, all int64)) (*Verified, error) {
	list, err := List(fs, dir)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w in %s", ErrEmpty, dir)
	}
	v := &verifier{fs: fs, v: &Verified{Dir: dir, Segments: len(list), Begin: list[0].first, FirstNs: list[0].Header.FirstNs}, pos: progress}
	v.v.Epochs.From = uint64(list[0].Header.FirstEpoch)
	for i := range list {
		v.all += HeaderBytes + int64(list[i].Header.DataBytes) + SealBytes
	}
	for i := range list {
		if err := v.settled(list, i); err != nil {
			return nil, err
		}
	}
	v.v.End, v.v.Chain = v.end, v.link.String()
	v.v.LastNs, v.v.Epochs.To = v.lastNs, uint64(v.lastEpoch)
	return v.v, nil
}

func (v *verifier) problem(file string, offset int64, position uint64, format string, args ...any) {
	if len(v.v.Problems) < problemsMax {
		v.v.Problems = append(v.v.Problems, Problem{file, offset, position, fmt.Sprintf(format, args...)})
	}
}

// good notes a part whose records are whole.
func (v *verifier) good(from, to uint64) {
	if from == to {
		return
	}
	if n := len(v.v.Salvageable); n > 0 && v.v.Salvageable[n-1].To == from {
		v.v.Salvageable[n-1].To = to
		return
	}
	v.v.Salvageable = append(v.v.Salvageable, Range{from, to})
}

func (v *verifier) segment(s *Segment, last bool) error {
	if s.Damage != nil {
		v.problem(s.Damage.File, s.Damage.Offset, s.first, "%s", s.Damage.Problem)
	}
	if s.Empty {
		if !last {
			v.problem(s.Path, 0, s.first, "the segment has no header")
		}
		return nil
	}
	if !s.usable() {
		v.known = false
		return nil
	}
	h := &s.Header
	v.follows(s)
	if v.v.Identity = h.Identity.String(); s.Compressed && s.Damage != nil {
		v.known = false
	}
	c, err := openContent(v.fs, s.Path, s.Compressed)
	var d *Damage
	if errors.As(err, &d) {
		return nil // said above
	}
	if err != nil {
		return err
	}
	err = v.records(s, c, last)
	if errors.As(err, &d) { // a compressed frame
		v.problem(d.File, d.Offset, d.Position, "%s", d.Problem)
		v.known, err = false, nil
	}
	if s.Compressed && err == nil {
		err = v.frames(s, c)
	}
	v.done += HeaderBytes + int64(h.DataBytes) + SealBytes
	v.tell(0)
	return errors.Join(err, c.Close())
}

func (v *verifier) tell(within int64) {
	if v.pos != nil {
		v.pos(v.done+within, v.all)
	}
}

// follows compares a header with what came before.
func (v *verifier) follows(s *Segment) {
	h := &s.Header
	switch {
	case !v.known:
	case h.PreviousEnd != v.end:
		v.problem(s.Path, 0, h.First, "it follows the log up to %d, but the segment before ends at %d", h.PreviousEnd, v.end)
	case h.Chain != v.link:
		v.problem(s.Path, 0, h.First, "the hash chain up to it is not that of the segments before: something there was altered")
	}
	if h.First > h.PreviousEnd && v.end > 0 {
		v.v.Gaps = append(v.v.Gaps, Gap{h.PreviousEnd, h.First})
	}
}

// records reads a segment's records against its index and its seal.
func (v *verifier) records(s *Segment, c content, last bool) error {
	h := &s.Header
	entries, at, problem, err := readIndex(v.fs, s.IndexPath(), h.Lane, h.First)
	if err != nil {
		return err
	}
	if problem != "" && (s.Sealed || problem != entryCutShort) {
		v.problem(s.IndexPath(), at, h.First, "%s", problem)
	}
	limit := h.First + h.DataBytes
	if s.Sealed {
		limit = s.Seal.End
	}
	scan := newScan(c, s.Path, h, h.Chain)
	scan.lastNs, scan.lastEpoch, scan.known = v.lastNs, v.lastEpoch, v.lastNs != 0
	harmed, err := v.ranges(s, scan, limit)
	v.v.Records += scan.records
	v.lastNs, v.lastEpoch = scan.lastNs, scan.lastEpoch
	if err != nil {
		return err
	}
	v.end, v.link, v.known = scan.end, scan.chain.head(), !harmed
	if harmed {
		v.end = limit
		if s.Sealed {
			v.end, v.link, v.known = s.Seal.End, s.Seal.Chain, true
		}
		return nil // what is altered is named; its blocks' hashes say no more
	}
	blocks := scan.entries
	if s.Sealed && scan.chain.b.lengthBytes > 0 {
		blocks = append(blocks, scan.chain.close())
	}
	v.chain(s, blocks, entries, problem)
	if !s.Sealed {
		if !last && s.Damage == nil {
			v.problem(s.Path, HeaderBytes+int64(h.DataBytes), scan.end, "the segment is not closed, but another follows")
		}
		if end := durableEnd(entries); end > scan.end {
			v.problem(s.Path, HeaderBytes+int64(scan.end-h.First), scan.end, "records end here, but were on the disk up to %d", end)
		}
		return nil
	}
	if s.Seal.Chain != scan.chain.link || s.Seal.Records != scan.records || s.Seal.LastNs != scan.lastNs {
		v.problem(s.Path, HeaderBytes+int64(h.DataBytes), s.Seal.End, "the records are not those that were closed with this seal: something was altered")
	}
	return v.rest(s, c)
}

// ranges reads a segment's records up to a position and goes on behind what is
// harmed.
func (v *verifier) ranges(s *Segment, scan *scan, limit uint64) (harmed bool, err error) {
	records := 0
	visit := func(*app.Record, []byte) error {
		if records++; records%4096 == 0 {
			v.tell(HeaderBytes + int64(scan.end-s.first))
		}
		return nil
	}
	for scan.end < limit {
		from := scan.end
		stop, err := scan.run(limit, visit)
		v.good(from, scan.end)
		if err != nil {
			return true, err
		}
		bad := scan.end
		if bad == limit {
			break
		}
		position, found, err := scan.next(bad+ring.AlignBytes, limit)
		if err != nil {
			return true, err
		}
		if !found && !s.Sealed {
			scan.end = bad
			if stop != ring.AtTail {
				v.problem(s.Path, HeaderBytes+int64(bad-s.first), bad, "%v; no whole record follows: recovery ends the log here", stop)
			}
			return harmed, nil
		}
		v.problem(s.Path, HeaderBytes+int64(bad-s.first), bad, "%v; the next whole record is at %d", stop, position)
		harmed = true
		scan.skip(position, Hash{})
	}
	return harmed, nil
}

// chain compares the blocks that were read with the index.
func (v *verifier) chain(s *Segment, blocks, entries []entry, problem string) {
	for i := range min(len(blocks), len(entries)) {
		blocks[i].durable = entries[i].durable
		if blocks[i] != entries[i] {
			v.problem(s.Path, HeaderBytes+int64(blocks[i].position-s.first), blocks[i].position,
				"the block up to %d has another hash than its index entry: its records were altered", blocks[i].end())
			return
		}
	}
	if problem == "" && len(entries) > len(blocks) || s.Sealed && problem == "" && len(entries) < len(blocks) {
		v.problem(s.IndexPath(), 0, s.first, "the index has %d blocks, the segment %d", len(entries), len(blocks))
	}
}

// rest looks whether anything stands where nothing was written.
func (v *verifier) rest(s *Segment, c content) error {
	from, to := HeaderBytes+int64(s.Seal.End-s.first), HeaderBytes+int64(s.Header.DataBytes)
	reach, err := lastNonZero(c, from, to)
	if err != nil {
		return err
	}
	if reach > from {
		v.problem(s.Path, from, s.Seal.End, "something stands behind the last record")
	}
	return nil
}

// frames decodes what no record made necessary.
func (v *verifier) frames(s *Segment, c content) error {
	b := make([]byte, disk.PageBytes)
	for at := int64(0); at < HeaderBytes+int64(s.Header.DataBytes)+SealBytes; at += frameBytes {
		var d *Damage
		if _, err := readUpTo(c, b, at); errors.As(err, &d) {
			v.problem(d.File, d.Offset, s.first, "%s", d.Problem)
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}
