package node

import (
	"os/exec"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
	"onebeat/mirror/lane"
)

// newBareWorld is a world before anybody was started.
func newBareWorld(t *testing.T, s setting) *world {
	t.Helper()
	clock, err := NewClock()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, lab: labtest.Up(t, lab.Switched), set: s, clock: clock, nodes: map[string]*Node{}, frozen: map[string]bool{}}
	w.dir = w.lab.RunDir
	t.Cleanup(w.close)
	if err := sceneOf(w.lab, s).Write(); err != nil {
		t.Fatal(err)
	}
	return w
}

// The venue's host boots last: the lane has its roles by then, and orders flow
// as soon as it answers.
func TestVenueThatComesLate(t *testing.T) {
	w := newBareWorld(t, setting{app: "gateway"})
	begin := time.Now()
	w.restart(lab.NodeA)
	w.restart(lab.NodeB)
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("both nodes took %v to start without a venue", took)
	}
	w.untilState(lab.NodeA, lane.Active)
	w.untilState(lab.NodeB, lane.Standby)
	w.restart(lab.Venue)
	w.untilState(lab.Venue, lane.Active)
	w.client = newTestClient(w)
	w.until("session", w.client.c.Ready)
	w.orders(50)
	w.giveLane(lab.NodeA, lab.NodeB)
	w.orders(50)
	w.checkOnce()
}

// A peer that was off when this node started, and one whose NIC was replaced:
// frames go to the MAC that its HELLO came from.
func TestPeerWithAnotherMAC(t *testing.T) {
	w := steady(t, setting{app: "book"})
	const mac = "02:00:00:00:77:01"
	w.kill(lab.NodeB)
	w.cleanup(lab.NodeB)
	if err := w.lab.Do(lab.NodeB, func() error {
		return exec.Command("ip", "link", "set", lab.LinkNIC, "address", mac).Run()
	}); err != nil {
		t.Fatal(err)
	}
	w.restart(lab.NodeB)
	w.untilState(lab.NodeB, lane.Standby)
	w.orders(50)
	// A veth takes frames to any MAC, so that one HELLO may do to join; the next
	// ones come with the handover.
	w.giveLane(lab.NodeA, lab.NodeB)
	w.until("the new MAC is known", func() bool {
		return w.nodes[lab.NodeA].lanes[0].mem.table.Config.PeerLinkMAC == [6]byte{2, 0, 0, 0, 0x77, 1}
	})
	w.orders(50)
	w.checkOnce()
	w.sameState()
}
