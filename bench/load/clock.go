package load

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// clock reads CLOCK_MONOTONIC through the runtime's vDSO call: the runtime's
// monotonic time is that clock with an offset that never changes, so the
// system call is needed once.
type clock struct {
	start   time.Time
	startNs int64
}

func newClock() (clock, error) {
	var ts unix.Timespec
	c := clock{start: time.Now()}
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return c, fmt.Errorf("read CLOCK_MONOTONIC: %w", err)
	}
	c.startNs = ts.Nano()
	return c, nil
}

func (c *clock) nowNs() int64 { return c.startNs + int64(time.Since(c.start)) }
