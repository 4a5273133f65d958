package shapes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	lines "onebeat/bench/scene"
	"onebeat/engine"
	"onebeat/mirror/lane"
	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/tools/node"
)

// RejoinOptions say what a standby has to catch up with, and what orders come meanwhile.
type RejoinOptions struct {
	Node          []string // starts a node; its file is the last argument
	Dir           string   // of the primary's archive
	LogBytes      uint64   // that the primary has at least
	RatePerSecond int      // of orders, each due at its time; 0: one in flight, the next behind it
	Rounds        int
	Each          time.Duration // measured alone, and at most while it catches up
}

// Rejoin is what orders noticed of one standby that came with an empty ring.
type Rejoin struct {
	AloneP50Ns, AloneP99Ns   int64 // before it came
	DuringP50Ns, DuringP99Ns int64 // until it was in sync
	Orders                   int64 // measured while it caught up
	Bytes                    uint64
	Took                     time.Duration
	InSync                   bool // it got there within the time
}

// Rejoins measures orders to a primary that serves alone, in turns with such while a
// standby without any log fetches all of it.
func (b *Bench) Rejoins(ctx context.Context, o RejoinOptions) (list []Rejoin, err error) {
	unlock, err := pin.LockThread(b.options.Layout.Client)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// Sleeps end when they should, whoever has the core then.
	_ = pin.ShortSlice(pin.SharedSliceNs)
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("timer slack: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)) }()
	r, err := b.openRejoin(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.scene.close()) }()
	if err := r.fill(); err != nil {
		return nil, err
	}
	for n := range o.Rounds {
		b.options.Progress(fmt.Sprintf("a standby comes back, %d of %d", n+1, o.Rounds))
		one, err := r.round()
		if err != nil {
			return list, err
		}
		list = append(list, one)
	}
	return list, nil
}

// rejoin is a primary and who sends it orders.
type rejoin struct {
	RejoinOptions
	ctx     context.Context
	core    int // the standby's, which is the client's if there are two
	scene   *scene
	orders  *orderShooter
	primary *engine.Loop
	inSync  bool        // as the primary last said
	standby *os.Process // nil: it is away
	turnNs  int64       // of the clock: when its turn is, if it has turns
	cold    int         // orders that are not measured yet: behind the standby's turn the core's caches are its own
}

func (b *Bench) openRejoin(ctx context.Context, o *RejoinOptions) (*rejoin, error) {
	if err := lines.WriteCertificates(b.lab.RunDir, 1, 2); err != nil {
		return nil, err
	}
	s := Setting{Shape: Mirrored, App: config.AppBook, Release: config.ReleaseRide, Auth: true, Batch: batchMax, Archive: o.Dir, Beside: true, rejoin: true}
	r := &rejoin{RejoinOptions: *o, ctx: ctx, core: b.options.Layout.Client, orders: newOrderShooter(&s)}
	if b.options.Layout.Standby != pin.NoCore {
		r.core = b.options.Layout.Standby
	}
	r.orders.sleeps = o.RatePerSecond > 0
	var err error
	if r.scene, err = b.openScene(ctx, s, r.orders); err != nil {
		return nil, err
	}
	r.primary = r.scene.primary
	r.primary.AskReport()
	return r, nil
}

// fillPause between two datagrams is what the archive needs to follow.
const fillPause = 100 * time.Microsecond

// fill gives the primary a log.
func (r *rejoin) fill() error {
	scratch := NewHistogram()
	for {
		for range runBatch {
			if !r.orders.shoot(scratch) {
				return ErrNoAnswer
			}
			pin.Sleep(fillPause)
		}
		bytes, err := archivedBytes(r.Dir)
		if err != nil || r.ctx.Err() != nil {
			return errors.Join(err, r.ctx.Err())
		}
		if bytes >= r.LogBytes {
			r.orders.orders = 1 // of a datagram, from here on
			return nil
		}
	}
}

// archivedBytes is what an archive holds in closed blocks: its indexes have 64 bytes for
// each, of nearly 64 KiB (docs/replication.md).
func archivedBytes(dir string) (total uint64, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.idx"))
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return 0, err
		}
		total += uint64(info.Size()) << 10
	}
	return total, err
}

