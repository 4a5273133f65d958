package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/bpf"
	"onebeat/mirror"
	"onebeat/mirror/lane"
)

// Two lanes with opposite primaries: a dead engine moves its lane alone. The
// other lane goes on, mirrored into the dead engine's pinned ring.
func TestActiveActiveLosesOneNode(t *testing.T) {
	for name, c := range map[string]struct {
		app string
		set setting
	}{"book": {app: "book"}, "gateway": {app: "gateway"}, "IPv6": {"book", setting{ipv6: true}}} {
		t.Run(name, func(t *testing.T) {
			lanes := scene.ActiveActive(c.app, laneLines)
			w := newLanesWorldIn(t, c.set, lab.Switched, lanes)
			for round := range 2 {
				// The lane whose primary lives, and the one whose primary dies.
				dying, living, lost, kept := lab.NodeA, lab.NodeB, 0, 1
				if round == 1 {
					dying, living, lost, kept = lab.NodeB, lab.NodeA, 1, 0
				}
				if round == 1 {
					w.handOver(lab.NodeB, func(n *Node) error { return n.handover(0) })
					w.untilLane(lab.NodeB, 0, lane.Standby)
				}
				before := w.words(living, kept)
				for range 30 {
					w.clientOf(lost).order()
				}
				w.clientOf(lost).step() // in the socket of who dies
				w.kill(dying)
				w.everybodyOrders(200)
				w.unmoved(living, before)
				if w.laneWord(living, lost).State() != lane.Active {
					t.Fatal(w.describe())
				}
				w.restart(dying)
				w.untilLane(dying, lost, lane.Standby)
				w.untilLane(dying, kept, lane.Standby)
				w.everybodyOrders(100)
				w.inOneState(lanes)
			}
			w.checkOnce()
		})
	}
}

// Three lanes of two nodes share a third as their standby: each node's loss
// moves its own lanes, one after the other, and all come back.
func TestNPlusOneLosesEachNode(t *testing.T) {
	lanes := scene.NPlusOne("gateway", laneLines)
	w := newLanesWorld(t, lab.NPlusOne, lanes)
	c0 := w.words(lab.NodeC, 1, 2)
	b0 := w.words(lab.NodeB, 1, 2)
	w.kill(lab.NodeA)
	w.everybodyOrders(100)
	w.unmoved(lab.NodeB, b0)
	w.unmoved(lab.NodeC, c0)
	if w.laneWord(lab.NodeC, 0).State() != lane.Active {
		t.Fatal(w.describe())
	}

	before := w.words(lab.NodeC, 0)
	w.kill(lab.NodeB)
	w.everybodyOrders(100)
	w.unmoved(lab.NodeC, before)
	for id := range 3 {
		if w.laneWord(lab.NodeC, id).State() != lane.Active {
			t.Fatal(w.describe())
		}
	}

	w.restart(lab.NodeB)
	w.untilLane(lab.NodeB, 1, lane.Standby)
	w.untilLane(lab.NodeB, 2, lane.Standby)
	w.unmoved(lab.NodeC, before) // A's lane is none of B's business
	w.restart(lab.NodeA)
	w.untilLane(lab.NodeA, 0, lane.Standby)
	w.everybodyOrders(100)
	w.inOneState(lanes)

	w.kill(lab.NodeC) // the shared one, which serves all
	w.everybodyOrders(100)
	if w.laneWord(lab.NodeA, 0).State() != lane.Active || w.laneWord(lab.NodeB, 1).State() != lane.Active || w.laneWord(lab.NodeB, 2).State() != lane.Active {
		t.Fatal(w.describe())
	}
	w.restart(lab.NodeC)
	for id := range 3 {
		w.untilLane(lab.NodeC, id, lane.Standby)
	}
	w.everybodyOrders(100)
	w.inOneState(lanes)
	w.checkOnce()
}

// A frozen engine is frozen for all of its thread's lanes, and for no other's.
func TestNPlusOneFreezesOneNode(t *testing.T) {
	lanes := scene.NPlusOne("book", laneLines)
	w := newLanesWorld(t, lab.NPlusOne, lanes)
	before := w.words(lab.NodeA, 0)
	w.frozen[lab.NodeB] = true
	w.everybodyOrders(100)
	w.unmoved(lab.NodeA, before)
	for _, id := range []int{1, 2} {
		if w.laneWord(lab.NodeC, id).State() != lane.Active || !fenced(w.at(lab.NodeB, id)) {
			t.Fatal(w.describe())
		}
	}
	w.frozen[lab.NodeB] = false
	w.untilLane(lab.NodeB, 1, lane.Standby)
	w.untilLane(lab.NodeB, 2, lane.Standby)
	w.everybodyOrders(50)
	w.unmoved(lab.NodeA, before)
	w.inOneState(lanes)
	w.checkOnce()
}

