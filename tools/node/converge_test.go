package node

import (
	"strings"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
)

// TestCatchUpConverges: a standby comes back while orders come without a pause. Its
// own log ends where the writer's archive no longer begins, and the writer's newest
// snapshot lies before its ring: state, stream and link bring it to the tail, which
// moves, in this order.
func TestCatchUpConverges(t *testing.T) {
	s := streamed(t, setting{app: "gateway", extra: alone}, true)
	s.sections = strings.Replace(s.sections, "records = 1000", "records = 20000", 1)
	w := steady(t, s)
	w.orders(500) // an archive of its own that ends long before what is fetched
	w.drained()
	w.kill(lab.NodeB)
	a := w.nodes[lab.NodeA].lanes[0]
	ringBytes := uint64(a.ring.SizeBytes())
	deadline := time.Now().Add(time.Minute)
	for {
		w.longer(128 << 10)
		k := w.snapshots(lab.NodeA)
		if k.Files == 2 && a.archive.Status().Begin > ringBytes && a.mem.table.Tail-k.Newest > ringBytes+ringBytes/4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no such archive: %+v, begins at %d%s", k, a.archive.Status().Begin, w.describe())
		}
	}
	w.restart(lab.NodeB)
	from := a.mem.table.Tail
	w.joins(from)
	b := w.nodes[lab.NodeB].lanes[0]
	t.Logf("fetched behind %d, taken in at %d; the log went on by %d bytes", b.ring.Oldest(), b.mem.table.Tail, a.mem.table.Tail-from)
	for range 3 {
		// Away for a moment: what it lacks is in the writer's ring.
		w.kill(lab.NodeB)
		w.longer(ringBytes / 2)
		w.restart(lab.NodeB)
		w.joins(a.mem.table.Tail)
	}
	w.until("all answers", func() bool { return w.client.c.Unanswered() == 0 })
	w.sameState()
	w.kill(lab.NodeA)
	w.untilState(lab.NodeB, lane.Active)
	w.orders(100)
	w.checkOnce()
}

// joins waits until B stands by, while orders come.
func (w *world) joins(from uint64) {
	w.t.Helper()
	a := w.nodes[lab.NodeA].lanes[0]
	for deadline := time.Now().Add(30 * time.Second); w.word(lab.NodeB).State() != lane.Standby; w.step() {
		if time.Now().After(deadline) {
			w.t.Fatalf("no standby, the log went on by %d bytes%s", a.mem.table.Tail-from, w.describe())
		}
		for range min(4, w.client.c.Room()) {
			w.client.order()
		}
	}
}
