package bpf

import (
	"bytes"
	"encoding/binary"
	"testing"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

func TestSteerVerdicts(t *testing.T) {
	empty := gone
	// A socket on another queue than the one frames arrive on: misconfigured.
	misplaced := func(h *host) {
		h.setOrder(false)
		h.order = h.setSlot(h.order, true, func(lane, _, fd int) error { return h.k.SetOrderSocket(lane, 1, fd) })
		h.table.Config.OrderQueue = 1
	}
	silent := func(h *host) { h.table.Watch.SilentTicks = h.table.Config.SilenceTicks }
	syncing := func(h *host) { h.table.Peer.Authority = uint64(lane.MakeWord(epoch, lane.Syncing)) }
	alone := func(h *host) { h.table.Config.PeerNode = 0 }
	all := func(fs ...func(*host)) func(*host) {
		return func(h *host) {
			for _, f := range fs {
				f(h)
			}
		}
	}
	h := newHost(t)
	for _, c := range []struct {
		name    string
		state   lane.State
		prepare func(*host)
		bytes   int // of the order's payload
		verdict uint32
		counted string
		word    lane.State
		why     lane.Why
	}{
		{name: "ACTIVE", state: lane.Active, verdict: xdpRedirect, counted: "order_to_engine", word: lane.Active},
		{name: "waits in CANDIDATE", state: lane.Candidate, verdict: xdpRedirect, counted: "order_waits", word: lane.Candidate},
		{name: "CANDIDATE without socket", state: lane.Candidate, prepare: empty, verdict: xdpDrop, counted: "order_no_engine", word: lane.Candidate},
		{name: "INIT", state: lane.Init, verdict: xdpDrop, counted: "order_not_active", word: lane.Init},
		{name: "SYNCING", state: lane.Syncing, verdict: xdpDrop, counted: "order_not_active", word: lane.Syncing},
		{name: "STANDBY", state: lane.Standby, verdict: xdpDrop, counted: "order_not_active", word: lane.Standby},
		{name: "FENCED forwards", state: lane.Fenced, verdict: xdpRedirect, counted: "order_forwarded", word: lane.Fenced},
		{name: "engine gone", state: lane.Active, prepare: empty, verdict: xdpRedirect, counted: "fenced_by_steer order_forwarded", word: lane.Fenced, why: lane.WhySlotEmpty},
		{name: "engine stuck", state: lane.Active, prepare: stuck, verdict: xdpRedirect, counted: "fenced_by_steer order_forwarded", word: lane.Fenced, why: lane.WhyStuck},
		{name: "engine stuck, successor silent", state: lane.Active, prepare: all(stuck, silent), verdict: xdpRedirect, counted: "order_to_engine", word: lane.Active},
		{name: "engine stuck, successor not in sync", state: lane.Active, prepare: all(stuck, syncing), verdict: xdpRedirect, counted: "order_to_engine", word: lane.Active},
		{name: "engine gone, no successor", state: lane.Active, prepare: all(empty, alone), verdict: xdpDrop, counted: "order_no_engine", word: lane.Active},
		{name: "engine gone, successor silent", state: lane.Active, prepare: all(empty, silent), verdict: xdpDrop, counted: "order_no_engine", word: lane.Active},
		{name: "socket on another queue", state: lane.Active, prepare: misplaced, verdict: xdpDrop, counted: "order_no_engine", word: lane.Active},
		{name: "longest that can be forwarded", state: lane.Fenced, bytes: linkMax - LinkHeaders - frame.HeaderBytes, verdict: xdpRedirect, counted: "order_forwarded", word: lane.Fenced},
		{name: "longer than the link's MTU", state: lane.Fenced, bytes: linkMax - LinkHeaders - frame.HeaderBytes + 1, verdict: xdpDrop, counted: "order_too_long", word: lane.Fenced},
		{name: "longer than a payload", state: lane.Fenced, prepare: func(h *host) { h.table.Config.LinkFrameMax = 9014 }, bytes: 1500, verdict: xdpDrop, counted: "order_too_long", word: lane.Fenced},
		{name: "no link NIC", state: lane.Fenced, prepare: noDevices, verdict: xdpDrop, counted: "no_device", word: lane.Fenced},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.t = t
			h.reset(c.state)
			h.setDevices()
			if c.prepare != nil {
				c.prepare(h)
			}
			if c.bytes == 0 {
				c.bytes = 70
			}
			f := orderFrame(c.bytes)
			h.mark()
			verdict, out := h.run(h.k.Steer, f)
			if got := h.counted(); verdict != c.verdict || got != c.counted {
				t.Errorf("verdict %d counted %q, want %d %q", verdict, got, c.verdict, c.counted)
			}
			if want := lane.MakeWord(epoch, c.word); h.wordNow() != want {
				t.Errorf("authority %v, want %v", h.wordNow(), want)
			}
			w := h.table.Watch
			if w.CandidateWhy != uint64(c.why) || (w.FencedNs != 0) != (c.why != lane.WhyNone) {
				t.Errorf("watch %+v, want %v", w, c.why)
			}
			if c.why != lane.WhyNone && w.FencedWord != uint64(lane.MakeWord(epoch, lane.Active)) {
				t.Errorf("took away %v", lane.Word(w.FencedWord))
			}
			if c.verdict == xdpRedirect && c.word != lane.Fenced && !bytes.Equal(out, f) {
				t.Error("the engine gets another frame than the client sent")
			}
			h.setOrder(false)
		})
	}
	h.t = t
}

