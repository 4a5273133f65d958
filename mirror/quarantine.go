package mirror

import (
	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// OnClaim gives the replica the loop's hand: settle applies the rest of the log and
// reports whether the state is the log's. A node that claims the lane is asked for
// that first. nil, as in a simulation without machines: it is.
func (r *Replica) OnClaim(settle func() bool) { r.settle = settle }

// settled lets the machine apply what the log holds before this node asks for the
// lane: one whose state is not the log's, by a digest in the very last records, must
// not serve.
func (r *Replica) settled() bool {
	if r.settle == nil {
		return true
	}
	r.untilOutside() // what the kernel appends just now is a part of it
	if r.settle() && !r.diverged {
		return true
	}
	r.Quarantine(EventDiverged)
	return false
}

// Quarantine takes a node whose state is not the log's out of service, for as long as
// its process lives: it ACKs no more, claims nothing, and asks to be taken out of the
// in-sync set. why is EventDiverged or EventLogBroken.
func (r *Replica) Quarantine(why EventKind) {
	if r.diverged {
		return
	}
	r.diverged = true
	// Before anybody hears of it: from then on the writer may go on alone, and what
	// this ring holds is no proof of anything any more.
	r.table.Config.Flags |= lane.ConfigQuarantined
	r.event(why, r.applied, 0)
	if mutant.On(mutant.QuarantineStays) {
		return
	}
	r.leaveService()
}

// leaveService makes this node SYNCING for as long as the process lives, whatever the
// kernel makes of the word at the same moment.
func (r *Replica) leaveService() {
	r.broken, r.lost, r.helloDue = true, true, true
	for {
		w := lane.Load(r.authority)
		if s := w.State(); s != lane.Standby && s != lane.Candidate && s != lane.Active || lane.Swap(r.authority, w, w.With(lane.Syncing)) {
			return
		}
	}
}

// Quarantined reports whether this node is.
func (r *Replica) Quarantined() bool { return r.diverged }

// unreadable: the record behind what was applied is not what was written.
func (r *Replica) unreadable(state ring.State) {
	switch {
	case r.broken:
	case r.word.State() == lane.Active:
		r.broken = true
		r.event(EventLogBroken, r.applied, uint64(state))
	default:
		r.Quarantine(EventLogBroken)
	}
}
