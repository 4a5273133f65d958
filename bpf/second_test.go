package bpf

import (
	"bytes"
	"testing"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// second is a frame of the peer's engine on the second path.
func second(typ wire.Type, w lane.Word, change func(*wire.Header)) func(*host) []byte {
	return func(h *host) []byte {
		h.counter++
		hd := wire.Header{Type: typ, Lane: laneID, Node: peerNode, Epoch: w.Epoch(), Authority: w,
			Path: lane.PathEngineOrder, Incarnation: peerInc, Counter: h.counter}
		if change != nil {
			change(&hd)
		}
		return h.sealSecond(&hd, make([]byte, hd.LengthBytes), make([]byte, hd.RideBytes))
	}
}

var (
	activeWord  = lane.MakeWord(epoch, lane.Active)
	standbyWord = lane.MakeWord(epoch, lane.Standby)
	fencedWord  = lane.MakeWord(epoch, lane.Fenced)
)

// secondCase is one frame to the steering program of a node in a state.
type secondCase struct {
	name    string
	state   lane.State
	prepare func(*host)
	frame   func(*host) []byte
	verdict uint32
	counted string
	word    lane.Word // 0: unchanged
	heard   bool      // it breaks silence
	answer  wire.Type
}

func runSecondCases(t *testing.T, cases []secondCase) {
	h := newHost(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h.t = t
			h.reset(c.state)
			h.setDevices()
			if c.prepare != nil {
				c.prepare(h)
			}
			h.table.Tail, h.table.Engine.Released = 640, 608
			before, want := *h.table, h.wordNow()
			f := c.frame(h)
			h.mark()
			verdict, out := h.run(h.k.Steer, f)
			if got := h.counted(); verdict != c.verdict || got != c.counted {
				t.Errorf("verdict %d counted %q, want %d %q", verdict, got, c.verdict, c.counted)
			}
			if c.word != 0 {
				want = c.word
			}
			if h.wordNow() != want {
				t.Errorf("authority %v, want %v", h.wordNow(), want)
			}
			if heard := h.table.Second.Frames != before.Second.Frames; heard != c.heard {
				t.Errorf("heard %v", heard)
			}
			if !c.heard && *h.table != before {
				t.Errorf("the lane took notice: %+v, was %+v", *h.table, before)
			}
			if c.answer != 0 {
				h.checkSecondAnswer(f, out, c.answer)
			}
		})
	}
	h.t = t
}

// checkSecondAnswer compares an answer on the second path byte by byte.
func (h *host) checkSecondAnswer(probe, got []byte, typ wire.Type) {
	h.t.Helper()
	var asked wire.Header
	asked.Parse(probe[frame.HeaderBytes:])
	want := bytes.Clone(probe)
	copy(want[0:6], peerOrderMAC[:])
	copy(want[6:12], orderMAC[:])
	copy(want[26:30], ownOrderIP[:])
	copy(want[30:34], peerOrderIP[:])
	w := h.wordNow()
	hd := wire.Header{Type: typ, Lane: laneID, Node: ourNode, Epoch: w.Epoch(), Path: lane.PathSteerOrder,
		Position: asked.Position, Tail: 640, Applied: 608, Authority: w, Incarnation: ourInc, Echo: asked.Counter, Counter: 1}
	if typ == wire.Fenced {
		hd.Successor = peerNode
	}
	hd.Put(want[frame.HeaderBytes:])
	h.us.Seal(want[frame.HeaderBytes:])
	if !bytes.Equal(got, want) {
		h.t.Errorf("answered\n%x, want\n%x", got, want)
	}
}

