package bpf

import (
	"bytes"
	"testing"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// ack is a bounced MIRROR of position 0 that carries output, as a standby that
// holds everything sends it.
func (h *host) ack(records, ride int, output uint64, change func(*wire.Header)) []byte {
	return h.sent(wire.Ack, bytesOf(records, 3), bytesOf(ride, 9), func(x *wire.Header) {
		x.Path, x.Tail, x.Applied, x.Output, x.Echo = lane.PathLink, uint64(records), 32, output, 77
		x.Authority = lane.MakeWord(epoch, lane.Standby)
		if change != nil {
			change(x)
		}
	})
}

func rideOf(records, ride int, output uint64, change func(*wire.Header)) func(*host) []byte {
	return func(h *host) []byte { return h.ack(records, ride, output, change) }
}

func TestAckVerdicts(t *testing.T) {
	published := func(tail, next uint64) func(*host, []byte) {
		return func(h *host, _ []byte) {
			h.t.Helper()
			p := h.table.Peer
			if p.Tail != tail || p.Applied != 32 || p.Echo != 77 || h.table.NextOutput != next {
				h.t.Errorf("peer %+v next output %d, want tail %d next %d", p, h.table.NextOutput, tail, next)
			}
		}
	}
	released := func(ride int, tail, next uint64) func(*host, []byte) {
		return func(h *host, out []byte) {
			h.t.Helper()
			published(tail, next)(h, out)
			if !bytes.Equal(out, bytesOf(ride, 9)) {
				h.t.Errorf("what leaves has %d bytes and is not the ride of %d", len(out), ride)
			}
		}
	}
	silent := func(h *host, _ []byte) {
		h.t.Helper()
		if h.table.Peer.Tail != 0 || h.table.Peer.Echo != 0 || h.table.NextOutput != 0 {
			h.t.Errorf("published: %+v, next output %d", h.table.Peer, h.table.NextOutput)
		}
	}
	runLinkCases(t, lane.Active, []linkCase{
		{name: "alone", frame: rideOf(0, 0, 0, func(x *wire.Header) { x.Position, x.Tail = 96, 96 }), verdict: xdpDrop, counted: "ack", check: published(96, 0)},
		{name: "ride", frame: rideOf(64, 45, 0, nil), verdict: xdpRedirect, counted: "ride_released", check: released(45, 64, 1)},
		{name: "ride without records", frame: rideOf(0, 60, 0, nil), verdict: xdpRedirect, counted: "ride_released", check: released(60, 0, 1)},
		{name: "longest ride", frame: rideOf(0, 1536, 0, nil), verdict: xdpRedirect, counted: "ride_released", check: released(1536, 0, 1)},
		{name: "ride, authentication off", prepare: authOff, frame: rideOf(64, 45, 0, nil), verdict: xdpRedirect, counted: "ride_released", check: released(45, 64, 1)},
		{name: "standby holds more", frame: rideOf(64, 45, 0, func(x *wire.Header) { x.Tail = 640 }), verdict: xdpRedirect, counted: "ride_released", check: released(45, 640, 1)},
		{name: "uncovered", frame: rideOf(64, 45, 0, func(x *wire.Header) { x.Tail = 32 }), verdict: xdpDrop, counted: "ack ride_uncovered", check: published(32, 0)},
		{name: "after a gap", frame: rideOf(64, 45, 0, func(x *wire.Header) { x.Position, x.Tail, x.Flags = 96, 64, wire.FlagGap }), verdict: xdpDrop, counted: "ack ride_uncovered", check: published(64, 0)},
		{name: "output too early", frame: rideOf(64, 45, 1, nil), verdict: xdpDrop, counted: "ack ride_order", check: published(64, 0)},
		{name: "output already released", prepare: func(h *host) { h.table.NextOutput = 8 }, frame: rideOf(64, 45, 7, nil), verdict: xdpDrop, counted: "ack ride_order", check: published(64, 8)},
		{name: "no order NIC", prepare: noDevices, frame: rideOf(64, 45, 0, nil), verdict: xdpDrop, counted: "no_device", check: func(h *host, _ []byte) { h.setDevices() }},
		{name: "after FENCED", state: lane.Fenced, frame: rideOf(64, 45, 0, nil), verdict: xdpDrop, counted: "ack_stale ride_fenced", check: silent},
		{name: "alone after FENCED", state: lane.Fenced, frame: rideOf(0, 0, 0, nil), verdict: xdpDrop, counted: "ack_stale", check: silent},
		{name: "SYNCING", state: lane.Syncing, frame: rideOf(64, 45, 0, nil), verdict: xdpDrop, counted: "ack_stale ride_fenced", check: silent},
		{name: "CANDIDATE", state: lane.Candidate, frame: rideOf(64, 45, 0, nil), verdict: xdpDrop, counted: "ack_stale ride_fenced", check: silent},
		{name: "older epoch", frame: rideOf(64, 45, 0, func(x *wire.Header) { x.Epoch, x.Authority = epoch-1, lane.MakeWord(epoch-1, lane.Standby) }), verdict: xdpDrop, counted: "ack_stale ride_fenced", check: silent},
		{name: "newer epoch", frame: rideOf(64, 45, 0, func(x *wire.Header) { x.Epoch++ }), verdict: xdpRedirect, counted: "mirror_newer", word: lane.Syncing, check: silent},
		{name: "from one that is no standby", frame: rideOf(64, 45, 0, func(x *wire.Header) { x.Authority = lane.MakeWord(epoch, lane.Candidate) }), verdict: xdpDrop, counted: "ack_stale ride_fenced", check: silent},
		{name: "another incarnation", frame: rideOf(64, 45, 0, func(x *wire.Header) { x.Incarnation++ }), verdict: xdpDrop, counted: "link_incarnation", check: silent},
		{name: "another node", frame: rideOf(64, 45, 0, func(x *wire.Header) { x.Node++ }), verdict: xdpDrop, counted: "link_node", check: silent},
		{name: "FULL is told", frame: rideOf(0, 0, 0, func(x *wire.Header) { x.Flags = wire.FlagFull }), verdict: xdpDrop, counted: "ack", check: func(h *host, _ []byte) {
			if h.table.Peer.Flags != wire.FlagFull {
				h.t.Errorf("flags %d", h.table.Peer.Flags)
			}
		}},
		{name: "an older ACK lowers nothing", prepare: func(h *host) { h.table.Peer.Tail, h.table.Peer.Echo = 640, 100 }, frame: rideOf(0, 0, 0, nil), verdict: xdpDrop, counted: "ack", check: func(h *host, _ []byte) {
			if h.table.Peer.Tail != 640 || h.table.Peer.Echo != 100 {
				h.t.Errorf("peer %+v", h.table.Peer)
			}
		}},
	})
}

func noDevices(h *host) {
	for i := range uint32(2) {
		if err := h.k.maps["devs"].Delete(laneID*2 + i); err != nil {
			h.t.Fatal(err)
		}
	}
}

// Rides leave once and in the order of their numbers, whatever the network does
// to their frames.
func TestRidesLeaveOnceInOrder(t *testing.T) {
	h := newHost(t)
	h.reset(lane.Active)
	for i, c := range []struct {
		output  uint64
		verdict uint32
	}{{1, xdpDrop}, {0, xdpRedirect}, {0, xdpDrop}, {2, xdpDrop}, {1, xdpRedirect}, {1, xdpDrop}, {2, xdpRedirect}} {
		if verdict, _ := h.run(h.k.Link, h.ack(64, 45, c.output, nil)); verdict != c.verdict {
			t.Errorf("step %d: output %d: verdict %d, want %d", i, c.output, verdict, c.verdict)
		}
	}
}

// A MIRROR with a ride, bounced by one node's program and released by the
// other's: what leaves is exactly what was put in.
func TestBounceAndRelease(t *testing.T) {
	standby, primary := newHost(t), newHost(t)
	primary.reset(lane.Active)
	// The primary plays the peer of this pair: its table is the standby's mirrored.
	c := &primary.table.Config
	c.Node, c.PeerNode, c.Incarnation, c.PeerIncarnation = peerNode, ourNode, peerInc, ourInc
	c.LinkIP, c.PeerLinkIP, c.TxKey, c.RxKey = peerIP, linkIP, c.RxKey, c.TxKey
	ride := orderFrame(90)
	f := standby.sent(wire.Mirror, bytesOf(160, 3), ride, nil)
	verdict, bounced := standby.run(standby.k.Link, f)
	if verdict != xdpTx {
		t.Fatalf("standby: verdict %d", verdict)
	}
	verdict, out := primary.run(primary.k.Link, bounced)
	if verdict != xdpRedirect || !bytes.Equal(out, ride) {
		t.Fatalf("primary: verdict %d, %d bytes leave", verdict, len(out))
	}
	if p := primary.table.Peer; p.Tail != 160 || p.Echo != 1 || primary.table.NextOutput != 1 {
		t.Errorf("primary knows %+v, next output %d", p, primary.table.NextOutput)
	}
	if len(f) != len(bounced) || frame.HeaderBytes+wire.HeaderBytes+160+len(ride) != len(f) {
		t.Errorf("%d bytes went, %d came back", len(f), len(bounced))
	}
}
