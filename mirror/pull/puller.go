package pull

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/snapshot"
	"onebeat/mirror/stream"
)

// Source is a node that is followed.
type Source struct {
	Node    uint8
	Address string
}

// Options of a copy; zero values mean the defaults in brackets.
type Options struct {
	Lane        uint8
	Sources     []Source
	Credentials *stream.Credentials
	Name        string // that the sources list the copy by
	Compress    bool   // on the way
	RateBytes   uint64 // per second at most; 0: no bound
	// Retry is the wait after a failure [200 ms]; it doubles up to RetryMax [10 s].
	Retry, RetryMax time.Duration
	// RingBytes is at least the size of the lane's rings [16 MiB].
	RingBytes int
	Archive   archive.Options
	// Snapshots fetched every so often are kept here; nil: none are.
	Snapshots      *snapshot.Store
	SnapshotsEvery time.Duration
	Timing         stream.Timing
	// Note hears what an operator has to know [nobody].
	Note func(string)
}

// Puller keeps a copy of one lane. Run belongs to one goroutine; the rest is for
// any.
type Puller struct {
	o       Options
	table   lane.Table // of the ring: its tail and its cuts
	ring    *ring.Ring
	release func() error // of the archive's lock

	// the goroutine's of Run
	last     stream.RecordHead // the record before the ring's tail; zero: there is none
	epoch    uint32            // of it, or of the snapshot that the log goes on from
	identity archive.Identity
	writer   uint8     // node that writes the lane, as far as known; 0: it is not
	wentAt   time.Time // to the writer, last
	base     uint64    // where the ring began
	follower *archive.Follower
	stop     context.CancelFunc // of the follower
	ended    chan error
	began    time.Time

	keep     atomic.Uint64
	seen     atomic.Uint32 // epoch, for others
	archived atomic.Pointer[archive.Follower]

	mu     sync.Mutex
	status Status
	caught time.Time // when the copy last had everything
}

// Open takes an archive over, or begins one, and makes a ring behind its end.
func Open(o Options) (*Puller, error) {
	o.Retry, o.RetryMax = cmp.Or(o.Retry, 200*time.Millisecond), cmp.Or(o.RetryMax, 10*time.Second)
	o.RingBytes = cmp.Or(o.RingBytes, 16<<20)
	if o.Note == nil {
		o.Note = func(string) {}
	}
	if len(o.Sources) == 0 {
		return nil, errors.New("pull: no source to follow")
	}
	note := o.Archive.Note
	o.Archive.Note = func(n archive.Note) {
		if note != nil {
			note(n)
		}
	}
	p := &Puller{o: o, began: time.Now()}
	p.keep.Store(archive.NoKeep)
	p.status.Lane, p.status.State = int(o.Lane), "starting"
	var err error
	if p.release, err = archive.Lock(o.Archive.Dir); err != nil {
		return nil, err
	}
	if p.ring, err = ring.New(make([]byte, o.RingBytes+ring.SlackBytes), o.RingBytes, &p.table.Tail); err != nil {
		return nil, errors.Join(err, p.release())
	}
	p.ring.ShareCuts(&p.table.Cuts)
	if err := p.resume(); err != nil {
		return nil, errors.Join(err, p.release())
	}
	return p, nil
}

// resume begins the ring where the archive ends, and starts the follower.
func (p *Puller) resume() error {
	w, err := archive.Open(p.o.Archive) // recovers it
	if err != nil {
		return err
	}
	end := w.End()
	if err := w.Close(); err != nil {
		return err
	}
	if p.last, p.identity, err = lastRecord(p.files(), p.o.Archive.Dir, end); err != nil {
		return err
	}
	p.epoch = 0
	if p.last != (stream.RecordHead{}) {
		p.epoch = p.last.Epoch()
	}
	return p.restart(end)
}

// restart begins the ring at a position and starts the follower.
func (p *Puller) restart(position uint64) error {
	p.ring.Reset(position, p.epoch)
	p.seen.Store(p.epoch)
	p.base = position
	o := p.o.Archive
	o.Shared = &p.table.Archive
	f, err := archive.NewFollower(o, p.ring)
	if err != nil {
		return err
	}
	f.Keep(p.keep.Load())
	ctx, stop := context.WithCancel(context.Background())
	p.follower, p.stop, p.ended = f, stop, make(chan error, 1)
	p.archived.Store(f)
	go func() { p.ended <- f.Run(ctx, func() int64 { return int64(time.Since(p.began)) }) }()
	return nil
}

// pause ends the follower: the archive then has what the ring has, if the disk
// takes it.
func (p *Puller) pause() error {
	if p.follower == nil {
		return nil
	}
	p.stop()
	err := <-p.ended
	p.follower = nil
	return err
}

func (p *Puller) files() disk.FS {
	if p.o.Archive.FS == nil {
		return disk.OS{}
	}
	return p.o.Archive.FS
}

