package node

import (
	"testing"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
)

// steady brings a world to work and sends some orders, so that a fault meets
// state.
func steady(t *testing.T, s setting) *world {
	w := newWorld(t, s)
	w.untilState(lab.NodeA, lane.Active)
	w.untilState(lab.NodeB, lane.Standby)
	w.until("session", w.client.c.Ready)
	w.orders(200)
	return w
}

// orders sends n orders and waits for all answers.
func (w *world) orders(n int) {
	w.t.Helper()
	w.client.orders(n)
}

func (c *testClient) orders(n int) {
	c.w.t.Helper()
	for range n {
		c.order()
		c.w.step()
	}
	c.w.until("all answers", func() bool { return c.c.Unanswered() == 0 })
}

// checkOnce is what every failover must leave: each order answered, none twice.
func (w *world) checkOnce() {
	w.t.Helper()
	for _, c := range w.clients() {
		c.checkOnce()
	}
}

func (c *testClient) checkOnce() {
	w := c.w
	w.t.Helper()
	for id := uint64(1); id <= c.nextID; id++ {
		if len(c.answered[id]) == 0 || c.rejected[id] != 0 {
			w.t.Fatalf("lane %d, order %d: answers %v, rejected %d", c.lane, id, c.answered[id], c.rejected[id])
		}
	}
	n := w.nodes[lab.Venue]
	if n == nil {
		return
	}
	if p, err := n.lane(c.lane); err == nil {
		log := p.orders
		w.until("the venue has them", func() bool { return log.count.Load() >= int64(c.nextID) })
		seen := map[uint64]int{}
		for _, a := range log.orders[:log.count.Load()] {
			if seen[a.clOrdID]++; seen[a.clOrdID] > 1 {
				w.t.Fatalf("the venue took order %d of lane %d twice", a.clOrdID, c.lane)
			}
		}
	}
}

func TestKilledPrimaryIsFollowed(t *testing.T) {
	for _, app := range []string{"book", "gateway"} {
		t.Run(app, func(t *testing.T) {
			w := steady(t, setting{app: app})
			for range 50 {
				w.client.order()
			}
			w.client.step() // in A's socket when it dies
			w.kill(lab.NodeA)
			w.orders(200)
			if w.word(lab.NodeB).State() != lane.Active {
				t.Fatal(w.describe())
			}
			w.checkOnce()
		})
	}
}

// A stopped engine is fenced by its own kernel; when it wakes it lets nothing
// out, and comes back as a standby.
func TestStoppedPrimaryIsFencedAndComesBack(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	w.frozen[lab.NodeA] = true
	w.orders(100)
	if w.word(lab.NodeB).State() != lane.Active || !fenced(w.at(lab.NodeA, 0)) {
		t.Fatal(w.describe())
	}
	w.frozen[lab.NodeA] = false
	w.untilState(lab.NodeA, lane.Standby)
	w.orders(100)
	w.checkOnce()
	a, b := w.nodes[lab.NodeA].lanes[0], w.nodes[lab.NodeB].lanes[0]
	w.until("applied", func() bool { return a.mem.table.Engine.Applied == b.mem.table.Tail })
	if da, db := a.loop.Digest(), b.loop.Digest(); da != db {
		t.Fatalf("states differ: %x %x", da, db)
	}
}

func TestHandoverRefusesNothing(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	for range 3 {
		from, to := lab.NodeA, lab.NodeB
		if w.word(lab.NodeB).State() == lane.Active {
			from, to = to, from
		}
		w.giveLane(from, to)
		w.orders(100)
	}
	if resent := w.client.c.Stats().Resent; resent != 0 {
		t.Errorf("%d orders had to be sent again", resent)
	}
	w.checkOnce()
}
