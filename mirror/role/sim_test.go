package role

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// The random walk: two role machines, two Pairs, the kernel's rules in a few
// lines, links that lose and delay, processes and rings that die. Whatever was
// released must be in every later writer's log at its place.

const simRecord = 32 // bytes of every record

type simEntry struct {
	epoch uint32
	value uint64
	rec   lane.Record // of an epoch record
}

type simMessage struct {
	kind      wire.Type
	authority lane.Word
	position  uint64
	entries   []simEntry
	tail      uint64
	hello     wire.Hello
	inc       uint64
}

type simNode struct {
	id       uint8
	inc      uint64
	m        *Machine // nil: the process is dead
	arb      *arbiter.Pair
	word     uint64
	why      lane.Why
	log      []simEntry
	peerWord lane.Word
	acked    uint64
	set      lane.Record // in effect for release: of the last epoch record appended
	heard    wire.Hello
	heardAny bool
	events   []Event
	inbox    [2][]simMessage // the kernel's path and user space's: in order each
	draining bool
	catching bool // user space may write the log
}

type sim struct {
	t        *testing.T
	rng      *rand.Rand
	nodes    [2]*simNode
	cfg      arbiter.PairConfig
	released map[uint64]simEntry
	nextInc  uint64
	nowNs    int64
	value    uint64
	trace    []string
	promoted int
	proofs   map[arbiter.Proof]int // granted
	paired   int
}

func (s *sim) logf(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
	if len(s.trace) > 400 {
		s.trace = s.trace[200:]
	}
}

func (s *sim) fail(format string, args ...any) {
	s.t.Helper()
	for _, l := range s.trace[max(0, len(s.trace)-60):] {
		s.t.Log(l)
	}
	s.t.Fatalf(format, args...)
}

func (n *simNode) tail() uint64 { return uint64(len(n.log)) * simRecord }

func (n *simNode) record() (r lane.Record) {
	for i := len(n.log) - 1; i >= 0; i-- {
		if n.log[i].rec.Epoch != 0 {
			return n.log[i].rec
		}
	}
	return r
}

func (n *simNode) lastEpoch() uint32 {
	if len(n.log) == 0 {
		return 0
	}
	return n.log[len(n.log)-1].epoch
}

func (s *sim) peer(n *simNode) *simNode { return s.nodes[2-n.id] }

func (s *sim) startProcess(n *simNode) {
	n.m = New(Config{Self: lane.Member{Node: n.id, Incarnation: n.inc}, PeerNode: 3 - n.id, First: n.id == 1, AgainNs: 10})
	n.arb, _ = arbiter.NewPair(s.cfg, n.record())
	n.events, n.heardAny, n.draining, n.catching, n.acked = nil, false, false, false, 0
	n.set = n.record()
	s.feed(n, Event{Kind: Start, Word: lane.Word(n.word), Why: n.why, Record: n.record(), Tail: n.tail(), LastEpoch: n.lastEpoch()})
}

// feed gives an event to a machine, after what the kernel did, and carries out
// the effects.
func (s *sim) feed(n *simNode, e Event) {
	if e.Kind != Start && e.Kind != SwapFailed && e.Kind != WordChanged && lane.Word(n.word) != n.m.Word() {
		s.feed(n, Event{Kind: WordChanged, Word: lane.Word(n.word), Why: n.why})
	}
	before := n.m.Word()
	effects := slices.Clone(n.m.Step(e, s.nowNs))
	s.logf("node %d %v %v: %v -> %v %v", n.id, e.Kind, e.Hello.Authority, before, n.m.Word(), effects)
	for _, f := range effects {
		switch f.Kind {
		case SetWord:
			if !lane.Swap(&n.word, f.From, f.To) {
				s.feed(n, Event{Kind: SwapFailed, Word: lane.Word(n.word), Why: n.why})
				return
			}
			if f.To.State() == lane.Active {
				s.checkWriter(n)
			}
		case Ask:
			n.arb.Swap(f.Request, s.nowNs)
			if a, ok := n.arb.Poll(s.nowNs); ok {
				if a.Granted {
					s.proofs[f.Request.Proof]++
				}
				n.events = append(n.events, Event{Kind: Answered, Answer: a})
			}
		case AppendEpoch:
			s.value++
			n.log = append(n.log, simEntry{f.Record.Epoch, s.value, f.Record})
			n.set, n.acked, n.catching = f.Record, 0, false
			if f.Record.Count() == 2 {
				s.paired++
			} else {
				s.promoted++
			}
		case SendFenced:
			s.send(n, 1, simMessage{kind: wire.Fenced, authority: lane.Word(n.word)})
		case StopIntake:
			n.draining = true
		case StopServing:
			n.draining = false
		case CatchUp:
			n.log = n.log[:min(len(n.log), int(f.Position/simRecord))]
			n.catching = true
			s.feed(n, Event{Kind: CaughtUp, Record: n.record(), Tail: n.tail(), LastEpoch: n.lastEpoch()})
		}
	}
}

func alone(r lane.Record) bool { return r.Count() == 1 }

