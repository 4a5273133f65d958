package node

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/stream"
	"onebeat/mirror/wire"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// silentMirror is a link port that loses the frames that carry records.
type silentMirror struct {
	xdp.Port
	buffer []byte
	on     bool
	lost   int
}

func (s *silentMirror) Reserve() []byte {
	s.buffer = s.Port.Reserve()
	return s.buffer
}

func (s *silentMirror) Submit(lengthBytes int) {
	var h wire.Header
	if s.on && h.Parse(s.buffer[frame.HeaderBytes:lengthBytes]) == wire.OK && h.Type == wire.Mirror && h.LengthBytes > 0 {
		s.lost++
		return // it stays reserved
	}
	s.Port.Submit(lengthBytes)
}

// unmirrored brings two nodes under policy none to work and lets the writer answer
// orders that its standby never hears of. Then its process is killed.
func unmirrored(t *testing.T, salvage string, before ...func(*world)) (w *world, released uint64) {
	var link *silentMirror
	ports := 0
	set := streamed(t, setting{app: "gateway", policy: "none", calm: true, wrap: map[string]func(xdp.Port) xdp.Port{
		lab.NodeA: func(p xdp.Port) xdp.Port {
			if ports++; ports != 2 {
				return p // the order NIC's, or of a later process
			}
			link = &silentMirror{Port: p}
			return link
		}}}, false)
	set.sections = strings.Replace(set.sections, `salvage = "10s"`, fmt.Sprintf("salvage = %q", salvage), 1)
	w = steady(t, set)
	w.sameState()
	a, b := w.nodes[lab.NodeA].lanes[0], w.nodes[lab.NodeB].lanes[0]
	missing := 0
	w.until("answers that the standby never hears of", func() bool {
		// What is lost brings no ACK either, and without one the lease ends: on a busy
		// machine sooner than the answers leave. Then the link carries it all again.
		if link.on = !a.replica.IntakeStopped(); link.on {
			w.client.order()
		}
		if missing++; a.mem.table.Engine.Released <= b.mem.table.Tail {
			missing = 0
		}
		return missing == 20
	})
	released = a.mem.table.Engine.Released
	if link.lost == 0 || b.mem.table.Tail >= released || w.word(lab.NodeB).State() != lane.Standby {
		t.Fatalf("%d frames lost, released %d, the standby has %d and is %v", link.lost, released, b.mem.table.Tail, w.word(lab.NodeB))
	}
	for _, f := range before {
		f(w)
	}
	w.kill(lab.NodeA)
	return w, released
}

// daemon serves what a dead node left pinned, as the mirror daemon on its host does.
func (w *world) daemon(place string) {
	w.t.Helper()
	cfg := w.config(place)
	pinned, err := OpenPinned(cfg, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	credentials, err := Credentials(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	var l net.Listener
	if err := w.in(place, func() (err error) {
		l, err = net.Listen("tcp", cfg.Stream.Listen.Addr().String()+":7601")
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	s := stream.Serve(l, StreamOptions(cfg, credentials, []*stream.Lane{&pinned.Lane}, w.clock.NowNs, func(text string) { w.t.Log(text) }))
	w.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
		if err := pinned.Close(); err != nil {
			w.t.Error(err)
		}
	})
}

// Under policy none answers leave before the standby has their records. When only
// the process died, the successor takes the rest from the ring that it left: nothing
// is lost.
func TestSalvage(t *testing.T) {
	w, released := unmirrored(t, "10s")
	w.daemon(lab.NodeA)
	w.client.order() // the dead node's kernel finds its engine gone
	w.untilState(lab.NodeB, lane.Active)
	counts := w.laneCounts(lab.NodeB)
	if counts["salvage_bytes"] == 0 || counts["salvage_lost_bytes"] != 0 {
		t.Fatalf("salvaged %d bytes, lost %d%s", counts["salvage_bytes"], counts["salvage_lost_bytes"], w.describe())
	}
	if b := w.nodes[lab.NodeB].lanes[0]; b.mem.table.Tail < released {
		t.Fatalf("ACTIVE at %d, %d were released", b.mem.table.Tail, released)
	}
	w.orders(100)
	w.checkOnce()
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Standby)
	w.sameState()
}

// A standby keeps a connection to the daemon: its salvage needs no other.
func TestSalvageByTheKeptConnection(t *testing.T) {
	var dials atomic.Int64
	w, _ := unmirrored(t, "10s", func(w *world) {
		w.faulty = func(c net.Conn) net.Conn { dials.Add(1); return c }
		w.daemon(lab.NodeA)
		w.until("a connection", func() bool { return dials.Load() > 0 })
		w.steps(100 * time.Millisecond)
	})
	before := dials.Load()
	w.client.order()
	w.untilState(lab.NodeB, lane.Active)
	counts := w.laneCounts(lab.NodeB)
	if counts["salvage_bytes"] == 0 || counts["salvage_lost_bytes"] != 0 || dials.Load() != before {
		t.Errorf("salvaged %d bytes, lost %d, by %d more connections", counts["salvage_bytes"], counts["salvage_lost_bytes"], dials.Load()-before)
	}
}

// Without a daemon on the dead node's host the successor waits no longer than it
// is told to, goes on, and says what is lost.
func TestSalvageWithoutAnybodyToAsk(t *testing.T) {
	w, released := unmirrored(t, "100ms")
	pinned, err := OpenPinned(w.config(lab.NodeA), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pinned.Close()
	b := w.nodes[lab.NodeB].lanes[0]
	lost, err := pinned.Ring.Scan(b.mem.table.Tail, released, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.client.order()
	w.untilState(lab.NodeB, lane.Active)
	counts := w.laneCounts(lab.NodeB)
	if counts["salvage_bytes"] != 0 || counts["salvage_lost_bytes"] != lost.End-lost.From {
		t.Fatalf("salvaged %d bytes, lost %d; %d are missing", counts["salvage_bytes"], counts["salvage_lost_bytes"], lost.End-lost.From)
	}
	t.Logf("policy none without salvage lost %d records, %d bytes, that had been answered", lost.Records, lost.End-lost.From)
}

// The record that a log ends with is found from its end.
func TestLastHead(t *testing.T) {
	w := steady(t, setting{app: "book"})
	p := w.nodes[lab.NodeA].lanes[0]
	tail := p.mem.table.Tail
	head, found := stream.LastHead(p.ring, tail)
	rec, next, state := p.ring.Read(head.Position())
	if !found || state != ring.Found || next != tail || rec.Epoch != head.Epoch() {
		t.Fatalf("%v %d, %v %d, tail %d", found, head.Position(), state, next, tail)
	}
}