// aloneAfter is how long the primary serves alone before that is measured.
const aloneAfter = 300 * time.Millisecond

// round measures alone, and beside a standby that comes.
func (r *rejoin) round() (one Rejoin, err error) {
	for r.look(); r.inSync; r.look() { // it waits for the one before
		if _, err := r.send(nil, func() bool { return false }, 50*time.Millisecond); err != nil {
			return one, err
		}
	}
	never := func() bool { return false }
	if _, err := r.send(nil, never, aloneAfter); err != nil {
		return one, err
	}
	h := NewHistogram()
	sleep, err := r.stayAwake()
	if err != nil {
		return one, err
	}
	_, err = r.send(h, never, r.Each)
	if err = errors.Join(err, sleep()); err != nil {
		return one, err
	}
	one.AloneP50Ns, one.AloneP99Ns = h.ValueAtQuantile(50), h.ValueAtQuantile(99)
	before := r.fetched()
	kill, err := r.comeBack()
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, kill()) }()
	r.turnNs = math.MaxInt64 // a signal would end the loading of its programs
	if _, err = r.send(nil, func() bool { return r.fetched() > before }, comesWithin); err != nil {
		return one, err
	}
	r.turnNs = 0
	h.Reset()
	one.Took, err = r.send(h, func() bool { r.look(); return r.inSync }, r.Each)
	one.DuringP50Ns, one.DuringP99Ns, one.Orders = h.ValueAtQuantile(50), h.ValueAtQuantile(99), h.TotalCount()
	if one.Orders == 0 {
		one.DuringP99Ns = int64(one.Took) // nothing was answered in it
	}
	one.InSync, one.Bytes = r.inSync, r.fetched()-before
	if one.Bytes == 0 && err == nil {
		err = fmt.Errorf("the standby asks for nothing within %v", comesWithin)
	}
	return one, err
}

// comesWithin is how long a standby's process may take to ask for the log.
const comesWithin = 15 * time.Second

// look takes what the primary says of its standby, if it has said something.
func (r *rejoin) look() {
	if p, ok := r.primary.Report(); ok {
		r.inSync = p.InSync && p.Word.State() == lane.Active
		r.primary.AskReport()
	}
}

// comeBack starts the standby: a process that takes what the client leaves of its core
// (SCHED_IDLE), as its host is another one. A child inherits both from the thread that
// forks. One order behind the other leaves nothing: then they have that core in turns.
func (r *rejoin) comeBack() (kill func() error, err error) {
	cfg, err := nodeConfig(r.scene.lab, &r.scene.setting, lab.NodeB)
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	standby := exec.CommandContext(r.ctx, r.Node[0], append(r.Node[1:], cfg.File)...)
	standby.Stderr = &said
	err = r.scene.lab.Do(lab.NodeB, func() error {
		unlock, err := pin.LockThread(r.core)
		if err != nil {
			return err
		}
		defer unlock()
		if r.RatePerSecond > 0 {
			thread := pin.LockBackground()
			defer thread.Unlock()
		}
		return standby.Start()
	})
	if err != nil {
		return nil, fmt.Errorf("the standby does not start: %w", err)
	}
	r.standby = standby.Process
	return func() error {
		r.standby = nil
		if err := standby.Process.Kill(); err != nil {
			return fmt.Errorf("the standby ended: %w: %s", err, said.Bytes())
		}
		_ = standby.Wait() // it was killed
		return node.Cleanup(cfg)
	}, nil
}

// fetched is what standbys got of the log by the stream.
func (r *rejoin) fetched() (total uint64) {
	r.scene.primaryNode.StreamCounters(func(name string, count uint64) {
		if name == "stream_bytes" {
			total = count
		}
	})
	return total
}

