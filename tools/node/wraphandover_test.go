package node

import (
	"testing"

	"onebeat/bench/lab"
)

// A handover works as well once the ring has wrapped.
func TestHandoverAfterTheRingWrapped(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	a := w.nodes[lab.NodeA].lanes[0]
	for a.mem.table.Tail < 3<<20 {
		w.orders(100)
	}
	w.giveLane(lab.NodeA, lab.NodeB)
	w.orders(100)
	w.checkOnce()
}
