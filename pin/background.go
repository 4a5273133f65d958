package pin

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// schedIdle is SCHED_IDLE (include/uapi/linux/sched.h); x/sys has no name for it.
const schedIdle = 5

// Background is a thread whose work may wait.
type Background struct {
	tid     int
	yields  bool // it could be made one that does
	hurried atomic.Bool
}

// LockBackground binds the goroutine to its thread and makes that one which takes what
// others leave of a core (SCHED_IDLE): it preempts nobody when it wakes, and who wakes
// preempts it. Whoever may not leave that class again, without CAP_SYS_NICE, stays as it
// is, and so does a thread that is not an ordinary one. The thread is the goroutine's
// until Unlock, which the same goroutine must call.
func LockBackground() *Background {
	runtime.LockOSThread()
	b := &Background{tid: unix.Gettid()}
	attr, err := unix.SchedGetAttr(0, 0)
	if err == nil && attr.Policy == unix.SCHED_NORMAL && mayPromote() {
		b.yields = b.set(schedIdle) == nil
	}
	return b
}

// Hurry makes it a thread like any as long as somebody waits for its work, or the work
// threatens to pile up: on cores that spin nothing is left over. For any goroutine, until
// Unlock.
func (b *Background) Hurry(on bool) {
	if !b.yields || b.hurried.Swap(on) == on {
		return
	}
	policy := uint32(schedIdle)
	if on {
		policy = unix.SCHED_NORMAL
	}
	_ = b.set(policy) // both were taken before
}

// Offer lets others have the core between two pieces of work, unless it hurries. Else who
// came to it by the class's small share, or was hurried until now, keeps it until the next
// tick, 1 to 10 ms, before a loop that spins there goes on: a change to this class preempts
// nobody (prio_changed_fair in kernel/sched/fair.c compares priorities, which are equal).
func (b *Background) Offer() {
	if b.yields && !b.hurried.Load() {
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
}

// Unlock gives the thread back as it was.
func (b *Background) Unlock() {
	b.Hurry(true)
	runtime.UnlockOSThread()
}

func (b *Background) set(policy uint32) error {
	attr, err := unix.SchedGetAttr(b.tid, 0)
	if err != nil {
		return err
	}
	attr.Policy = policy
	return unix.SchedSetAttr(b.tid, attr, 0)
}

// mayPromote reports whether a thread may leave SCHED_IDLE (kernel/sched/syscalls.c,
// user_check_sched_setscheduler).
func mayPromote() bool {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NICE, &limit) == nil && limit.Cur >= 20 {
		return true
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	return unix.Capget(&head, &sets[0]) == nil && sets[0].Effective&(1<<unix.CAP_SYS_NICE) != 0
}

// Sleep lets the calling thread sleep with its place in the runtime's scheduler: for
// pauses of few milliseconds of a goroutine that places were made for (GOMAXPROCS), or
// it keeps others from running. A timer of the runtime would wake another thread
// first, which preempts whom it likes. And a place that somebody sleeps on in a system
// call the runtime knows of is taken away and given back: its monitor then looks every
// 20 us instead of 10 ms, which preempts a loop on that core each time.
func Sleep(d time.Duration) {
	sleep(unix.NsecToTimespec(d.Nanoseconds()))
}
