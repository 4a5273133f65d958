package role

import (
	"fmt"

	"onebeat/mirror/arbiter"
	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// start looks at what an earlier process left. Whoever may have been followed
// by another says so and waits; nobody becomes ACTIVE by memory alone unless
// the record names no one else.
func (m *Machine) start(e *Event, nowNs int64) {
	if m.started {
		panic("role: started twice")
	}
	m.started, m.hollow = true, e.Hollow
	m.word, m.record, m.tail, m.lastEpoch = e.Word, e.Record, e.Tail, e.LastEpoch
	m.undo = m.state
	self := m.cfg.Self
	mine := m.record.Has(self)
	switch {
	case m.record.Names(self.Node) && !mine:
		m.refuse("the ring is of another incarnation than the record's: it starts as a new one")
		m.record = lane.Record{}
		m.park(lane.Syncing)
	case mine && m.record.Count() == 1 && m.record.Writer == self.Node:
		m.park(lane.Syncing)
		if !m.cfg.Registered {
			m.claim(arbiter.Sole, nowNs)
		}
	case m.word.State() == lane.Candidate && mine && m.word.Epoch() == m.record.Epoch && !m.hollow:
		// The proof that made it one still holds: the writer is through.
		m.ask(m.promoted(), proofOf(e.Why), nowNs)
	case mine && m.record.Writer == self.Node:
		// The writer of an epoch with a standby. Its engine is gone, and that is
		// all the standby needs to hear.
		m.park(lane.Fenced)
		if m.word.State() == lane.Fenced {
			m.sendFenced(nowNs)
		}
	case m.record == (lane.Record{}) && m.cfg.PeerNode == 0 && !m.cfg.Registered && !m.hollow:
		m.park(lane.Syncing)
		m.seed(nowNs)
	default:
		m.park(lane.Syncing)
	}
	if m.cfg.Registered && !m.asking {
		m.read(nowNs)
	}
}

// park leaves whatever role an earlier process had.
func (m *Machine) park(s lane.State) {
	if s == lane.Fenced && m.word.State() != lane.Active && m.word.State() != lane.Init &&
		m.word.State() != lane.Fenced {
		s = lane.Syncing
	}
	m.set(lane.MakeWord(m.epoch(), s))
}

func (m *Machine) promoted() lane.Record {
	base := m.base()
	return base.Alone(m.cfg.Self)
}

func proofOf(why lane.Why) arbiter.Proof {
	switch why {
	case lane.WhyFenced, lane.WhyHandover:
		return arbiter.KernelProof
	case lane.WhySilent:
		return arbiter.Silence
	}
	return arbiter.NoProof
}

// seed opens a new lane.
func (m *Machine) seed(nowNs int64) {
	switch {
	case !m.cfg.First:
		m.refuse("a new lane needs a first node: set first = true on one of them")
	case m.tail != 0:
		m.refuse("the ring holds records without an epoch record: verify it, or start with an empty one")
	default:
		m.claim(arbiter.Seed, nowNs)
	}
}

func (m *Machine) sendFenced(nowNs int64) {
	m.fencedNs = nowNs
	m.emit(Effect{Kind: SendFenced, Successor: m.cfg.PeerNode})
}

// peerHello takes the peer's view of itself.
func (m *Machine) peerHello(e *Event, nowNs int64) {
	m.hello, m.heard, m.tail = e.Hello, true, e.Tail
	h := &m.hello
	peer := h.Authority
	if m.forced != "" && m.helloForced(peer.State(), nowNs) {
		return
	}
	switch m.word.State() {
	case lane.Active, lane.Standby, lane.Candidate:
		switch {
		case m.left(h):
			m.standbyOut(nowNs)
		case peer.State() == lane.Active && peer.Epoch() > m.word.Epoch():
			m.resync()
			m.catchUp(h)
		case m.word.State() == lane.Standby && m.ringGone(h):
			m.claim(arbiter.RingGone, nowNs)
		case m.word.State() == lane.Candidate && m.register.waits && peer == m.word.With(lane.Active):
			m.resync() // it is there after all, and waits for this node's ACKs
		case m.maySeed(e.Echoed) && m.parkedMember(h):
			m.seedRegister()
		}
	case lane.Syncing, lane.Fenced:
		m.parkedHello(h, nowNs)
	}
}

// ringGone reports whether the peer, writer of our epoch, lost its memory. It
// must know this node's ring: an old HELLO does not count.
func (m *Machine) ringGone(h *wire.Hello) bool {
	s := h.Authority.State()
	return m.record.Has(m.cfg.Self) && m.record.Writer == m.cfg.PeerNode &&
		!m.record.Has(lane.Member{Node: m.cfg.PeerNode, Incarnation: h.Incarnation}) &&
		h.PeerIncarnation == m.cfg.Self.Incarnation &&
		(s == lane.Init || s == lane.Syncing) && h.Record == (lane.Record{})
}

// parkedHello: this node is SYNCING or FENCED and hears from the peer.
func (m *Machine) parkedHello(h *wire.Hello, nowNs int64) {
	peer := h.Authority
	switch s := peer.State(); {
	case s == lane.Active:
		// One of an older epoch does not know yet that the lane went on.
		if peer.Epoch() > m.word.Epoch() || m.word.State() == lane.Syncing &&
			(peer.Epoch() == m.word.Epoch() || mutant.On(mutant.FollowsOlder)) {
			m.parkedNs = nowNs
			m.resync()
			m.catchUp(h)
		}
	case s == lane.Standby || s == lane.Candidate:
		if m.word.State() == lane.Fenced && peer.Epoch() == m.word.Epoch() {
			m.sendFenced(nowNs)
		}
	case m.cfg.Registered && (!m.register.unknown || m.record != lane.Record{}):
		if m.outranks(h) {
			m.claim(arbiter.Parked, nowNs)
		}
	case m.record == (lane.Record{}) && h.Record == (lane.Record{}):
		if m.cfg.First && h.First {
			m.refuse("both nodes have first = true: leave it at one of them")
		} else if m.cfg.First && h.Tail == 0 && h.PeerIncarnation == m.cfg.Self.Incarnation {
			m.seed(nowNs)
		}
	case m.ringGone(h):
		m.claim(arbiter.RingGone, nowNs)
	case m.greatest(h):
		m.claim(arbiter.Parked, nowNs)
	case h.Record.Epoch > m.word.Epoch() || peer.Epoch() > m.word.Epoch():
		// The peer knows a later epoch and is parked too. Say that this node will
		// be nothing in it, so that the peer may claim.
		m.set(lane.MakeWord(max(h.Record.Epoch, peer.Epoch(), m.epoch()), m.word.State()))
	}
}

// greatest reports whether this node must claim: both members are here and
// parked, the peer in this epoch or a later one, and this log is the greater.
// Of equal logs the last writer's counts: a log may still grow up to the
// writer's, never beyond.
func (m *Machine) greatest(h *wire.Hello) bool {
	if !m.record.Has(m.cfg.Self) || !m.record.Has(lane.Member{Node: m.cfg.PeerNode, Incarnation: h.Incarnation}) ||
		h.PeerIncarnation != m.cfg.Self.Incarnation || h.Authority.Epoch() < m.epoch() && !mutant.On(mutant.ParksLate) {
		return false
	}
	return m.longer(h)
}

// longer compares the logs of two parked members.
func (m *Machine) longer(h *wire.Hello) bool {
	if m.lastEpoch != h.LastEpoch {
		return m.lastEpoch > h.LastEpoch
	}
	if m.tail != h.Tail {
		return m.tail > h.Tail
	}
	r := m.current()
	return r.Writer == m.cfg.Self.Node
}

func (m *Machine) catchUp(h *wire.Hello) {
	if m.syncWith == h.Authority && m.syncFrom == h.Incarnation {
		return // under way
	}
	if h.CutFor != m.lastEpoch || h.PeerIncarnation != m.cfg.Self.Incarnation {
		return // worked out for another log: the next HELLO will fit
	}
	m.syncWith, m.syncFrom = h.Authority, h.Incarnation
	cutAt := min(m.tail, h.CutAt)
	if mutant.On(mutant.KeepsTail) {
		cutAt = m.tail
	}
	m.emit(Effect{Kind: CatchUp, Position: cutAt})
}

// caughtUp: the log has a newer end. An epoch record that names this node makes
// it a standby, in an epoch in which it was nothing before.
func (m *Machine) caughtUp(e *Event) {
	if m.word.State() != lane.Syncing {
		return
	}
	m.record, m.tail, m.lastEpoch = e.Record, e.Tail, e.LastEpoch
	if m.record.Has(m.cfg.Self) && m.record.Writer == m.cfg.PeerNode && (m.record.Epoch > m.word.Epoch() || mutant.On(mutant.Reenters) && m.record.Epoch == m.word.Epoch()) &&
		m.lastEpoch == m.record.Epoch {
		m.set(lane.MakeWord(m.record.Epoch, lane.Standby))
	}
}

// wordChanged follows the kernel.
func (m *Machine) wordChanged(e *Event, nowNs int64) {
	if e.Word == m.word {
		return
	}
	mustBeLegal(m.word, e.Word, true)
	m.word = e.Word
	m.undo = m.state
	switch e.Word.State() {
	case lane.Candidate:
		if m.cfg.Registered && !m.mayClaim() {
			m.refuse(fmt.Sprintf("the lane went on as %v", m.current()))
			m.resync()
			return
		}
		m.ask(m.promoted(), proofOf(e.Why), nowNs)
	case lane.Fenced:
		m.stop()
		m.asking = false
		m.sendFenced(nowNs)
	case lane.Syncing:
		m.parked()
	}
}

// restored: this node has a state again, and may be what its log allows. What it
// heard meanwhile it could not follow: it is said anew.
func (m *Machine) restored(e *Event, nowNs int64) {
	m.hollow = false
	m.record, m.tail, m.lastEpoch = e.Record, e.Tail, e.LastEpoch
	m.syncWith, m.syncFrom = 0, 0
	if m.word.State() == lane.Syncing && !m.asking && !m.cfg.Registered && m.record.Has(m.cfg.Self) &&
		m.record.Count() == 1 && m.record.Writer == m.cfg.Self.Node {
		m.claim(arbiter.Sole, nowNs)
	}
}
