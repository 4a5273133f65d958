package node

import (
	"os"
	"path/filepath"
	"testing"

	"onebeat/bench/lab"
	"onebeat/engine/app"
	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// cutOff kills node A with records that B lacks, and lets B go on. It returns
// the cut that A has to make when it comes back.
func (w *world) cutOff() mirror.Cut {
	w.t.Helper()
	w.unacknowledged(20)
	c := mirror.Cut{From: w.nodes[lab.NodeB].lanes[0].mem.table.Tail, To: w.nodes[lab.NodeA].lanes[0].mem.table.Tail,
		Epoch: w.word(lab.NodeA).Epoch()}
	w.kill(lab.NodeA)
	w.carrier(lab.NodeB, lab.LinkNIC, true)
	w.untilState(lab.NodeB, lane.Active)
	w.orders(50)
	if c.To <= c.From {
		w.t.Fatalf("A had %d, B %d: nothing to cut", c.To, c.From)
	}
	return c
}

// What a rejoining node cuts off its log is in a file, record by record.
func TestCutIsKept(t *testing.T) {
	w := steady(t, setting{app: "book"})
	cut := w.cutOff()
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Standby)
	n := w.nodes[lab.NodeA]
	b, err := os.ReadFile(n.cutPath(n.lanes[0].cfg.ID, cut))
	if err != nil || uint64(len(b)) != cut.To-cut.From {
		t.Fatalf("%d bytes of %d: %v", len(b), cut.To-cut.From, err)
	}
	mem, tail := make([]byte, 1<<20+ring.SlackBytes), cut.To
	copy(mem[cut.From&(1<<20-1):], b)
	r, err := ring.New(mem, 1<<20, &tail)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Scan(cut.From, cut.To, func(rec *app.Record) bool { return rec.Epoch <= cut.Epoch })
	if err != nil || s.End != cut.To || s.Records == 0 {
		t.Fatalf("%+v %v", s, err)
	}
	left, err := filepath.Glob(filepath.Join(n.cfg.Node.RunDir, "*.part"))
	if err != nil || len(left) != 0 {
		t.Error(left, err)
	}
	w.checkOnce()
	w.sameState()
}

// A node that cannot keep what it cuts does not rejoin, says why, and rejoins
// once it can.
func TestCutThatCannotBeKept(t *testing.T) {
	w := steady(t, setting{app: "book"})
	cut := w.cutOff()
	cfg := w.config(lab.NodeA)
	blocked := (&Node{cfg: cfg}).cutPath(cfg.Lanes[0].ID, cut) + ".part"
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	w.restart(lab.NodeA)
	w.until("a refusal", func() bool { return w.refusal(lab.NodeA, "cannot be kept") })
	for range 1000 {
		w.step()
	}
	if s := w.word(lab.NodeA).State(); s != lane.Syncing || w.nodes[lab.NodeA].lanes[0].mem.table.Tail != cut.To {
		t.Fatalf("%v, tail %d: it was to wait", s, w.nodes[lab.NodeA].lanes[0].mem.table.Tail)
	}
	if err := os.RemoveAll(blocked); err != nil {
		t.Fatal(err)
	}
	w.untilState(lab.NodeA, lane.Standby)
	w.checkOnce()
	w.sameState()
}
