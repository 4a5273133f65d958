package role

import (
	"fmt"

	"onebeat/mirror/arbiter"
	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// view is what this node knows of the arbiter's register, where there is one.
type view struct {
	record   lane.Record // what it last held, by its answer or by this node's log
	answered bool        // it was heard at least once
	// unknown: the memory it is in now has no record of the lane.
	unknown bool
	boot    uint64 // which memory answered last
	// seedAfter is the counter of the last frame sent before boot was learned:
	// who answers a later one was a standby, or parked, in the time of boot.
	seedAfter uint64
	// behind: it holds a record older than this node's log.
	behind  bool
	floor   uint32 // epoch of this node's log when the last question left
	reading bool
	readNs  int64
	refusal string // last one told, while a node waits
	waits   bool   // the last answer left a candidate where it is
}

// current returns what the register holds as far as this node knows. A log's
// epoch record was in the register once.
func (m *Machine) current() lane.Record {
	if m.cfg.Registered && m.register.record.Epoch > m.record.Epoch {
		return m.register.record
	}
	return m.record
}

// read asks what the register holds. An answer to a change says the same.
func (m *Machine) read(nowNs int64) {
	m.register.reading, m.register.readNs, m.register.floor = true, nowNs, m.record.Epoch
	m.emit(Effect{Kind: Read})
}

// mayClaim reports whether this node, as a member of the register's record,
// holds every released output: it has the record that took it in, behind which
// nothing left without its ACK; or it is that record's writer, and nothing left
// but by its own hand.
func (m *Machine) mayClaim() bool {
	r := m.current()
	member := r.Has(m.cfg.Self) || mutant.On(mutant.AnyIncarnation) && r.Names(m.cfg.Self.Node)
	return !m.hollow && !m.register.behind && member && r.Epoch >= m.epoch() &&
		(r == m.record || r.Writer == m.cfg.Self.Node || mutant.On(mutant.UnseenSet))
}

// registerSays: what the register holds, as an answer to a change or a look.
// What counts is what it holds, not what was asked: the answer to an earlier Ask
// may have been lost.
func (m *Machine) registerSays(e *Event, nowNs int64) {
	v, a := &m.register, &e.Answer
	v.reading, v.readNs = false, nowNs
	if a.Boot != v.boot || !v.answered {
		v.boot, v.seedAfter = a.Boot, e.Sent
	}
	v.answered, v.unknown = true, a.Unknown
	if a.Unknown {
		m.registerUnknown(a, nowNs)
		return
	}
	v.behind = a.Record.Epoch < v.floor
	if v.behind {
		m.refuseOnce(fmt.Sprintf("the arbiter's record %v is older than this node's %v: stop the lane's nodes and seed it anew (onebeat witness seed)", a.Record, m.record))
		if m.word.State() == lane.Candidate {
			m.resync()
		}
		return
	}
	if a.Record.Epoch < m.record.Epoch {
		return // the log was faster than the answer
	}
	v.record = a.Record
	granted := m.asking && a.Record == m.asked.Next
	if mutant.On(mutant.Unasked) && m.asking && m.word.State() == lane.Candidate {
		granted, a.Record = true, m.asked.Next
	}
	switch m.word.State() {
	case lane.Active:
		switch {
		case granted:
			m.asking = false
			m.newEpoch(a.Record)
		case a.Record != m.record:
			m.refuse(fmt.Sprintf("the lane went on as %v without this node", a.Record))
			m.resync()
		}
	case lane.Candidate:
		switch {
		case granted:
			m.asking = false
			m.promote(a.Record)
		case a.Record != m.asked.Current:
			m.refuse(fmt.Sprintf("the lane went on as %v", a.Record))
			m.resync()
			m.consider(nowNs)
		case !a.Granted && a.Reason != "":
			m.refuseOnce(a.Reason)
		}
	case lane.Syncing, lane.Fenced:
		m.consider(nowNs)
	}
}

// registerUnknown: the register has lost its memory, or never had a record of
// this lane.
func (m *Machine) registerUnknown(a *arbiter.Answer, nowNs int64) {
	switch m.word.State() {
	case lane.Active:
		if m.record.Count() == 1 {
			m.seedRegister()
		}
	case lane.Candidate:
		if m.asked.Proof == arbiter.Seed && m.asked.Boot != a.Boot {
			m.asked.Boot = a.Boot
			m.askAgain(nowNs)
			return
		}
		m.register.waits = true
		m.refuseOnce("the arbiter has no record of this lane: its ACTIVE node must say it, or an operator (onebeat witness seed)")
	case lane.Syncing, lane.Fenced:
		m.consider(nowNs)
	}
}

// refuseOnce says why a candidate waits, but not each time it asks again.
func (m *Machine) refuseOnce(reason string) {
	if m.register.refusal != reason {
		m.register.refusal = reason
		m.refuse(reason)
	}
}

// seedRegister gives a register without memory this writer's record. It was the
// last one there: with a sole member nobody else could change it, with two the
// other one was no writer after the register had lost its memory.
func (m *Machine) seedRegister() {
	m.emit(Effect{Kind: Ask, Request: arbiter.Request{Self: m.cfg.Self.Node, Next: m.record, Proof: arbiter.Seed, Boot: m.register.boot}})
}

// maySeed reports whether the other member was heard after this node learned of
// the register's new memory. Whatever it asks from now on, it asks that memory.
func (m *Machine) maySeed(echoed uint64) bool {
	return m.register.unknown && m.word.State() == lane.Active && (echoed > m.register.seedAfter || mutant.On(mutant.SeedsBlindly))
}

// parkedMember reports whether a HELLO is of the other member, and of one that
// wrote in no later epoch.
func (m *Machine) parkedMember(h *wire.Hello) bool {
	s := h.Authority.State()
	return (s == lane.Syncing || s == lane.Fenced) && h.Record.Epoch <= m.record.Epoch &&
		m.record.Has(lane.Member{Node: m.cfg.PeerNode, Incarnation: h.Incarnation})
}

// consider claims for a parked node, if the register leaves nobody else to.
func (m *Machine) consider(nowNs int64) {
	switch {
	case m.forced != "":
		return // the operator's word comes first
	case m.register.unknown:
		if m.record == (lane.Record{}) && m.cfg.PeerNode == 0 {
			m.seed(nowNs)
		}
	case m.register.answered && m.mayClaim():
		if r := m.current(); r.Count() == 1 {
			m.claim(arbiter.Sole, nowNs)
		}
	}
}

// outranks reports whether this parked member must claim rather than its parked
// peer: which may not, or holds no more.
func (m *Machine) outranks(h *wire.Hello) bool {
	r := m.current()
	if !m.register.answered || !m.mayClaim() || h.PeerIncarnation != m.cfg.Self.Incarnation {
		return false
	}
	if !r.Has(lane.Member{Node: m.cfg.PeerNode, Incarnation: h.Incarnation}) || h.Record != r && r.Writer != m.cfg.PeerNode {
		return true
	}
	return m.longer(h)
}

// patience is how many AgainNs a parked member leaves the lane to a peer that is
// there but does not go on: it may not reach the arbiter.
const patience = 16

// registeredTick looks after the register: a writer's, so that a restarted one
// is seeded before it is needed, a parked node's to learn that it may go on.
func (m *Machine) registeredTick(e *Event, nowNs int64) {
	v := &m.register
	if m.maySeed(e.Echoed) {
		m.seedRegister()
		v.seedAfter = e.Sent // again only if this one was lost
	}
	switch m.word.State() {
	case lane.Active:
	case lane.Syncing, lane.Fenced:
		if v.answered && !v.unknown && m.forced == "" && m.mayClaim() {
			if e.Silent {
				m.claim(arbiter.Silence, nowNs)
			} else if nowNs-m.parkedNs >= patience*m.cfg.AgainNs {
				m.claim(arbiter.Parked, nowNs)
			}
		}
	default:
		return
	}
	wait := m.cfg.ReadNs
	if !v.answered || v.reading {
		wait = m.cfg.AgainNs
	}
	if !m.asking && nowNs-v.readNs >= wait {
		m.read(nowNs)
	}
	if r := m.current(); m.word.State() != lane.Active && v.answered && !v.unknown && nowNs-m.parkedNs >= patience*m.cfg.AgainNs && !r.Has(m.cfg.Self) {
		m.refuseOnce(fmt.Sprintf("nobody goes on, and the arbiter's record %v leaves the lane to other rings: start their nodes, or say which shall go on with what it has (--force-from)", r))
	}
}
