package sim

import (
	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// script is a course of faults that build on each other. A random walk meets the
// first two of them often, the fifth after the fourth hardly ever: what goes wrong
// is over before the next thing does. In a script it lasts until the heal, and the
// next step waits for what the last one was for. The dice say how long each step
// takes, leave steps out, and let other things go wrong between them.
type script struct {
	name  string
	steps []step
}

// step is a part of a script. writer is who served when it began.
type step struct {
	do     func(w *World, writer, other *host)
	until  func(writer, other *host) bool // nil: nothing is waited for
	mostNs int64                          // it is waited for, or goes by
}

const (
	awaitNs = 40 * ms
	lookNs  = 100 * us
)

// scripts are of the ways in which a lane changes hands: what befalls who comes
// back, and who took over, in the moment in which they meet again.
var scripts = []script{
	{"a writer that was cut off comes back while its successor starts again", []step{
		{do: isolate}, {until: takenOver}, {do: blindOther}, {do: restartOther}, {do: sieve, mostNs: 12 * ms}, {do: heal}}},
	{"a candidate starts again before it is answered", []step{
		{do: blindOther}, {do: isolate, mostNs: 12 * ms}, {do: restartOther}, {do: sieve, mostNs: 12 * ms}, {do: heal}}},
	{"a standby is cut off, and its writer starts again", []step{
		{do: isolate, mostNs: 20 * ms}, {do: blindWriter}, {do: restartWriter}, {do: sieve, mostNs: 12 * ms}, {do: heal}}},
	{"both start again, and only some of their frames arrive", []step{
		{do: sieve}, {do: restartWriter}, {do: restartOther, mostNs: 12 * ms}, {do: heal}}},
	{"a successor starts again after a handover", []step{
		{do: handOver, until: takenOver, mostNs: awaitNs}, {do: blindOther}, {do: restartOther}, {do: sieve, mostNs: 12 * ms}, {do: heal}}},
	{"a writer stands still while the lane changes hands twice", []step{
		{do: stopWriter}, {until: takenOver}, {do: replay}, {do: restartOther}, {do: sieve, mostNs: 8 * ms}, {do: heal}}},
	{"nobody reaches the register while the writer dies", []step{
		{do: blindWriter}, {do: blindOther}, {do: restartWriter, mostNs: 20 * ms}, {do: sieve, mostNs: 8 * ms}, {do: restartOther}, {do: heal}}},
	{"a cable carries one way, then the other", []step{
		{do: oneWay, mostNs: 15 * ms}, {do: replay}, {do: otherWay, mostNs: 15 * ms}, {do: restartWriter}, {do: heal}}},
}

// scripted is where a run is in its script.
type scripted struct {
	steps         []step
	writer, other *host
	until         func(writer, other *host) bool
	untilNs       int64
}

// direct takes the next step of the script, and begins another one behind the last.
func (w *World) direct() {
	s := &w.script
	if s.until != nil && w.nowNs < s.untilNs && !s.until(s.writer, s.other) {
		w.plan(event{atNs: w.nowNs + lookNs, kind: evFault})
		return
	}
	if s.until = nil; len(s.steps) == 0 {
		w.newScript()
		w.plan(event{atNs: w.nowNs + w.between(1*ms, 5*ms), kind: evFault})
		return
	}
	next := s.steps[0]
	s.steps = s.steps[1:]
	if w.faults--; w.faults < 0 {
		return
	}
	last := len(s.steps) == 0 // what lasts is healed
	if next.do != nil && (last || !w.chance(10)) {
		next.do(w, s.writer, s.other)
	}
	if w.settled = w.isSettled(); w.chance(8) {
		w.strike(w.hosts[w.dice.IntN(2)])
	}
	if next.until != nil {
		s.until, s.untilNs = next.until, w.nowNs+awaitNs
		w.plan(event{atNs: w.nowNs + lookNs, kind: evFault})
		return
	}
	pauseNs := w.between(0, 500*us)
	if next.mostNs != 0 {
		pauseNs = w.between(500*us, next.mostNs)
	}
	w.plan(event{atNs: w.nowNs + pauseNs, kind: evFault})
}

// newScript begins a script once somebody serves, with the lane in order or not.
func (w *World) newScript() {
	s, writer := &w.script, w.serving()
	if writer == nil {
		writer = w.hosts[w.dice.IntN(2)]
	}
	chosen := &scripts[w.dice.IntN(len(scripts))]
	w.tell("script: %s", chosen.name)
	s.steps, s.writer, s.other = chosen.steps, writer, w.hosts[1-writer.i]
	// Half of them wait for the lane to be in order.
	if w.chance(2) {
		s.until, s.untilNs = func(_, _ *host) bool { return w.isSettled() }, w.nowNs+awaitNs
	}
}

func takenOver(_, other *host) bool { return lane.Load(&other.word).State() == lane.Active }

// isolate cuts the hosts off each other, until the heal.
func isolate(w *World, writer, _ *host) {
	w.net.cut, w.second.cut = [2]bool{true, true}, [2]bool{true, true}
	if w.chance(3) {
		w.witness.cut[writer.i] = [2]bool{true, true}
	}
	w.tell("the hosts are cut off each other; witness cut %v", w.witness.cut)
}

func oneWay(w *World, writer, other *host) {
	w.net.cut[writer.i], w.second.cut[writer.i] = true, true
	w.net.cut[other.i], w.second.cut[other.i] = false, false
	w.tell("nothing reaches host %d", writer.i)
}

func otherWay(w *World, writer, other *host) { oneWay(w, other, writer) }

// blind keeps a host from the register for a while that may outlast the script.
func (w *World) blind(h *host) {
	spanNs := w.between(500*us, 25*ms)
	w.tell("host %d does not reach the witness for %d us", h.i, spanNs/us)
	for way := range w.witness.cut[h.i] {
		w.witness.cut[h.i][way] = true
		w.undo(spanNs, func() { w.witness.cut[h.i][way] = false })
	}
}

func blindWriter(w *World, writer, _ *host) { w.blind(writer) }

func blindOther(w *World, _, other *host) { w.blind(other) }

func restartWriter(w *World, writer, _ *host) { w.kill(writer) }

func restartOther(w *World, _, other *host) { w.kill(other) }

func handOver(w *World, writer, _ *host) {
	if writer.p != nil && lane.Load(&writer.word).State() == lane.Active {
		w.tell("host %d is to hand over", writer.i)
		writer.p.r.Commands.Put(mirror.CommandHandover)
	}
}

// stopWriter stops a process, or its whole host.
func stopWriter(w *World, writer, _ *host) {
	if w.chance(3) {
		writer.freeze(w.between(6*ms, 25*ms))
		return
	}
	writer.pausedNs = max(writer.pausedNs, w.nowNs+w.between(8*ms, 30*ms))
	w.tell("host %d's process stops for %d us", writer.i, (writer.pausedNs-w.nowNs)/us)
}

func replay(w *World, _, _ *host) {
	for to := range w.hosts {
		w.net.replay(w, to)
	}
}

// heal ends what lasts.
func heal(w *World, _, _ *host) {
	w.tell("healed")
	for _, n := range []*network{&w.net, &w.second} {
		n.cut, n.lost = [2]bool{}, [2]sieved{}
	}
	w.witness.cut = [2][2]bool{}
}

// sieved is what a network loses in one direction, by the frames' type.
type sieved uint16

const (
	allTypes sieved = 1<<(wire.HelloFrame+1) - 1
	// bySession are the frames under the keys of two rings: who has others loses them.
	bySession = allTypes &^ (1 << wire.HelloFrame)
	// byKernel are what a NIC turns round by itself: another queue than user space's.
	byKernel sieved = 1<<wire.Ack | 1<<wire.Stale | 1<<wire.Life
	// byEngine are user space's.
	byEngine sieved = 1<<wire.Mirror | 1<<wire.Probe | 1<<wire.HelloFrame
)

// loses reports whether the network loses a frame.
func (s sieved) loses(b []byte) bool {
	if s == 0 {
		return false
	}
	var h wire.Header
	check := h.Parse(b[frame.HeaderBytes:])
	return check == wire.OK && s>>h.Type&1 != 0
}

// sieve lets the hosts hear each other again, but not all of it: one queue of a NIC
// is stuck, keys differ, somebody in the middle chooses.
func sieve(w *World, _, _ *host) {
	both := w.someTypes()
	for to := range w.hosts {
		lost := both
		if w.chance(2) {
			lost = w.someTypes()
		}
		w.net.lost[to], w.second.lost[to] = lost, lost
	}
	w.net.cut, w.second.cut = [2]bool{}, [2]bool{}
	w.tell("the hosts hear each other, but for types %b and %b", w.net.lost[0], w.net.lost[1])
}

func (w *World) someTypes() sieved {
	switch w.dice.IntN(6) {
	case 0:
		return 0
	case 1, 2:
		return bySession
	case 3:
		return byKernel
	case 4:
		return byEngine
	}
	return sieved(w.dice.IntN(int(allTypes) + 1))
}
