package node

import (
	"testing"
	"time"

	"onebeat/bench/lab"
)

// A standby whose order NIC has lost its carrier lets nothing out: it says so in
// its ACKs, and rides leave by the writer's until the carrier is back.
func TestChainGoesTheLongWayWithoutTheStandbysNIC(t *testing.T) {
	w := steady(t, setting{app: "book", release: "chain"})
	b := w.nodes[lab.NodeB].lanes[0]
	count := func() (chained, released uint64) {
		return w.reason(lab.NodeB, "ride_chained"), w.reason(lab.NodeA, "ride_released")
	}
	one := func() {
		id := w.client.order()
		w.until("answer", func() bool { return len(w.client.answered[id]) > 0 })
	}
	for round := range 2 {
		for _, up := range []bool{false, true} {
			b.chain(up)
			w.steps(20 * time.Millisecond) // a heartbeat's ACK tells
			chained, released := count()
			for range 50 {
				one()
			}
			nowChained, nowReleased := count()
			if up && nowChained-chained < 40 || !up && (nowChained != chained || nowReleased-released < 40) {
				t.Errorf("round %d, NIC up %v: the standby let %d out, the writer's kernel %d", round, up, nowChained-chained, nowReleased-released)
			}
		}
	}
	w.checkOnce()
	w.sameState()
}
