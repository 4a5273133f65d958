package pin

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// gentleNice is a tenth of an ordinary thread's weight (sched_prio_to_weight,
// kernel/sched/core.c).
const gentleNice = 10

// LockGentle binds the goroutine to its thread and makes that one which lets others
// preempt it as soon as they wake, for computations that a stranger can ask for. Other
// than in the background (LockBackground) it gets something of a core that others never
// leave, within a millisecond: whoever waits for it, as the runtime does when it collects
// garbage, does not wait long. unlock gives the thread back as it was; the same goroutine
// must call it. Whoever may not give itself a priority back stays as it is.
func LockGentle() (unlock func()) {
	runtime.LockOSThread()
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL || attr.Nice >= gentleNice || !mayPromote() {
		return runtime.UnlockOSThread
	}
	before := *attr
	attr.Nice, attr.Runtime = gentleNice, SharedSliceNs
	if unix.SchedSetAttr(0, attr, 0) != nil {
		return runtime.UnlockOSThread
	}
	return func() {
		_ = unix.SchedSetAttr(0, &before, 0) // it was that before
		runtime.UnlockOSThread()
	}
}
