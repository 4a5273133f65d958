package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// Writer appends records to an archive. It belongs to one goroutine. A call that
// fails may be repeated: nothing that was archived is harmed by it.
type Writer struct {
	o        Options
	closed   []Segment // sealed, oldest first
	seg      *segment  // nil: the next record opens one
	end      uint64    // behind the last record
	link     Hash      // over everything up to end, while seg is nil
	identity Identity
	lastNs   int64
	epoch    uint32 // of the last record
	syncedNs int64
	gapAt    uint64 // where the last gap that was noted ends
	// unsaid are notes that notes.log could not take yet.
	unsaid []byte
}

// Open opens an archive to go on with, or begins one. Recovery ends it at its
// last whole record; what it found is noted.
func Open(o Options) (*Writer, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	w := &Writer{o: o}
	if err := w.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("archive %s: %w", o.Dir, err), w.Close())
	}
	return w, nil
}

// End returns the position behind the last record.
func (w *Writer) End() uint64 { return w.end }

// LastEpoch returns the epoch of the last record, 0 for an empty archive.
func (w *Writer) LastEpoch() uint32 { return w.epoch }

// Begin returns the position of the oldest record, End for an empty archive.
func (w *Writer) Begin() uint64 {
	if len(w.closed) > 0 {
		return w.closed[0].first
	}
	if w.seg != nil {
		return w.seg.header.First
	}
	return w.end
}

// Durable returns the position up to which records are as safe as the sync
// policy makes them.
func (w *Writer) Durable() uint64 {
	if w.seg == nil || w.o.Sync == SyncNone {
		return w.end
	}
	return w.seg.durable
}

// Chain returns the hash chain up to End.
func (w *Writer) Chain() Hash {
	if w.seg != nil {
		return w.seg.chain.head()
	}
	return w.link
}

// Append writes whole records at a position: End, or beyond it when records are
// missing between. It returns how many bytes it took, all unless it fails.
func (w *Writer) Append(position uint64, records []byte) (taken int, err error) {
	switch {
	case position < w.end:
		panic(fmt.Sprintf("archive: append at %d, before its end %d", position, w.end))
	case position > w.end:
		if err := w.roll(); err != nil {
			return 0, err
		}
		if w.gapAt != position {
			w.gapAt = position
			w.note(Note{Kind: NoteGap, Position: w.end, Bytes: position - w.end, Chain: w.link.String()})
		}
	}
	for taken < len(records) {
		if w.seg == nil {
			if err := w.begin(position+uint64(taken), records[taken:]); err != nil {
				return taken, err
			}
		}
		n, err := w.seg.append(records[taken:])
		taken += n
		w.end = w.seg.end
		w.lastNs, w.epoch = w.seg.lastNs, w.seg.lastEpoch
		if err != nil {
			return taken, err
		}
		if n == 0 {
			if err := w.roll(); err != nil {
				return taken, err
			}
		}
	}
	return taken, nil
}

// begin opens a segment for records.
func (w *Writer) begin(position uint64, records []byte) error {
	var rec app.Record
	end, state := ring.Decode(records, position, &rec)
	if state != ring.Found {
		return fmt.Errorf("%w at %d: %v", ring.ErrRecord, position, state)
	}
	if position == 0 {
		w.identity = IdentityOf(records[:end])
	}
	h := Header{Lane: w.o.Lane, Node: w.o.Node, First: position, PreviousEnd: w.end,
		DataBytes: uint64(w.o.SegmentBytes - HeaderBytes - SealBytes), Identity: w.identity,
		Incarnation: w.o.Incarnation, CreatedNs: w.o.Wall(), Chain: w.link, FirstNs: rec.TimeNs, FirstEpoch: rec.Epoch}
	s, err := createSegment(&w.o, h)
	if err != nil {
		return err
	}
	s.lastNs, s.lastEpoch = w.lastNs, w.epoch
	w.seg, w.end = s, position
	return nil
}

// roll closes the segment being written.
func (w *Writer) roll() error {
	s := w.seg
	if s == nil {
		return nil
	}
	seal, err := s.seal()
	if err != nil {
		return err
	}
	w.seg, w.link = nil, seal.Chain
	w.closed = append(w.closed, Segment{Path: s.path, FileBytes: w.o.SegmentBytes, Sealed: true, Header: s.header, Seal: seal, first: s.header.First})
	return s.close()
}

// Flush does what the sync policy wants done by now.
func (w *Writer) Flush(nowNs int64) error {
	if len(w.unsaid) > 0 {
		if err := w.writeNotes(); err != nil {
			return err
		}
	}
	s := w.seg
	if s == nil {
		return nil
	}
	switch w.o.Sync {
	case SyncNone:
		return s.writeIndex()
	case SyncInterval:
		if s.end == s.durable && len(s.pending) == 0 || nowNs-w.syncedNs < w.o.SyncEveryNs {
			return nil
		}
		w.syncedNs = nowNs
	}
	return s.sync()
}

// Close brings everything to the disk, as the sync policy says, and lets go of
// the files. The segment being written stays open for the next process.
func (w *Writer) Close() error {
	s := w.seg
	if s == nil {
		return nil
	}
	w.seg = nil
	var err error
	if w.o.Sync != SyncNone {
		err = s.sync()
	} else {
		err = s.writeIndex()
	}
	return errors.Join(err, s.clearRest(), s.close())
}

// note tells the operator, and keeps for the auditor what changes the log's
// history.
func (w *Writer) note(n Note) {
	n.WallNs = w.o.Wall()
	line, err := json.Marshal(n)
	if err != nil {
		panic(err) // strings and numbers
	}
	w.unsaid = append(append(w.unsaid, line...), '\n')
	w.o.Note(n)
}

// NotesFile is the name of the file with a line for each note.
const NotesFile = "notes.log"

func (w *Writer) writeNotes() error {
	path := filepath.Join(w.o.Dir, NotesFile)
	size, err := w.o.FS.Size(path)
	mode := disk.Write
	if isNotExist(err) {
		mode, size, err = disk.Create, 0, nil
	}
	if err != nil {
		return err
	}
	f, err := w.o.FS.Open(path, mode, false)
	if err != nil {
		return err
	}
	if err = writeAll(f, w.unsaid, size); err == nil {
		err = f.Datasync()
	} else {
		err = errors.Join(err, f.Truncate(size)) // no half lines
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	w.unsaid = w.unsaid[:0]
	return nil
}
