package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/tools/config"
)

// watched lets a node's watch look whenever the world takes a step, as its
// goroutine would.
func (w *world) watched(place string, done func() bool) func() bool {
	var handovers sync.WaitGroup
	w.t.Cleanup(handovers.Wait)
	return func() bool {
		n := w.nodes[place]
		for _, p := range n.lanes {
			if reason, ok := n.lookAt(p, time.Now()); ok {
				handovers.Go(func() { n.handOverSick(p, reason) })
			}
		}
		return done()
	}
}

// An order NIC that loses its carrier hands its lanes over at once; no [predict]
// and no [[track]] is needed for that.
func TestLostOrderNICHandsOver(t *testing.T) {
	w := steady(t, setting{app: "book"})
	w.until("looked at", w.watched(lab.NodeA, func() bool { return true }))
	if err := w.lab.SetCarrier(lab.NodeA, lab.OrderNIC, false); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.until("handed over", w.watched(lab.NodeA, func() bool { return w.word(lab.NodeB).State() == lane.Active }))
	t.Logf("the standby was ACTIVE %v after the carrier was lost", time.Since(began))
	w.orders(100)
	w.checkOnce()
	if err := w.lab.SetCarrier(lab.NodeA, lab.OrderNIC, true); err != nil {
		t.Fatal(err)
	}
	w.untilState(lab.NodeA, lane.Standby)
}

// A failing check hands over, and comes back into the status; hooks hear of both.
func TestFailingCheckHandsOver(t *testing.T) {
	dir := t.TempDir()
	check, hook, bad, heard := filepath.Join(dir, "check"), filepath.Join(dir, "hook"), filepath.Join(dir, "bad"), filepath.Join(dir, "heard")
	for path, text := range map[string]string{check: "[ ! -e " + bad + " ] || { echo broken; exit 1; }", hook: "cat >> " + heard} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w := steady(t, setting{app: "book", link: fmt.Sprintf(`[[track]]
name = "feed-$PEER"
script = %q
interval = "20ms"
fall = 2
[[hook]]
path = %q
on = "all"
`, check, hook)})
	w.until("healthy", w.watched(lab.NodeA, func() bool {
		h := w.nodes[lab.NodeA].lanes[0].watch.health()
		return h.Checks == 0 && h.HandoverAt == checksLine && h.ChecksOnly
	}))
	if err := os.WriteFile(bad, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.until("the score is shown", w.watched(lab.NodeA, func() bool {
		h := w.nodes[lab.NodeA].lanes[0].watch.health()
		return h.Checks == 100 && strings.Contains(h.Parts[len(h.Parts)-1].Detail, "broken")
	}))
	// The node was ACTIVE for less than the minimum interval: it waits, and says so.
	w.until("a reason", w.watched(lab.NodeA, func() bool {
		return strings.Contains(w.nodes[lab.NodeA].lanes[0].watch.health().Reason, "a handover after")
	}))
	n := w.nodes[lab.NodeA]
	p := n.lanes[0]
	p.watch = newLaneWatch(n.cfg)
	later := time.Now()
	var handovers sync.WaitGroup
	t.Cleanup(handovers.Wait)
	w.until("handed over", func() bool {
		later = later.Add(time.Millisecond) // time passes quickly for the watch
		if reason, ok := n.lookAt(p, later); ok {
			handovers.Go(func() { n.handOverSick(p, reason) })
		}
		return w.word(lab.NodeB).State() == lane.Active
	})
	w.orders(100)
	w.checkOnce()
	w.until("hooks heard", func() bool {
		b, _ := os.ReadFile(heard)
		text := string(b)
		return strings.Contains(text, `"event":"track"`) && strings.Contains(text, "handing over: score 100") &&
			strings.Contains(text, `"from":"ACTIVE","to":"FENCED"`) && strings.Contains(text, `"from":"STANDBY","to":"CANDIDATE"`) &&
			strings.Contains(text, `"from":"CANDIDATE","to":"ACTIVE"`)
	})
}

func TestPredictIsOffWithoutItsSection(t *testing.T) {
	if w := newLaneWatch(&config.Config{}); w.policy.At != 0 {
		t.Errorf("%+v", w.policy)
	}
	p := config.DefaultPredict()
	if w := newLaneWatch(&config.Config{Predict: &p}); w.policy.At != 100 || w.policy.ChecksOnly || w.weights.LatencyNs != 2_000_000 {
		t.Errorf("%+v %+v", w.policy, w.weights)
	}
}
