package snapshot

import (
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
)

// ErrNoBeginning means that an archive does not reach back to the log's beginning,
// and no snapshot bridges what is missing.
var ErrNoBeginning = errors.New("the log's beginning is missing")

// ErrCut means that what was replayed is not the lane's log any more.
var ErrCut = errors.New("the archive was cut meanwhile")

// ErrDiverged means that a digest in the log is not that of the replayed state.
var ErrDiverged = errors.New("a digest in the log is not that of the replayed state: the records, the configuration or the program are not those that made it")

// Source is where a lane's state can be rebuilt from.
type Source struct {
	FS      disk.FS
	Archive string // the lane's directory
	Store   *Store // nil: no snapshots
	// New makes a fresh machine.
	New func() (app.Machine, error)
	// Changes, if not nil, changes before anything archived is taken off
	// (archive.Follower.Changes).
	Changes func() uint64
	// Note, if not nil, hears why a snapshot was passed over.
	Note func(string)
}

// Replay is a machine that follows an archive. It belongs to one goroutine.
type Replay struct {
	Machine app.Machine
	From    *File // what it began with; nil: the log's beginning
	Begin   uint64

	src     Source
	changes uint64
	reader  *archive.Reader
	out     *app.Outbox
	rec     app.Record
	at      Header // of the state as it is now, but for what Header adds
	any     bool   // a record was applied
	bridge  bridge
}

// Start makes a machine of the newest snapshot, not beyond limit, that is whole and
// of the archive's log; without one, of the log's beginning.
func (s Source) Start(limit uint64) (*Replay, error) {
	r := &Replay{src: s, out: app.NewOutbox(app.Endpoint{}, 0)}
	r.out.Muted = true
	if s.Changes != nil {
		r.changes = s.Changes()
	}
	var err error
	if r.reader, err = archive.OpenReader(s.FS, s.Archive); err != nil {
		return nil, err
	}
	if err := r.begin(limit); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Replay) begin(limit uint64) error {
	for s := r.src.Store; s != nil; {
		f, harmed := s.NewestBefore(limit)
		for i := range harmed {
			r.note(harmed[i].Error())
		}
		if f == nil {
			break
		}
		err := r.load(f)
		if err == nil {
			return nil
		}
		r.note(fmt.Sprintf("%s is passed over: %v", f.Path, err))
		if f.Header.Position == 0 {
			break
		}
		limit = f.Header.Position - 1
	}
	if begin := r.reader.Begin(); begin != 0 {
		return fmt.Errorf("%w: the archive begins at %d, and no good snapshot is of that place or later", ErrNoBeginning, begin)
	}
	m, err := r.src.New()
	if err != nil {
		return err
	}
	r.Machine = m
	r.at.Identity = r.identity()
	return r.reader.Seek(0)
}

func (r *Replay) note(text string) {
	if r.src.Note != nil {
		r.src.Note(text)
	}
}

func (r *Replay) identity() archive.Identity { return r.reader.Segments()[0].Header.Identity }

// load takes a snapshot whose last record is in the archive as it was then.
func (r *Replay) load(f *File) error {
	h := &f.Header
	if id := r.identity(); h.Identity != id && id != (archive.Identity{}) && h.Identity != (archive.Identity{}) {
		return fmt.Errorf("it is of another life of the lane: %v, the archive is of %v", h.Identity, id)
	}
	if err := r.behind(h); err != nil {
		return err
	}
	m, err := r.src.New()
	if err != nil {
		return err
	}
	if err := f.Load(m); err != nil {
		return err
	}
	r.Machine, r.From, r.Begin = m, f, h.Position
	r.at, r.any = *h, true
	return nil
}

// behind goes to where a snapshot ends, if the archive's log is that of the
// snapshot: its last record is there, or it ends where the archive begins.
func (r *Replay) behind(h *Header) error {
	if first := &r.reader.Segments()[0].Header; h.Position == r.reader.Begin() {
		if first.FirstEpoch < h.Epoch || first.FirstNs < h.TimeNs {
			return fmt.Errorf("the archive's first record, of epoch %d, does not follow it", first.FirstEpoch)
		}
		return r.reader.Seek(h.Position)
	}
	if err := r.reader.Seek(h.Last); err != nil {
		return err
	}
	var rec app.Record
	switch more, err := r.reader.Next(&rec); {
	case err != nil:
		return err
	case !more:
		return fmt.Errorf("the archive ends at %d, before it", r.reader.Position())
	case rec.Position != h.Last || r.reader.Position() != h.Position || HashRecord(&rec) != h.LastHash:
		return fmt.Errorf("the record at %d is another: %w", h.Last, ErrCut)
	}
	return nil
}

