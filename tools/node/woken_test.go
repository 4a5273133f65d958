package node

import (
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/bpf"
	"onebeat/engine/app"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// tap sees every frame that comes out of a cable's end.
type tap struct {
	t  *testing.T
	fd int
	b  [4096]byte
}

// newTap listens at a NIC of a place.
func (w *world) newTap(place, nic string) *tap {
	w.t.Helper()
	tap := &tap{t: w.t, fd: rawSocket(w, place, nic)}
	if err := unix.SetsockoptInt(tap.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); err != nil {
		w.t.Fatal(err)
	}
	return tap
}

// rawSocket opens a packet socket on a NIC of a place.
func rawSocket(w *world, place, nic string) int {
	w.t.Helper()
	fd := -1
	err := w.lab.Do(place, func() (err error) {
		i, err := net.InterfaceByName(nic)
		if err != nil {
			return err
		}
		const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := unix.Close(fd); err != nil {
			w.t.Error(err)
		}
	})
	return fd
}

// drain calls visit for every frame that arrived here since the last time.
func (p *tap) drain(visit func(b []byte)) {
	p.t.Helper()
	for {
		n, from, err := unix.Recvfrom(p.fd, p.b[:], 0)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			p.t.Fatal(err)
		}
		if l := from.(*unix.SockaddrLinklayer); l.Pkttype != unix.PACKET_OUTGOING {
			visit(p.b[:n])
		}
	}
	stats, err := unix.GetsockoptTpacketStats(p.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil || stats.Drops > 0 {
		p.t.Fatalf("the tap missed frames: %+v, %v", stats, err)
	}
}

// outputs counts what a lane sent, and calls visit for every application
// message of it.
func (p *tap) outputs(visit func(port uint16, template uint16, block []byte)) (datagrams int) {
	p.t.Helper()
	var messages [sbe.MaxMessages]sbe.Message
	p.drain(func(b []byte) {
		var from frame.Endpoint
		payload, port, ok := frame.Parse(b, &from)
		if !ok || from.IP != frame.IPv4(lab.LaneIP) {
			return
		}
		datagrams++
		n, reason := sbe.Split(payload, &messages)
		if reason != sbe.OK {
			p.t.Fatalf("the lane sent a bad datagram: %v", reason)
		}
		for i := range n {
			visit(port, messages[i].Template, messages[i].Block(payload))
		}
	})
	return datagrams
}

// held returns the ClOrdIDs of the requests in a node's log below an epoch.
func (w *world) held(place string, epoch uint32) map[uint64]bool {
	w.t.Helper()
	ids := map[uint64]bool{}
	m := &w.nodes[place].lanes[0].mem
	r, err := ring.New(m.ringMem, len(m.ringMem)-bpf.RingSlackBytes, &m.table.Tail)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := r.Scan(r.Oldest(), r.Tail(), func(rec *app.Record) bool {
		if rec.Type == app.RecordMessage && rec.Epoch < epoch {
			_, _, template, block, ok := fixp.ParseMessage(rec.Payload)
			if !ok || template != sbe.TemplateNewOrderSingle {
				w.t.Fatalf("record at %d is no order", rec.Position)
			}
			ids[sbe.AsNewOrderSingle(block).ClOrdID()] = true
		}
		return true
	}); err != nil {
		w.t.Fatal(err)
	}
	return ids
}

// reportID returns the order an answer is about.
func reportID(template uint16, block []byte) (id uint64, ok bool) {
	switch template {
	case sbe.TemplateExecutionReport:
		return sbe.AsExecutionReport(block).ClOrdID(), true
	case sbe.TemplateReject:
		return sbe.AsReject(block).ClOrdID(), true
	}
	return 0, false
}

// A primary with orders that the standby lacks freezes and wakes: nothing of
// them gets out, and afterwards its state is the survivor's.
func TestWokenPrimarySendsNothing(t *testing.T) {
	for _, release := range []string{"ride", "user"} {
		t.Run(release, func(t *testing.T) {
			w := steady(t, setting{app: "gateway", release: release})
			w.unacknowledged(30)
			w.frozen[lab.NodeA] = true
			out := w.newTap(lab.Switch, lab.NodeA)
			a, tail := w.nodes[lab.NodeA].lanes[0], w.nodes[lab.NodeB].lanes[0].mem.table.Tail
			if a.mem.table.Tail <= tail {
				t.Fatal("B has it all")
			}
			w.carrier(lab.NodeB, lab.LinkNIC, true)
			w.untilState(lab.NodeB, lane.Active)
			w.orders(100)
			w.frozen[lab.NodeA] = false
			w.untilState(lab.NodeA, lane.Standby)
			w.orders(100)
			if n := out.outputs(func(uint16, uint16, []byte) {}); n != 0 {
				t.Errorf("%d datagrams left the woken node", n)
			}
			w.checkOnce()
			w.sameState()
		})
	}
}

// pausing is a port in which its process stops for a while.
type pausing struct {
	xdp.Port
	at    string // Reserve, Submit, Kick
	after int    // calls until then; negative: never
	pause func()
}

func (p *pausing) call(name string) {
	if p.at != name {
		return
	}
	if p.after--; p.after == 0 {
		p.pause()
	}
}

func (p *pausing) Reserve() []byte { p.call("Reserve"); return p.Port.Reserve() }
func (p *pausing) Submit(n int)    { p.call("Submit"); p.Port.Submit(n) }
func (p *pausing) Kick() int       { p.call("Kick"); return p.Port.Kick() }

// The process stops in the middle of a cycle: before a mirror frame leaves,
// behind the gate of an output, before the kick. What still gets out when it
// goes on is what the survivor held when it took over.
func TestPausedInTheMiddleOfACycle(t *testing.T) {
	for _, release := range []string{"ride", "user"} {
		for _, port := range []string{"order", "link"} {
			for _, at := range []string{"Reserve", "Submit", "Kick"} {
				t.Run(fmt.Sprintf("%s/%s/%s", release, port, at), func(t *testing.T) { pausedInCycle(t, release, port, at) })
			}
		}
	}
}

func pausedInCycle(t *testing.T, release, port, at string) {
	var ports []*pausing
	s := setting{app: "gateway", release: release, wrap: map[string]func(xdp.Port) xdp.Port{lab.NodeA: func(p xdp.Port) xdp.Port {
		ports = append(ports, &pausing{Port: p})
		return ports[len(ports)-1]
	}}}
	w := steady(t, s)
	out := w.newTap(lab.Switch, lab.NodeA)
	p := ports[0]
	if port == "link" {
		p = ports[1]
	}
	var epoch uint32
	p.pause = func() {
		w.frozen[lab.NodeA] = true
		p.at = ""
		w.untilState(lab.NodeB, lane.Active)
		epoch = w.word(lab.NodeB).Epoch()
		w.steps(20 * time.Millisecond)
		out.drain(func([]byte) {}) // what left before
	}
	p.at, p.after = at, 3
	for i := 0; i < 2000 && epoch == 0; i++ {
		w.client.order()
		w.client.order()
		w.client.order() // more outputs than may ride, now and then
		w.step()
		if release == "ride" && port == "order" {
			// Only what did not ride passes the order port.
			w.client.order()
			w.client.order()
			w.client.order()
			w.step()
		}
	}
	if epoch == 0 {
		t.Fatalf("never came by there%s", w.describe())
	}
	// The paused cycle has ended: look at what it let out.
	held, late := w.held(lab.NodeB, epoch), 0
	out.outputs(func(_ uint16, template uint16, block []byte) {
		id, ok := reportID(template, block)
		if !ok {
			return
		}
		late++
		if !held[id] {
			t.Errorf("order %d was answered, the survivor lacks it", id)
		}
	})
	w.frozen[lab.NodeA] = false
	w.untilState(lab.NodeA, lane.Standby)
	w.orders(100)
	if n := out.outputs(func(uint16, uint16, []byte) {}); n != 0 {
		t.Errorf("%d datagrams left the woken node", n)
	}
	w.checkOnce()
	w.sameState()
	t.Logf("%d answers left late", late)
}
