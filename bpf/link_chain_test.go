package bpf

import (
	"bytes"
	"testing"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

func chainOn(h *host) { h.table.Config.Flags |= lane.ConfigChain }

// chainOf is a MIRROR at position whose ride, output 7, the standby shall let out,
// of a writer whose next output is next.
func chainOf(records int, position, next uint64, change func(*wire.Header)) func(*host) []byte {
	return func(h *host) []byte {
		return h.sent(wire.Mirror, bytesOf(records, 3), orderFrame(90), func(x *wire.Header) {
			x.Position, x.Tail, x.Output, x.Echo, x.Flags = position, position+uint64(records), 7, next, wire.FlagChain
			if change != nil {
				change(x)
			}
		})
	}
}

// The standby lets a ride out itself: once its record is in the log, in the order
// of the outputs, and only as STANDBY of the frame's epoch.
func TestChainVerdicts(t *testing.T) {
	left := func(h *host, out []byte) {
		h.t.Helper()
		want := orderFrame(90)
		copy(want[6:12], h.table.Config.OrderMAC[:])
		want[22]-- // TTL
		var from frame.Endpoint
		if _, _, ok := frame.Parse(out, &from); !ok || !frame.VLAN(0).Relayed(out) {
			h.t.Errorf("what leaves is not a relayed datagram: %x", out)
		}
		if sum := ipSum(out[14:34]); sum != 0xffff {
			h.t.Errorf("its IPv4 header sums up to %#x", sum)
		}
		copy(want[24:26], out[24:26])
		if !bytes.Equal(out, want) {
			h.t.Errorf("what leaves is not the ride\n%x\n%x", out, want)
		}
		if h.table.NextOutput != 8 {
			h.t.Errorf("next output %d", h.table.NextOutput)
		}
	}
	next := func(n uint64) func(*host, []byte) {
		return func(h *host, out []byte) {
			h.t.Helper()
			if h.table.NextOutput != n {
				h.t.Errorf("next output %d, want %d", h.table.NextOutput, n)
			}
			var x wire.Header
			if len(out) > frame.HeaderBytes && x.Parse(out[frame.HeaderBytes:]) == wire.OK && uint64(x.Successor) != n {
				h.t.Errorf("the ACK says that output %d is next, want %d", x.Successor, n)
			}
		}
	}
	nobody := func(h *host) {
		chainOn(h)
		noDevices(h)
	}
	both := uint8(wire.FlagChain)
	runLinkCases(t, lane.Standby, []linkCase{
		{name: "appended", prepare: chainOn, frame: chainOf(64, 0, 7, nil), verdict: xdpRedirect, counted: "mirror_appended ride_chained", tail: 64, check: left},
		{name: "without records", prepare: chainOn, frame: chainOf(0, 0, 7, nil), verdict: xdpRedirect, counted: "mirror_heartbeat ride_chained", check: left},
		{name: "the one before was let out here", prepare: func(h *host) { chainOn(h); h.table.NextOutput = 7 }, frame: chainOf(64, 0, 6, nil), verdict: xdpRedirect, counted: "mirror_appended ride_chained", tail: 64, check: left},
		{name: "not asked for", prepare: chainOn, frame: chainOf(64, 0, 7, func(x *wire.Header) { x.Flags = 0 }), verdict: xdpTx, counted: "mirror_appended", answer: wire.Ack, flags: both, tail: 64, check: next(7)},
		{name: "not configured", frame: chainOf(64, 0, 7, nil), verdict: xdpTx, counted: "mirror_appended", answer: wire.Ack, tail: 64, check: next(7)},
		{name: "one before is missing", prepare: chainOn, frame: chainOf(64, 0, 6, nil), verdict: xdpTx, counted: "mirror_appended", answer: wire.Ack, flags: both, tail: 64, check: next(6)},
		{name: "let out already", prepare: chainOn, frame: chainOf(64, 0, 8, nil), verdict: xdpTx, counted: "mirror_appended", answer: wire.Ack, flags: both, tail: 64, check: next(8)},
		{name: "no order NIC", prepare: nobody, frame: chainOf(64, 0, 7, nil), verdict: xdpTx, counted: "mirror_appended", answer: wire.Ack, flags: both, tail: 64, check: func(h *host, out []byte) {
			next(7)(h, out)
			h.setDevices()
		}},
		{name: "repeat", prepare: func(h *host) { chainOn(h); h.table.Tail = 64 }, frame: chainOf(64, 0, 7, nil), verdict: xdpTx, counted: "mirror_repeat", answer: wire.Ack, flags: both, tail: 64, check: next(7)},
		{name: "gap", prepare: chainOn, frame: chainOf(64, 32, 7, nil), verdict: xdpTx, counted: "mirror_gap", answer: wire.Ack, flags: both | wire.FlagGap, check: next(7)},
		{name: "CANDIDATE", state: lane.Candidate, prepare: chainOn, frame: chainOf(64, 0, 7, nil), verdict: xdpDrop, counted: "mirror_state", check: next(0)},
		{name: "ACTIVE", state: lane.Active, prepare: chainOn, frame: chainOf(64, 0, 7, nil), verdict: xdpDrop, counted: "mirror_state", check: next(0)},
		{name: "older epoch", prepare: chainOn, frame: chainOf(64, 0, 7, func(x *wire.Header) { x.Epoch-- }), verdict: xdpTx, counted: "mirror_stale", answer: wire.Stale, check: func(h *host, _ []byte) { next(0)(h, nil) }},
		{name: "newer epoch", prepare: chainOn, frame: chainOf(64, 0, 7, func(x *wire.Header) { x.Epoch++ }), verdict: xdpRedirect, counted: "mirror_newer", word: lane.Syncing, check: func(h *host, _ []byte) { next(0)(h, nil) }},
	})
}

// ipSum is an IPv4 header's sum in ones' complement: 0xffff if it is whole.
func ipSum(h []byte) uint32 {
	sum := uint32(0)
	for i := 0; i < len(h); i += 2 {
		sum += uint32(h[i])<<8 | uint32(h[i+1])
	}
	return sum&0xffff + sum>>16
}

// The writer learns from any ACK what the standby let out, and never goes back.
func TestAckTellsWhatTheStandbyLetOut(t *testing.T) {
	for _, c := range []struct {
		name             string
		next             uint64
		said             uint32
		ride             int
		output, wantNext uint64
		verdict          uint32
	}{
		{"nothing new", 5, 5, 0, 0, 5, xdpDrop},
		{"three of them", 5, 8, 0, 0, 8, xdpDrop},
		{"an older ACK", 8, 5, 0, 0, 8, xdpDrop},
		{"as many as can wait", 5, 5 + lane.OutputsMax, 0, 0, 5 + lane.OutputsMax, xdpDrop},
		{"more than can wait", 5, 6 + lane.OutputsMax, 0, 0, 5, xdpDrop},
		{"beyond half a number", 1<<32 - 1, 1, 0, 0, 1<<32 + 1, xdpDrop},
		{"and a ride behind them", 5, 8, 45, 8, 9, xdpRedirect},
		{"a ride that left there", 5, 8, 45, 7, 8, xdpDrop},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			h.reset(lane.Active)
			h.table.NextOutput = c.next
			verdict, _ := h.run(h.k.Link, h.ack(64, c.ride, c.output, func(x *wire.Header) { x.Successor = c.said }))
			if verdict != c.verdict || h.table.NextOutput != c.wantNext {
				t.Errorf("verdict %d, next output %d; want %d, %d", verdict, h.table.NextOutput, c.verdict, c.wantNext)
			}
		})
	}
}
