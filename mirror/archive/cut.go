package archive

import (
	"errors"
	"fmt"
	"path/filepath"

	"onebeat/mirror/disk"
)

// ErrCut means that an archive cannot be cut at a position: it begins behind it.
var ErrCut = errors.New("archive begins behind the cut")

// Cut ends the archive at a record's start, where the log was cut. What it takes
// off is kept in a file and noted first. After an error the writer must be opened
// again; comparing with the ring then finds what is left to cut (Follower).
func (w *Writer) Cut(position uint64) error {
	if position >= w.end {
		return nil
	}
	if position < w.Begin() || position == 0 {
		return fmt.Errorf("%w: %d, it begins at %d", ErrCut, position, w.Begin())
	}
	path := filepath.Join(w.o.Dir, fmt.Sprintf("cut-%d-%d-%d.log", w.epoch, position, w.end))
	bytes, err := w.keepFrom(path, position)
	if err != nil {
		return fmt.Errorf("keep what is cut: %w", err)
	}
	w.note(Note{Kind: NoteCut, Position: position, Bytes: bytes, File: path, Chain: w.Chain().String()})
	if err := w.writeNotes(); err != nil {
		return err
	}
	return w.takeOff(position)
}

// keepFrom copies the records from a position on to a file.
func (w *Writer) keepFrom(path string, position uint64) (bytes uint64, err error) {
	list := w.closed
	if w.seg != nil {
		list = append(list[:len(list):len(list)], Segment{Path: w.seg.path, Sealed: true, Header: w.seg.header,
			Seal: Seal{End: w.seg.end}, first: w.seg.header.First})
	}
	f, err := w.o.FS.Open(path+disk.PartSuffix, disk.Create, false)
	if err != nil {
		return 0, err
	}
	for i := range list {
		s := &list[i]
		if s.end() <= position || !s.usable() {
			continue
		}
		n, err := w.copyRecords(f, int64(bytes), s, max(position, s.first))
		if err != nil {
			return 0, errors.Join(err, f.Close(), w.o.FS.Remove(path+disk.PartSuffix))
		}
		bytes += n
	}
	if err = f.Datasync(); err == nil {
		err = w.o.FS.Rename(path+disk.PartSuffix, path)
	}
	return bytes, errors.Join(err, f.Close(), w.o.FS.SyncDir(w.o.Dir))
}

func (w *Writer) copyRecords(f disk.File, to int64, s *Segment, from uint64) (bytes uint64, err error) {
	c, err := openContent(w.o.FS, s.Path, s.Compressed)
	if err != nil {
		return 0, err
	}
	b := make([]byte, maxWriteBytes)
	for at := from; at < s.end() && err == nil; {
		part := b[:min(uint64(len(b)), s.end()-at)]
		if err = disk.ReadFull(c, part, HeaderBytes+int64(at-s.first)); err == nil {
			err = writeAll(f, part, to+int64(at-from))
			at += uint64(len(part))
		}
	}
	return s.end() - from, errors.Join(err, c.Close())
}

// takeOff removes segments from the end on, and shortens the one that holds the
// position. At every moment the archive is a beginning of what it was.
func (w *Writer) takeOff(position uint64) error {
	if s := w.seg; s != nil {
		info := Segment{Path: s.path, Header: s.header, first: s.header.First}
		end := s.end
		w.seg = nil
		w.closed = append(w.closed, info)
		w.closed[len(w.closed)-1].Seal.End = end
		w.closed[len(w.closed)-1].Sealed = true // for the loop below
		if err := s.close(); err != nil {
			return err
		}
	}
	for len(w.closed) > 0 {
		s := &w.closed[len(w.closed)-1]
		if s.first < position {
			break
		}
		if err := errors.Join(removeIfThere(w.o.FS, s.Path), removeIfThere(w.o.FS, s.IndexPath())); err != nil {
			return err
		}
		w.end, w.link = s.Header.PreviousEnd, s.Header.Chain
		w.closed = w.closed[:len(w.closed)-1]
	}
	w.lastNs, w.epoch = 0, 0
	if n := len(w.closed); n > 0 {
		last := &w.closed[n-1]
		w.end, w.link, w.lastNs, w.epoch = last.Seal.End, last.Seal.Chain, last.Seal.LastNs, last.Seal.LastEpoch
	}
	if position >= w.end {
		return w.o.FS.SyncDir(w.o.Dir)
	}
	last := w.closed[len(w.closed)-1]
	w.closed = w.closed[:len(w.closed)-1]
	return w.shorten(&last, position)
}

// shorten ends a segment at a position inside it and makes it the one being
// written.
func (w *Writer) shorten(s *Segment, position uint64) error {
	if s.Compressed {
		if err := w.unpack(s); err != nil {
			return err
		}
	}
	f, err := w.o.FS.Open(s.Path, disk.Write, false)
	if err != nil {
		return err
	}
	// In this order: a closed segment has its whole index, and an index vouches
	// for no record that is gone.
	seal := HeaderBytes + int64(s.Header.DataBytes)
	if err = zero(f, seal, seal+SealBytes); err == nil {
		err = f.Datasync()
	}
	if err == nil {
		head := make([]byte, entryBytes)
		putIndexHeader(head, s.Header.Lane, s.first)
		err = (&segment{o: &w.o}).writeNew(s.IndexPath(), head, 0)
	}
	if err == nil {
		err = zero(f, HeaderBytes+int64(position-s.first), HeaderBytes+int64(s.Seal.End-s.first))
	}
	if err == nil {
		err = f.Datasync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	s.Sealed, s.Seal = false, Seal{}
	return w.recoverSegment(s)
}

// unpack makes a compressed segment a plain one.
func (w *Writer) unpack(s *Segment) error {
	c, err := openContent(w.o.FS, s.Path, true)
	if err != nil {
		return err
	}
	plain := w.o.file(s.first, segmentSuffix)
	size := HeaderBytes + int64(s.Header.DataBytes) + SealBytes
	err = errors.Join(w.keep(plain, c, 0, size), c.Close())
	if err == nil {
		err = w.o.FS.Remove(s.Path)
	}
	if err != nil {
		return err
	}
	s.Path, s.Compressed = plain, false
	return nil
}
