package node

import (
	"log/slog"
	"sync"

	"onebeat/pin"
)

// cores keeps the host's cores out of deep sleep while the node runs, and awake
// altogether while FIX sessions talk: their orders are handed from thread to thread, and a
// core that halted takes tens of microseconds for each wake-up (of a virtual machine, whose
// host wakes it).
type cores struct {
	mu      sync.Mutex
	hold    *pin.LatencyHold // nil: this host has no such thing
	talking int              // lanes
	log     *slog.Logger
}

func holdCores(log *slog.Logger) (*cores, error) {
	hold, err := pin.Host{}.HoldLatency(pin.ShallowUs)
	return &cores{hold: hold, log: log}, err
}

// talk says that sessions of a lane begin to talk, or that they are silent.
func (c *cores) talk(on bool) {
	if c == nil || c.hold == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.talking > 0
	if on {
		c.talking++
	} else {
		c.talking--
	}
	latencyUs := int32(pin.ShallowUs)
	if c.talking > 0 {
		latencyUs = 0
	}
	if before == (c.talking > 0) {
		return
	}
	if err := c.hold.Ask(latencyUs); err != nil {
		c.log.Warn("cores may halt between two orders", "error", err)
	}
}

func (c *cores) release() {
	if c.hold != nil {
		_ = c.hold.Release()
	}
}
