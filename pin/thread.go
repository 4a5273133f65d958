package pin

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// NoCore leaves the choice of a core to the scheduler.
const NoCore = -1

// LockThread binds the goroutine to its thread and, unless core is NoCore, the
// thread to a core. unlock gives both back; it must be called by the same
// goroutine.
func LockThread(core int) (unlock func(), err error) {
	runtime.LockOSThread()
	if core == NoCore {
		return runtime.UnlockOSThread, nil
	}
	var before, want unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("read CPU affinity: %w", err)
	}
	err = unix.EINVAL
	if core >= 0 {
		want.Set(core)
		err = unix.SchedSetaffinity(0, &want)
	}
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("pin thread to core %d: %w; remedy: choose one of the cores %s (cgroup cpuset and `taskset` bound them)",
			core, err, formatCPUs(cpusOf(&before)))
	}
	return func() {
		// The set was valid a moment ago; should a core have gone since, the
		// thread stays where it is.
		_ = unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	}, nil
}

// AllowedCores are the cores this thread may run on.
func AllowedCores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("read CPU affinity: %w", err)
	}
	return cpusOf(&set), nil
}

func cpusOf(set *unix.CPUSet) []int {
	var cpus []int
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}
