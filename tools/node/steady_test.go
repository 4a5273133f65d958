package node

import (
	"testing"
	"time"

	"onebeat/bench/lab"
)

// onlyLoops lets nothing work beside the loops until the end.
func (w *world) onlyLoops() (end func()) {
	for w.keepersEnded(true) {
	}
	w.loopsOnly = true
	return func() { w.loopsOnly = false }
}

// Whole cycles of both nodes, of the venue and of the client, from the order
// that arrives to the answer that leaves: nothing is allocated.
func TestOrderPathAllocatesNothing(t *testing.T) {
	for _, s := range []setting{{app: "book"}, {app: "gateway"}, {app: "book", release: "user"}, {app: "gateway", release: "user"},
		{app: "book", policy: "none"}, {app: "gateway", noPeer: true}} {
		t.Run(s.app+"/"+s.policy+s.release, func(t *testing.T) {
			var w *world
			if s.noPeer {
				w = newWorld(t, s)
				w.until("session", w.client.c.Ready)
			} else {
				w = steady(t, s)
			}
			w.client.forget = true
			answered := w.client.c.Stats().Answered
			w.allocatesNothing()
			w.until("all answers", func() bool { return w.client.c.Unanswered() == 0 })
			if n := w.client.c.Stats().Answered - answered; n < 2000 {
				t.Errorf("%d orders were answered", n)
			}
		})
	}
}

// The stand-in too.
func TestUDPOrderPathAllocatesNothing(t *testing.T) {
	w := steadyUDP(t, setting{app: "gateway"})
	w.client.forget = true
	w.allocatesNothing()
}

// Two seconds of work in which the whole machine stands still now and then, for
// longer than heartbeat and hang budget: nobody is accused of it.
func TestFrozenMachineAccusesNobody(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) *world{
		"xdp": func(t *testing.T) *world { return steady(t, setting{app: "gateway"}) },
		"udp": func(t *testing.T) *world { return steadyUDP(t, setting{app: "gateway", extra: `silence = "links"`}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := make(t)
			wordA, wordB := w.word(lab.NodeA), w.word(lab.NodeB)
			for range 10 {
				w.orderDuring(50, 100*time.Millisecond)
				for range 5 {
					w.client.order() // in A's socket meanwhile
				}
				w.client.step()
				time.Sleep(150 * time.Millisecond)
			}
			w.until("all answers", func() bool { return w.client.c.Unanswered() == 0 })
			if w.word(lab.NodeA) != wordA || w.word(lab.NodeB) != wordB {
				t.Fatal(w.describe())
			}
			w.checkOnce()
			w.sameState()
		})
	}
}