// Planned handovers of one lane and of all of a node's: no order is refused or
// has to be sent again, other lanes do not move.
func TestLanesAreHandedOver(t *testing.T) {
	lanes := scene.NPlusOne("gateway", laneLines)
	lanes[1].App = "book" // applications may be mixed
	w := newLanesWorld(t, lab.NPlusOne, lanes)
	before, atA := w.words(lab.NodeB, 2), w.words(lab.NodeA, 0)
	w.handOver(lab.NodeB, func(n *Node) error { return n.handover(1) })
	w.untilLane(lab.NodeC, 1, lane.Active)
	w.untilLane(lab.NodeB, 1, lane.Standby)
	w.unmoved(lab.NodeB, before)
	w.unmoved(lab.NodeA, atA)

	w.handOver(lab.NodeA, (*Node).handOverAllNow)
	w.handOver(lab.NodeB, (*Node).handOverAllNow)
	for id := range 3 {
		w.untilLane(lab.NodeC, id, lane.Active)
		w.untilLane([]string{lab.NodeA, lab.NodeB, lab.NodeB}[id], id, lane.Standby)
	}
	w.handOver(lab.NodeC, (*Node).handOverAllNow) // of two links
	for id := range 3 {
		w.untilLane([]string{lab.NodeA, lab.NodeB, lab.NodeB}[id], id, lane.Active)
		w.untilLane(lab.NodeC, id, lane.Standby)
	}
	w.everybodyOrders(50)
	for _, c := range w.clients() {
		if resent := c.c.Stats().Resent; resent != 0 {
			t.Errorf("lane %d: %d orders had to be sent again", c.lane, resent)
		}
	}
	w.inOneState(lanes)
	w.checkOnce()
}

func (n *Node) handOverAllNow() error {
	_, err := n.promoteAll()
	return err
}

// A lane that is stuck, with its socket full of orders, holds up no other lane
// of the socket.
func TestStuckLaneHoldsUpNoOther(t *testing.T) {
	lanes := scene.NPlusOne("book", laneLines)
	w := newLanesWorld(t, lab.NPlusOne, lanes)
	w.handOver(lab.NodeA, func(n *Node) error { return n.handover(0) })
	w.handOver(lab.NodeB, func(n *Node) error { return n.handover(1) })
	w.untilLane(lab.NodeA, 0, lane.Standby)
	w.untilLane(lab.NodeB, 1, lane.Standby)
	w.everybodyOrders(20)
	w.carrier(lab.NodeA, lab.LinkNIC, false) // node-c gets no ACK for lane 0
	stuck, free := w.clientOf(0), w.clientOf(1)
	for range 3000 {
		stuck.order()
		stuck.order()
		w.step()
	}
	answers := len(stuck.answered)
	free.orders(500)
	if len(stuck.answered) != answers {
		t.Fatalf("lane 0 was answered without its standby%s", w.describe())
	}
	w.carrier(lab.NodeA, lab.LinkNIC, true)
	w.until("all answers", func() bool { return stuck.c.Unanswered() == 0 })
	w.everybodyOrders(20)
	w.inOneState(lanes)
	w.checkOnce()
}

// A node whose peer's host is gone starts, for the sake of its other lanes.
func TestNodeStartsWithoutOneOfItsPeers(t *testing.T) {
	lanes := scene.NPlusOne("book", laneLines)
	w := newLanesWorld(t, lab.NPlusOne, lanes)
	w.kill(lab.NodeA)
	w.everybodyOrders(20)
	w.carrier(lab.NodeA, lab.LinkNIC, false) // as if its host were off
	before := w.words(lab.NodeB, 1, 2)
	w.kill(lab.NodeC)
	w.clientOf(1).orders(50)
	began := time.Now()
	w.restart(lab.NodeC)
	if took := time.Since(began); took > 2*resolvePeerFor {
		t.Errorf("it took %v", took)
	}
	w.untilLane(lab.NodeC, 1, lane.Standby)
	w.untilLane(lab.NodeC, 2, lane.Standby)
	w.clientOf(2).orders(50)
	if w.laneWord(lab.NodeB, 1).State() != lane.Active || w.laneWord(lab.NodeB, 1).Epoch() < before[1].Epoch() {
		t.Fatal(w.describe())
	}
	// The peer comes back, to whom frames went without knowing its address.
	w.carrier(lab.NodeA, lab.LinkNIC, true)
	w.restart(lab.NodeA)
	w.until("lane 0 serves", func() bool {
		return w.laneWord(lab.NodeC, 0).State() == lane.Active && w.laneWord(lab.NodeA, 0).State() == lane.Standby ||
			w.laneWord(lab.NodeA, 0).State() == lane.Active && w.laneWord(lab.NodeC, 0).State() == lane.Standby
	})
	w.everybodyOrders(50)
	w.inOneState(lanes)
	w.checkOnce()
}

