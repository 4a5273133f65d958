package role

import (
	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// action is one thing that can happen in a state: its number is all a trace
// keeps of it.
type action uint8

const (
	actHello   action = iota // node i says where it stands
	actMirror                // and sends what the other lacks
	actResend                // from further back
	actOrder                 // takes an order
	actRelease               // lets out what it may
	actObserve               // sees what its kernel did
	actTick
	actSilentTick // and nothing was heard for a heartbeat
	actReadTick   // and it is time to look at the register
	actDeliverHello
	actDeliverEngine
	actDeliverKernel
	actLetter0 // reaches the register, or comes back
	actLetter1
	actLetterAgain // the first one twice
	actFence       // the kernel fences its engine
	actSilence     // the kernel takes the other for dead
	actTimeout     // the wait for an ACK is over
	actHandover
	actDrained
	actDie
	actStart
	actForget
	actWitnessForgets
	actDiverge // its state is not the log's
	actionCount
)

// do lets an action happen to node i; false when it cannot happen here.
func (x *model) do(w *mWorld, a action, i int) bool {
	x.accept, x.failure = true, ""
	n := &w.nodes[i]
	word := n.lane()
	active := n.alive && word.State() == lane.Active
	current := active && n.state.word == word
	switch a {
	case actHello:
		if !n.alive {
			return false
		}
		x.sendHello(w, i)
	case actMirror, actResend:
		if !current {
			return false
		}
		from := uint8(n.acked / modelRecord)
		if n.heard.Authority.State() == lane.Syncing {
			from = uint8(min(n.heard.Tail, n.cutFor(&n.heard)) / modelRecord)
		}
		if a == actResend {
			// From further back; or what was sent behind the cut.
			from = uint8(n.heard.Tail / modelRecord)
			if n.heard.Authority.State() != lane.Syncing {
				from = uint8(n.acked/modelRecord) - min(1, uint8(n.acked/modelRecord))
			}
		}
		if from > n.log.n || n.state.record.Count() == 1 && n.heard.Authority.State() != lane.Syncing {
			return false
		}
		x.mirror(w, i, from)
	case actOrder:
		if !current || n.draining || w.left.Orders == 0 || n.log.n >= maxLog-3 {
			return false
		}
		w.left.Orders--
		n.log.add(mEntry{epoch: uint8(word.Epoch()), by: n.inc})
	case actRelease:
		if !current || w.truth.n >= n.log.n {
			return false
		}
		x.release(w, i)
	case actObserve:
		if !n.alive || n.state.word == word {
			return false
		}
		x.feed(w, i, Event{Kind: WordChanged, Word: word, Why: n.why})
	case actTick, actSilentTick, actReadTick:
		if !n.alive || a == actReadTick && !x.witness || n.state.asking && x.witness && n.waits() {
			return false
		}
		x.readNs = 1
		if a == actReadTick {
			x.readNs = 0
		}
		echoed := uint64(0)
		if n.echoed != 0 && uint64(n.echoed) == n.state.register.boot {
			echoed = 1
		}
		x.feed(w, i, Event{Kind: Tick, Silent: a == actSilentTick, Echoed: echoed})
	case actDeliverHello, actDeliverEngine, actDeliverKernel:
		path := int(a - actDeliverHello)
		if n.in[path].kind == 0 {
			return false
		}
		x.receive(w, i, path)
	case actLetter0, actLetter1, actLetterAgain:
		return x.letter(w, a, i)
	case actFence, actSilence, actTimeout, actHandover, actDrained:
		return x.changes(w, a, i)
	default:
		return x.faults(w, a, i)
	}
	return x.accept
}

// waits reports whether the answer to the last question is still under way. To
// ask again meanwhile is to double the letter.
func (n *mNode) waits() bool {
	for k := range n.letters {
		if n.letters[k].kind != 0 && !n.letters[k].old {
			return true
		}
	}
	return false
}

// letter moves a question or an answer.
func (x *model) letter(w *mWorld, a action, i int) bool {
	n := &w.nodes[i]
	k := 0
	if a == actLetter1 {
		k = 1
	}
	l := n.letters[k]
	switch {
	case l.kind == 0:
		return false
	case a == actLetterAgain:
		if l.kind != letterSwap || w.left.Doublings == 0 {
			return false
		}
		w.left.Doublings--
		x.decide(w, i, k, true)
	case l.kind == letterAnswer:
		n.letters[k] = mLetter{}
		n.echoed = 0
		x.feed(w, i, Event{Kind: Answered, Answer: l.answer})
	default:
		x.decide(w, i, k, false)
	}
	return x.accept
}

// changes are of a lane whose nodes live.
func (x *model) changes(w *mWorld, a action, i int) bool {
	n := &w.nodes[i]
	word := n.lane()
	switch {
	case a == actFence && w.left.Fences > 0 && word.State() == lane.Active && n.peerWord == word.With(lane.Standby):
		w.left.Fences--
		n.word, n.why = uint64(word.With(lane.Fenced)), lane.WhyStuck
		x.tell("node %d's kernel fences %v", n.id, word)
	case a == actSilence && w.left.Silences > 0 && (x.witness || x.pair.SilencePromotes) && word.State() == lane.Standby && n.alive:
		w.left.Silences--
		n.word, n.why = uint64(word.With(lane.Candidate)), lane.WhySilent
		x.tell("node %d's kernel takes the other for dead in %v", n.id, word)
	case a == actTimeout && n.alive && x.degrades && word.State() == lane.Active:
		x.feed(w, i, Event{Kind: AckTimeout})
	case a == actHandover && n.alive && word.State() == lane.Active && n.state.record.Count() == 2 && !n.draining && w.left.Fences > 0:
		w.left.Fences--
		x.feed(w, i, Event{Kind: HandoverRequested})
	case a == actDrained && n.alive && n.draining && n.acked >= n.log.tail() && n.peerWord == word.With(lane.Standby):
		x.feed(w, i, Event{Kind: Drained})
	default:
		return false
	}
	return x.accept
}

// faults cost processes and memory.
func (x *model) faults(w *mWorld, a action, i int) bool {
	n := &w.nodes[i]
	switch {
	case a == actDie && n.alive && w.left.Deaths > 0:
		w.left.Deaths--
		n.alive, n.state, n.letters = false, state{}, [2]mLetter{}
		n.heard, n.mark, n.joined, n.draining = wire.Hello{}, 0, false, false
		x.tell("node %d's process dies as %v", n.id, n.lane())
	case a == actStart && !n.alive:
		x.start(w, i)
	case a == actForget && w.left.Losses > 0 && w.mayForget(i):
		w.left.Losses--
		w.forget(i)
		x.tell("node %d loses its memory", n.id)
	case a == actDiverge && n.alive && w.left.Divergences > 0 && !n.left && n.state.word == n.lane() && n.lane().State() == lane.Standby:
		w.left.Divergences--
		n.left, n.joined = true, false
		n.word = uint64(n.lane().With(lane.Syncing))
		x.tell("node %d's state is not the log's", n.id)
		x.feed(w, i, Event{Kind: WordChanged, Word: n.lane()})
		x.feed(w, i, Event{Kind: StateLost})
	case a == actWitnessForgets && i == 0 && x.witness && w.left.Forgets > 0 && w.register.Known:
		w.left.Forgets--
		w.register = arbiter.Register{Boot: w.register.Boot + 1}
		x.tell("the witness forgets")
	default:
		return false
	}
	return x.accept
}
