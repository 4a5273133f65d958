package mirror

import (
	"fmt"
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror/lane"
	"onebeat/mirror/role"
)

// lacks is what a serving lane goes without, and that it refuses orders.
type lacks uint8

const (
	lacksStandby lacks = 1 << iota // released although no standby holds it
	lacksHolders                   // released although copies, or alone this node's disk, do not hold it
	lacksIntake                    // orders are refused until they do
)

// degrading is what the lane lacks and what was told of it.
type degrading struct {
	lacking  lacks
	sinceNs  int64
	times    uint64 // degraded
	refusals uint64 // times that orders began to be refused
}

// Shortage is what a serving lane lacks, for the cold side.
type Shortage struct {
	Standby, Holders, Refusing bool
}

// Shortage returns what the lane lacks as of the last tick. For the loop's
// thread.
func (r *Replica) Shortage() Shortage {
	l := r.degrading.lacking
	return Shortage{l&lacksStandby != 0, l&lacksHolders != 0, l&lacksIntake != 0}
}

// watchHolders ends the wait for who must hold what is appended, at each tick of
// a writer.
func (r *Replica) watchHolders(nowNs int64) {
	x := &r.release
	tail := r.ring.Tail()
	if r.inSync || x.more {
		if x.wait.Step(r.Releasable(), tail, nowNs) {
			r.event(EventAckTimeout, atomic.LoadUint64(&r.table.Peer.Tail), tail)
		}
		if x.view.Degraded && r.heldWithout(false) >= x.degradedMark {
			x.view.Degraded = false
		}
	}
	if r.inSync {
		// Nobody waits for a standby under policy none, until it costs history.
		behind := tail-atomic.LoadUint64(&r.table.Peer.Tail) > uint64(r.ring.SizeBytes())/2
		r.renewLease(nowNs)
		if x.wait.Degrades() && !r.holdersOwe() || behind && r.Releasable() == tail || r.leavesLease() {
			r.step(role.Event{Kind: role.AckTimeout}, nowNs)
		}
	}
	if x.wait.Degrades() && r.holdersOwe() {
		r.goWithoutHolders(nowNs)
	}
	r.tellShortage(nowNs)
}

// holdersOwe reports whether it is not the standby that keeps outputs waiting:
// without the others more could leave.
func (r *Replica) holdersOwe() bool {
	return r.release.more && r.heldWithout(true) > r.Releasable()
}

// heldWithout returns what could be released with or without those who may be
// gone on without while the set stays as it is.
func (r *Replica) heldWithout(degraded bool) uint64 {
	v := &r.release.view
	is := v.Degraded
	v.Degraded = degraded
	held := r.Releasable()
	v.Degraded = is
	return held
}

// goWithoutHolders: further copies, or this node's own disk where it is alone,
// are not waited for until they have what is in the log now.
func (r *Replica) goWithoutHolders(nowNs int64) {
	x := &r.release
	x.view.Degraded, x.degradedMark = true, r.ring.Tail()
	x.wait.Reset(nowNs)
}

// tellShortage says when the lane begins and ceases to lack something.
func (r *Replica) tellShortage(nowNs int64) {
	x, d := &r.release, &r.degrading
	now := lacks(0)
	if r.word.State() == lane.Active {
		if r.cfg.Peer != 0 && x.terms.Waits() && !r.inSync {
			now |= lacksStandby
		}
		if x.view.Degraded {
			now |= lacksHolders
		}
		if !x.wait.Admits() {
			now |= lacksIntake
		}
	}
	was := d.lacking
	if now == was {
		return
	}
	d.lacking = now
	degraded := func(l lacks) bool { return l&(lacksStandby|lacksHolders) != 0 }
	if r.word.State() == lane.Active {
		switch {
		case degraded(now) && now&^was&(lacksStandby|lacksHolders) != 0:
			if !degraded(was) {
				d.sinceNs = nowNs
				d.times++
			}
			r.tell(EventDegraded, nowNs, fmt.Sprintf("under policy %v answers leave %s", x.terms, r.without(now)))
		case degraded(was) && !degraded(now):
			r.tell(EventRestored, nowNs, fmt.Sprintf("answers wait for all of policy %v again, after %s", x.terms, milliseconds(nowNs-d.sinceNs)))
		}
		switch {
		case now&^was&lacksIntake != 0 && x.wait.Stopped():
			d.refusals++
			r.tell(EventStopped, nowNs, "orders are refused: the lane waited as long as its policy says; bring back who must hold them, or change the policy (onebeat policy set)")
		case now&^was&lacksIntake != 0:
			d.refusals++
			r.tell(EventRefusing, nowNs, "orders are refused until who must hold them answers")
		case was&^now&lacksIntake != 0:
			r.tell(EventAdmitting, nowNs, "orders are taken again")
		}
	}
}

func (r *Replica) without(l lacks) string {
	switch {
	case l&lacksStandby != 0 && l&lacksHolders == 0 && r.release.archives:
		return "with no standby holding them, once they are on this node's disk"
	case l&lacksStandby != 0 && l&lacksHolders == 0:
		return "with no standby holding them"
	case l&lacksStandby != 0:
		return "with nobody else holding them"
	}
	return "before as many copies as it asks for hold them"
}

func milliseconds(ns int64) string { return fmt.Sprintf("%d.%03d ms", ns/1_000_000, ns/1_000%1_000) }

// tell is an event with words.
func (r *Replica) tell(kind EventKind, nowNs int64, reason string) {
	r.Events.push(Event{TimeNs: nowNs, Kind: kind, A: uint64(r.word.Epoch()), Reason: reason})
}

// Refusing reports whether, and why, orders are to be refused: they would wait
// for a standby, copies or a disk that were waited for too long. What was appended
// before keeps waiting.
func (r *Replica) Refusing() app.Refusal {
	w := r.release.wait
	switch {
	case w.Admits() || r.stopIntake || r.leaseOut:
		return app.NotRefused
	case w.Stopped():
		return app.RefusedStopped
	}
	return app.RefusedWaiting
}
