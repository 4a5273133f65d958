package node

import (
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
)

// steps lets everybody work for a while.
func (w *world) steps(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		w.step()
	}
}

// orderDuring sends n orders and steps for a while; it returns how many of them
// were answered.
func (w *world) orderDuring(n int, d time.Duration) int {
	w.t.Helper()
	first := w.client.nextID + 1
	for range n {
		w.client.order()
		w.step()
	}
	w.steps(d)
	answered := 0
	for id := first; id <= w.client.nextID; id++ {
		if len(w.client.answered[id]) > 0 {
			answered++
		}
	}
	return answered
}

// wait = forever: without the standby's ACK nothing is released, and nobody
// promotes: the writer lives.
func TestCutCableWaitsForever(t *testing.T) {
	for _, release := range []string{"ride", "chain", "user"} {
		t.Run(release, func(t *testing.T) {
			w := steady(t, setting{app: "gateway", release: release, calm: true})
			wordA, wordB := w.word(lab.NodeA), w.word(lab.NodeB)
			for range 2 {
				w.carrier(lab.NodeB, lab.LinkNIC, false)
				if n := w.orderDuring(50, 100*time.Millisecond); n != 0 {
					t.Fatalf("%d orders were answered without the standby", n)
				}
				if w.word(lab.NodeA) != wordA || w.word(lab.NodeB) != wordB {
					t.Fatal(w.describe())
				}
				w.carrier(lab.NodeB, lab.LinkNIC, true)
				w.orders(50)
			}
			if w.word(lab.NodeA) != wordA || w.word(lab.NodeB) != wordB {
				t.Fatal(w.describe())
			}
			w.checkOnce()
			w.sameState()
		})
	}
}

// wait, then degrade: the writer goes on alone and takes its standby in again
// when the cable is back.
func TestCutCableDegrades(t *testing.T) {
	w := steady(t, setting{app: "gateway", extra: "wait = \"50ms\"\non_timeout = \"degrade\""})
	for range 2 {
		w.carrier(lab.NodeB, lab.LinkNIC, false)
		w.orders(50)
		if r := w.nodes[lab.NodeA].lanes[0].replica.Record(); w.word(lab.NodeA).State() != lane.Active || r.Count() != 1 {
			t.Fatal(w.describe())
		}
		w.orders(100)
		w.carrier(lab.NodeB, lab.LinkNIC, true)
		w.until("taken in", func() bool {
			r := w.nodes[lab.NodeA].lanes[0].replica.Record()
			return w.word(lab.NodeB).State() == lane.Standby && w.word(lab.NodeB).Epoch() == w.word(lab.NodeA).Epoch() && r.Count() == 2
		})
		w.orders(100)
		w.sameState()
	}
	w.kill(lab.NodeA) // and its ACKs count again
	w.orders(50)
	w.checkOnce()
}

// A node whose standby was given up is alone: when it dies there is no one, and
// the standby must not serve what it lacks. It goes on by itself after a
// restart.
func TestDegradedWriterDiesAlone(t *testing.T) {
	w := steady(t, setting{app: "book", extra: "wait = \"50ms\"\non_timeout = \"degrade\""})
	w.carrier(lab.NodeB, lab.LinkNIC, false)
	w.orders(100)
	w.kill(lab.NodeA)
	w.carrier(lab.NodeB, lab.LinkNIC, true)
	w.steps(150 * time.Millisecond)
	if s := w.word(lab.NodeB).State(); s == lane.Active || s == lane.Candidate {
		t.Fatalf("the standby lacks orders that were answered: %s", w.describe())
	}
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Active)
	w.untilState(lab.NodeB, lane.Standby)
	w.orders(100)
	w.checkOnce()
	w.sameState()
}

// wait, then reject or stop: no order is taken until the standby is back.
func TestCutCableStopsIntake(t *testing.T) {
	for _, on := range []string{"reject", "stop"} {
		t.Run(on, func(t *testing.T) {
			w := steady(t, setting{app: "gateway", extra: "wait = \"30ms\"\non_timeout = \"" + on + "\""})
			a := w.nodes[lab.NodeA].lanes[0]
			w.carrier(lab.NodeB, lab.LinkNIC, false)
			if n := w.orderDuring(10, 80*time.Millisecond); n != 0 {
				t.Fatalf("%d orders were answered", n)
			}
			if !a.replica.IntakeStopped() {
				t.Fatal("intake goes on")
			}
			tail := a.mem.table.Tail
			w.orderDuring(20, 30*time.Millisecond)
			if a.mem.table.Tail != tail {
				t.Fatalf("orders were taken: tail %d after %d", a.mem.table.Tail, tail)
			}
			w.carrier(lab.NodeB, lab.LinkNIC, true)
			w.orders(50)
			w.checkOnce()
			w.sameState()
		})
	}
}

// silence = "links": the standby takes a host that says nothing for dead.
func TestSilencePromotes(t *testing.T) {
	w := steady(t, setting{app: "gateway", extra: `silence = "links"`})
	// The order NIC first: a dead host says nothing on either.
	w.carrier(lab.NodeA, lab.OrderNIC, false)
	w.carrier(lab.NodeA, lab.LinkNIC, false)
	w.frozen[lab.NodeA] = true
	w.orders(100)
	if w.word(lab.NodeB).State() != lane.Active || lane.Why(w.nodes[lab.NodeB].lanes[0].mem.table.Watch.CandidateWhy) != lane.WhySilent {
		t.Fatal(w.describe())
	}
	// The host comes back as it was: it takes itself for ACTIVE until it hears.
	w.carrier(lab.NodeA, lab.LinkNIC, true)
	w.carrier(lab.NodeA, lab.OrderNIC, true)
	w.frozen[lab.NodeA] = false
	w.untilState(lab.NodeA, lane.Standby)
	w.orders(100)
	w.checkOnce()
	w.sameState()
}
