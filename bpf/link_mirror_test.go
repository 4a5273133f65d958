package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// linkCase is one frame and what must come of it.
type linkCase struct {
	name    string
	state   lane.State
	prepare func(h *host)        // after reset
	frame   func(h *host) []byte //
	verdict uint32
	counted string     // reasons, sorted
	answer  wire.Type  // of the frame that goes back, 0: none
	flags   uint8      // of the answer
	tail    uint64     // of the table, afterwards
	word    lane.State // afterwards; 0: unchanged
	check   func(h *host, out []byte)
}

// runLinkCases gives each case a fresh lane, in state unless the case has its own.
func runLinkCases(t *testing.T, state lane.State, cases []linkCase) {
	h := newHost(t)
	for _, c := range cases {
		if c.state == lane.Init {
			c.state = state
		}
		t.Run(c.name, func(t *testing.T) {
			h.t = t
			h.reset(c.state)
			if c.prepare != nil {
				c.prepare(h)
			}
			f := c.frame(h)
			h.mark()
			verdict, out := h.run(h.k.Link, f)
			if verdict != c.verdict {
				t.Errorf("verdict %d, want %d", verdict, c.verdict)
			}
			if got := h.counted(); got != c.counted {
				t.Errorf("counted %q, want %q", got, c.counted)
			}
			if h.table.Tail != c.tail {
				t.Errorf("tail %d, want %d", h.table.Tail, c.tail)
			}
			want := lane.MakeWord(epoch, c.state)
			if c.word != 0 {
				want = want.With(c.word)
			}
			if h.wordNow() != want {
				t.Errorf("authority %v, want %v", h.wordNow(), want)
			}
			if h.table.Busy != 0 && c.counted != "link_busy" {
				t.Error("left busy")
			}
			if c.answer != 0 {
				h.checkAnswer(f, out, c.answer, c.flags)
			}
			if c.check != nil {
				c.check(h, out)
			}
		})
	}
	h.t = t
}

// checkAnswer compares the whole frame that goes back with the one it answers.
func (h *host) checkAnswer(f, out []byte, typ wire.Type, flags uint8) wire.Header {
	h.t.Helper()
	var asked, got wire.Header
	asked.Parse(f[frame.HeaderBytes:])
	if c := got.Parse(out[frame.HeaderBytes:]); c != wire.OK {
		h.t.Fatalf("answer does not parse: %v", c)
	}
	if !h.us.Verify(out[frame.HeaderBytes:]) {
		h.t.Error("answer is not sealed with this node's key")
	}
	if !h.us.Enabled && binary.LittleEndian.Uint64(out[frame.HeaderBytes+88:]) != 0 {
		h.t.Error("a MAC without authentication")
	}
	want := wire.Header{
		Type: typ, Lane: laneID, Node: ourNode, Epoch: h.wordNow().Epoch(), Path: lane.PathLink, Flags: flags,
		Position: asked.Position + uint64(asked.LengthBytes), Tail: h.table.Tail, Applied: h.table.Engine.Released,
		Authority: h.wordNow(), Incarnation: ourInc, Echo: asked.Counter, Counter: h.table.LinkCounter,
	}
	if typ == wire.Ack {
		want.Applied = h.table.Engine.Applied
		want.Successor = uint32(h.table.NextOutput)
	}
	if typ == wire.Fenced {
		want.Successor = peerNode
	}
	if typ == wire.Ack && asked.RideBytes > 0 {
		want.Position, want.LengthBytes, want.RideBytes, want.Output = asked.Position, asked.LengthBytes, asked.RideBytes, asked.Output
		if !bytes.Equal(out[frame.HeaderBytes+wire.HeaderBytes:], f[frame.HeaderBytes+wire.HeaderBytes:]) {
			h.t.Error("what was bounced is not what came")
		}
	}
	if got != want {
		h.t.Errorf("answer\n%+v, want\n%+v", got, want)
	}
	body := int(want.LengthBytes) + int(want.RideBytes)
	if len(out) != frame.HeaderBytes+wire.HeaderBytes+body {
		h.t.Errorf("answer has %d bytes", len(out))
	}
	back := linkHeaders(wire.HeaderBytes + body)
	copy(back[0:6], peerMAC[:])
	copy(back[6:12], linkMAC[:])
	copy(back[26:30], linkIP[:])
	copy(back[30:34], peerIP[:])
	if !bytes.Equal(out[:frame.HeaderBytes], back[:frame.HeaderBytes]) {
		h.t.Errorf("headers of the answer\n%x, want\n%x", out[:frame.HeaderBytes], back[:frame.HeaderBytes])
	}
	return got
}

