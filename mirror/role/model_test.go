package role

import (
	"fmt"

	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// The model: two role machines, the kernels' rules in a few lines, logs of a few
// records, an arbiter (the real register, or two real Pairs), and between them
// one place for each kind of frame: what is put there may never arrive, may
// arrive after frames of other kinds that were sent later, and takes the place of
// what is there, which is lost then. Time does not exist: whatever could happen
// after a while can happen at once. All of it is a value, so that a state can be
// copied, compared and gone on from in every way there is.

const (
	modelRecord = 32 // bytes of every record
	maxLog      = 16
)

// mEntry is a record of a log: its epoch and by whose ring it was written, which
// with its position says which one it is; of an epoch record, the set.
type mEntry struct {
	epoch, by uint8
	set       [2]uint8 // incarnations, the writer's first
}

type mLog struct {
	entry [maxLog]mEntry
	n     uint8
}

func (l *mLog) add(e mEntry) { l.entry[l.n] = e; l.n++ }

func (l *mLog) tail() uint64 { return uint64(l.n) * modelRecord }

func (l *mLog) lastEpoch() uint32 {
	if l.n == 0 {
		return 0
	}
	return uint32(l.entry[l.n-1].epoch)
}

func (l *mLog) record() lane.Record {
	for i := int(l.n) - 1; i >= 0; i-- {
		if e := &l.entry[i]; e.set[0] != 0 {
			return e.record()
		}
	}
	return lane.Record{}
}

// Incarnations of node 1 are odd, of node 2 even.
func modelMember(inc uint8) lane.Member {
	if inc == 0 {
		return lane.Member{}
	}
	return lane.Member{Node: 2 - inc&1, Incarnation: uint64(inc)}
}

func (e *mEntry) record() lane.Record {
	w := modelMember(e.set[0])
	return lane.Record{Epoch: uint32(e.epoch), Writer: w.Node, Set: [2]lane.Member{w, modelMember(e.set[1])}}
}

// cut drops what is behind the first n records.
func (l *mLog) cut(n uint8) {
	for ; l.n > n; l.n-- {
		l.entry[l.n-1] = mEntry{}
	}
}

// startsWith reports whether l begins with all of p.
func (l *mLog) startsWith(p *mLog) bool {
	if l.n < p.n {
		return false
	}
	for i := range p.n {
		if l.entry[i] != p.entry[i] {
			return false
		}
	}
	return true
}

// mFrame is a frame on the cable.
type mFrame struct {
	kind  wire.Type // 0: none
	word  lane.Word
	inc   uint8  // of the sender
	mark  uint8  // the arbiter's memory its sender, or the one it answers, knew when it was sent
	from  uint8  // MIRROR: number of the first record
	tail  uint64 // ACK
	log   mLog   // MIRROR: the records from `from` on
	hello wire.Hello
}

// Places for frames to a node: HELLOs, the peer's engine, the peer's kernel.
const (
	byHello = iota
	byEngine
	byKernel
	paths
)

// mLetter is a question on its way to the register, or the answer.
type mLetter struct {
	kind    uint8 // 0: none
	old     bool  // not the last question: its answer is not waited for
	request arbiter.Request
	answer  arbiter.Answer
}

const (
	letterRead = 1 + iota
	letterSwap
	letterAnswer
)

type mNode struct {
	id, inc  uint8
	alive    bool
	state    state // of the machine, while it is alive
	word     uint64
	why      lane.Why
	log      mLog
	peerWord lane.Word // as its kernel last heard
	peerInc  uint8     // whose frames its kernel takes
	acked    uint64
	echoed   uint8 // the mark of the last ACK
	heard    wire.Hello
	mark     uint8 // of the peer's last HELLO
	joined   bool  // the log is the beginning of the writer's: it may be continued
	draining bool
	left     bool // quarantined: its state is not the log's
	in       [paths]mFrame
	letters  [2]mLetter
}

// mWorld is a whole state.
type mWorld struct {
	nodes    [2]mNode
	register arbiter.Register
	truth    mLog     // what was released, and so what every later writer must hold
	granted  [16]byte // by epoch: bits of the nodes whose claim the register granted
	served   [16]byte // by epoch: the node that was ACTIVE
	left     budget
	fragile  bool // the truth is in one ring only
}

// budget is what may still go wrong, and how far the lane may get.
type budget struct {
	Epochs, Orders, Deaths, Losses, Forgets, Silences, Fences, Doublings, Divergences uint8
}

// model is the rules of a run: what does not change.
type model struct {
	pair     arbiter.PairConfig
	witness  bool
	degrades bool
	readNs   int64   // 0: a tick reads the register
	machine  Machine // stepped for either node
	failure  string
	accept   bool // the last action led to a state that is looked at
	trace    func(format string, args ...any)
}

func (x *model) tell(format string, args ...any) {
	if x.trace != nil {
		x.trace(format, args...)
	}
}

func (x *model) fail(format string, args ...any) {
	if x.failure == "" {
		x.failure = fmt.Sprintf(format, args...)
		x.tell("FAILED: %s", x.failure)
	}
}

func (n *mNode) lane() lane.Word { return lane.Word(n.word) }

func (x *model) first(left budget) *mWorld {
	w := &mWorld{left: left, register: arbiter.Register{Boot: 1}}
	for i := range w.nodes {
		w.nodes[i].id, w.nodes[i].inc = uint8(i+1), uint8(i+1)
	}
	for i := range w.nodes {
		x.start(w, i)
	}
	return w
}

// start starts a node's process.
func (x *model) start(w *mWorld, i int) {
	n := &w.nodes[i]
	if n.left {
		// It comes back as another member: nobody's record names this ring.
		n.inc, n.left, n.peerInc = n.inc+2, false, 0
		n.in[byEngine], n.in[byKernel] = mFrame{}, mFrame{}
	}
	n.alive, n.state = true, state{}
	n.heard, n.mark, n.joined, n.draining, n.acked, n.echoed = wire.Hello{}, 0, false, false, 0, 0
	n.letters = [2]mLetter{}
	x.tell("node %d starts as %v", n.id, n.lane())
	x.feed(w, i, Event{Kind: Start, Word: n.lane(), Why: n.why, Record: n.log.record(), Tail: n.log.tail(), LastEpoch: n.log.lastEpoch()})
}

// feed gives an event to a node's machine, which may not have seen yet what its
// kernel did, and carries out what follows.
func (x *model) feed(w *mWorld, i int, e Event) {
	n := &w.nodes[i]
	m := &x.machine
	m.cfg = Config{Self: modelMember(n.inc), PeerNode: 3 - n.id, First: n.id == 1, Registered: x.witness, ReadNs: x.readNs}
	m.state, m.undo, m.swapped = n.state, n.state, false
	before := m.word
	effects := append([]Effect(nil), m.Step(e, 0)...)
	n.state = m.state
	undo := m.undo
	if x.trace != nil {
		x.tell("node %d: %v %v -> %v %v", n.id, e.Kind, before, m.word, effects)
	}
	for _, f := range effects {
		if f.Kind == SetWord && !lane.Swap(&n.word, f.From, f.To) {
			n.state = undo
			x.swapFailed(w, i)
			return
		}
		x.perform(w, i, &f)
	}
}

// swapFailed: the kernel was faster.
func (x *model) swapFailed(w *mWorld, i int) {
	n := &w.nodes[i]
	x.feed(w, i, Event{Kind: WordChanged, Word: n.lane(), Why: n.why})
}

func (x *model) perform(w *mWorld, i int, f *Effect) {
	n := &w.nodes[i]
	switch f.Kind {
	case SetWord:
		if f.From.State() != lane.Syncing {
			n.joined = false
		}
		if f.To.State() == lane.Active {
			x.promoted(w, i, f.To)
		}
	case Read:
		n.post(mLetter{kind: letterRead})
	case Ask:
		if x.witness {
			n.post(mLetter{kind: letterSwap, request: f.Request})
			return
		}
		pair, _ := arbiter.NewPair(x.pair, f.Request.Current)
		pair.Swap(f.Request, 0)
		answer, _ := pair.Poll(0)
		x.feed(w, i, Event{Kind: Answered, Answer: answer})
	case AppendEpoch:
		e := mEntry{epoch: uint8(f.Record.Epoch), by: n.inc}
		for k, m := range f.Record.Set {
			e.set[k] = uint8(m.Incarnation)
		}
		if n.log.n == maxLog {
			x.accept = false
			return
		}
		n.log.add(e)
		n.acked, n.joined = 0, false
	case AcceptStandby:
		n.acked = min(n.heard.Tail, n.log.tail())
	case SendFenced:
		x.send(w, i, byEngine, mFrame{kind: wire.Fenced, word: n.lane()})
	case StopIntake:
		n.draining = true
	case StopServing, ResumeIntake:
		n.draining = false
	case CatchUp:
		if n.left {
			return
		}
		n.log.cut(uint8(f.Position / modelRecord))
		n.joined = true
	}
}

// promoted: a node became ACTIVE, or opened an epoch as it was.
func (x *model) promoted(w *mWorld, i int, word lane.Word) {
	n, p := &w.nodes[i], &w.nodes[1-i]
	if n.left {
		x.fail("node %d is %v, and its state is not the log's", n.id, word)
	}
	if !n.log.startsWith(&w.truth) {
		x.fail("node %d is %v without a record that was released", n.id, word)
	}
	if p.lane() == word {
		x.fail("both nodes are %v", word)
	}
	if int(word.Epoch()) > int(w.left.Epochs) {
		x.accept = false // beyond what is looked at
	}
	served := &w.served[word.Epoch()&15]
	if *served != 0 && *served != n.id {
		x.fail("node %d is %v, as node %d was", n.id, word, *served)
	}
	*served = n.id
	if x.witness && w.granted[word.Epoch()&15]&(1<<n.id) == 0 {
		x.fail("node %d is %v, which the arbiter did not grant", n.id, word)
	}
}

// post asks the register: answers to earlier questions are not waited for.
func (n *mNode) post(l mLetter) {
	for k := range n.letters {
		if n.letters[k].kind == letterAnswer {
			n.letters[k] = mLetter{}
		}
		n.letters[k].old = n.letters[k].kind != 0
	}
	if n.letters[1] != (mLetter{}) {
		n.letters[0] = n.letters[1] // the oldest is lost
	}
	if n.letters[0] == (mLetter{}) {
		n.letters[0], n.letters[1] = l, mLetter{}
	} else {
		n.letters[1] = l
	}
}

// decide delivers a question to the register.
func (x *model) decide(w *mWorld, i, k int, again bool) {
	n := &w.nodes[i]
	l := n.letters[k]
	var a arbiter.Answer
	if l.kind == letterRead {
		a = w.register.Read()
	} else {
		a, _ = w.register.Swap(&l.request)
		if r := &a.Record; a.Granted {
			w.granted[r.Epoch&15] |= 1 << r.Writer
		}
	}
	x.tell("register: %v of node %d by %v: %v", l.request.Next, n.id, l.request.Proof, w.register)
	a.Reason = ""
	switch {
	case again: // the question stays on its way, another copy of it
	case l.old:
		n.letters[k] = mLetter{}
	default:
		n.letters[k] = mLetter{kind: letterAnswer, answer: a}
	}
}

func (x *model) send(w *mWorld, i, path int, f mFrame) {
	n, p := &w.nodes[i], &w.nodes[1-i]
	f.inc = n.inc
	if path == byEngine {
		f.mark = uint8(n.state.register.boot)
	}
	p.in[path] = f
}

func (x *model) sendHello(w *mWorld, i int) {
	n := &w.nodes[i]
	h := wire.Hello{Incarnation: uint64(n.inc), PeerIncarnation: n.heard.Incarnation, Authority: n.lane(), Record: n.state.record,
		LastEpoch: n.log.lastEpoch(), Tail: n.log.tail(), CutAt: n.cutFor(&n.heard), CutFor: n.heard.LastEpoch, First: n.id == 1}
	if n.left {
		h.Want = wire.WantOut
	}
	x.send(w, i, byHello, mFrame{kind: wire.HelloFrame, hello: h, mark: n.mark})
	w.nodes[1-i].in[byHello].word = lane.Word(n.state.register.boot) // what this HELLO shows to have been heard
}

// cutFor is Replica's: where the peer's log must end to be a prefix of this one.
func (n *mNode) cutFor(peer *wire.Hello) uint64 {
	if peer.Incarnation == 0 || peer.Tail == 0 {
		return wire.NoCut
	}
	for k := range n.log.n {
		if uint32(n.log.entry[k].epoch) > peer.LastEpoch {
			return uint64(k) * modelRecord
		}
	}
	if peer.Tail > n.log.tail() {
		return n.log.tail()
	}
	return wire.NoCut
}

// onHello is Replica's.
func (x *model) onHello(w *mWorld, i int, f *mFrame) {
	n, p := &w.nodes[i], &w.nodes[1-i]
	if f.inc != p.inc && f.inc != n.peerInc {
		return // of a ring that is gone: its counters are not fresh
	}
	n.heard, n.mark = f.hello, uint8(f.word)
	if f.hello.PeerIncarnation != uint64(n.inc) {
		return
	}
	if n.peerInc != f.inc {
		n.peerInc = f.inc
		n.in[byEngine], n.in[byKernel] = mFrame{}, mFrame{}
	}
	echoed := uint64(0)
	if f.mark != 0 && uint64(f.mark) == n.state.register.boot {
		echoed = 1
	}
	x.feed(w, i, Event{Kind: PeerHello, Hello: f.hello, Tail: n.log.tail(), Echoed: echoed})
	h := &f.hello
	if n.lane().State() == lane.Active && h.Authority.State() == lane.Syncing && h.Want != wire.WantOut && n.cutFor(h) >= h.Tail && h.Tail+2*modelRecord >= n.log.tail() {
		x.feed(w, i, Event{Kind: StandbyReady})
	}
}

// receive is the kernel, and what it leaves to user space.
func (x *model) receive(w *mWorld, i, path int) {
	n := &w.nodes[i]
	f := n.in[path]
	n.in[path] = mFrame{}
	x.tell("to node %d: %v %v", n.id, f.kind, f.word)
	if f.kind == wire.HelloFrame {
		if n.alive {
			x.onHello(w, i, &f)
		}
		return
	}
	if f.inc != n.peerInc {
		return
	}
	word := n.lane()
	if f.word.Epoch() > word.Epoch() {
		if s := word.State(); s != lane.Init && s != lane.Syncing {
			n.word = uint64(word.With(lane.Syncing))
			n.joined = false
		} else if f.kind == wire.Mirror {
			x.follow(w, i, &f)
		}
		return
	}
	if f.word.Epoch() < word.Epoch() {
		return
	}
	switch {
	case f.kind == wire.Mirror && word.State() == lane.Standby:
		n.peerWord = f.word
		n.append(&f)
		x.send(w, i, byKernel, mFrame{kind: wire.Ack, word: word, tail: n.log.tail(), mark: f.mark})
	case f.kind == wire.Mirror && word.State() == lane.Syncing:
		x.follow(w, i, &f)
	case f.kind == wire.Ack && f.word == word.With(lane.Standby) && word.State() == lane.Active:
		n.peerWord, n.acked, n.echoed = f.word, max(n.acked, f.tail), f.mark
	case f.kind == wire.Fenced && f.word == word.With(lane.Fenced) && word.State() == lane.Standby:
		n.word, n.why = uint64(word.With(lane.Candidate)), lane.WhyFenced
	}
}

// append takes a frame's records if they continue the log.
func (n *mNode) append(f *mFrame) {
	if f.from == n.log.n {
		for k := range f.log.n {
			n.log.add(f.log.entry[k])
		}
	}
}

// follow is user space in SYNCING: it alone writes the log.
func (x *model) follow(w *mWorld, i int, f *mFrame) {
	n := &w.nodes[i]
	if !n.alive || !n.joined || n.left || f.from != n.log.n {
		return
	}
	n.append(f)
	x.feed(w, i, Event{Kind: CaughtUp, Record: n.log.record(), Tail: n.log.tail(), LastEpoch: n.log.lastEpoch()})
}

// mirror sends the records from a place in the log on.
func (x *model) mirror(w *mWorld, i int, from uint8) {
	n := &w.nodes[i]
	f := mFrame{kind: wire.Mirror, word: n.lane(), from: from}
	for k := from; k < n.log.n; k++ {
		f.log.add(n.log.entry[k])
	}
	x.send(w, i, byEngine, f)
}

// release lets the outside see what the set holds.
func (x *model) release(w *mWorld, i int) {
	n := &w.nodes[i]
	upTo := n.log.n
	if n.state.record.Count() == 2 {
		upTo = min(upTo, uint8(n.acked/modelRecord))
	}
	for k := range upTo {
		if k < w.truth.n {
			if n.log.entry[k] != w.truth.entry[k] {
				x.fail("node %d releases record %d of %v, where another was released", n.id, k, n.lane())
			}
			continue
		}
		w.truth.add(n.log.entry[k])
	}
}

// mayForget: a ring may be lost while the other one has everything, and is a
// member of whatever is on record.
func (w *mWorld) mayForget(i int) bool {
	n, p := &w.nodes[i], &w.nodes[1-i]
	r := p.log.record()
	return !w.fragile && p.alive && p.log.startsWith(&w.truth) && r.Count() == 2 && r.Has(modelMember(p.inc)) && r.Has(modelMember(n.inc)) &&
		p.lane().Epoch() == r.Epoch && p.lane().State() == lane.Standby && n.lane().Epoch() == r.Epoch
}

// forget takes a node's memory.
func (w *mWorld) forget(i int) {
	n := &w.nodes[i]
	*n = mNode{id: n.id, inc: n.inc + 2}
	w.fragile = true
}
