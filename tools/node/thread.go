package node

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"onebeat/engine"
	"onebeat/pin"
	"onebeat/tools/config"
)

// Bounds of the backoff strategy: cycles without work before it yields, and
// before it sleeps.
const (
	backoffSpins  = 50
	backoffYields = 5
	firstSleepNs  = 20_000
)

// idle decides what happens when a cycle did no work.
type idle struct {
	strategy   string
	maxSleepNs int64
	fds        []unix.PollFd
	empty      int // cycles without work in a row
	sleepNs    int64
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
	default:
		timeout := unix.NsecToTimespec(i.sleepNs)
		// A frame ends the sleep; an error only shortens it.
		_, _ = unix.Ppoll(i.fds, &timeout, nil)
		i.sleepNs = min(2*i.sleepNs, i.maxSleepNs)
	}
	return true
}

// thread runs loops in turn on one locked thread until it is stopped.
type thread struct {
	loops []*engine.Loop
	// enter and leave tell the kernel whose thread this is.
	enter func() error
	leave func() error
	idle  idle
	core  int
	clock *Clock
	stop  atomic.Bool
	done  chan error
}

func (t *thread) run() {
	unlock, err := pin.LockThread(t.core)
	if err != nil {
		t.done <- err
		return
	}
	defer unlock()
	if t.idle.strategy != config.IdleSpin {
		// Best effort: without it a loop waits longer for a core it shares.
		_ = pin.ShortSlice(pin.SharedSliceNs)
	}
	if err := t.enter(); err != nil {
		t.done <- err
		return
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
	t.done <- t.leave()
}