// The whole frame that carries an order to the successor, header by header.
func TestForwardedFrame(t *testing.T) {
	h := newHost(t)
	for _, auth := range []bool{true, false} {
		for n := range 400 { // every tail of the hash
			h.reset(lane.Fenced)
			h.table.Tail, h.table.Engine.Released, h.table.SteerCounter = 640, 608, 41
			if !auth {
				authOff(h)
			}
			f := orderFrame(n)
			verdict, out := h.run(h.k.Steer, f)
			if verdict != xdpRedirect {
				t.Fatalf("order of %d bytes: verdict %d", n, verdict)
			}
			want := make([]byte, LinkHeaders+len(f))
			copy(want, linkHeaders(wire.HeaderBytes+len(f)))
			copy(want[0:6], peerMAC[:])
			copy(want[6:12], linkMAC[:])
			copy(want[26:30], linkIP[:])
			copy(want[30:34], peerIP[:])
			// Ours sends no identification and lets routers fragment, as nobody is between.
			copy(want[18:22], []byte{0, 0, 0, 0})
			binary.BigEndian.PutUint16(want[24:], 0)
			binary.BigEndian.PutUint16(want[24:], internetSum(want[14:34]))
			hd := wire.Header{
				Type: wire.Forward, Lane: laneID, Node: ourNode, Epoch: epoch, RideBytes: uint16(len(f)), Path: lane.PathSteer,
				Successor: peerNode, Tail: 640, Applied: 608, Authority: lane.MakeWord(epoch, lane.Fenced), Incarnation: ourInc, Counter: 42,
			}
			hd.Put(want[frame.HeaderBytes:])
			copy(want[LinkHeaders:], f)
			h.us.Seal(want[frame.HeaderBytes:])
			if !bytes.Equal(out, want) {
				t.Fatalf("order of %d bytes forwarded as\n%x, want\n%x", n, out, want)
			}
		}
	}
}

// internetSum is RFC 1071 over a header whose checksum is zero.
func internetSum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// The link program of the successor takes what the steering program sends.
func TestForwardIsTaken(t *testing.T) {
	writer, successor := newHost(t), newHost(t)
	writer.reset(lane.Fenced)
	c := &successor.table.Config
	c.Node, c.PeerNode, c.Incarnation, c.PeerIncarnation = peerNode, ourNode, peerInc, ourInc
	c.LinkIP, c.PeerLinkIP, c.TxKey, c.RxKey = peerIP, linkIP, c.RxKey, c.TxKey
	_, out := writer.run(writer.k.Steer, orderFrame(133))
	successor.mark()
	verdict, _ := successor.run(successor.k.Link, out)
	if got := successor.counted(); verdict != xdpRedirect || got != "candidate forward_received" {
		t.Errorf("verdict %d counted %s", verdict, got)
	}
}

const orderVLAN = 77

// tagged puts an 802.1Q tag into a frame.
func tagged(f []byte, tci uint16) []byte {
	return append(append(append([]byte(nil), f[:12]...), 0x81, 0, byte(tci>>8), byte(tci)), f[12:]...)
}

