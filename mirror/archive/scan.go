package archive

import (
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/mirror/ring"
)

// scan reads a segment's records one after the other and forms the chain over
// them, a piece of the file in memory at a time.
type scan struct {
	c      content
	path   string
	header *Header
	chain  *chain
	end    uint64 // behind the last whole record
	// entries of the blocks that ended.
	entries   []entry
	records   uint64
	lastNs    int64
	lastEpoch uint32
	known     bool // a record was seen: epochs and times may not fall

	buffer   []byte
	from, to uint64 // positions of what the buffer holds
}

func newScan(c content, path string, h *Header, link Hash) *scan {
	return &scan{c: c, path: path, header: h, chain: newChain(link, h.First), end: h.First,
		buffer: make([]byte, maxWriteBytes), from: h.First, to: h.First}
}

// run reads records up to a position, or to the first place without one: stop
// says what is there, AtTail for zeros. visit, if not nil, sees every record,
// padding too; its payload is valid during the call.
func (s *scan) run(to uint64, visit func(rec *app.Record, raw []byte) error) (stop ring.State, err error) {
	var rec app.Record
	for s.end < to {
		if err := s.fill(to); err != nil {
			return 0, err
		}
		b := s.buffer[s.end-s.from : s.to-s.from]
		end, state := ring.Decode(b, s.end, &rec)
		if state != ring.Found {
			if allZero(b[:min(len(b), ring.MaxRecordBytes)]) {
				state = ring.AtTail
			}
			return state, nil
		}
		raw := b[:end-s.end]
		if !padded(&rec, raw) {
			return ring.BadChecksum, nil
		}
		if s.known && (rec.Epoch < s.lastEpoch || rec.TimeNs < s.lastNs) {
			return ring.BadPosition, nil
		}
		s.take(&rec, raw)
		s.end = end
		if visit != nil {
			if err := visit(&rec, raw); err != nil {
				return 0, err
			}
		}
	}
	return ring.AtTail, nil
}

// take adds a record to the chain.
func (s *scan) take(rec *app.Record, raw []byte) {
	if !s.chain.fits(len(raw)) {
		s.entries = append(s.entries, s.chain.close())
	}
	count := 0
	if rec.Type != app.RecordPadding {
		count = 1
		s.records++
	}
	s.chain.add(raw, count, rec.TimeNs)
	s.lastNs, s.lastEpoch, s.known = rec.TimeNs, rec.Epoch, true
}

// fill makes the buffer hold what may be the next record.
func (s *scan) fill(to uint64) error {
	if s.end >= s.from && (s.to >= to || s.to-s.end >= ring.MaxRecordBytes) && s.to > s.end {
		return nil
	}
	n := min(uint64(len(s.buffer)), to-s.end)
	got, err := s.c.ReadAt(s.buffer[:n], HeaderBytes+int64(s.end-s.header.First))
	if err != nil && !isEOF(err) {
		return s.harmed(err)
	}
	clear(s.buffer[got:n]) // a file that ends early has nothing there
	s.from, s.to = s.end, s.end+n
	return nil
}

// harmed gives damage that a compressed segment found its position.
func (s *scan) harmed(err error) error {
	var d *Damage
	if errors.As(err, &d) {
		d.Position = s.end
		return d
	}
	return fmt.Errorf("read %s: %w", s.path, err)
}

// skip goes on at a later position, with a new chain: what lies between is lost.
func (s *scan) skip(position uint64, link Hash) {
	s.end = position
	s.chain = newChain(link, position)
}

// next looks for the next whole record behind a place without one: every record
// holds its own position, so no other bytes pass for it.
func (s *scan) next(after, to uint64) (position uint64, found bool, err error) {
	var rec app.Record
	for s.end = after; s.end < to; s.end += ring.AlignBytes {
		if err := s.fill(to); err != nil {
			return 0, false, err
		}
		if _, state := ring.Decode(s.buffer[s.end-s.from:s.to-s.from], s.end, &rec); state == ring.Found {
			return s.end, true, nil
		}
	}
	return to, false, nil
}

// padded reports whether a record is followed by zeros up to the next one, as the
// ring pads it: its checksum does not cover them.
func padded(rec *app.Record, raw []byte) bool {
	return allZero(raw[ring.HeaderBytes+len(rec.Payload):])
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}