// at puts the log's end and its reader at position.
func at(position uint64) func(*host) {
	return func(h *host) { h.table.Tail, h.table.Engine.Applied = position, position }
}

// records is a MIRROR of n record bytes at position.
func records(position uint64, n, ride int) func(*host) []byte {
	return func(h *host) []byte {
		return h.sent(wire.Mirror, bytesOf(n, 3), bytesOf(ride, 9), func(x *wire.Header) { x.Position, x.Output = position, 41 })
	}
}

// written checks that the ring holds records(…, n, …) at offset and nothing
// behind it was touched.
func written(offset, n int) func(*host, []byte) {
	return func(h *host, _ []byte) {
		h.t.Helper()
		if !bytes.Equal(h.ring[offset:offset+n], bytesOf(n, 3)) {
			h.t.Error("the ring does not hold the records")
		}
		if !bytes.Equal(h.ring[offset+n:offset+n+64], make([]byte, 64)) {
			h.t.Error("bytes behind the records were touched")
		}
	}
}

func clean(h *host) { clear(h.ring) }

func TestMirrorVerdicts(t *testing.T) {
	both := func(fs ...func(*host)) func(*host) {
		return func(h *host) {
			for _, f := range fs {
				f(h)
			}
		}
	}
	inEpoch := func(e uint32, n int) func(*host) []byte {
		return func(h *host) []byte {
			return h.sent(wire.Mirror, bytesOf(n, 3), nil, func(x *wire.Header) { x.Epoch = e })
		}
	}
	cases := []linkCase{
		{name: "append", prepare: clean, frame: records(0, 96, 0), verdict: xdpTx, counted: "mirror_appended", answer: wire.Ack, tail: 96, check: written(0, 96)},
		{name: "append with ride", prepare: clean, frame: records(0, 96, 61), verdict: xdpTx, counted: "mirror_appended", answer: wire.Ack, tail: 96, check: written(0, 96)},
		{name: "ride alone", frame: records(0, 0, 61), verdict: xdpTx, counted: "mirror_heartbeat", answer: wire.Ack},
		{name: "heartbeat", prepare: at(64), frame: records(64, 0, 0), verdict: xdpTx, counted: "mirror_heartbeat", answer: wire.Ack, tail: 64},
		{name: "longest", prepare: clean, frame: records(0, 1536, 0), verdict: xdpTx, counted: "mirror_appended", answer: wire.Ack, tail: 1536, check: written(0, 1536)},
		{name: "duplicate", prepare: at(96), frame: records(0, 96, 0), verdict: xdpTx, counted: "mirror_repeat", answer: wire.Ack, tail: 96},
		{name: "duplicate with ride", prepare: at(96), frame: records(0, 96, 40), verdict: xdpTx, counted: "mirror_repeat", answer: wire.Ack, tail: 96},
		{name: "old heartbeat", prepare: at(96), frame: records(32, 0, 0), verdict: xdpTx, counted: "mirror_repeat", answer: wire.Ack, tail: 96},
		{name: "partial overlap", prepare: at(64), frame: records(32, 64, 0), verdict: xdpTx, counted: "mirror_gap", answer: wire.Ack, flags: wire.FlagGap, tail: 64},
		{name: "gap", prepare: at(64), frame: records(96, 32, 0), verdict: xdpTx, counted: "mirror_gap", answer: wire.Ack, flags: wire.FlagGap, tail: 64},
		{name: "gap with ride", prepare: at(64), frame: records(96, 32, 20), verdict: xdpTx, counted: "mirror_gap", answer: wire.Ack, flags: wire.FlagGap, tail: 64},
		{name: "heartbeat ahead", prepare: at(64), frame: records(96, 0, 0), verdict: xdpTx, counted: "mirror_gap", answer: wire.Ack, flags: wire.FlagGap, tail: 64},
		{name: "up to the ring's end", prepare: both(clean, at(ringBytes-64)), frame: records(ringBytes-64, 64, 0), verdict: xdpTx, counted: "mirror_appended", answer: wire.Ack, tail: ringBytes, check: written(ringBytes-64, 64)},
		{name: "wrap", prepare: both(clean, at(5*ringBytes)), frame: records(5*ringBytes, 64, 0), verdict: xdpTx, counted: "mirror_appended", answer: wire.Ack, tail: 5*ringBytes + 64, check: written(0, 64)},
		{name: "cross the ring's end", prepare: at(ringBytes - 64), frame: records(ringBytes-64, 96, 0), verdict: xdpTx, counted: "mirror_cross", answer: wire.Ack, flags: wire.FlagCross, tail: ringBytes - 64},
		{name: "last byte before the reader", prepare: both(clean, func(h *host) { h.table.Tail, h.table.Engine.Applied = ringBytes, 64 }), frame: records(ringBytes, 64, 0), verdict: xdpTx, counted: "mirror_appended", answer: wire.Ack, tail: ringBytes + 64},
		{name: "full", prepare: func(h *host) { h.table.Tail, h.table.Engine.Applied = ringBytes, 32 }, frame: records(ringBytes, 64, 0), verdict: xdpTx, counted: "mirror_full", answer: wire.Ack, flags: wire.FlagFull, tail: ringBytes},
		{name: "older epoch", frame: inEpoch(epoch-1, 64), verdict: xdpTx, counted: "mirror_stale", answer: wire.Stale},
		{name: "older epoch, ACTIVE", state: lane.Active, frame: inEpoch(epoch-1, 64), verdict: xdpTx, counted: "mirror_stale", answer: wire.Stale},
		{name: "newer epoch", frame: inEpoch(epoch+1, 64), verdict: xdpRedirect, counted: "mirror_newer", word: lane.Syncing},
		{name: "newer epoch, ACTIVE", state: lane.Active, frame: inEpoch(epoch+1, 64), verdict: xdpRedirect, counted: "mirror_newer", word: lane.Syncing},
		{name: "newer epoch, SYNCING", state: lane.Syncing, frame: inEpoch(epoch+1, 64), verdict: xdpRedirect, counted: "mirror_newer"},
		{name: "SYNCING", state: lane.Syncing, frame: records(0, 64, 0), verdict: xdpRedirect, counted: "mirror_to_engine"},
		{name: "SYNCING, no socket", state: lane.Syncing, prepare: func(h *host) { h.setLink(false) }, frame: records(0, 64, 0), verdict: xdpDrop, counted: "link_no_engine"},
		{name: "authentication off", prepare: both(clean, authOff), frame: records(0, 96, 33), verdict: xdpTx, counted: "mirror_appended", answer: wire.Ack, tail: 96, check: written(0, 96)},
	}
	for _, s := range []lane.State{lane.Candidate, lane.Active, lane.Fenced} {
		cases = append(cases, linkCase{name: "not a standby: " + s.String(), state: s, frame: records(0, 64, 0), verdict: xdpDrop, counted: "mirror_state"})
	}
	runLinkCases(t, lane.Standby, cases)
}

