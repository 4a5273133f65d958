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

// clockEvery is how many cycles without work share one reading of the clock,
// about a microsecond: reading it is a good part of such a cycle, and in one
// that finds work it would stand in the order's way.
const clockEvery = 8

// CycleClock tells a loop's thread the time of its next cycle.
type CycleClock struct {
	*Clock
	nowNs  int64
	cycles int
}

// Next returns the time; fresh says that some has passed since the last cycle:
// it had work, or the thread slept.
func (c *CycleClock) Next(fresh bool) int64 {
	if c.cycles--; fresh || c.cycles <= 0 {
		c.nowNs, c.cycles = c.NowNs(), clockEvery
	}
	return c.nowNs
}
