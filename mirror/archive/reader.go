package archive

import (
	"errors"
	"fmt"
	"sort"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// Reader reads an archive's records in the order of the log, also while it is
// being written. It belongs to one goroutine; its memory does not depend on the
// archive's length.
type Reader struct {
	fs       disk.FS
	dir      string
	segments []Segment
	at       int     // which segment
	c        content // of it; nil: not opened
	position uint64  // of the next record
	buffer   []byte
	from, to uint64 // positions of what the buffer holds
}

// Gap says that records are missing from the archive.
type Gap struct{ From, To uint64 }

func (g *Gap) Error() string {
	return fmt.Sprintf("the archive lacks the log from %d to %d", g.From, g.To)
}

// ErrEmpty means that a directory holds no archive.
var ErrEmpty = errors.New("no archive")

// readBytes is what a Reader takes from a file at a time.
const readBytes = 256 << 10

// OpenReader opens a lane's archive at its beginning.
func OpenReader(fs disk.FS, dir string) (*Reader, error) {
	r := &Reader{fs: fs, dir: dir, buffer: make([]byte, readBytes)}
	if err := r.refresh(); err != nil {
		return nil, err
	}
	if len(r.segments) == 0 {
		return nil, fmt.Errorf("%w in %s", ErrEmpty, dir)
	}
	r.position = r.segments[0].first
	return r, nil
}

// refresh looks at the directory anew.
func (r *Reader) refresh() error {
	list, err := List(r.fs, r.dir)
	if err != nil {
		return err
	}
	for len(list) > 0 && list[len(list)-1].Empty {
		list = list[:len(list)-1]
	}
	r.segments = list
	return nil
}

// Begin returns the position of the oldest record.
func (r *Reader) Begin() uint64 { return r.segments[0].first }

// Position returns the position of the record that Next returns.
func (r *Reader) Position() uint64 { return r.position }

// Identity returns whose log it is; zero if the archive began later than the log.
func (r *Reader) Identity() Identity { return r.segments[0].Header.Identity }

// Segments returns the files as they were last looked at.
func (r *Reader) Segments() []Segment { return r.segments }

// Seek goes to a position, a record's start. One before the archive's beginning
// is a Gap; one beyond its end is waited for.
func (r *Reader) Seek(position uint64) error {
	if position < r.segments[0].first {
		return &Gap{position, r.segments[0].first}
	}
	if err := r.closeSegment(); err != nil {
		return err
	}
	n := sort.Search(len(r.segments), func(i int) bool { return r.segments[i].first > position })
	r.at, r.position = max(n-1, 0), position
	r.from, r.to = position, position
	return nil
}

// SeekTime goes to the block that holds the first record of a lane time or later,
// so a little before it.
func (r *Reader) SeekTime(timeNs int64) error {
	n := sort.Search(len(r.segments), func(i int) bool { return r.segments[i].usable() && r.segments[i].Header.FirstNs >= timeNs })
	s := &r.segments[max(n-1, 0)]
	position := s.first
	entries, _, _, err := readIndex(r.fs, s.IndexPath(), s.Header.Lane, s.first)
	if err != nil {
		return err
	}
	for i := range entries {
		if entries[i].firstNs >= timeNs {
			break
		}
		position = entries[i].position
	}
	return r.Seek(position)
}

// Skip goes to a later position behind damage or a gap.
func (r *Reader) Skip(position uint64) error { return r.Seek(position) }

// Next reads the next record, padding left out. more is false at the archive's
// end: ask again when it has grown. Its payload is valid until the next call. An
// error is a Damage, a Gap, or the filesystem's.
func (r *Reader) Next(rec *app.Record) (more bool, err error) {
	for {
		if r.position < r.to {
			end, state := ring.Decode(r.buffer[r.position-r.from:r.to-r.from], r.position, rec)
			if state == ring.Found {
				r.position = end
				if rec.Type == app.RecordPadding {
					continue
				}
				return true, nil
			}
		}
		if more, err := r.advance(); !more || err != nil {
			return false, err
		}
	}
}

// advance fills the buffer from the position on, or goes to the next segment.
func (r *Reader) advance() (more bool, err error) {
	s := &r.segments[r.at]
	if s.Damage != nil && !s.usable() {
		return false, s.Damage
	}
	if s.Sealed && r.position >= s.Seal.End {
		return r.nextSegment(s.Seal.End)
	}
	if r.c == nil {
		if r.c, err = openContent(r.fs, s.Path, s.Compressed); isNotExist(err) {
			return r.again()
		} else if err != nil {
			return false, r.place(err)
		}
	}
	limit := s.first + s.Header.DataBytes
	if s.Sealed {
		limit = s.Seal.End
	}
	n, err := readUpTo(r.c, r.buffer[:min(uint64(len(r.buffer)), limit-r.position)], HeaderBytes+int64(r.position-s.first))
	if err != nil {
		return false, r.place(err)
	}
	r.from, r.to = r.position, r.position+uint64(n)
	var rec app.Record
	_, state := ring.Decode(r.buffer[:n], r.position, &rec)
	switch {
	case state == ring.Found:
		return true, nil
	case s.Sealed || n > 0 && !allZero(r.buffer[:min(n, ring.MaxRecordBytes)]) && r.whole(s):
		return false, &Damage{s.Path, HeaderBytes + int64(r.position-s.first), r.position, state.String()}
	}
	return r.grown(s)
}

// whole reports whether what is no record can be no half written one: something
// whole stands behind it.
func (r *Reader) whole(s *Segment) bool {
	scan := newScan(r.c, s.Path, &s.Header, Hash{})
	_, found, err := scan.next(r.position+ring.AlignBytes, min(r.position+maxWriteBytes, s.first+s.Header.DataBytes))
	return found && err == nil
}

// grown looks whether the segment being written was closed meanwhile.
func (r *Reader) grown(s *Segment) (more bool, err error) {
	now := *s
	if err := now.look(r.fs); isNotExist(err) {
		return r.again()
	} else if err != nil {
		return false, err
	}
	if !now.Sealed || now.Damage != nil {
		r.to = r.from
		return false, nil
	}
	*s = now
	return true, nil
}

// again looks at the directory anew and goes on where the reader is.
func (r *Reader) again() (more bool, err error) {
	if err := r.refresh(); err != nil {
		return false, err
	}
	if len(r.segments) == 0 {
		return false, fmt.Errorf("%w any more in %s", ErrEmpty, r.dir)
	}
	return true, r.Seek(r.position)
}

// nextSegment goes on behind a closed one.
func (r *Reader) nextSegment(end uint64) (more bool, err error) {
	if r.at == len(r.segments)-1 {
		if newer, err := r.newer(end); !newer || err != nil {
			return false, err
		}
		if err := r.refresh(); err != nil {
			return false, err
		}
		r.at = sort.Search(len(r.segments), func(i int) bool { return r.segments[i].first >= end })
		if r.at == len(r.segments) {
			return false, nil // its header is not written yet
		}
	} else {
		r.at++
	}
	if err := r.closeSegment(); err != nil {
		return false, err
	}
	if next := r.segments[r.at].first; next > r.position {
		r.at-- // it is said again until the caller skips it
		return false, &Gap{r.position, next}
	}
	r.from, r.to = r.position, r.position
	return true, nil
}

// newer reports whether there is a segment from a position on, or later.
func (r *Reader) newer(position uint64) (bool, error) {
	names, err := r.fs.List(r.dir)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if first, suffix, ok := parseName(name); ok && first >= position && (suffix == segmentSuffix || suffix == compressedSuffix) {
			return true, nil
		}
	}
	return false, nil
}