func TestInitTakesNothing(t *testing.T) {
	runLinkCases(t, lane.Init, []linkCase{
		{name: "not a standby", frame: records(0, 64, 0), verdict: xdpDrop, counted: "mirror_state"},
		{name: "newer epoch", frame: func(h *host) []byte {
			return h.sent(wire.Mirror, bytesOf(64, 3), nil, func(x *wire.Header) { x.Epoch++ })
		}, verdict: xdpRedirect, counted: "mirror_newer"},
	})
}

func authOff(h *host) {
	h.table.Config.Flags &^= lane.ConfigAuth
	h.us.Enabled, h.peer.Enabled = false, false
}

// Every length a frame can have is hashed as Go hashes it: whole steps in
// place, the rest padded.
func TestEveryPayloadLength(t *testing.T) {
	h := newHost(t)
	for n := 14; n <= wire.PayloadMaxBytes; n++ {
		records := n / 64 * 32
		h.table.Tail, h.table.Engine.Applied = 0, 0
		f := h.sent(wire.Mirror, bytesOf(records, byte(n)), bytesOf(n-records, byte(n)+5), nil)
		verdict, out := h.run(h.k.Link, f)
		if verdict != xdpTx || !h.us.Verify(out[frame.HeaderBytes:]) || h.table.Tail != uint64(records) {
			t.Fatalf("payload of %d bytes: verdict %d, tail %d, want %d", n, verdict, h.table.Tail, records)
		}
	}
}

// What the standby keeps of the primary's view.
func TestMirrorPublishesThePeer(t *testing.T) {
	h := newHost(t)
	h.run(h.k.Link, h.sent(wire.Mirror, bytesOf(64, 1), nil, func(x *wire.Header) { x.Applied = 32 }))
	p := h.table.Peer
	if p.Frames != 1 || p.Released != 32 || p.Authority != uint64(lane.MakeWord(epoch, lane.Active)) {
		t.Errorf("peer %+v", p)
	}
	if got := fmt.Sprint(h.table.RxCounter); got != "[1 0 0 0 0]" {
		t.Errorf("counters %s", got)
	}
}