// lastRecord reads the newest segment of an archive to its end.
func lastRecord(fs disk.FS, dir string, end uint64) (last stream.RecordHead, id archive.Identity, err error) {
	r, err := archive.OpenReader(fs, dir)
	if errors.Is(err, archive.ErrEmpty) {
		return last, id, nil
	} else if err != nil {
		return last, id, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	starts := r.Starts()
	id = r.Segments()[len(starts)-1].Header.Identity
	for i := len(starts) - 1; i >= 0; i-- {
		if err := r.Seek(starts[i]); err != nil {
			return last, id, err
		}
		for r.Position() < end {
			b, from, err := r.Raw(ring.MaxRecordBytes)
			if err != nil {
				return last, id, err
			}
			if len(b) == 0 {
				break
			}
			for n := 0; n < len(b); {
				var rec app.Record
				next, state := ring.Decode(b[n:], from+uint64(n), &rec)
				if state != ring.Found {
					return last, id, fmt.Errorf("%w at %d", ring.ErrRecord, from+uint64(n))
				}
				copy(last[:], b[n:])
				n = int(next - from)
			}
		}
		if last != (stream.RecordHead{}) {
			return last, id, nil
		}
	}
	return last, id, nil
}

// Lane is what a server gives of the copy.
func (p *Puller) Lane() *stream.Lane {
	l := &stream.Lane{ID: p.o.Lane, Ring: p.ring, Archive: p.o.Archive.Dir, FS: p.o.Archive.FS, Look: func() stream.View {
		// It stands by in whatever epoch its last record is of: all of it was safe
		// where it came from.
		return stream.View{Word: lane.MakeWord(p.seen.Load(), lane.Standby), Safe: p.ring.Tail()}
	}}
	if s := p.o.Snapshots; s != nil {
		l.Newest = NewestOf(s)
	}
	return l
}

// Keep protects records from a position on from retention.
func (p *Puller) Keep(position uint64) {
	p.keep.Store(position)
	if f := p.archived.Load(); f != nil {
		f.Keep(position)
	}
}

// Run follows the lane until ctx ends.
func (p *Puller) Run(ctx context.Context) error {
	var side sync.WaitGroup
	if p.o.Snapshots != nil && p.o.SnapshotsEvery > 0 {
		side.Go(func() { p.fetchSnapshots(ctx) })
	}
	defer side.Wait()
	at, tries := 0, 0
	lacking := 0 // sources in a row that no longer have the history
	for ctx.Err() == nil {
		source := p.o.Sources[at%len(p.o.Sources)]
		moved, err := p.follow(ctx, source)
		if ctx.Err() != nil {
			break
		}
		if moved {
			tries, lacking = 0, 0
		}
		var elsewhere *writerElsewhere
		if errors.As(err, &elsewhere) {
			at, tries = elsewhere.at, 0
			continue
		}
		again, local := p.settle(ctx, source, err, &lacking)
		if local != nil {
			err = local // this host's own disk
		} else if again {
			continue
		}
		p.failing(source, err)
		if !moved {
			at++
		}
		p.wait(ctx, tries)
		tries++
	}
	p.told("stopped")
	return nil
}

// settle does what an answer asks for: again means that the same source can be
// followed at once.
func (p *Puller) settle(ctx context.Context, source Source, err error, lacking *int) (again bool, local error) {
	var cut *stream.Cut
	switch {
	case errors.As(err, &cut):
		p.o.Note(fmt.Sprintf("lane %d: cut at %d: node %d went on without what follows", p.o.Lane, cut.Position, source.Node))
		local = p.cut(cut.Position)
		return local == nil, local
	case errors.Is(err, stream.ErrOtherLife):
		local = p.aside()
		return local == nil, local
	case errors.Is(err, stream.ErrBehind):
		// Not the end of a later epoch: what differs is looked for record by record.
		d, lost := p.parted(ctx, source)
		if lost != nil || d == nil {
			return false, lost
		}
		p.o.Note(fmt.Sprintf("lane %d: cut at %d: the log of node %d, which is in epoch %d, goes on otherwise there", p.o.Lane, d.Position, source.Node, d.Epoch))
		local = p.cut(d.Position)
		return local == nil, local
	case errors.Is(err, stream.ErrHistory):
		if *lacking++; *lacking < len(p.o.Sources) {
			return false, nil
		}
		*lacking = 0
		if local = p.fromSnapshot(ctx, source); local == nil {
			return true, nil
		}
		return false, local
	}
	return false, nil
}

// wait sleeps a while that doubles, less a part that chance decides.
func (p *Puller) wait(ctx context.Context, tries int) {
	d := min(p.o.Retry<<min(tries, 16), p.o.RetryMax)
	d = d/2 + time.Duration(rand.Int64N(int64(d/2)+1))
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Close brings what was received to the disk and lets go of the archive.
func (p *Puller) Close() error { return errors.Join(p.pause(), p.release()) }
