package archive

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/ring"
	"onebeat/pin"
)

// Follower moves a lane's records from its ring to its archive, whatever its node
// is to the lane. Nobody waits for it: when the ring was faster, it says so,
// counts what is missing and goes on. When writing fails it tries again. Step
// belongs to one goroutine; Archived and Status are for any.
type Follower struct {
	o    Options
	ring *ring.Ring
	w    *Writer // nil: to be opened
	// seen is the ring's number of cuts that the archive knows of.
	seen uint64
	// aligned: the archive is a part of the ring's log. Before that, records up
	// to checked are.
	aligned bool
	checked uint64
	buffer  []byte
	compare []byte
	retryNs int64
	failed  bool
	keepAll atomic.Uint64 // Keep
	changes atomic.Uint64 // Changes

	jobs    chan Segment
	done    chan job
	busy    bool // a job is under way
	stopJob atomic.Bool
	packer  atomic.Pointer[pin.Background] // whose thread it is; nil: none of Run's
	jobNs   int64                          // no other job before

	archived  atomic.Uint64
	knownCuts atomic.Uint64 // the cuts that archived is true of; stored behind it
	fails     atomic.Bool
	hurried   atomic.Bool // Hurry
	status    statusBoard
}

type job struct {
	segment Segment
	err     error
}

// NewFollower makes the follower of a ring. It opens the archive in its first
// Step, and when that fails in a later one.
func NewFollower(o Options, r *ring.Ring) (*Follower, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	f := &Follower{o: o, ring: r, buffer: make([]byte, maxWriteBytes), compare: make([]byte, maxWriteBytes),
		jobs: make(chan Segment, 1), done: make(chan job, 1)}
	f.keepAll.Store(NoKeep)
	f.o.Note = f.noted
	f.status.note = o.Note
	f.status.s.Dir = o.Dir
	f.share(0)
	return f, nil
}

// Archived returns the position up to which records are archived, as safe as the
// sync policy makes them. It falls when the log is cut.
func (f *Follower) Archived() uint64 { return f.archived.Load() }

// Held is Archived for who asks about the log as of a number of cuts of the ring:
// 0 as long as the archive does not know of them all. It works while writing does
// not fail.
func (f *Follower) Held(cuts uint64) (position uint64, works bool) {
	works = !f.fails.Load()
	if f.knownCuts.Load() != cuts {
		return 0, works
	}
	return f.archived.Load(), works // behind knownCuts: publish stores them the other way round
}

// Hurry makes Run look for new records without a pause worth naming: somebody
// waits for them to be archived.
func (f *Follower) Hurry(on bool) { f.hurried.Store(on) }

// Changes returns a number that is another one before anything that was archived is
// taken off: by a cut, or because the lane began anew. Who reads the archive beside
// its writer looks at it behind each record.
func (f *Follower) Changes() uint64 { return f.changes.Load() }

// Keep protects records from a position on from retention; NoKeep: none.
func (f *Follower) Keep(position uint64) { f.keepAll.Store(position) }

// Step moves what there is and returns how many bytes that were. nowNs is any
// monotonic clock.
func (f *Follower) Step(nowNs int64) int {
	if nowNs < f.retryNs {
		return 0
	}
	n, err := f.step(nowNs)
	if err != nil {
		f.retryNs = nowNs + f.o.RetryNs
		f.failing(err)
	} else if f.failed {
		f.failed = false
		f.o.Note(Note{WallNs: f.o.Wall(), Kind: NoteResumed, Position: f.w.End()})
	}
	f.publish()
	return n
}

func (f *Follower) failing(err error) {
	f.failed = true
	if f.status.failed(err) {
		n := Note{WallNs: f.o.Wall(), Kind: NoteFailed, Problem: err.Error()}
		if f.w != nil {
			n.Position = f.w.End()
		}
		f.o.Note(n)
	}
}

func (f *Follower) step(nowNs int64) (int, error) {
	cuts := f.ring.Cuts()
	if cuts%2 != 0 {
		return 0, nil // bytes are being taken off just now
	}
	if f.w == nil {
		if err := f.open(cuts); err != nil {
			return 0, err
		}
	}
	if cuts != f.seen {
		if err := f.cut(f.ring.CutSince(f.seen, cuts)); err != nil {
			return 0, err
		}
		f.seen = cuts
	}
	if f.w == nil {
		return 0, nil // the log began anew: so does the archive, with the next step
	}
	n, err := 0, error(nil)
	if f.aligned {
		n, err = f.move()
	} else {
		n, err = f.align()
	}
	if err != nil || f.w == nil {
		return n, err
	}
	return n, errors.Join(f.w.Flush(nowNs), f.lookAfter(nowNs))
}

