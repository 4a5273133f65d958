package node

import (
	"testing"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
)

// An order is mirrored into the standby's kernel before its answer leaves.
func TestOrderIsMirroredAndAnswered(t *testing.T) {
	w := newWorld(t, setting{app: "book"})
	w.untilState(lab.NodeA, lane.Active)
	w.untilState(lab.NodeB, lane.Standby)
	w.until("session", w.client.c.Ready)
	for range 100 {
		id := w.client.order()
		w.until("answer", func() bool { return len(w.client.answered[id]) > 0 })
	}
	t.Log(w.describe())
}
