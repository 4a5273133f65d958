package conn

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Clock reads CLOCK_MONOTONIC through the runtime's vDSO call: the runtime's
// monotonic time is that clock with an offset that never changes, so the
// system call is needed once.
type Clock struct {
	start   time.Time
	startNs int64
}

// NewClock returns the clock of this host.
func NewClock() (Clock, error) {
	var ts unix.Timespec
	c := Clock{start: time.Now()}
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return c, fmt.Errorf("read CLOCK_MONOTONIC: %w", err)
	}
	c.startNs = ts.Nano()
	return c, nil
}

// NowNs returns the time of the clock.
func (c *Clock) NowNs() int64 { return c.startNs + int64(time.Since(c.start)) }