func (f *Follower) open(cuts uint64) error {
	w, err := Open(f.o)
	if err != nil {
		return err
	}
	f.w, f.seen, f.aligned, f.checked = w, cuts, false, 0
	return nil
}

// reopen lets go of a writer that may be half way through something.
func (f *Follower) reopen(err error) error {
	f.stopKeeping()
	w := f.w
	f.w = nil
	return errors.Join(err, w.Close())
}

// cut follows a cut of the log.
func (f *Follower) cut(position uint64) error {
	if !f.aligned {
		f.checked = min(f.checked, position)
		return nil
	}
	if position >= f.w.End() {
		return nil
	}
	f.stopKeeping()
	f.changes.Add(1)
	switch err := f.w.Cut(position); {
	case errors.Is(err, ErrCut):
		return f.aside("the log was cut before the archive's beginning")
	case err != nil:
		return f.reopen(err)
	}
	return nil
}

// move copies a piece of the ring and archives it if it was the log's all along.
func (f *Follower) move() (int, error) {
	end, tail := f.w.End(), f.ring.Tail()
	switch {
	case tail == end:
		return 0, nil
	case tail < end:
		if f.ring.Cuts() == f.seen {
			f.aligned, f.checked = false, 0 // another process cut the ring
		}
		return 0, nil
	case !f.ring.Holds(end):
		return f.skip()
	}
	view, _ := f.ring.Batch(end, len(f.buffer)-ring.MaxRecordBytes)
	n := copy(f.buffer, view)
	if f.ring.Cuts() != f.seen || !f.ring.Holds(end) {
		return 0, nil // look again
	}
	var rec app.Record
	if _, state := ring.Decode(f.buffer[:n], end, &rec); state != ring.Found {
		if later, ok := f.held(end); ok && later > end {
			return f.skip() // the ring began behind the archive's end
		}
		return 0, fmt.Errorf("%w at %d: %v in the ring", ring.ErrRecord, end, state)
	}
	return f.w.Append(end, f.buffer[:n])
}

// skip goes on at a record that the ring still holds: what lies between was
// overwritten before it was archived.
func (f *Follower) skip() (int, error) {
	position, ok := f.held(f.w.End())
	if !ok {
		return 0, nil
	}
	view, _ := f.ring.Batch(position, len(f.buffer)-ring.MaxRecordBytes)
	n := copy(f.buffer, view)
	if n == 0 || f.ring.Cuts() != f.seen || !f.ring.Holds(position) {
		return 0, nil // overtaken again: the next step finds a later place
	}
	return f.w.Append(position, f.buffer[:n])
}

// held returns the first record from a position on that the ring will hold for a
// while: not the oldest one, which goes next.
func (f *Follower) held(from uint64) (position uint64, ok bool) {
	tail := f.ring.Tail()
	if most := uint64(f.ring.SizeBytes()) / 4 * 3; tail > most {
		from = max(from, tail-most)
	}
	var rec app.Record
	for position = from &^ (ring.AlignBytes - 1); position < tail; position += ring.AlignBytes {
		n := copy(f.buffer[:ring.MaxRecordBytes], f.ring.Bytes(position, min(tail, position+ring.MaxRecordBytes)))
		if _, state := ring.Decode(f.buffer[:n], position, &rec); state == ring.Found {
			return position, true
		}
	}
	return 0, false
}

// lookAfter does what closed segments need.
func (f *Follower) lookAfter(nowNs int64) error {
	select {
	case j := <-f.done:
		f.busy = false
		if j.err != nil {
			f.jobNs = nowNs + f.o.RetryNs
			return fmt.Errorf("compress: %w", j.err)
		}
		f.w.packed(j.segment)
	default:
	}
	if s, ok := f.w.nextPlain(); ok && !f.busy && nowNs >= f.jobNs {
		f.busy = true
		f.stopJob.Store(false)
		f.jobs <- s
	}
	if f.busy {
		return nil // the oldest one may be in work
	}
	return f.w.Retain(f.keepAll.Load())
}

// stopKeeping waits until no closed segment is in work.
func (f *Follower) stopKeeping() {
	if !f.busy {
		return
	}
	f.busy = false
	f.stopJob.Store(true)
	if p := f.packer.Load(); p != nil {
		p.Hurry(true)
		defer p.Hurry(false)
	}
	select {
	case <-f.jobs: // nobody has begun with it
	case j := <-f.done:
		if j.err == nil && f.w != nil {
			f.w.packed(j.segment)
		}
	}
}