// place gives damage found in a compressed segment its position.
func (r *Reader) place(err error) error {
	var d *Damage
	if errors.As(err, &d) {
		d.Position = r.position
	}
	return err
}

func (r *Reader) closeSegment() error {
	if r.c == nil {
		return nil
	}
	err := r.c.Close()
	r.c = nil
	return err
}

// Close ends the reading.
func (r *Reader) Close() error { return r.closeSegment() }

// Starts returns the first positions of the segments, rising.
func (r *Reader) Starts() []uint64 {
	var list []uint64
	for i := range r.segments {
		list = append(list, r.segments[i].first)
	}
	return list
}

// Raw returns the whole records from the position on as they are in the file,
// padding too, their checksums right, at most maxBytes of them, and moves behind
// them. None means what more = false means in Next, or that the next record is
// longer. The view is valid until the next call.
func (r *Reader) Raw(maxBytes int) (records []byte, from uint64, err error) {
	for {
		b := r.buffer[r.position-r.from : max(r.to, r.position)-r.from]
		var rec app.Record
		n := 0
		for n < len(b) {
			end, state := ring.Decode(b[n:], r.position+uint64(n), &rec)
			if state != ring.Found || int(end-r.position) > maxBytes {
				break
			}
			n = int(end - r.position)
		}
		from = r.position
		if n > 0 {
			r.position += uint64(n)
			return b[:n:n], from, nil
		}
		if _, state := ring.Decode(b, r.position, &rec); state == ring.Found {
			return nil, from, nil
		}
		if more, err := r.advance(); !more || err != nil {
			return nil, from, err
		}
	}
}
