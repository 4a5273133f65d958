package archive

import "errors"

// Retain removes the oldest closed segments while the archive is larger, or they
// are older, than configured. keep is a position whose records somebody still
// needs; NoKeep: nobody does.
func (w *Writer) Retain(keep uint64) error {
	for len(w.closed) > 0 {
		s := &w.closed[0]
		old := w.o.RetainNs > 0 && s.Sealed && w.o.Wall()-s.Seal.LastNs > w.o.RetainNs
		large := w.o.RetainBytes > 0 && w.FileBytes() > w.o.RetainBytes
		if !old && !large || s.end() > keep || w.o.Needed != nil && s.end() > w.o.Needed(s.first) {
			return nil
		}
		if err := errors.Join(removeIfThere(w.o.FS, s.Path), removeIfThere(w.o.FS, s.IndexPath())); err != nil {
			return err
		}
		w.o.Note(Note{WallNs: w.o.Wall(), Kind: NoteRetained, File: s.Path, Position: s.first, Bytes: s.end() - s.first})
		w.closed = w.closed[1:]
	}
	return nil
}

// NoKeep lets Retain remove any closed segment.
const NoKeep = ^uint64(0)

// FileBytes returns the length of all segment files.
func (w *Writer) FileBytes() int64 {
	sum := int64(0)
	for i := range w.closed {
		sum += w.closed[i].FileBytes
	}
	if w.seg != nil {
		sum += HeaderBytes + int64(w.seg.header.DataBytes) + SealBytes
	}
	return sum
}

// Segments returns how many files hold records.
func (w *Writer) Segments() int {
	if w.seg != nil {
		return len(w.closed) + 1
	}
	return len(w.closed)
}

// nextPlain returns the oldest closed segment that is to be compressed.
func (w *Writer) nextPlain() (Segment, bool) {
	if !w.o.Compress {
		return Segment{}, false
	}
	for _, s := range w.closed {
		if s.Sealed && !s.Compressed {
			return s, true
		}
	}
	return Segment{}, false
}

// packed replaces a segment by its compressed self.
func (w *Writer) packed(s Segment) {
	for i := range w.closed {
		if w.closed[i].first == s.first && !w.closed[i].Compressed {
			w.closed[i] = s
		}
	}
}
