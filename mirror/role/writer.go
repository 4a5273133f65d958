package role

import (
	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// answered: what the arbiter says to the last Ask.
func (m *Machine) answered(e *Event, nowNs int64) {
	if m.cfg.Registered {
		m.registerSays(e, nowNs)
		return
	}
	if !m.asking || e.Answer.Granted && e.Answer.Record != m.asked.Next {
		return // an answer to something no longer asked
	}
	asked := m.asked
	if !e.Answer.Granted && e.Answer.Again && m.word.State() == lane.Candidate {
		m.refuseOnce(e.Answer.Reason)
		m.register.waits = true
		return
	}
	m.asking = false
	if !e.Answer.Granted {
		m.forced = ""
		m.refuse(e.Answer.Reason)
		if m.word.State() == lane.Candidate {
			m.resync()
		}
		return
	}
	switch m.word.State() {
	case lane.Candidate:
		m.promote(asked.Next)
	case lane.Active:
		m.newEpoch(asked.Next)
	}
}

// promote makes this node the writer. The epoch record is the first of its
// epoch; whoever else is a member has nothing newer.
func (m *Machine) promote(next lane.Record) {
	m.set(lane.MakeWord(next.Epoch, lane.Active))
	m.record, m.lastEpoch, m.serving = next, next.Epoch, true
	m.emit(Effect{Kind: AppendEpoch, Record: next})
	if m.forced != "" {
		m.emit(Effect{Kind: AppendOperator, Reason: m.forced})
		m.forced = ""
	}
	m.emit(Effect{Kind: GoAlone})
	m.emit(Effect{Kind: StartServing})
	m.emit(Effect{Kind: Announce})
}

// newEpoch changes the in-sync set under a serving writer. The swap decides
// against a kernel that fences at the same time.
func (m *Machine) newEpoch(next lane.Record) {
	m.set(lane.MakeWord(next.Epoch, lane.Active))
	m.record, m.lastEpoch = next, next.Epoch
	m.emit(Effect{Kind: AppendEpoch, Record: next})
	if next.Count() == 1 {
		m.emit(Effect{Kind: GoAlone})
	} else {
		m.emit(Effect{Kind: AcceptStandby})
	}
}

// standbyReady takes the peer in. A peer already named, which has not yet seen
// the epoch record that names it, needs no other. Any other peer that is SYNCING
// has left the set's epoch: a handover to it would wait for ever.
func (m *Machine) standbyReady(nowNs int64) {
	peer := lane.Member{Node: m.cfg.PeerNode, Incarnation: m.hello.Incarnation}
	if m.word.State() != lane.Active || m.asking || !m.heard ||
		m.hello.Authority.State() != lane.Syncing || m.record.Has(peer) && m.hello.Record.Epoch < m.record.Epoch {
		return
	}
	m.cancelHandover("the standby started anew: no handover; ask again once it is STANDBY")
	base := m.base()
	m.ask(base.Pair(m.cfg.Self, peer), arbiter.Writing, nowNs)
}

// cancelHandover takes orders again, if a handover had stopped them.
func (m *Machine) cancelHandover(reason string) {
	if !m.draining {
		return
	}
	m.draining, m.leaving = false, false
	m.refuse(reason)
	m.emit(Effect{Kind: ResumeIntake})
}

// ackTimeout: the wait for the standby is over.
func (m *Machine) ackTimeout(nowNs int64) {
	if m.word.State() != lane.Active || m.asking || m.record.Count() == 1 {
		return
	}
	m.cancelHandover("the standby does not ACK: no handover; bring it back first")
	base := m.base()
	m.ask(base.Alone(m.cfg.Self), arbiter.Writing, nowNs)
}

// left reports whether a member of this writer's set says that its state is not the
// log's: it is parked, in this epoch, and claims nothing from now on.
func (m *Machine) left(h *wire.Hello) bool {
	return m.word.State() == lane.Active && h.Want == wire.WantOut && h.Authority == m.word.With(lane.Syncing) &&
		h.PeerIncarnation == m.cfg.Self.Incarnation &&
		m.record.Has(lane.Member{Node: m.cfg.PeerNode, Incarnation: h.Incarnation})
}

// standbyOut goes on without a quarantined standby, whatever the policy's wait says:
// nobody waits for one that would not be let serve.
func (m *Machine) standbyOut(nowNs int64) {
	if m.asking || m.record.Count() == 1 {
		return
	}
	m.emit(Effect{Kind: StandbyOut})
	m.cancelHandover("the standby is quarantined: no handover")
	proof := arbiter.Left
	if m.cfg.Registered {
		proof = arbiter.Writing // the register decides, not the proof
	}
	base := m.base()
	m.ask(base.Alone(m.cfg.Self), proof, nowNs)
}

// handover: an operator (or a lost order NIC) wants the peer to go on.
func (m *Machine) handover(e *Event, nowNs int64) {
	switch {
	case m.word.State() != lane.Active:
		m.refuse("this node is not ACTIVE: ask the one that is (onebeat status)")
	case m.record.Count() == 1:
		m.refuse("no standby is in sync: wait until the peer is STANDBY (onebeat status)")
	case m.asking:
		m.refuse("a change of the in-sync set is under way: ask again in a moment")
	case m.draining:
	default:
		m.draining, m.leaving, m.drainNs = true, e.Quit, nowNs
		m.emit(Effect{Kind: StopIntake})
	}
}

// drained: nothing is left to release; the successor may have it.
func (m *Machine) drained(nowNs int64) {
	if m.word.State() != lane.Active || !m.draining {
		return
	}
	m.asking = false
	m.set(m.word.With(lane.Fenced))
	m.stop()
	m.sendFenced(nowNs)
}

// handoverNs is how long a handover may keep orders waiting.
const handoverNs = 1_000_000_000

// tick repeats what may have been lost.
func (m *Machine) tick(e *Event, nowNs int64) {
	if m.asking && nowNs-m.askedNs >= m.cfg.AgainNs {
		m.askAgain(nowNs)
	}
	if m.forced != "" {
		m.tickForced(e.Silent, nowNs)
	}
	if m.cfg.Registered {
		m.registeredTick(e, nowNs)
	}
	if m.draining && nowNs-m.drainNs >= handoverNs {
		m.cancelHandover("the standby does not answer: no handover; bring it back first")
	}
	if m.word.State() == lane.Fenced && m.cfg.PeerNode != 0 && nowNs-m.fencedNs >= m.cfg.AgainNs {
		m.sendFenced(nowNs)
	}
}