// Pack compresses a segment that waits for it. It belongs to a goroutine of its
// own, beside Step's.
func (f *Follower) Pack(s Segment) {
	s, err := compress(f.o.FS, s, f.between)
	f.done <- job{s, err}
}

// between comes between two frames of a segment; true: it is to be left.
func (f *Follower) between() bool {
	if p := f.packer.Load(); p != nil {
		p.Offer()
	}
	return f.stopJob.Load()
}

// idleSleep is how long Run waits between two steps, unless there is much, or
// somebody waits for it: what fills a quarter of the ring at a byte
// each nanosecond, from 1 to 4 ms. Each wake-up costs who spins on that core 10 to 30 us.
// Records come one by one: who went on as long as there is one would take a core for it,
// and who looked each millisecond would be felt in 1 % of the orders.
func (f *Follower) idleSleep() time.Duration {
	return time.Duration(min(max(f.ring.SizeBytes()/4, 1_000_000), 4_000_000))
}

// What a thread that takes what is left of a core has moved, it waits for 341 times as
// long on one that spins (kernel/sched/core.c, WEIGHT_IDLEPRIO), and then has more to
// move, until a quarter of the ring waits and keeps others off for milliseconds. A step
// that moved flowBytes is therefore followed by one as an equal, and pauses are such that
// it moves stepBytes: 0.2 ms at most.
const (
	flowBytes = 8 << 10
	stepBytes = 128 << 10
)

// pauseAfter is how long Run waits after a step that moved n bytes.
func pauseAfter(n int, pause time.Duration) time.Duration {
	if n <= stepBytes {
		return pause
	}
	return max(pause*stepBytes/time.Duration(n), time.Millisecond)
}

// hurriedSleep is how long while somebody waits for it.
const hurriedSleep = 50 * time.Microsecond

// pressed reports whether an archive that yields may fall behind: a quarter of the ring
// waits, or it is not known yet what does.
func (f *Follower) pressed() bool {
	return !f.aligned || f.ring.Tail() > f.archived.Load()+uint64(f.ring.SizeBytes())/4
}

// Run steps until ctx ends, then brings what the ring still has to the disk.
func (f *Follower) Run(ctx context.Context, nowNs func() int64) error {
	packing := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(packing)
		thread := pin.LockBackground()
		defer thread.Unlock()
		f.packer.Store(thread)
		defer f.packer.Store(nil)
		for {
			select {
			case s := <-f.jobs:
				f.Pack(s)
			case <-stop:
				return
			}
		}
	}()
	thread, pause := pin.LockBackground(), f.idleSleep()
	defer thread.Unlock()
	sleep := f.sleeper(ctx)
	for ctx.Err() == nil {
		n, hurried, pressed := f.Step(nowNs()), f.hurried.Load(), f.pressed()
		thread.Hurry(hurried || pressed || n >= flowBytes)
		switch {
		case n > 0 && hurried, pressed && n >= len(f.buffer)/2:
		case hurried:
			sleep(hurriedSleep)
		default:
			sleep(pauseAfter(n, pause))
		}
	}
	thread.Hurry(true)
	f.retryNs = 0 // one more try, whatever failed
	for aligned := f.aligned; f.Step(nowNs()) > 0 || f.aligned != aligned; aligned = f.aligned {
	}
	f.stopKeeping()
	close(stop)
	<-packing
	return f.Close()
}

// sleeper is what waits between two steps.
func (f *Follower) sleeper(ctx context.Context) func(time.Duration) {
	if f.o.OwnPlace {
		return pin.Sleep
	}
	idle := time.NewTimer(0)
	return func(d time.Duration) {
		idle.Reset(d)
		select {
		case <-ctx.Done():
		case <-idle.C:
		}
	}
}

// Close lets go of the archive.
func (f *Follower) Close() error {
	f.stopKeeping()
	if f.w == nil {
		return nil
	}
	err := f.w.Close()
	f.publish()
	f.w = nil
	return err
}

// aside puts an archive that is not of the ring's log out of the way.
func (f *Follower) aside(why string) error {
	end, id := f.w.End(), f.w.identity
	f.stopKeeping()
	f.changes.Add(1)
	err := f.w.Close()
	f.w = nil
	if err != nil {
		return err
	}
	to := fmt.Sprintf("%s.life-%s-%d", f.o.Dir, id.String()[:8], end)
	if err := f.o.FS.Rename(f.o.Dir, to); err != nil {
		return err
	}
	f.o.Note(Note{WallNs: f.o.Wall(), Kind: NoteAside, Position: end, File: to, Problem: why})
	return f.o.FS.SyncDir(filepath.Dir(f.o.Dir))
}
