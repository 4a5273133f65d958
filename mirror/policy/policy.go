package policy

import (
	"math"

	"onebeat/engine/app"
)

// View is what a writer knows of the log and of who holds it. Positions are ends
// of what is held.
type View struct {
	Tail         uint64 // this node's log
	PeerTail     uint64 // ACKed by the peer in this epoch
	PeerApplied  uint64 // applied by the peer's engine, as it said in this epoch
	PeerArchived uint64 // on the peer's disk, as it said in this epoch
	// PeerInSet: the record of the lane names the peer; without it this node is
	// the only member that must hold a record.
	PeerInSet bool
	Archived  uint64 // on this node's disk; 0 without an archive
	// Copies are what further copies hold in memory, CopiesArchived on disk, in
	// the same order; CopiesNeeded is how many holders beside the writer a record
	// needs, the peer counted among them.
	Copies         []uint64
	CopiesArchived []uint64
	CopiesNeeded   int
	// Degraded: the wait for copies, or alone for this node's own disk, is over,
	// and the lane goes on without them.
	Degraded bool
}

// Policy says up to which position outputs may be released: never beyond Tail.
// It is called in the loop, for one thread at a time, and allocates nothing.
type Policy interface {
	Releasable(v *View) uint64
}

// Observer is what a Policy may implement that decides by what is in the
// records. Observe is called for each record in the order of the log, of the
// writer's when it is appended, of a standby's when it is applied: both know the
// same when one follows the other. end is the position behind it. A node that
// rebuilds its state from the log observes the log from its beginning, with a
// policy made anew; one that starts from a snapshot observes what follows that,
// so what a policy decides must not hang on records long past.
type Observer interface {
	Observe(rec *app.Record, end uint64)
}

// Archiver is what a Policy may implement that looks at disks: both nodes of its
// lane need an archive then.
type Archiver interface{ Archives() bool }

// None releases at once: the last records may be lost with the host.
type None struct{}

// Releasable returns the tail.
func (None) Releasable(v *View) uint64 { return v.Tail }

// Mirrored releases what every other member of the set holds in memory.
type Mirrored struct{}

// Releasable returns the ACKed tail: in this epoch, also of what was appended
// before. A peer is taken in when it is near the tail, not at it.
func (Mirrored) Releasable(v *View) uint64 {
	n := v.Tail
	if v.PeerInSet {
		n = min(n, v.PeerTail)
	}
	return min(n, v.copied(v.Copies))
}

// Applied releases what the peer's engine has applied: who takes over has
// nothing left to do but to answer.
type Applied struct{}

// Releasable returns what is mirrored and applied.
func (Applied) Releasable(v *View) uint64 {
	n := Mirrored{}.Releasable(v)
	if v.PeerInSet {
		n = min(n, v.PeerApplied)
	}
	return n
}

// Archived releases what is on the peer's disk. Alone it asks this node's own
// disk: a record that was answered is on one disk at least.
type Archived struct{}

// Releasable returns what is mirrored and archived.
func (Archived) Releasable(v *View) uint64 {
	n := min(Mirrored{}.Releasable(v), v.copied(v.CopiesArchived))
	switch {
	case v.PeerInSet:
		n = min(n, v.PeerArchived)
	case !v.Degraded:
		n = min(n, v.Archived)
	}
	return n
}

// Archives implements Archiver.
func (Archived) Archives() bool { return true }

// copied returns up to where enough of the further copies hold the log.
func (v *View) copied(positions []uint64) uint64 {
	needed := v.CopiesNeeded
	if v.PeerInSet {
		needed--
	}
	if v.Degraded || needed <= 0 {
		return math.MaxUint64
	}
	held := uint64(0)
	for _, p := range positions {
		holders := 0
		for _, q := range positions {
			if q >= p {
				holders++
			}
		}
		if holders >= needed {
			held = max(held, p)
		}
	}
	return held
}

// Bounded keeps a policy from releasing what Mirrored would not: rule 1 of
// docs/failover.md is not a policy's to break.
type Bounded struct{ Policy }

// Releasable implements Policy.
func (b Bounded) Releasable(v *View) uint64 {
	return min(b.Policy.Releasable(v), Mirrored{}.Releasable(v))
}

// Forever as a wait: who must hold a record is waited for without end.
const Forever = math.MaxInt64
