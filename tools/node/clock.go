package node

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clock is CLOCK_MONOTONIC in nanoseconds, the clock of bpf_ktime_get_ns. The
// runtime reads it without a system call but only tells differences, so the
// difference to its start is taken once.
type Clock struct {
	base     time.Time
	offsetNs int64
}

// NewClock reads both clocks.
func NewClock() (*Clock, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return nil, err
	}
	return &Clock{base: time.Now(), offsetNs: ts.Nano()}, nil
}

// NowNs returns the time. It is a few hundred nanoseconds behind the kernel's:
// what passed between the two reads of NewClock.
func (c *Clock) NowNs() int64 { return c.offsetNs + int64(time.Since(c.base)) }