// Step applies at most so many records, none that ends beyond a position, and
// returns how many. more is false where the archive ends for now, or the position
// is reached.
func (r *Replay) Step(records int, to uint64, look func(*app.Record) bool) (n int, more bool, err error) {
	if r.Bridged() {
		if back, err := r.rejoin(to); !back || err != nil {
			return 0, false, err
		}
	}
	for n < records {
		if r.reader.Position() >= to {
			return n, false, nil
		}
		found, err := r.reader.Next(&r.rec)
		if r.src.Changes != nil && r.src.Changes() != r.changes {
			return n, false, ErrCut
		}
		if err != nil || !found {
			return n, false, err
		}
		end := r.reader.Position()
		if end > to || look != nil && !look(&r.rec) {
			return n, false, r.reader.Seek(r.rec.Position)
		}
		n++
		if err := r.apply(end); err != nil {
			return n, false, err
		}
	}
	return n, true, nil
}

// apply takes in the record that was read.
func (r *Replay) apply(end uint64) error {
	r.Machine.Apply(&r.rec, r.out)
	r.at.Records++
	r.at.Position, r.at.Last, r.at.TimeNs, r.at.Epoch = end, r.rec.Position, r.rec.TimeNs, r.rec.Epoch
	r.any = true
	switch r.rec.Type {
	case app.RecordEpoch:
		r.at.Record.Parse(r.rec.Payload)
	case app.RecordDigest:
		if r.Machine.Diverged() {
			return fmt.Errorf("position %d: %w", r.rec.Position, ErrDiverged)
		}
	}
	return nil
}

// Position returns the end of the last record applied.
func (r *Replay) Position() uint64 { return r.at.Position }

// Place returns where the state is in the log: position, time, epoch and number of
// records, and the newest record of the lane.
func (r *Replay) Place() (h Header) { return r.at }

// CurrentLane returns the newest record of the lane.
func (r *Replay) CurrentLane() lane.Record { return r.at.Record }

// Header describes the state as it is now; false before the first record, and
// before the first that the archive has behind what was bridged. It reads
// that record again to tell it from any other.
func (r *Replay) Header() (Header, bool, error) {
	h := r.at
	if !r.any || r.Bridged() || h.Last < r.bridge.joined {
		return h, false, nil // the archive has no record to tell it by
	}
	if r.From == nil || h.Position != r.From.Header.Position {
		// Read again: the payload may be gone from the reader's buffer by now.
		if err := r.reader.Seek(h.Last); err != nil {
			return h, false, err
		}
		more, err := r.reader.Next(&r.rec)
		if err != nil || !more || r.rec.Position != h.Last || r.reader.Position() != h.Position {
			return h, false, errors.Join(err, fmt.Errorf("the record at %d: %w", h.Last, ErrCut))
		}
		h.LastHash = HashRecord(&r.rec)
	}
	for i := range r.reader.Segments() {
		if s := &r.reader.Segments()[i].Header; s.First <= h.Last {
			h.ChainAt, h.Chain = s.First, s.Chain
		}
	}
	h.Digest = r.Machine.Digest()
	return h, true, nil
}

// Save puts the state as it is now into the store.
func (r *Replay) Save(fill func(*Header)) (File, error) {
	h, ok, err := r.Header()
	if err != nil || !ok {
		return File{}, err
	}
	fill(&h)
	if r.src.Changes != nil && r.src.Changes() != r.changes {
		return File{}, ErrCut
	}
	return r.src.Store.Write(h, r.Machine.Save)
}

// End returns where the archive's newest file may end: how far it is to go.
func (r *Replay) End() uint64 {
	list := r.reader.Segments()
	last := &list[len(list)-1]
	if last.Sealed {
		return last.Seal.End
	}
	return last.Header.First + last.Header.DataBytes
}

// Close ends the reading.
func (r *Replay) Close() error { return r.reader.Close() }
