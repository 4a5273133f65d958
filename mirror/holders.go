package mirror

import (
	"sync/atomic"

	"onebeat/mirror/policy"
)

// Archive is the lane's archive on this node, as the loop asks it: loads of what
// a cold goroutine publishes.
type Archive interface {
	// Held returns up to where the log is on the disk, as safe as the archive's
	// sync makes it, if the archive knows of all cuts of the ring (ring.Ring.Cuts);
	// else 0. It works as long as writing does not fail.
	Held(cuts uint64) (position uint64, works bool)
}

// Copy is what a further copy of the log says it holds.
type Copy struct {
	Name     string
	Received uint64
	Durable  uint64
}

// Copies hands the positions of further copies from the cold side to the loop. A
// copy keeps its place as long as it is named: who moved to another one between
// two loads would count twice.
type Copies struct {
	received, durable [policy.CopiesMax]atomic.Uint64
	names             [policy.CopiesMax]string // the cold side's
}

// Store says which copies there are. For one goroutine. More than
// policy.CopiesMax are not counted.
func (c *Copies) Store(copies []Copy) {
	for i, name := range c.names {
		if name != "" && find(copies, name) == nil {
			c.names[i] = ""
			c.received[i].Store(0)
			c.durable[i].Store(0)
		}
	}
	for _, k := range copies {
		if i := c.place(k.Name); i >= 0 {
			c.received[i].Store(k.Received)
			c.durable[i].Store(k.Durable)
		}
	}
}

func find(copies []Copy, name string) *Copy {
	for i := range copies {
		if copies[i].Name == name {
			return &copies[i]
		}
	}
	return nil
}

// place returns where a copy stands, its own or a free place; -1: all are taken.
func (c *Copies) place(name string) int {
	free := -1
	for i, n := range c.names {
		switch {
		case n == name:
			return i
		case n == "" && free < 0:
			free = i
		}
	}
	if free >= 0 {
		c.names[free] = name
	}
	return free
}

// seen is what the loop loaded last.
type seen struct {
	received, durable [policy.CopiesMax]uint64
}

func (c *Copies) load(s *seen) {
	for i := range s.received {
		s.received[i], s.durable[i] = c.received[i].Load(), c.durable[i].Load()
	}
}
