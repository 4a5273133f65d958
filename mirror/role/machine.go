package role

import (
	"fmt"

	"onebeat/mirror/arbiter"
	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// Config is what a machine is told once.
type Config struct {
	Self     lane.Member
	PeerNode uint8 // 0: no peer
	First    bool  // this node seeds a new lane
	// AgainNs: an unanswered Ask and FENCED are repeated after so long.
	AgainNs int64
	// Registered: the arbiter keeps the record of the lane (a witness, etcd), and
	// with it decides; without, proofs do.
	Registered bool
	// ReadNs is how often a registered writer, or a parked node, looks what the
	// register holds.
	ReadNs int64
}

// Machine is the role of one node in one lane. It belongs to one thread.
type Machine struct {
	cfg Config
	state
	undo    state // before the last SetWord of a step
	swapped bool  // this step has emitted one
	effects []Effect
}

// state is all that an event can change.
type state struct {
	word      lane.Word
	record    lane.Record // newest epoch record in this node's log
	tail      uint64      // where this node's log ended at the last event that said so
	lastEpoch uint32
	started   bool
	hollow    bool // no state to serve with: this node claims nothing
	serving   bool
	draining  bool // handover: intake stopped
	drainNs   int64
	leaving   bool // quit after the handover
	hello     wire.Hello
	heard     bool // hello is one
	asked     arbiter.Request
	asking    bool
	askedNs   int64
	fencedNs  int64 // last SendFenced
	register  view
	parkedNs  int64  // since when no writer was heard
	forced    string // an operator's word that waits for the peer to be parked or silent
	syncWith  lane.Word
	syncFrom  uint64 // incarnation of the peer that is caught up with
}

// New returns a machine that waits for Start.
func New(cfg Config) *Machine {
	if cfg.Self.Node == 0 || cfg.Self.Node == cfg.PeerNode || cfg.Self.Incarnation == 0 {
		panic(fmt.Sprintf("role: node %d, incarnation %d, peer %d", cfg.Self.Node, cfg.Self.Incarnation, cfg.PeerNode))
	}
	return &Machine{cfg: cfg}
}

// Word returns the authority word as the machine knows it.
func (m *Machine) Word() lane.Word { return m.word }

// Record returns the record of the lane as the machine knows it.
func (m *Machine) Record() lane.Record { return m.record }

// Serving reports whether orders are taken.
func (m *Machine) Serving() bool { return m.serving && !m.draining }

// Step takes one event and returns what is to be done, in order. The slice is
// valid until the next Step.
func (m *Machine) Step(e Event, nowNs int64) []Effect {
	m.effects, m.swapped = m.effects[:0], false
	before := m.word.State()
	if !m.started && e.Kind != Start {
		panic(fmt.Sprintf("role: %v before Start", e.Kind))
	}
	switch e.Kind {
	case Start:
		m.start(&e, nowNs)
	case PeerHello:
		m.peerHello(&e, nowNs)
	case WordChanged:
		m.wordChanged(&e, nowNs)
	case SwapFailed:
		m.state = m.undo
		m.wordChanged(&e, nowNs)
	case Answered:
		m.answered(&e, nowNs)
	case CaughtUp:
		m.caughtUp(&e)
	case StandbyReady:
		m.standbyReady(nowNs)
	case AckTimeout:
		m.ackTimeout(nowNs)
	case HandoverRequested:
		m.handover(&e, nowNs)
	case Drained:
		m.drained(nowNs)
	case PeerTookOver:
		if e.Epoch > m.word.Epoch() {
			m.resync()
		}
	case Tick:
		m.tick(&e, nowNs)
	case Forced:
		m.force(&e, nowNs)
	case StateLost:
		m.hollow = !mutant.On(mutant.QuarantineClaims)
	case Restored:
		m.restored(&e, nowNs)
	default:
		panic(fmt.Sprintf("role: event %d", e.Kind))
	}
	if s := m.word.State(); s != before && (s == lane.Syncing || s == lane.Fenced) {
		m.parkedNs = nowNs
	}
	m.check()
	return m.effects
}

func (m *Machine) emit(e Effect) { m.effects = append(m.effects, e) }

func (m *Machine) refuse(reason string) { m.emit(Effect{Kind: Refuse, Reason: reason}) }

// set changes the word and emits the swap. What it leads to is taken back if
// the swap fails.
func (m *Machine) set(to lane.Word) {
	if to == m.word {
		return
	}
	mustBeLegal(m.word, to, false)
	if !m.swapped {
		m.undo, m.swapped = m.state, true
	}
	m.emit(Effect{Kind: SetWord, From: m.word, To: to})
	m.word = to
}

// epoch returns the newest epoch this node knows of: the next one is above it.
func (m *Machine) epoch() uint32 { return max(m.word.Epoch(), m.record.Epoch) }

// Waiting reports whether an answer of the arbiter is awaited.
func (m *Machine) Waiting() bool { return m.asking || m.register.reading }

// base returns the record a request starts from: the register's where there is
// one, else this node's in the newest epoch known to either side, since the next
// one must be new to both.
func (m *Machine) base() lane.Record {
	if m.cfg.Registered {
		return m.current()
	}
	r := m.record
	r.Epoch = m.epoch()
	if m.heard {
		r.Epoch = max(r.Epoch, m.hello.Authority.Epoch())
	}
	return r
}

func (m *Machine) ask(next lane.Record, proof arbiter.Proof, nowNs int64) {
	m.asked = arbiter.Request{Self: m.cfg.Self.Node, Current: m.current(), Next: next, Proof: proof}
	if proof == arbiter.Seed {
		m.asked.Current, m.asked.Boot = lane.Record{}, m.register.boot
	}
	m.asking, m.register.refusal, m.register.waits = true, "", false
	m.askAgain(nowNs)
}

// askAgain repeats what is asked: the same change, so that one answer to either
// is as good as both.
func (m *Machine) askAgain(nowNs int64) {
	m.askedNs, m.register.reading, m.register.floor = nowNs, false, m.record.Epoch
	m.emit(Effect{Kind: Ask, Request: m.asked})
}

// claim asks to become writer, alone: whoever else is a member comes back as a
// standby by a later epoch. The word says CANDIDATE first, so that nothing is
// ACKed any more.
func (m *Machine) claim(proof arbiter.Proof, nowNs int64) {
	if m.hollow || m.cfg.Registered && proof != arbiter.Seed && !m.mayClaim() {
		return
	}
	next := m.promoted()
	m.set(lane.MakeWord(max(m.word.Epoch(), m.current().Epoch), lane.Candidate))
	m.ask(next, proof, nowNs)
}

// stop ends serving.
func (m *Machine) stop() {
	if m.serving {
		m.emit(Effect{Kind: StopServing})
	}
	m.serving, m.draining = false, false
}

// resync goes to SYNCING: the lane went on without this node.
func (m *Machine) resync() {
	switch m.word.State() {
	case lane.Syncing:
		return
	case lane.Init:
		m.set(lane.MakeWord(m.epoch(), lane.Syncing))
		return
	}
	m.set(m.word.With(lane.Syncing))
	m.parked()
}

// parked tidies up after this node became SYNCING, by whoever's hand.
func (m *Machine) parked() {
	m.stop()
	m.asking = false
	m.syncWith, m.syncFrom = 0, 0
	if m.leaving {
		m.emit(Effect{Kind: Quit})
	}
}

// check holds the invariants after each step.
func (m *Machine) check() {
	self := m.cfg.Self
	bad := ""
	switch s := m.word.State(); {
	case m.word.Epoch() < m.undo.word.Epoch():
		bad = "epoch fell"
	case s == lane.Active && (m.record.Writer != self.Node || !m.record.Has(self) || m.record.Epoch != m.word.Epoch()):
		bad = "ACTIVE without the record"
	case s == lane.Standby && (m.record.Writer == self.Node || !m.record.Has(self) || m.record.Epoch != m.word.Epoch()):
		bad = "STANDBY without the record"
	case s == lane.Candidate && !m.asking:
		bad = "CANDIDATE without asking"
	case m.serving != (s == lane.Active):
		bad = "serving and ACTIVE differ"
	case m.asking && m.asked.Next.Epoch <= m.record.Epoch:
		bad = "asking for an old epoch"
	case m.asking && s != lane.Candidate && s != lane.Active:
		bad = "asking without a claim"
	case m.asking && m.cfg.Registered && !m.asked.Current.Has(self) && m.asked.Proof != arbiter.Seed && m.asked.Proof != arbiter.Operator:
		bad = "asking without membership"
	}
	if bad != "" {
		panic(fmt.Sprintf("role: %s: word %v record %v asked %v", bad, m.word, m.record, m.asked.Next))
	}
}