// Where the order network has a tag, orders, ARP and the second path come and
// go with it; frames without it, or with another, are the kernel's.
func TestTaggedOrderNetwork(t *testing.T) {
	h := newTaggedHost(t, orderVLAN)
	ask, reply := make([]byte, frame.ARPBytes), make([]byte, frame.ARPBytes)
	frame.PutARPRequest(ask, clientMAC, clientIP, laneIP)
	frame.PutARPReply(reply, orderMAC, laneIP, clientMAC, clientIP)
	const ours, priority = orderVLAN, 5 << 13
	for _, c := range []struct {
		name    string
		state   lane.State
		tci     int // -1: untagged
		frame   []byte
		verdict uint32
		counted string
		out     []byte
	}{
		{"order", lane.Active, ours, orderFrame(70), xdpRedirect, "order_to_engine", tagged(orderFrame(70), ours)},
		{"order with a priority", lane.Active, ours | priority, orderFrame(70), xdpRedirect, "order_to_engine", tagged(orderFrame(70), ours|priority)},
		{"order to a standby", lane.Standby, ours, orderFrame(70), xdpDrop, "order_not_active", nil},
		{"ARP", lane.Active, ours | priority, ask, xdpRedirect, "arp_answered", tagged(reply, ours|priority)},
		{"order of another network", lane.Active, ours + 1, orderFrame(70), xdpPass, "", nil},
		{"order without a tag", lane.Active, -1, orderFrame(70), xdpPass, "", nil},
		{"ARP without a tag", lane.Active, -1, ask, xdpPass, "", nil},
		{"tag alone", lane.Active, ours, orderFrame(70)[:14], xdpPass, "", nil},
		{"less than a tag", lane.Active, -1, tagged(orderFrame(70), ours)[:16], xdpPass, "", nil},
	} {
		h.reset(c.state)
		f := c.frame
		if c.tci >= 0 {
			f = tagged(f, uint16(c.tci))
		}
		h.mark()
		verdict, out := h.run(h.k.Steer, f)
		if got := h.counted(); verdict != c.verdict || got != c.counted || c.out != nil && !bytes.Equal(out, c.out) {
			t.Errorf("%s: verdict %d counted %q\n%x, want\n%x", c.name, verdict, got, out, c.out)
		}
	}
	h.reset(lane.Active)
	probe := tagged(second(wire.Probe, standbyWord, nil)(h), ours)
	verdict, out := h.run(h.k.Steer, probe)
	if verdict != xdpRedirect || len(out) != len(probe) || !bytes.Equal(out[12:16], probe[12:16]) || out[12+4+2+28+5] != byte(wire.Life) {
		t.Errorf("a tagged PROBE: verdict %d\n%x", verdict, out)
	}
}

func TestARP(t *testing.T) {
	h := newHost(t)
	ask := func(target [4]byte) []byte {
		f := make([]byte, frame.ARPBytes)
		frame.PutARPRequest(f, clientMAC, clientIP, target)
		return f
	}
	reply := make([]byte, frame.ARPBytes)
	frame.PutARPReply(reply, orderMAC, laneIP, clientMAC, clientIP)
	other := func(change func([]byte)) []byte { f := ask(laneIP); change(f); return f }
	type arpCase struct {
		name    string
		state   lane.State
		frame   []byte
		verdict uint32
		counted string
		out     []byte
	}
	cases := []arpCase{
		{"ACTIVE answers", lane.Active, ask(laneIP), xdpRedirect, "arp_answered", reply},
		{"another address", lane.Active, ask([4]byte{10, 9, 0, 101}), xdpPass, "", nil},
		{"a reply", lane.Active, other(func(f []byte) { f[21] = 2 }), xdpPass, "", nil},
		{"not IPv4", lane.Active, other(func(f []byte) { f[16] = 0x86 }), xdpPass, "", nil},
		{"truncated", lane.Active, ask(laneIP)[:40], xdpPass, "", nil},
	}
	without := arpCase{"no order NIC", lane.Active, ask(laneIP), xdpDrop, "no_device", nil}
	for _, s := range []lane.State{lane.Init, lane.Syncing, lane.Standby, lane.Candidate, lane.Fenced} {
		cases = append(cases, arpCase{s.String() + " is silent", s, ask(laneIP), xdpDrop, "arp_not_active", nil})
	}
	for _, c := range append(cases, without) {
		t.Run(c.name, func(t *testing.T) {
			h.t = t
			h.reset(c.state)
			if c.name == without.name {
				noDevices(h)
			}
			h.mark()
			verdict, out := h.run(h.k.Steer, c.frame)
			if got := h.counted(); verdict != c.verdict || got != c.counted {
				t.Errorf("verdict %d counted %q", verdict, got)
			}
			if c.out != nil && !bytes.Equal(out, c.out) {
				t.Errorf("answer\n%x, want\n%x", out, c.out)
			}
		})
	}
	h.t = t
}

// Traffic that is not for the lane is the kernel's, whatever the state.
func TestSteerPasses(t *testing.T) {
	h := newHost(t)
	notOurs := map[string]func([]byte) []byte{
		"another address": func(f []byte) []byte { f[33]++; return f },
		"address 0":       func(f []byte) []byte { clear(f[30:34]); return f },
	}
	for name, change := range notOursAnywhere {
		notOurs[name] = change
	}
	for name, change := range notOurs {
		for s := range lane.StateCount {
			h.reset(lane.State(s))
			f := change(orderFrame(70))
			h.mark()
			verdict, out := h.run(h.k.Steer, f)
			if got := h.counted(); verdict != xdpPass || got != "" || !bytes.Equal(out, f) {
				t.Errorf("%s in %v: verdict %d counted %q", name, lane.State(s), verdict, got)
			}
		}
	}
}
