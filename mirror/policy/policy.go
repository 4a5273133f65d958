package policy

import "math"

// View is what a writer knows of the log and its standby.
type View struct {
	Tail        uint64 // end of this node's log
	PeerTail    uint64 // ACKed by the peer in this epoch
	PeerApplied uint64 // applied by the peer's engine
	// PeerInSet: the record of the lane names the peer; without it this node is
	// the only one that must hold a record.
	PeerInSet bool
}

// Policy says up to which position outputs may be released. It never falls
// while an epoch lasts, and never exceeds Tail.
type Policy interface {
	Releasable(v View) uint64
	String() string
}

// None releases at once: the last records may be lost with the host.
type None struct{}

// Releasable returns the tail.
func (None) Releasable(v View) uint64 { return v.Tail }

func (None) String() string { return "none" }

// Mirrored releases what every other member of the set holds in memory.
type Mirrored struct{}

// Releasable returns the ACKed tail: in this epoch, also of what was appended
// before. A peer is taken in when it is near the tail, not at it.
func (Mirrored) Releasable(v View) uint64 {
	if !v.PeerInSet {
		return v.Tail
	}
	return min(v.Tail, v.PeerTail)
}

func (Mirrored) String() string { return "mirrored" }

// Forever as a wait: the standby is waited for without end.
const Forever = math.MaxInt64
