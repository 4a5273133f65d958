package archive

import (
	"bytes"
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// align compares the archive with the ring before records follow: while nobody
// archived, the ring may have been cut, or emptied and filled again by the peer,
// or begun another life. It compares a piece, and returns how many bytes.
//
//	archive  ├──────────┬─────┤ end          the first difference is where the
//	ring     │     ├────┼─────┼──────┤ tail   log was cut: the archive is cut there
//	                oldest
func (f *Follower) align() (int, error) {
	begin, end, tail := f.w.Begin(), f.w.End(), f.ring.Tail()
	if begin == end {
		f.aligned = true
		return 0, nil
	}
	from := f.checked
	if from < begin || from == 0 || !f.ring.Holds(from) {
		var ok bool
		if from, ok = f.held(begin); !ok {
			return 0, nil // overtaken, or nothing there yet
		}
	}
	if from >= end {
		f.aligned = true // nothing in common, or all of it
		return 0, nil
	}
	to := min(end, tail)
	if from >= to {
		return 0, nil // the ring is behind: it is being filled again
	}
	n, err := f.w.readRaw(from, f.compare[:min(uint64(len(f.compare)), to-from)])
	if err != nil {
		return 0, err
	}
	held := f.ring.Bytes(from, from+uint64(n))
	n = copy(f.buffer, held)
	if f.ring.Cuts() != f.seen || !f.ring.Holds(from) {
		return 0, nil
	}
	if bytes.Equal(f.buffer[:n], f.compare[:n]) {
		f.checked = from + uint64(n)
		f.aligned = f.checked == end
		return n, nil
	}
	return n, f.differ(from, n)
}

const nothingCommon = "it has no record in common with the lane's log, which began anew"

// differ cuts the archive at the first record that is not the ring's.
func (f *Follower) differ(from uint64, n int) error {
	var rec app.Record
	at := 0
	for at < n {
		// The last record of the piece may be cut short: then it is read whole.
		end, state := ring.Decode(f.buffer[at:n], from+uint64(at), &rec)
		if state != ring.Found {
			break
		}
		length := int(end - from - uint64(at))
		if !bytes.Equal(f.buffer[at:at+length], f.compare[at:at+length]) {
			break
		}
		at += length
	}
	position := from + uint64(at)
	if at == 0 && f.checked != from {
		return f.aside(nothingCommon)
	}
	if end, state := ring.Decode(f.buffer[at:n], position, &rec); state != ring.Found && n-at >= ring.MaxRecordBytes {
		return fmt.Errorf("%w at %d: %v in the ring, up to %d", ring.ErrRecord, position, state, end)
	}
	f.stopKeeping()
	f.changes.Add(1)
	switch err := f.w.Cut(position); {
	case errors.Is(err, ErrCut):
		return f.aside(nothingCommon)
	case err != nil:
		return f.reopen(err)
	}
	f.aligned = true
	return nil
}

// readRaw reads archived bytes at a position, at most up to the segment's end.
func (w *Writer) readRaw(position uint64, b []byte) (int, error) {
	s, end := w.segmentOf(position)
	if s == nil {
		return 0, &Gap{position, end}
	}
	b = b[:min(uint64(len(b)), end-position)]
	c, err := openContent(w.o.FS, s.Path, s.Compressed)
	if err != nil {
		return 0, err
	}
	return len(b), errors.Join(disk.ReadFull(c, b, HeaderBytes+int64(position-s.first)), c.Close())
}

// segmentOf returns the segment that holds a position, and its end.
func (w *Writer) segmentOf(position uint64) (*Segment, uint64) {
	if s := w.seg; s != nil && position >= s.header.First {
		return &Segment{Path: s.path, Header: s.header, first: s.header.First}, s.end
	}
	for i := range w.closed {
		if s := &w.closed[i]; position >= s.first && position < s.end() {
			return s, s.end()
		}
	}
	return nil, w.end
}
