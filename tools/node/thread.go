package node

import (
	"errors"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"onebeat/bpf"
	"onebeat/engine"
	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/xdp"
)

// Bounds of the backoff strategy: cycles without work before it yields, and
// before it sleeps.
const (
	backoffSpins  = 50
	backoffYields = 5
	firstSleepNs  = 20_000
	// attendedYields is how often it yields, and does not sleep, after somebody attended
	// a lane's FIX sessions: its next draft is on its way, and to fall asleep and to wake
	// up cost more than all the rest of an order's path.
	attendedYields = 200
)

// idle decides what happens when a cycle did no work.
type idle struct {
	strategy   string
	maxSleepNs int64
	fds        []unix.PollFd
	ports      []*fixParts
	muxes      []*xdp.Mux // their frames are off the sockets: poll does not see them
	empty      int        // cycles without work in a row
	sleepNs    int64
	attended   int // yields left of attendedYields
}

// idle returns whether time has passed since the cycle began.
func (i *idle) idle(work int) bool {
	if work > 0 {
		i.empty, i.sleepNs = 0, firstSleepNs
		return true
	}
	i.empty++
	switch {
	case i.strategy == config.IdleSpin || i.strategy == config.IdleBackoff && i.empty < backoffSpins:
		return false
	case i.strategy == config.IdleYield || i.empty < backoffSpins+backoffYields:
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	case i.attending():
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	case i.waiting():
	case i.drafted():
	default:
		timeout := unix.NsecToTimespec(i.sleepNs)
		// A frame ends the sleep; an error only shortens it.
		_, _ = unix.Ppoll(i.fds, &timeout, nil)
		i.awake()
		i.sleepNs = min(2*i.sleepNs, i.maxSleepNs)
	}
	return true
}

// attending reports whether FIX sessions are looked at, or were a moment ago.
func (i *idle) attending() bool {
	for _, f := range i.ports {
		if f.port.Attended() {
			i.attended = attendedYields
			return true
		}
	}
	if i.attended == 0 {
		return false
	}
	i.attended--
	return true
}

// waiting reports whether a frame waits that poll(2) would not tell of.
func (i *idle) waiting() bool {
	for _, m := range i.muxes {
		if m.Waiting() {
			return true
		}
	}
	return false
}

// drafted says that the loops sleep now; true: a session outside drafted something
// meanwhile, and they do not.
func (i *idle) drafted() bool {
	for n, f := range i.ports {
		if !f.port.LoopSleeps() {
			for _, before := range i.ports[:n] {
				before.port.LoopWoke()
			}
			return true
		}
	}
	return false
}

func (i *idle) awake() {
	for _, f := range i.ports {
		f.port.LoopWoke()
		f.loop.heard()
	}
}

// thread runs loops in turn on one locked thread until it is stopped.
type thread struct {
	number int // from 0, as status shows it
	lanes  []*laneParts
	loops  []*engine.Loop
	// each tells the kernel, if there is one, whose thread this is.
	each  func(tell func(*bpf.Kernel, int) error) error
	idle  idle
	core  int
	clock *Clock
	stop  atomic.Bool
}

func (t *thread) run() error {
	unlock, err := pin.LockThread(t.core)
	if err != nil {
		return err
	}
	defer unlock()
	defer t.sayDeath()
	if t.idle.strategy != config.IdleSpin {
		// Best effort: without it a loop waits longer for a core it shares.
		_ = pin.ShortSlice(pin.SharedSliceNs)
	}
	if err := t.each((*bpf.Kernel).EnterEngine); err != nil {
		return err
	}
	t.idle.sleepNs = firstSleepNs
	clock, passed := CycleClock{Clock: t.clock}, true
	for !t.stop.Load() {
		nowNs, work := clock.Next(passed), 0
		for _, l := range t.loops {
			work += l.DoWork(nowNs)
		}
		passed = t.idle.idle(work)
	}
	return t.each((*bpf.Kernel).LeaveEngine)
}

// sayDeath tells the kernel of a panic at once. The runtime, before it prints
// and exits, stops the world and sleeps for 2 to 7 ms (runtime.freezetheworld);
// until then nobody would take over.
func (t *thread) sayDeath() {
	cause := recover()
	if cause == nil {
		return
	}
	for _, p := range t.lanes {
		atomic.StoreUint64(&p.mem.table.Watch.DeadNs, uint64(t.clock.NowNs()))
	}
	panic(cause)
}

// newThreads divides the lanes among threads by their cores. The configuration
// has seen to it that a socket's lanes are together.
func (n *Node) newThreads() []*thread {
	var threads []*thread
	for _, p := range n.lanes {
		core := n.cfg.ThreadCore(p.cfg)
		at := slices.IndexFunc(threads, func(t *thread) bool { return t.core == core })
		if at < 0 {
			at = len(threads)
			threads = append(threads, n.newThread(at, core))
		}
		threads[at].add(p)
	}
	return threads
}

func (n *Node) newThread(number, core int) *thread {
	t := &thread{number: number, core: core, clock: n.clock}
	t.idle = idle{strategy: n.cfg.Loop.Idle, maxSleepNs: n.cfg.Loop.MaxSleep.Ns()}
	t.each = func(tell func(*bpf.Kernel, int) error) error {
		var errs []error
		for _, p := range t.lanes {
			if n.kernel != nil {
				errs = append(errs, tell(n.kernel, p.cfg.ID))
			}
		}
		return errors.Join(errs...)
	}
	return t
}

func (t *thread) add(p *laneParts) {
	t.lanes, t.loops = append(t.lanes, p), append(t.loops, p.loop)
	for _, port := range []xdp.Port{p.order, p.link, p.second} {
		if port == nil {
			continue
		}
		fd := unix.PollFd{Fd: int32(port.FD()), Events: unix.POLLIN}
		if !slices.Contains(t.idle.fds, fd) {
			t.idle.fds = append(t.idle.fds, fd)
		}
	}
	if p.fix != nil {
		t.idle.ports = append(t.idle.ports, p.fix)
		t.idle.fds = append(t.idle.fds, unix.PollFd{Fd: int32(p.fix.loop.fd), Events: unix.POLLIN})
	}
	for _, m := range p.muxes {
		if !slices.Contains(t.idle.muxes, m) {
			t.idle.muxes = append(t.idle.muxes, m)
		}
	}
}
