package node

import (
	"testing"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
)

// A handover works as well once the ring has wrapped.
func TestHandoverAfterTheRingWrapped(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	a := w.nodes[lab.NodeA].lanes[0]
	for a.mem.table.Tail < 3<<20 {
		w.orders(100)
	}
	a.replica.Commands.Put(1)
	w.untilState(lab.NodeB, lane.Active)
	w.orders(100)
	w.checkOnce()
}
