package archive

import (
	"errors"
	"fmt"
	"path/filepath"

	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// recover finds where an archive ends and makes it fit to be gone on with.
func (w *Writer) recover() error {
	fs := w.o.FS
	if err := fs.MakeDir(w.o.Dir); err != nil {
		return err
	}
	stale, err := leftovers(fs, w.o.Dir)
	if err != nil {
		return err
	}
	for _, path := range stale {
		if err := fs.Remove(path); err != nil {
			return err
		}
	}
	list, err := List(fs, w.o.Dir)
	if err != nil {
		return err
	}
	for i := range list {
		if err := w.adopt(&list[i], list[i+1:]); err != nil {
			return err
		}
	}
	return w.Flush(w.o.Wall())
}

// adopt takes in one segment; later are those behind it.
func (w *Writer) adopt(s *Segment, later []Segment) error {
	if s.Damage != nil {
		w.note(Note{Kind: NoteDamage, File: s.Path, Position: s.first, Problem: s.Damage.Problem})
	}
	switch {
	case s.Empty && len(later) == 0:
		return errors.Join(w.o.FS.Remove(s.Path), removeIfThere(w.o.FS, s.IndexPath()))
	case s.Sealed:
	case s.usable() && !s.Compressed:
		if err := w.recoverSegment(s); err != nil {
			return err
		}
		if len(later) == 0 {
			return nil
		}
		return w.roll() // its writer was killed before it could
	case len(later) > 0:
		// What it held stays where it is, for `onebeat ring verify`.
		s.Seal.End, s.Seal.Chain = later[0].Header.PreviousEnd, later[0].Header.Chain
	default:
		return w.setAside(s)
	}
	if n := len(w.closed); n > 0 && s.usable() && (s.Header.PreviousEnd != w.end || s.Header.Chain != w.link) {
		w.note(Note{Kind: NoteDamage, File: s.Path, Position: s.first,
			Problem: fmt.Sprintf("it follows a segment up to %d, but the one before it ends at %d, or its chain is another", s.Header.PreviousEnd, w.end)})
	}
	w.closed = append(w.closed, *s)
	w.end, w.link = s.Seal.End, s.Seal.Chain
	if s.Sealed {
		w.lastNs, w.epoch = s.Seal.LastNs, s.Seal.LastEpoch
	}
	if s.usable() {
		w.identity = s.Header.Identity
	}
	return nil
}

// setAside renames a newest segment whose beginning cannot be read: records go
// on behind the one before it.
func (w *Writer) setAside(s *Segment) error {
	to := s.Path + ".damaged"
	if err := w.o.FS.Rename(s.Path, to); err != nil {
		return err
	}
	return removeIfThere(w.o.FS, s.IndexPath())
}

// recoverSegment makes a segment that was being written the one being written
// again. It ends at the last whole record that follows the ones before.
func (w *Writer) recoverSegment(info *Segment) error {
	h := info.Header
	s := &segment{o: &w.o, path: info.Path, indexPath: info.IndexPath(), header: h}
	entries, offset, problem, err := readIndex(w.o.FS, s.indexPath, h.Lane, h.First)
	if err != nil {
		return err
	}
	c, err := openContent(w.o.FS, s.path, false)
	if err != nil {
		return err
	}
	scan := newScan(c, s.path, &h, h.Chain)
	stop, err := scan.run(s.limit(), nil)
	if err == nil {
		s.chain, s.end, s.records, s.lastNs, s.lastEpoch = scan.chain, scan.end, scan.records, scan.lastNs, scan.lastEpoch
		w.compareIndex(s, scan.entries, entries)
		err = w.lookBehind(s, scan, stop, durableEnd(entries))
	}
	if err = errors.Join(err, c.Close()); err != nil {
		return err
	}
	if problem != "" && problem != entryCutShort && (offset > 0 || s.end > h.First+BlockBytes) {
		w.note(Note{Kind: NoteDamage, File: s.indexPath, Position: h.First, Problem: fmt.Sprintf("offset %d: %s; it is written anew", offset, problem)})
	}
	if s.end == h.First {
		s.lastNs, s.lastEpoch = w.lastNs, w.epoch
	}
	if err := w.resume(s, scan.entries); err != nil {
		return err
	}
	w.seg, w.end, w.identity, w.lastNs, w.epoch = s, s.end, h.Identity, s.lastNs, s.lastEpoch
	return nil
}

// durableEnd is how far the index vouches that records were on the disk.
func durableEnd(entries []entry) uint64 {
	end := uint64(0)
	for i := range entries {
		if entries[i].durable {
			end = entries[i].end()
		}
	}
	return end
}

// compareIndex: records whose checksums are right but whose hash is another one
// than when they were written were altered by somebody.
func (w *Writer) compareIndex(s *segment, found, stored []entry) {
	for i := range min(len(found), len(stored)) {
		a, b := found[i], stored[i]
		a.durable = b.durable
		if a != b {
			w.note(Note{Kind: NoteDamage, File: s.path, Position: b.position,
				Problem: fmt.Sprintf("the records of the block up to %d are whole, but not those that its index entry was made of", b.end())})
			return
		}
	}
}

// lookBehind says what stands behind the last whole record, keeps it if it may be
// more than what a crash left of one write, and finds how far it reaches.
func (w *Writer) lookBehind(s *segment, found *scan, stop ring.State, durable uint64) error {
	end, limit := found.end, s.limit()
	reach, err := lastNonZero(found.c, s.offset(end), s.offset(limit))
	if err != nil {
		return err
	}
	s.dirty = max(reach, s.offset(end))
	if reach <= s.offset(end) {
		if end < durable {
			w.note(Note{Kind: NoteDamage, File: s.path, Position: end, Problem: fmt.Sprintf("there is nothing, but records were on the disk up to %d", durable)})
		}
		return nil
	}
	bytes := uint64(reach - s.offset(end))
	position, more, err := found.next(end+ring.AlignBytes, min(limit, end+bytes))
	if err != nil {
		return err
	}
	if !more && end >= durable {
		w.note(Note{Kind: NoteTorn, File: s.path, Position: end, Bytes: bytes, Problem: stop.String(), Chain: s.chain.head().String()})
		return nil
	}
	problem := fmt.Sprintf("%v; records were on the disk up to %d", stop, durable)
	if more {
		problem = fmt.Sprintf("%v; whole records follow from %d on", stop, position)
	}
	keep := filepath.Join(w.o.Dir, fmt.Sprintf("damaged-%d.log", end))
	w.note(Note{Kind: NoteDamage, File: s.path, Position: end, Bytes: bytes, Problem: problem + "; what follows is kept in " + keep})
	return w.keep(keep, found.c, s.offset(end), reach)
}

// lastNonZero returns the offset behind the last byte that is not zero.
func lastNonZero(c content, from, to int64) (int64, error) {
	b := make([]byte, maxWriteBytes)
	for to > from {
		at := max(from, to-int64(len(b)))
		n, err := readUpTo(c, b[:to-at], at)
		if err != nil {
			return 0, err
		}
		for i := n; i > 0; i-- {
			if b[i-1] != 0 {
				return at + int64(i), nil
			}
		}
		to = at
	}
	return from, nil
}

// keep copies a part of a segment to a file of its own.
func (w *Writer) keep(path string, c content, from, to int64) error {
	f, err := w.o.FS.Open(path+disk.PartSuffix, disk.Create, false)
	if err != nil {
		return err
	}
	b := make([]byte, min(to-from, maxWriteBytes))
	for at := from; at < to && err == nil; {
		n := 0
		if n, err = readUpTo(c, b[:min(int64(len(b)), to-at)], at); err == nil {
			if n == 0 {
				break // the file ends before
			}
			err = writeAll(f, b[:n], at-from)
			at += int64(n)
		}
	}
	if err == nil {
		err = f.Datasync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = w.o.FS.Rename(path+disk.PartSuffix, path)
	}
	return errors.Join(err, w.o.FS.SyncDir(w.o.Dir))
}

// resume opens a scanned segment for writing: its length is right, nothing stands
// behind its last record, its index holds the blocks that ended.
func (w *Writer) resume(s *segment, entries []entry) error {
	head := make([]byte, entryBytes)
	putIndexHeader(head, s.header.Lane, s.header.First)
	if err := s.writeNew(s.indexPath, head, 0); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	if err := w.settle(s, entries); err != nil {
		return errors.Join(err, s.close())
	}
	return nil
}

func (w *Writer) settle(s *segment, entries []entry) error {
	seal := HeaderBytes + int64(s.header.DataBytes)
	if err := s.plain.Allocate(seal + SealBytes); err != nil {
		return err
	}
	if err := errors.Join(s.clearRest(), zero(s.plain, seal, seal+SealBytes)); err != nil {
		return err
	}
	at := s.offset(s.end)
	if n := at % disk.PageBytes; n > 0 {
		if err := disk.ReadFull(s.plain, s.buffer[:n], at-n); err != nil {
			return err
		}
	}
	s.pending, s.indexAt, s.durable, s.suspect = entries, entryBytes, s.header.First, false
	if w.o.Sync != SyncNone {
		if err := s.plain.Datasync(); err != nil {
			return err
		}
		s.durable = s.end
	}
	return s.writeIndex()
}
