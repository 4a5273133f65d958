package node

import (
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
)

// Policy none lets outputs out at once, and yet no two nodes do at a time: a
// writer that no answer reaches stops by itself, before its standby, which hears
// nothing either, goes on.
func TestPolicyNoneStopsUnheard(t *testing.T) {
	w := steady(t, setting{app: "gateway", policy: "none", witness: true})
	a, b := w.nodes[lab.NodeA].lanes[0], w.nodes[lab.NodeB].lanes[0]
	w.until("in sync", func() bool { return a.replica.InSync() && w.word(lab.NodeB).State() == lane.Standby })
	w.cables(lab.NodeA, false) // its kernel has no reason to fence it
	w.carrier(lab.NodeA, lab.WitnessNIC, false)
	w.until("the lease ends", func() bool { return a.replica.IntakeStopped() || w.word(lab.NodeA).State() != lane.Active })
	if s := w.word(lab.NodeA).State(); s != lane.Active {
		t.Fatalf("%v: the lease was to end first%s", s, w.describe())
	}
	for range 20 {
		w.client.order()
	}
	tail := a.mem.table.Tail
	w.untilState(lab.NodeB, lane.Active)
	released := a.mem.table.Engine.Outputs
	w.steps(100 * time.Millisecond)
	if a.mem.table.Tail != tail || a.mem.table.Engine.Outputs != released || a.replica.GateOpen() {
		t.Fatalf("A goes on beside B%s", w.describe())
	}
	if !w.refusal(lab.NodeA, "msg=lease") {
		t.Errorf("A does not say why it stopped: %v", w.said[lab.NodeA])
	}
	if record := b.replica.Record(); record.Count() != 1 {
		t.Error(record)
	}
	w.cables(lab.NodeA, true)
	w.carrier(lab.NodeA, lab.WitnessNIC, true)
	w.untilState(lab.NodeA, lane.Standby)
	w.orders(50)
	w.sameState()
}

// A process that is paused in the middle of a cycle does not let out afterwards
// what it could have let out before: the lease is looked at once more.
func TestPolicyNoneLooksAgainBeforeItReleases(t *testing.T) {
	w := steady(t, setting{app: "book", policy: "none"})
	r := w.nodes[lab.NodeA].lanes[0].replica
	w.until("a lease", r.GateOpen)
	time.Sleep(21 * time.Millisecond) // a heartbeat, in which nobody looked
	if r.GateOpen() {
		t.Fatal("it would release on a lease that is over")
	}
	w.until("an answer", r.GateOpen)
	w.orders(50)
	w.checkOnce()
}