// checkWriter: a new writer must hold whatever was released.
func (s *sim) checkWriter(n *simNode) {
	for position, e := range s.released {
		if position >= n.tail() || n.log[position/simRecord] != e {
			s.fail("node %d becomes writer %v without released %+v at %d (tail %d)", n.id, lane.Word(n.word), e, position, n.tail())
		}
	}
	p := s.peer(n)
	if w := lane.Word(p.word); w.State() == lane.Active && p.m != nil && p.set.Count() == 1 && alone(n.m.Record()) {
		s.fail("two writers alone: %v and %v", lane.Word(n.word), w)
	}
}

func (s *sim) send(n *simNode, path int, m simMessage) {
	m.inc = n.inc
	if s.rng.IntN(10) < 2 {
		return // lost
	}
	p := s.peer(n)
	if len(p.inbox[path]) < 20 {
		p.inbox[path] = append(p.inbox[path], m)
	}
}

func (s *sim) hello(n *simNode) {
	h := wire.Hello{
		Incarnation: n.inc, PeerIncarnation: n.heard.Incarnation, Authority: lane.Word(n.word), Record: n.record(),
		LastEpoch: n.lastEpoch(), Tail: n.tail(), CutAt: wire.NoCut, First: n.id == 1,
	}
	h.CutFor = n.heard.LastEpoch
	for i, e := range n.log {
		if e.epoch > n.heard.LastEpoch {
			h.CutAt = uint64(i) * simRecord
			break
		}
	}
	s.send(n, 0, simMessage{kind: wire.HelloFrame, hello: h})
}

// mirror sends what the peer lacks, a heartbeat if nothing.
func (s *sim) mirror(n *simNode, from uint64) {
	i := min(int(from/simRecord), len(n.log))
	s.send(n, 0, simMessage{kind: wire.Mirror, authority: lane.Word(n.word), position: uint64(i) * simRecord,
		entries: slices.Clone(n.log[i:min(len(n.log), i+64)])})
}

func (s *sim) deliver(n *simNode, path int) {
	if len(n.inbox[path]) == 0 {
		return
	}
	m := n.inbox[path][0]
	n.inbox[path] = n.inbox[path][1:]
	if m.inc != s.peer(n).inc && m.kind != wire.HelloFrame {
		return // the old ring's frames fail the incarnation check
	}
	word := lane.Word(n.word)
	if m.kind == wire.HelloFrame {
		if n.m != nil && m.inc == s.peer(n).inc {
			n.heard, n.heardAny = m.hello, true
			s.feed(n, Event{Kind: PeerHello, Hello: m.hello, Tail: n.tail()})
			ready := m.hello.Authority.State() == lane.Syncing && m.hello.Tail+2*simRecord >= n.tail()
			if ready && lane.Word(n.word).State() == lane.Active {
				s.feed(n, Event{Kind: StandbyReady})
			}
		}
		return
	}
	if m.authority.Epoch() > word.Epoch() {
		if word.State() != lane.Init && word.State() != lane.Syncing {
			lane.Swap(&n.word, word, word.With(lane.Syncing))
			s.logf("node %d kernel: newer epoch %v in %v", n.id, m.authority, word)
		} else if m.kind == wire.Mirror {
			s.follow(n, m)
		}
		return
	}
	switch {
	case m.kind == wire.Mirror && m.authority.Epoch() == word.Epoch() && word.State() == lane.Standby:
		n.peerWord = m.authority
		if m.position == n.tail() {
			n.log = append(n.log, m.entries...)
		}
		s.send(n, 1, simMessage{kind: wire.Ack, authority: word, tail: n.tail()})
	case m.kind == wire.Mirror && word.State() == lane.Syncing && m.authority.Epoch() == word.Epoch():
		s.follow(n, m)
	case m.kind == wire.Ack && m.authority == word.With(lane.Standby) && word.State() == lane.Active:
		n.peerWord = m.authority
		n.acked = max(n.acked, m.tail)
	case m.kind == wire.Fenced && m.authority == word.With(lane.Fenced) && word.State() == lane.Standby:
		n.word, n.why = uint64(word.With(lane.Candidate)), lane.WhyFenced
		s.logf("node %d kernel: candidate by %v", n.id, m.authority)
	}
}

// follow is user space in SYNCING: it alone writes the log.
func (s *sim) follow(n *simNode, m simMessage) {
	if n.m == nil || !n.catching || m.position != n.tail() {
		return
	}
	for _, e := range m.entries {
		n.log = append(n.log, e)
		if e.rec.Epoch == 0 {
			continue
		}
		s.feed(n, Event{Kind: CaughtUp, Record: n.record(), Tail: n.tail(), LastEpoch: n.lastEpoch()})
		if lane.Word(n.word).State() == lane.Standby {
			n.catching = false
			return // the kernel goes on
		}
	}
}

// release lets the outside see what the set holds.
func (s *sim) release(n *simNode) {
	word := lane.Word(n.word)
	if word.State() != lane.Active || n.m == nil || n.set.Epoch != word.Epoch() {
		return
	}
	upTo := n.tail()
	if n.set.Count() == 2 {
		upTo = min(upTo, n.acked)
	}
	for p := uint64(0); p < upTo; p += simRecord {
		e := n.log[p/simRecord]
		if old, ok := s.released[p]; ok && old != e {
			s.fail("node %d releases %+v at %d, where %+v was released", n.id, e, p, old)
		}
		s.released[p] = e
	}
}