// becomeFirst lets this thread have its core before any ordinary one: a client is on a
// host of its own. It sleeps most of the time, and while an answer does not come.
func becomeFirst() (ordinary func(), err error) {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return nil, fmt.Errorf("read scheduling attributes: %w", err)
	}
	first := unix.SchedAttr{Size: before.Size, Policy: unix.SCHED_FIFO, Priority: 1}
	if err := unix.SchedSetAttr(0, &first, 0); err != nil {
		return nil, fmt.Errorf("become a real-time thread: %w", err)
	}
	return func() { _ = unix.SchedSetAttr(0, before, 0) }, nil // it was that before
}

// lookOrders is how many orders are sent between two looks at what happened.
const lookOrders = 16

// send sends orders until something happened or the time is over, and returns how long
// that was. h nil: they are not measured.
func (r *rejoin) send(h *hdr.Histogram, until func() bool, limit time.Duration) (took time.Duration, err error) {
	if r.RatePerSecond > 0 {
		ordinary, err := becomeFirst()
		if err != nil {
			return 0, err
		}
		defer ordinary()
	}
	scratch, clock := NewHistogram(), r.scene.clock
	startNs := clock.NowNs()
	freeNs := startNs // when the client was done with the order before
	for k := int64(0); ; k++ {
		dueNs := startNs
		if r.RatePerSecond > 0 {
			dueNs += k * int64(time.Second) / int64(r.RatePerSecond)
			r.restUntil(dueNs)
		} else if err := r.takeTurns(); err != nil {
			return 0, err
		}
		if !r.orders.shoot(scratch) {
			return 0, ErrNoAnswer
		}
		if freeNs <= dueNs || r.RatePerSecond == 0 {
			dueNs = r.orders.sentNs // if it is late, that is the client's own doing, whose host is another
		}
		if r.cold > 0 {
			r.cold--
		} else if h != nil {
			_ = h.RecordValue(max(r.orders.answeredNs-dueNs, 1)) // its range ends far behind
		}
		freeNs = clock.NowNs()
		took = time.Duration(freeNs - startNs)
		if k%lookOrders == 0 && (until() || r.ctx.Err() != nil) || took >= limit {
			return took, r.ctx.Err()
		}
	}
}

// turn of the standby's process, and of orders, where neither leaves the other anything.
const (
	turn       = 10 * time.Millisecond
	coldOrders = 64
)

// takeTurns lets the standby run now and then, while nothing is measured.
func (r *rejoin) takeTurns() error {
	clock := r.scene.clock
	if r.standby == nil || clock.NowNs() < r.turnNs {
		return nil
	}
	if err := r.standby.Signal(unix.SIGCONT); err != nil {
		return fmt.Errorf("the standby ended: %w", err)
	}
	pin.Sleep(turn)
	if err := r.standby.Signal(unix.SIGSTOP); err != nil {
		return fmt.Errorf("the standby ended: %w", err)
	}
	// Not before all its threads have stopped.
	var status unix.WaitStatus
	if _, err := unix.Wait4(r.standby.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		return fmt.Errorf("the standby ended: %v, %w", status, err)
	}
	r.turnNs, r.cold = clock.NowNs()+int64(turn), coldOrders
	return nil
}

// stayAwake keeps the client's core from sleeping between two orders, as a standby does
// that catches up: a virtual core that sleeps wakes milliseconds later.
func (r *rejoin) stayAwake() (end func() error, err error) {
	if r.RatePerSecond == 0 {
		return func() error { return nil }, nil
	}
	idle := exec.CommandContext(r.ctx, "/bin/sh", "-c", "while :; do :; done")
	thread := pin.LockBackground()
	err = idle.Start() // on this thread's core, as one that takes what is left
	thread.Unlock()
	if err != nil {
		return nil, err
	}
	return func() error {
		err := idle.Process.Kill()
		_ = idle.Wait() // it was killed
		return err
	}, nil
}

// wakeNs before an order is due the client is awake.
const wakeNs = 40_000

// restUntil lets whoever wants it have the client's core until an order is due.
func (r *rejoin) restUntil(dueNs int64) {
	clock := r.scene.clock
	if left := dueNs - clock.NowNs() - wakeNs; left > 0 {
		pin.Sleep(time.Duration(left))
	}
	for clock.NowNs() < dueNs {
	}
}