func TestSecondPathVerdicts(t *testing.T) {
	toUs := func(x *wire.Header) { x.Successor = ourNode }
	candidate := lane.MakeWord(epoch, lane.Candidate)
	syncing := lane.MakeWord(epoch, lane.Syncing)
	newer := lane.MakeWord(epoch+1, lane.Active)
	runSecondCases(t, []secondCase{
		{name: "life", state: lane.Standby, frame: second(wire.Life, activeWord, nil), verdict: xdpDrop, counted: "life", heard: true},
		{name: "heartbeat", state: lane.Standby, frame: second(wire.Mirror, activeWord, nil), verdict: xdpDrop, counted: "life", heard: true},
		{name: "the kernel's answer", state: lane.Standby, frame: second(wire.Life, activeWord, func(x *wire.Header) { x.Path = lane.PathSteerOrder }), verdict: xdpDrop, counted: "life", heard: true},
		{name: "heartbeat of an older epoch", state: lane.Standby, frame: second(wire.Mirror, lane.MakeWord(epoch-1, lane.Active), nil), verdict: xdpDrop, counted: "life", heard: true},
		{name: "newer epoch", state: lane.Standby, frame: second(wire.Mirror, newer, nil), verdict: xdpDrop, counted: "mirror_newer", word: syncing, heard: true},
		{name: "newer epoch makes ACTIVE stop", state: lane.Active, frame: second(wire.Probe, newer, nil), verdict: xdpDrop, counted: "mirror_newer", word: syncing, heard: true},
		{name: "newer epoch in SYNCING", state: lane.Syncing, frame: second(wire.Mirror, newer, nil), verdict: xdpDrop, counted: "mirror_newer", heard: true},
		{name: "probe", state: lane.Active, frame: second(wire.Probe, standbyWord, nil), verdict: xdpRedirect, counted: "probe_answered", heard: true, answer: wire.Life},
		{name: "probe of a hung engine", state: lane.Active, prepare: stuck, frame: second(wire.Probe, standbyWord, nil), verdict: xdpRedirect,
			counted: "fenced_by_probe probe_answered", word: fencedWord, heard: true, answer: wire.Fenced},
		{name: "probe of a gone engine", state: lane.Active, prepare: gone, frame: second(wire.Probe, standbyWord, nil), verdict: xdpRedirect,
			counted: "fenced_by_probe probe_answered", word: fencedWord, heard: true, answer: wire.Fenced},
		{name: "not toward one that is no standby", state: lane.Active, prepare: gone, frame: second(wire.Probe, syncing, nil), verdict: xdpRedirect, counted: "probe_answered", heard: true, answer: wire.Life},
		{name: "probe of a fenced node", state: lane.Fenced, frame: second(wire.Probe, standbyWord, nil), verdict: xdpRedirect, counted: "probe_answered", heard: true, answer: wire.Fenced},
		{name: "probe without an order NIC", state: lane.Active, prepare: noDevices, frame: second(wire.Probe, standbyWord, nil), verdict: xdpDrop, counted: "no_device", heard: true},
		{name: "probe without authentication", state: lane.Active, prepare: authOff, frame: second(wire.Probe, standbyWord, nil), verdict: xdpRedirect, counted: "probe_answered", heard: true},
		{name: "FENCED", state: lane.Standby, frame: second(wire.Fenced, fencedWord, toUs), verdict: xdpDrop, counted: "candidate fenced_received", word: candidate, heard: true},
		{name: "FENCED when ACTIVE already", state: lane.Active, frame: second(wire.Fenced, fencedWord, toUs), verdict: xdpDrop, counted: "fenced_received", heard: true},
		{name: "FENCED, own engine gone", state: lane.Standby, prepare: gone, frame: second(wire.Fenced, fencedWord, toUs), verdict: xdpDrop, counted: "candidate_refused", heard: true},
		{name: "FENCED, own engine hung", state: lane.Standby, prepare: stuck, frame: second(wire.Fenced, fencedWord, toUs), verdict: xdpDrop, counted: "candidate_refused", heard: true},
		{name: "FENCED of an older epoch", state: lane.Standby, frame: second(wire.Fenced, lane.MakeWord(epoch-1, lane.Fenced), toUs), verdict: xdpDrop, counted: "fenced_received", heard: true},
		{name: "FENCED to another", state: lane.Standby, frame: second(wire.Fenced, fencedWord, nil), verdict: xdpDrop, counted: "link_node", heard: true},
		{name: "FENCED by one that is not", state: lane.Standby, frame: second(wire.Fenced, activeWord, toUs), verdict: xdpDrop, counted: "link_type", heard: true},
	})
}

