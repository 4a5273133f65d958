package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/archive"
	"onebeat/mirror/lane"
	"onebeat/tools/control"
	"onebeat/tools/inspect"
)

const jane = "jane@desk: node-b burnt down"

// promoted asks a running node, as `onebeat promote --force-from` does, while
// everybody goes on.
func (w *world) promoted(place, by string) error {
	w.t.Helper()
	n := w.nodes[place]
	server, err := n.serveControl(func() {})
	if err != nil {
		w.t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		answer <- control.Call(control.SocketPath(n.cfg.Node.RunDir, n.cfg.Node.Name), control.Request{Cmd: control.CmdForce, By: by}, nil, 5*time.Second)
	}()
	answered := false
	w.until("an answer", func() bool {
		select {
		case err = <-answer:
			answered = true
		default:
		}
		return answered
	})
	return errors.Join(err, server.Close())
}

// parkedAlone is a node that came back alone, with records that nobody else had,
// after both had died.
func parkedAlone(t *testing.T) *world {
	w := steady(t, setting{app: "gateway"})
	w.unacknowledged(20)
	w.kill(lab.NodeA)
	w.kill(lab.NodeB)
	w.cleanup(lab.NodeB) // no kernel speaks for it any more
	w.carrier(lab.NodeB, lab.LinkNIC, true)
	return w
}

// checkForced is what an operator's word leaves: the lane goes on from this log,
// and the word is in its history and in the node's log.
func (w *world) checkForced(place string, tail uint64) {
	w.t.Helper()
	w.orders(50)
	w.checkOnce()
	if now := w.nodes[place].lanes[0].mem.table.Tail; now <= tail {
		w.t.Fatalf("the log ends at %d, and was at %d", now, tail)
	}
	if !w.refusal(place, "msg=forced lane=0 detail=\""+jane) {
		w.t.Errorf("the node's log does not tell: %v", w.said.of(place))
	}
	r, err := inspect.OpenRing(w.lab.BPFFS(place), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	var out bytes.Buffer // as `onebeat ring tail --type operator` prints it
	print := &inspect.Printer{W: &out}
	if err := inspect.Newest(r, &inspect.Filter{Types: []string{"operator"}}, 5, func(*archive.Gap) {}, print.Print); err != nil {
		w.t.Fatal(err)
	}
	if line := out.String(); strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "  "+jane+"\n") || !strings.Contains(line, "epoch 3 ") {
		w.t.Errorf("the log says %q", line)
	}
}

// A node that parks because the other one is gone goes on from its log when an
// operator says so over its socket.
func TestOperatorForcesAParkedLane(t *testing.T) {
	w := parkedAlone(t)
	w.restart(lab.NodeA)
	w.steps(100 * time.Millisecond)
	p := w.nodes[lab.NodeA].lanes[0]
	tail := p.mem.table.Tail
	for _, by := range []string{"", "jane", "jane: ", ": burnt down"} {
		if err := w.promoted(lab.NodeA, by); err == nil || !strings.Contains(err.Error(), "say who and why, as in \"jane@desk: ") {
			t.Errorf("%q: %v", by, err)
		}
	}
	if s := w.word(lab.NodeA).State(); s == lane.Active || p.mem.table.Tail != tail {
		t.Fatalf("it goes on by itself%s", w.describe())
	}
	if err := w.promoted(lab.NodeA, jane); err != nil {
		t.Fatal(err, w.describe())
	}
	w.checkForced(lab.NodeA, tail)
	w.restart(lab.NodeB) // it was not that bad
	w.untilState(lab.NodeB, lane.Standby)
	w.orders(50)
	w.checkOnce()
	w.sameState()
}

// The same word given to the node that starts.
func TestNodeStartsForced(t *testing.T) {
	w := parkedAlone(t)
	cfg := w.config(lab.NodeA)
	start := func(by string) error {
		return w.in(lab.NodeA, func() error {
			n, err := Open(context.Background(), cfg, Options{Clock: w.clock, ForceFrom: by, Log: slog.New(slog.NewTextHandler(testLog{w, lab.NodeA}, nil))})
			if err != nil {
				return err
			}
			n.Start()
			w.nodes[lab.NodeA] = n
			return n.forceAll()
		})
	}
	if err := start("jane"); !errors.Is(err, ErrForce) || !strings.Contains(err.Error(), "say who and why, as in \"jane@desk: ") {
		t.Fatal(err)
	}
	w.kill(lab.NodeA)
	if err := start(jane); err != nil {
		t.Fatal(err)
	}
	tail := w.nodes[lab.NodeA].lanes[0].mem.table.Tail
	w.untilState(lab.NodeA, lane.Active)
	w.checkForced(lab.NodeA, tail)
}

// While the other one serves the word is refused, and does not lie in wait: it
// does not count when the other one is silent later.
func TestForceIsRefusedWhileThePeerServes(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	if err := w.promoted(lab.NodeA, jane); err == nil || !strings.Contains(err.Error(), "ACTIVE for lane 0 already") {
		t.Errorf("the writer: %v", err)
	}
	if err := w.promoted(lab.NodeB, jane); err == nil || !strings.Contains(err.Error(), "its peer serves") {
		t.Errorf("the standby: %v", err)
	}
	w.until("the reason", func() bool { return w.refusal(lab.NodeB, "the peer is ACTIVE: hand the lane over there") })
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		w.carrier(place, lab.LinkNIC, false)
	}
	w.steps(200 * time.Millisecond)
	if w.word(lab.NodeA).State() != lane.Active || w.word(lab.NodeB).State() != lane.Standby {
		t.Fatal(w.describe())
	}
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		w.carrier(place, lab.LinkNIC, true)
	}
	w.orders(50)
	w.checkOnce()
	w.sameState()
	if w.word(lab.NodeA).State() != lane.Active {
		t.Fatal(w.describe())
	}
}

// A standby whose writer's host is gone, without anybody who could say so,
// waits; an operator can.
func TestOperatorForcesAStandbyWhoseWriterIsGone(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	tail := w.nodes[lab.NodeB].lanes[0].mem.table.Tail
	w.cables(lab.NodeA, false) // nothing of it says a last word
	w.kill(lab.NodeA)
	w.cleanup(lab.NodeA)
	w.steps(100 * time.Millisecond)
	if s := w.word(lab.NodeB).State(); s != lane.Standby {
		t.Fatalf("%v: silence proves nothing%s", s, w.describe())
	}
	if err := w.promoted(lab.NodeB, jane); err != nil {
		t.Fatal(err, w.describe())
	}
	w.checkForced(lab.NodeB, tail)
}
