package pin

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// SharedSliceNs is the slice of a loop that shares its core.
const SharedSliceNs = 100_000

// ErrNoSlice means that the kernel does not let a thread choose its time slice.
var ErrNoSlice = errors.New("the kernel does not take a time slice for ordinary threads (Linux 6.12 does)")

// ShortSlice asks the scheduler for slices of sliceNs (100 us to 100 ms) for
// the calling thread: it gets as much of a shared core as before, but sooner
// after it wakes, since a thread with a shorter slice preempts one with a longer
// (EEVDF's deadline, kernel/sched/fair.c). For loops that share a core; on a
// core of its own a thread needs none.
func ShortSlice(sliceNs uint64) error {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return fmt.Errorf("read scheduling attributes: %w", err)
	}
	if attr.Policy != unix.SCHED_NORMAL {
		return nil // a real-time thread waits for nobody
	}
	attr.Runtime = sliceNs
	err = unix.SchedSetAttr(0, attr, 0)
	if errors.Is(err, unix.EINVAL) {
		return ErrNoSlice
	}
	if err != nil {
		return fmt.Errorf("set time slice: %w", err)
	}
	if attr, err = unix.SchedGetAttr(0, 0); err == nil && attr.Runtime != sliceNs {
		return ErrNoSlice // older kernels take the call and forget it
	}
	return err
}
