package engine

import "onebeat/engine/app"

// Counters returns a copy of what the loop counted. Another thread gets values
// that may be a few cycles apart.
func (l *Loop) Counters() Counters { return l.counters }

// Machine returns the lane's machine, for its counters.
func (l *Loop) Machine() app.Machine { return l.machine }

// Visit calls visit for every counter of the loop.
func (c *Counters) Visit(visit func(name string, count uint64)) {
	visit("cycles", c.Cycles)
	visit("frames", c.Frames)
	visit("messages", c.Messages)
	visit("records", c.Records)
	visit("not_udp", c.NotUDP)
	visit("not_active", c.NotActive)
	visit("ring_full", c.RingFull)
	visit("released_by_user", c.ReleasedByUser)
	visit("gate_closed", c.GateClosed)
}
