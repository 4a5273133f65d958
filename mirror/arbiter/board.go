package arbiter

import "sync/atomic"

// Board shows what an arbiter last said to whoever is curious, on any thread.
// One thread writes it. A reader may see two answers mixed: it is for the eye.
type Board struct {
	answeredNs atomic.Int64
	roundNs    atomic.Int64
	boot       atomic.Uint64
	epoch      atomic.Uint64 // epoch<<8 | writer
	nodes      atomic.Uint64 // of the set, a byte each
	members    [2]atomic.Uint64
}

// State is what an arbiter last said.
type State struct {
	AnsweredNs int64 // when; 0: never
	RoundNs    int64 // how long its answer took
	Boot       uint64
	Record     Record // zero: the lane is not known to it
}

// Answered notes an answer that took roundNs.
func (b *Board) Answered(a *Answer, nowNs, roundNs int64) {
	r := &a.Record
	b.boot.Store(a.Boot)
	b.epoch.Store(uint64(r.Epoch)<<8 | uint64(r.Writer))
	b.nodes.Store(uint64(r.Set[0].Node) | uint64(r.Set[1].Node)<<8)
	b.members[0].Store(r.Set[0].Incarnation)
	b.members[1].Store(r.Set[1].Incarnation)
	b.roundNs.Store(roundNs)
	b.answeredNs.Store(nowNs)
}

// State returns the last answer.
func (b *Board) State() State {
	s := State{AnsweredNs: b.answeredNs.Load(), RoundNs: b.roundNs.Load(), Boot: b.boot.Load()}
	epoch, nodes := b.epoch.Load(), b.nodes.Load()
	s.Record.Epoch, s.Record.Writer = uint32(epoch>>8), uint8(epoch)
	for i := range s.Record.Set {
		s.Record.Set[i].Node = uint8(nodes >> (8 * i))
		s.Record.Set[i].Incarnation = b.members[i].Load()
	}
	return s
}

// Remote is an arbiter outside this process.
type Remote interface {
	Arbiter
	// State is for any thread.
	State() State
	// Counters is for the loop's thread.
	Counters(visit func(name string, count uint64))
}
