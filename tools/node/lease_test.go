package node

import (
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/xdp"
)

// shortcut is an order port that frames reach beside its NIC.
type shortcut struct {
	xdp.Port
	frames [][]byte
	here   bool // the frames of the last Recv are those
}

func (s *shortcut) Recv(max int) int {
	if s.here = len(s.frames) > 0; !s.here {
		return s.Port.Recv(max)
	}
	return min(max, len(s.frames))
}

func (s *shortcut) Frame(i int) []byte {
	if !s.here {
		return s.Port.Frame(i)
	}
	return s.frames[i]
}

func (s *shortcut) Done() {
	if !s.here {
		s.Port.Done()
		return
	}
	s.frames = nil // every batch is larger
}

// copying is a client's port whose frames reach a node beside the network, too.
type copying struct {
	xdp.Port
	to     *shortcut
	buffer []byte
}

func (c *copying) Reserve() []byte {
	c.buffer = c.Port.Reserve()
	return c.buffer
}

func (c *copying) Submit(lengthBytes int) {
	c.to.frames = append(c.to.frames, append([]byte(nil), c.buffer[:lengthBytes]...))
	c.Port.Submit(lengthBytes)
}

// Policy none lets outputs out at once, and yet no two nodes do at a time: a
// writer that no answer reaches stops by itself, before its standby, which hears
// nothing either, goes on.
func TestPolicyNoneStopsUnheard(t *testing.T) {
	var order *shortcut
	w := steady(t, setting{app: "gateway", policy: "none", witness: true, calm: true, wrap: map[string]func(xdp.Port) xdp.Port{
		lab.NodeA: func(p xdp.Port) xdp.Port {
			if order != nil {
				return p // of the link
			}
			order = &shortcut{Port: p}
			return order
		}}})
	w.client.port = &copying{Port: w.client.port, to: order}
	a, b := w.nodes[lab.NodeA].lanes[0], w.nodes[lab.NodeB].lanes[0]
	w.until("in sync", func() bool { return a.replica.InSync() && w.word(lab.NodeB).State() == lane.Standby })
	w.cables(lab.NodeA, false) // its kernel has no reason to fence it
	w.carrier(lab.NodeA, lab.WitnessNIC, false)
	w.until("the lease ends", func() bool { return a.replica.IntakeStopped() || w.word(lab.NodeA).State() != lane.Active })
	if s := w.word(lab.NodeA).State(); s != lane.Active {
		t.Fatalf("%v: the lease was to end first%s", s, w.describe())
	}
	// Its clients reach it all the same: their orders lie before it.
	tail := a.mem.table.Tail
	for range 20 {
		w.client.order()
	}
	w.client.step()
	if len(order.frames) == 0 {
		t.Fatal("no order reaches A")
	}
	w.untilState(lab.NodeB, lane.Active)
	released := a.mem.table.Engine.Outputs
	w.steps(100 * time.Millisecond)
	if a.mem.table.Tail != tail || a.mem.table.Engine.Outputs != released || a.replica.GateOpen() {
		t.Fatalf("A goes on beside B%s", w.describe())
	}
	if !w.refusal(lab.NodeA, "msg=lease") {
		t.Errorf("A does not say why it stopped: %v", w.said.of(lab.NodeA))
	}
	if record := b.replica.Record(); record.Count() != 1 {
		t.Error(record)
	}
	if len(order.frames) == 0 {
		t.Error("A took orders in")
	}
	order.frames = nil
	w.client.port = w.client.port.(*copying).Port
	w.cables(lab.NodeA, true)
	w.carrier(lab.NodeA, lab.WitnessNIC, true)
	w.untilState(lab.NodeA, lane.Standby)
	w.orders(50)
	w.sameState()
}

// A process that is paused in the middle of a cycle does not let out afterwards
// what it could have let out before: the lease is looked at once more.
func TestPolicyNoneLooksAgainBeforeItReleases(t *testing.T) {
	w := steady(t, setting{app: "book", policy: "none"})
	r := w.nodes[lab.NodeA].lanes[0].replica
	w.until("a lease", r.GateOpen)
	time.Sleep(21 * time.Millisecond) // a heartbeat, in which nobody looked
	if r.GateOpen() {
		t.Fatal("it would release on a lease that is over")
	}
	w.until("an answer", r.GateOpen)
	w.orders(50)
	w.checkOnce()
}
