package engine

import (
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/engine/cold"
	"onebeat/engine/mark"
	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/xdp"
)

// Bounds of one duty cycle, so that a flood of one kind starves no other.
const (
	orderBatch = 64  // order frames per cycle
	linkBatch  = 64  // link frames per cycle
	applyBatch = 256 // records a standby applies per cycle
	// intakeReserve is the room in the outbox that must be left before another
	// batch is taken in: what its datagrams can cause.
	intakeReserve = 128 + orderBatch
)

// Loop is the agent of one lane: it owns the lane's order port and link port,
// its machine and its part in the mirror. One thread runs it; nothing in it
// allocates, locks, logs or blocks.
type Loop struct {
	order   xdp.Port
	link    xdp.Port // nil: no peer
	replica *mirror.Replica
	machine app.Machine
	out     *app.Outbox
	// newMachine makes an empty machine: a standby whose log was cut replays it.
	newMachine func() app.Machine

	// port joins sessions that live outside of this loop; nil: there are none.
	port *cold.Port

	datagram app.Datagram
	// The record being applied, and the payload of a digest: as local variables
	// they would escape to the heap.
	record   app.Record
	digest   [8]byte
	room     bool // for another batch, as of the last cycle
	polledNs int64
	serving  bool // the machine was promoted in the replica's present epoch
	adoption atomic.Pointer[Adoption]
	diverged atomic.Pointer[Divergence]
	clock    laneClock
	digestIn int // records until the next digest
	counters Counters
	reporter *reporter
	question atomic.Pointer[Question] // of the cold side, nil: none
	looking  atomic.Pointer[Question] // the same, that only looks

	activeNs      int64  // when this node last began to serve
	firstOutput   uint64 // number of the first output since then
	firstAnswerNs int64
}

// Counters are what the loop counts; written by its thread.
type Counters struct {
	Cycles, Frames, Messages    uint64
	NotUDP, NotActive, RingFull uint64
	Refusals                    uint64
	Drafts, Questions           uint64 // of sessions outside of the loop
	ReleasedByUser, GateClosed  uint64
}

// NewLoop makes the loop of a lane; link is nil when the lane has no peer.
// newMachine is called once now, and again only to replay a log that was cut.
func NewLoop(order, link xdp.Port, replica *mirror.Replica, newMachine func() app.Machine, out *app.Outbox) *Loop {
	l := &Loop{order: order, link: link, replica: replica, machine: newMachine(), newMachine: newMachine,
		out: out, digestIn: digestEvery, reporter: newReporter()}
	replica.OnClaim(l.settle)
	return l
}

// DoWork is one duty cycle. It returns how much it did; 0 lets the idle
// strategy decide what happens next. nowNs is CLOCK_MONOTONIC.
func (l *Loop) DoWork(nowNs int64) int {
	l.counters.Cycles++
	work := l.drainLink(nowNs)
	switch l.replica.Observe(nowNs) {
	case lane.Active:
		work += l.serve(nowNs)
	default:
		l.stopServing()
		work += l.follow(nowNs)
	}
	l.replica.Progress(nowNs)
	l.replica.ShowLife(nowNs)
	if q := l.question.Load(); q != nil {
		work += l.answer(q, nowNs)
	}
	if q := l.looking.Load(); q != nil {
		work += l.answer(q, nowNs)
	}
	if l.reporter.state.Load() == reportWanted {
		l.reporter.fill(l)
	}
	return work
}

// serve is the path of an order: decode, session, risk, append and apply in
// takeOrders; every new byte of the ring to the standby in mirror; out of the
// order NIC in release, unless the standby's ACK releases it in the kernel.
func (l *Loop) serve(nowNs int64) int {
	if !l.serving {
		l.startServing(nowNs)
	}
	if l.replica.Behind() {
		l.applyLog()
	}
	work := l.takeOrders(nowNs)
	work += l.takeCold(nowNs)
	l.out.Seal()
	work += l.replica.Send(l.out, nowNs)
	work += l.release(nowNs)
	return work + l.afterwards(work, nowNs)
}

// takeOrders drains a batch of order frames; afterwards gives them back.
func (l *Loop) takeOrders(nowNs int64) int {
	if !l.room || l.replica.IntakeStopped() {
		return l.refuseOrders(nowNs)
	}
	n := l.order.Recv(orderBatch)
	if n > 0 {
		mark.At(mark.Received)
	}
	for i := range n {
		l.takeFrame(l.order.Frame(i), nowNs)
	}
	return n
}

// takeFrame decodes one order frame and commits its messages one by one: the
// session decides about the second only when the first is applied.
func (l *Loop) takeFrame(b []byte, nowNs int64) {
	l.counters.Frames++
	var ok bool
	dg := &l.datagram
	dg.Payload, dg.LocalPort, ok = l.out.VLAN().Parse(b, &dg.From)
	if !ok {
		l.counters.NotUDP++
		return
	}
	dg.Relayed = l.out.VLAN().Relayed(b)
	laneNs := l.clock.now(nowNs)
	messages := l.machine.Open(dg, laneNs)
	mark.At(mark.Decoded)
	for i := range messages {
		l.counters.Messages++
		if verdict, draft := l.machine.Admit(i, laneNs, l.out); verdict == app.Commit {
			mark.At(mark.Admitted)
			l.commit(draft, laneNs)
		}
	}
}

// commit appends an input to the log and applies it. What it causes may leave
// when the log up to its end may be seen. false: the ring takes nothing now.
func (l *Loop) commit(draft app.Draft, laneNs int64) bool {
	if l.digestIn--; l.digestIn == 0 {
		l.commitDigest(laneNs)
	}
	end, ok := l.replica.Append(draft.Type, laneNs, draft.Payload, &l.record)
	if !ok {
		l.counters.RingFull++ // the client sends it again
		return false
	}
	mark.At(mark.Appended)
	l.out.RecordEnd = end
	l.machine.Apply(&l.record, l.out)
	mark.At(mark.Applied)
	return true
}
