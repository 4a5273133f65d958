package node

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/lab/porttest"
	"onebeat/mirror/etcd/member"
	"onebeat/mirror/lane"
)

// startMember runs an etcd member on loopback; again with the same directory, it
// is the same one.
func startMember(t *testing.T, dir string, client, peer netip.AddrPort) *member.Member {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	m, err := member.Start(ctx, member.Options{Name: "m", DataDir: dir, Client: client, Peer: peer, LogLevel: "fatal"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The same with the register in etcd: a primary dies and comes back, the member
// is away meanwhile and still knows when it is back.
func TestUDPEtcdKill(t *testing.T) {
	client, peer, dir := porttest.Hold(t), porttest.Hold(t), t.TempDir()
	m := startMember(t, dir, client, peer)
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	w := steadyUDP(t, setting{app: "gateway", etcd: "http://" + client.String()})
	w.kill(lab.NodeA)
	w.orders(50)
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Standby)
	w.orders(50)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	w.orders(50) // nobody needs it
	w.kill(lab.NodeB)
	id := w.client.order()
	w.untilState(lab.NodeA, lane.Candidate)
	w.steps(300 * time.Millisecond)
	if w.word(lab.NodeA).State() != lane.Candidate || len(w.client.answered[id]) != 0 {
		t.Fatalf("it went on without the arbiter%s", w.describe())
	}
	m = startMember(t, dir, client, peer)
	w.untilState(lab.NodeA, lane.Active)
	w.until("the order is answered", func() bool { return len(w.client.answered[id]) > 0 })
	w.orders(50)
	w.checkOnce()
	s := w.nodes[lab.NodeA].laneStatus(w.nodes[lab.NodeA].lanes[0])
	if s.Arbitration != "etcd" || s.Arbiter == nil || !s.Arbiter.Known || s.Arbiter.AnsweredNs == 0 {
		t.Errorf("%+v", s.Arbiter)
	}
}
