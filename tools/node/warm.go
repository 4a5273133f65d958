package node

import (
	"context"
	"time"

	"onebeat/mirror/lane"
)

const (
	// warmEvery is how often a kept connection is asked something, so that the server
	// does not take its client for gone.
	warmEvery = 10 * time.Second
	// warmWithin bounds a try: what is asked of this goroutine meanwhile waits.
	warmWithin = 200 * time.Millisecond
	// warmLanes: with more lanes the connections of a node would be too many for
	// its peer's server.
	warmLanes = 8
)

// keepWarm keeps a connection to the daemon beside the writer while this node stands
// by: a successor has no time for a handshake, when the end of a dead engine's log
// is all that it waits for.
func (c *catcher) keepWarm(ctx context.Context) {
	if c.lanes > warmLanes || !c.link.PeerMirrord.IsValid() || time.Since(c.warmed) < catcherRetry {
		return
	}
	if lane.Load(c.lane.mem.authority).State() != lane.Standby {
		c.cool()
		return
	}
	if c.warm == nil {
		c.warmed = time.Now()
		ctx, cancel := context.WithTimeout(ctx, warmWithin)
		defer cancel()
		c.warm, _ = c.connect(ctx, c.link.PeerMirrord) // none: the salvage tries itself
		return
	}
	if time.Since(c.warmed) < warmEvery {
		return
	}
	c.warmed = time.Now()
	if _, err := c.warm.Status(); err != nil {
		c.cool()
	}
}

// cool ends the kept connection.
func (c *catcher) cool() {
	if c.warm != nil {
		_ = c.warm.Close() // nothing was asked of it
		c.warm = nil
	}
}
