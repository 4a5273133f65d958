package node

import (
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
)

// lastHeard returns when a node heard its peer on the link and on the order NIC.
func (w *world) lastHeard(place string) (link, order int64) {
	s := w.nodes[place].laneStatus(w.nodes[place].lanes[0])
	if s.Paths != 2 {
		w.t.Fatalf("%s has %d paths", place, s.Paths)
	}
	return s.LinkHeardNs, s.OrderHeardNs
}

func (w *world) why(place string) lane.Why {
	return lane.Why(w.nodes[place].lanes[0].mem.table.Watch.CandidateWhy)
}

// Both nodes hear each other on both paths, and say so.
func TestPeersAreHeardOnBothPaths(t *testing.T) {
	for name, open := range map[string]func(*testing.T, setting) *world{"xdp": steady, "udp": steadyUDP} {
		t.Run(name, func(t *testing.T) {
			w := open(t, setting{app: "book"})
			w.steps(50 * time.Millisecond) // orders alone are no heartbeat of the second path
			from := w.clock.NowNs()
			w.steps(50 * time.Millisecond)
			for _, place := range []string{lab.NodeA, lab.NodeB} {
				if link, order := w.lastHeard(place); link < from || order < from {
					t.Errorf("%s heard the link %d us and the order network %d us before", place, (from-link)/1000, (from-order)/1000)
				}
			}
			sent := w.laneCounts(lab.NodeA)["second_sent"]
			w.steps(100 * time.Millisecond) // 5 heartbeats, 4 signs of life each
			if n := w.laneCounts(lab.NodeA)["second_sent"] - sent; n < 10 || n > 25 {
				t.Errorf("%d signs of life in 5 heartbeats", n)
			}
		})
	}
}

// Silence is silence on both: a cut cable alone is none, whatever it lasts.
func TestSilenceNeedsBothPaths(t *testing.T) {
	for _, nic := range []string{lab.LinkNIC, lab.OrderNIC} {
		t.Run(nic, func(t *testing.T) {
			w := steady(t, setting{app: "gateway", extra: `silence = "links"`})
			wordA, wordB := w.word(lab.NodeA), w.word(lab.NodeB)
			w.carrier(lab.NodeB, nic, false)
			w.steps(300 * time.Millisecond)
			if w.word(lab.NodeA) != wordA || w.word(lab.NodeB) != wordB {
				t.Fatal(w.describe())
			}
			if nic == lab.LinkNIC {
				w.carrier(lab.NodeA, lab.OrderNIC, false) // and now it is
				w.until("CANDIDATE for silence", func() bool { return w.why(lab.NodeB) == lane.WhySilent })
				w.carrier(lab.NodeA, lab.OrderNIC, true)
			}
			w.carrier(lab.NodeB, nic, true)
			w.orders(50)
			w.checkOnce()
			w.sameState()
		})
	}
}

// With the cable cut, an engine that hangs or dies is fenced over the order
// network: its kernel answers the standby's PROBE there.
func TestFencedOverTheOrderNetwork(t *testing.T) {
	for name, end := range map[string]func(*world){
		"hung":   func(w *world) { w.frozen[lab.NodeA] = true },
		"killed": func(w *world) { w.kill(lab.NodeA) },
	} {
		t.Run(name, func(t *testing.T) {
			w := steady(t, setting{app: "gateway"})
			w.carrier(lab.NodeB, lab.LinkNIC, false)
			w.steps(50 * time.Millisecond)
			end(w)
			w.untilState(lab.NodeB, lane.Active)
			if w.why(lab.NodeB) != lane.WhyFenced {
				t.Fatalf("candidate because %v: %s", w.why(lab.NodeB), w.describe())
			}
			w.orders(100)
			w.carrier(lab.NodeB, lab.LinkNIC, true)
			if w.frozen[lab.NodeA] = false; name == "killed" {
				w.restart(lab.NodeA)
			}
			w.untilState(lab.NodeA, lane.Standby)
			w.orders(50)
			w.checkOnce()
			w.sameState()
		})
	}
}

// A standby learns over the order network that the lane went on without it.
func TestNewerEpochIsHeardOverTheOrderNetwork(t *testing.T) {
	w := steady(t, setting{app: "book", extra: "wait = \"50ms\"\non_timeout = \"degrade\""})
	w.carrier(lab.NodeB, lab.LinkNIC, false)
	w.orders(20) // the writer goes on alone, in a new epoch
	w.untilState(lab.NodeB, lane.Syncing)
	if w.reasons(lab.NodeB)["mirror_newer"] == 0 {
		t.Error(w.describe())
	}
	w.carrier(lab.NodeB, lab.LinkNIC, true)
	w.untilState(lab.NodeB, lane.Standby)
	w.orders(50)
	w.checkOnce()
	w.sameState()
}
