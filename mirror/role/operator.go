package role

import (
	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
)

// force takes an operator's word that this node shall go on from the log it
// has. It waits until the peer is parked or silent: one that serves, or that is
// about to, is handed over from, not overruled.
func (m *Machine) force(e *Event, nowNs int64) {
	switch {
	case m.word.State() == lane.Active:
		m.refuse("this node is ACTIVE already")
	case m.hollow:
		m.refuse("this node has no state to go on with: the beginning of its log is overwritten")
	default:
		m.forced = e.By
		if m.cfg.PeerNode == 0 {
			m.goForced(nowNs)
		}
	}
}

const refusedActive = "the peer is ACTIVE: hand the lane over there (onebeat promote), or stop that node first"

// tickForced decides about the operator's word where no HELLO comes. A writer
// that is heard sends its standby none: the word ends there, and does not lie in
// wait for some later silence.
func (m *Machine) tickForced(silent bool, nowNs int64) {
	switch {
	case silent:
		m.goForced(nowNs)
	case m.word.State() == lane.Standby:
		m.forced = ""
		m.refuse(refusedActive)
	}
}

// helloForced decides about the operator's word by what the peer is, and
// reports whether that was all a HELLO is for.
func (m *Machine) helloForced(peer lane.State, nowNs int64) bool {
	switch peer {
	case lane.Active:
		m.forced = ""
		m.refuse(refusedActive)
		return false
	case lane.Init, lane.Syncing, lane.Fenced:
		m.goForced(nowNs)
		return true
	}
	return false // it may go on by itself any moment
}

// goForced claims on the operator's word. A register that knows nothing of the
// lane learns it from that claim.
func (m *Machine) goForced(nowNs int64) {
	if s := m.word.State(); s == lane.Active || s == lane.Candidate && (m.asked.Proof == arbiter.Operator || m.asked.Proof == arbiter.Seed) {
		return
	}
	v := &m.register
	next, proof := m.promoted(), arbiter.Operator
	switch {
	case m.cfg.Registered && !v.answered:
		return // the next tick asks the arbiter, and comes here again
	case m.cfg.Registered && v.unknown:
		proof = arbiter.Seed
	case m.cfg.Registered && (v.behind || next.Epoch <= m.word.Epoch()):
		m.refuse("not while the arbiter's record is older than this node's: stop the lane's nodes and seed it anew first (onebeat witness seed)")
		m.forced = ""
		return
	}
	next.Epoch = max(next.Epoch, m.word.Epoch()+1)
	m.set(m.word.With(lane.Candidate))
	m.ask(next, proof, nowNs)
}