// A lane and its link are taken out of a node's configuration: its kernel stops
// acknowledging for it, and the others go on.
func TestLaneIsTakenOut(t *testing.T) {
	lanes := scene.NPlusOne("book", laneLines)
	w := newLanesWorld(t, lab.NPlusOne, lanes)
	w.kill(lab.NodeC)
	fewer := scene.Scene{Lab: w.lab, Lanes: lanes[1:]}
	text, err := fewer.NodeText(lab.NodeC)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.configPath(lab.NodeC), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tail := w.at(lab.NodeA, 0).mem.table.Tail
	w.restart(lab.NodeC)
	w.untilLane(lab.NodeC, 1, lane.Standby)
	w.untilLane(lab.NodeC, 2, lane.Standby)
	w.clientOf(0).order()
	w.clientOf(1).orders(50)
	w.clientOf(2).orders(50)
	a := w.at(lab.NodeA, 0).mem.table
	w.until("the order is in node-a's log", func() bool { return a.Tail > tail })
	w.steps(50 * time.Millisecond)
	if n := w.clientOf(0).c.Unanswered(); n != 1 || a.Peer.Tail >= a.Tail {
		t.Errorf("%d orders unanswered, ACKed to %d of %d: a lane that is no more was acknowledged", n, a.Peer.Tail, a.Tail)
	}
	pins, err := filepath.Glob(filepath.Join(w.lab.BPFFS(lab.NodeC), bpf.LinkLinkPins))
	if err != nil || len(pins) != 1 {
		t.Errorf("pinned on link NICs: %v, %v", pins, err)
	}
	if used := lane.At(w.nodes[lab.NodeC].kernel.Lane(0)).Config.Used; used != 0 {
		t.Error("lane 0 is still in use")
	}
}

// Lanes that share sockets allocate no more than one alone.
func TestSharedSocketsAllocateNothing(t *testing.T) {
	w := newLanesWorld(t, lab.NPlusOne, scene.NPlusOne("book", laneLines))
	clients := w.clients()
	for _, c := range clients {
		c.forget = true
	}
	end := w.onlyLoops()
	allocs := testing.AllocsPerRun(1, func() {
		for range 1000 {
			for _, c := range clients {
				c.order()
			}
			for range 4 {
				w.step()
			}
		}
	})
	end()
	if allocs > 2 { // the runtime's own
		t.Errorf("%v allocations in 3000 orders", allocs)
	}
	w.until("all answers", func() bool {
		return w.clientOf(0).c.Unanswered()+w.clientOf(1).c.Unanswered()+w.clientOf(2).c.Unanswered() == 0
	})
}

// The kernel of a dead engine goes on as STANDBY: nothing is handed over to it.
func TestDeadStandbyIsHandedNothing(t *testing.T) {
	lanes := scene.NPlusOne("book", laneLines)
	w := newLanesWorld(t, lab.NPlusOne, lanes)
	w.kill(lab.NodeC)
	before := w.words(lab.NodeB, 1, 2)
	w.steps(50 * time.Millisecond)
	w.everybodyOrders(20) // mirrored all the same
	for _, ask := range []func(*Node) error{(*Node).handOverAllNow, func(n *Node) error { return n.handover(2) }} {
		if err := ask(w.nodes[lab.NodeB]); !errors.Is(err, ErrNoStandby) {
			t.Fatalf("handed over to nobody: %v%s", err, w.describe())
		}
	}
	// Also when the engine dies in the middle of it.
	w.at(lab.NodeB, 1).replica.Commands.Put(mirror.CommandHandover)
	w.everybodyOrders(20)
	w.unmoved(lab.NodeB, before)
	w.restart(lab.NodeC)
	w.untilLane(lab.NodeC, 1, lane.Standby)
	w.handOver(lab.NodeB, (*Node).handOverAllNow)
	w.everybodyOrders(20)
	w.inOneState(lanes)
	w.checkOnce()
}