// What is wrong with a frame on the second path is counted; nothing changes.
func TestSecondPathRefuses(t *testing.T) {
	whole := second(wire.Probe, standbyWord, nil)
	changed := func(change func(*wire.Header)) func(*host) []byte { return second(wire.Probe, standbyWord, change) }
	typed := func(typ wire.Type) func(*host) []byte { return changed(func(x *wire.Header) { x.Type = typ }) }
	spoilt := func(change func(f []byte) []byte) func(*host) []byte {
		return func(h *host) []byte { return change(whole(h)) }
	}
	at := func(offset int) func(*host) []byte {
		return spoilt(func(f []byte) []byte { f[offset]++; return f })
	}
	cases := []secondCase{
		{name: "truncated", frame: spoilt(func(f []byte) []byte { return f[:len(f)-1] }), counted: "link_truncated"},
		{name: "magic", frame: at(link), counted: "link_magic"},
		{name: "version", frame: at(link + 4), counted: "link_version"},
		{name: "lane beyond the table", frame: spoilt(func(f []byte) []byte { f[link+6] = 200; return f }), counted: "link_lane"},
		{name: "lane not of this node", frame: at(link + 6), counted: "link_lane"},
		{name: "lane without peer", prepare: func(h *host) { h.table.Config.PeerNode = 0 }, frame: whole, counted: "link_lane"},
		{name: "records", frame: changed(func(x *wire.Header) { x.Type, x.LengthBytes = wire.Mirror, 64 }), counted: "second_type"},
		{name: "ride", frame: changed(func(x *wire.Header) { x.Type, x.RideBytes = wire.Mirror, 64 }), counted: "second_type"},
		{name: "ACK", frame: typed(wire.Ack), counted: "second_type"},
		{name: "STALE", frame: typed(wire.Stale), counted: "second_type"},
		{name: "FORWARD", frame: typed(wire.Forward), counted: "second_type"},
		{name: "HELLO", frame: typed(wire.HelloFrame), counted: "second_type"},
		{name: "type 0", frame: typed(0), counted: "second_type"},
		{name: "unknown type", frame: typed(9), counted: "second_type"},
		{name: "trailing byte", frame: spoilt(func(f []byte) []byte { return append(f, 0) }), counted: "link_length"},
		{name: "source address", frame: at(29), counted: "link_address"},
		{name: "no second path here", prepare: func(h *host) { h.table.Config.OrderIP = [4]byte{} }, frame: whole, counted: "link_address"},
		{name: "node", frame: changed(func(x *wire.Header) { x.Node = 9 }), counted: "link_node"},
		{name: "incarnation", frame: changed(func(x *wire.Header) { x.Incarnation++ }), counted: "link_incarnation"},
		{name: "busy", prepare: func(h *host) { h.table.Second.Busy = 1 }, frame: whole, counted: "link_busy"},
		{name: "forged MAC", frame: spoilt(func(f []byte) []byte { copy(f[link+88:], "forged!!"); return f }), counted: "link_mac"},
		{name: "no MAC", frame: spoilt(func(f []byte) []byte { clear(f[link+88 : link+96]); return f }), counted: "link_mac"},
		{name: "forged FENCED", frame: spoilt(func(f []byte) []byte { f[link+5] = byte(wire.Fenced); return f }), counted: "link_mac"},
		{name: "sealed with the key of the other direction", frame: func(h *host) []byte {
			f := whole(h)
			h.us.Seal(f[link:])
			return f
		}, counted: "link_mac"},
		{name: "recorded on the link", frame: changed(func(x *wire.Header) { x.Path = lane.PathEngine }), counted: "link_path"},
		{name: "FORWARD's path", frame: changed(func(x *wire.Header) { x.Path = lane.PathSteer }), counted: "link_path"},
		{name: "no path", frame: changed(func(x *wire.Header) { x.Path = lane.Paths }), counted: "link_path"},
		{name: "counter used", frame: changed(func(x *wire.Header) { x.Counter = 0 }), counted: "link_replay"},
	}
	for _, state := range []lane.State{lane.Standby, lane.Active} {
		for i := range cases {
			cases[i].verdict, cases[i].state = xdpDrop, state
			if state == lane.Active {
				// It would fence, were it taken.
				prepare := cases[i].prepare
				cases[i].prepare = func(h *host) {
					if stuck(h); prepare != nil {
						prepare(h)
					}
				}
			}
		}
		runSecondCases(t, cases)
	}
}

// A frame twice is heard once, whoever sends it again; other datagrams of the
// order network are the kernel's.
func TestSecondPathReplayAndOthers(t *testing.T) {
	h := newHost(t)
	h.reset(lane.Standby)
	f := second(wire.Mirror, activeWord, nil)(h)
	h.mark()
	for range 3 {
		if verdict, _ := h.run(h.k.Steer, f); verdict != xdpDrop {
			t.Errorf("verdict %d", verdict)
		}
	}
	if got := h.counted(); got != "life link_replay link_replay" || h.table.Second.Frames != 1 {
		t.Errorf("counted %q, %d frames", got, h.table.Second.Frames)
	}
	notOurs := map[string]func([]byte) []byte{
		"another address": func(f []byte) []byte { f[33]++; return f },
		"address 0":       func(f []byte) []byte { clear(f[30:34]); return f },
		"another port":    func(f []byte) []byte { f[37]++; return f },
	}
	for name, change := range notOursAnywhere {
		notOurs[name] = change
	}
	for name, change := range notOurs {
		h.reset(lane.Standby)
		before := *h.table
		verdict, _ := h.run(h.k.Steer, change(second(wire.Probe, standbyWord, nil)(h)))
		if got := h.counted(); verdict != xdpPass || got != "" || *h.table != before {
			t.Errorf("%s: verdict %d counted %q", name, verdict, got)
		}
	}
}

// The two paths do not take each other's recordings, and have locks of their own.
func TestPathsAreApart(t *testing.T) {
	h := newHost(t)
	h.reset(lane.Standby)
	h.table.Busy = 1
	if verdict, _ := h.run(h.k.Steer, second(wire.Mirror, activeWord, nil)(h)); verdict != xdpDrop || h.table.Second.Frames != 1 {
		t.Error("the link program's lock stops the second path")
	}
	h.table.Busy, h.table.Second.Busy = 0, 1
	if verdict, _ := h.run(h.k.Link, h.sent(wire.Mirror, nil, nil, nil)); verdict != xdpTx {
		t.Error("the second path's lock stops the mirror")
	}
}