func (s *sim) step() {
	s.nowNs++
	n := s.nodes[s.rng.IntN(2)]
	word := lane.Word(n.word)
	switch k := s.rng.Float64() * 1000; {
	case k < 250:
		s.deliver(n, 0)
	case k < 450:
		s.deliver(n, 1)
	case k < 451 && word.State() == lane.Active && n.peerWord == word.With(lane.Standby):
		n.word, n.why = uint64(word.With(lane.Fenced)), lane.WhyStuck
		s.logf("node %d kernel: fences %v", n.id, word)
	case k < 452 && s.cfg.SilencePromotes && word.State() == lane.Standby && n.m != nil:
		n.word, n.why = uint64(word.With(lane.Candidate)), lane.WhySilent
		s.logf("node %d kernel: silence in %v", n.id, word)
	case k < 452.7:
		s.logf("node %d process dies in %v", n.id, word)
		n.m = nil
	case k < 453 && s.mayLose(n):
		s.logf("node %d loses its ring in %v", n.id, word)
		s.nextInc++
		n.inc, n.word, n.log, n.m, n.peerWord, n.heard = s.nextInc, 0, nil, nil, 0, wire.Hello{}
		n.inbox = [2][]simMessage{}
	case n.m == nil:
		if k > 900 {
			s.startProcess(n)
		}
	case k < 453.7:
		s.feed(n, Event{Kind: HandoverRequested})
	case k < 454:
		s.feed(n, Event{Kind: AckTimeout})
	case k < 550:
		s.hello(n)
	case k < 650 && len(n.events) > 0:
		e := n.events[0]
		n.events = n.events[1:]
		s.feed(n, e)
	case k < 690 && word.State() == lane.Active && n.m.Serving() && len(n.log) < 400:
		if lane.Word(n.word) == n.m.Word() && n.set.Epoch == word.Epoch() {
			s.value++
			n.log = append(n.log, simEntry{epoch: word.Epoch(), value: s.value})
		}
	case k < 850 && word.State() == lane.Active:
		from := n.acked
		if n.heard.Authority.State() == lane.Syncing {
			from = n.heard.Tail
		}
		if from == 0 || s.rng.IntN(3) == 0 {
			from = uint64(s.rng.IntN(len(n.log)+1)) * simRecord
		}
		s.mirror(n, from)
	case k < 950:
		s.release(n)
		if n.draining && (n.set.Count() == 1 || n.acked >= n.tail()) {
			s.feed(n, Event{Kind: Drained})
		}
	default:
		s.feed(n, Event{Kind: Tick})
	}
}

// mayLose: a ring may be lost while the other node is a member with everything.
func (s *sim) mayLose(n *simNode) bool {
	p := s.peer(n)
	mine, theirs := n.record(), p.record()
	return !s.cfg.Degrades && p.m != nil && mine == theirs && theirs.Count() == 2 &&
		theirs.Has(lane.Member{Node: p.id, Incarnation: p.inc}) && theirs.Has(lane.Member{Node: n.id, Incarnation: n.inc}) &&
		lane.Word(p.word).Epoch() == theirs.Epoch && lane.Word(p.word).State() == lane.Standby
}

func runSim(t *testing.T, seed uint64, steps int, proofs map[arbiter.Proof]int) (promoted, paired, released int) {
	rng := rand.New(rand.NewPCG(seed, 42))
	s := &sim{t: t, rng: rng, released: map[uint64]simEntry{}, nextInc: 2, proofs: proofs}
	s.cfg = []arbiter.PairConfig{{}, {SilencePromotes: true}, {Degrades: true}}[seed%3]
	s.nodes = [2]*simNode{{id: 1, inc: 1}, {id: 2, inc: 2}}
	defer func() {
		if r := recover(); r != nil {
			s.fail("seed %d: %v", seed, r)
		}
	}()
	for range steps {
		s.step()
	}
	return s.promoted, s.paired, len(s.released)
}

func TestRandomWalk(t *testing.T) {
	proofs := map[arbiter.Proof]int{}
	deadline := time.Now().Add(2500 * time.Millisecond)
	promoted, paired, released, runs := 0, 0, 0, uint64(0)
	for ; runs < 3000 && time.Now().Before(deadline); runs++ {
		a, b, c := runSim(t, runs, 6000, proofs)
		promoted, paired, released = promoted+a, paired+b, released+c
		if t.Failed() {
			t.Fatalf("seed %d", runs)
		}
	}
	t.Logf("%d walks, %d promotions, %d standbys taken in, %d records released, granted by %v", runs, promoted, paired, released, proofs)
	for p := arbiter.Seed; p <= arbiter.Silence; p++ {
		if proofs[p] == 0 {
			t.Errorf("no change was granted by %v", p)
		}
	}
	if promoted < 3*int(runs)/2 || paired < int(runs) || released == 0 {
		t.Error("the walk goes nowhere")
	}
}
