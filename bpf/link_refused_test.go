package bpf

import (
	"bytes"
	"encoding/binary"
	"testing"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// spoil is a good MIRROR with something changed behind the seal.
func spoil(change func(f []byte)) func(*host) []byte {
	return func(h *host) []byte {
		f := h.sent(wire.Mirror, bytesOf(64, 3), bytesOf(21, 9), nil)
		change(f)
		return f
	}
}

// header is a sealed MIRROR with another header.
func header(change func(*wire.Header)) func(*host) []byte {
	return func(h *host) []byte { return h.sent(wire.Mirror, bytesOf(64, 3), nil, change) }
}

const link = frame.HeaderBytes // where the link header begins

// Whatever is wrong with a frame, it is dropped, counted by its reason, and
// nothing of the lane changes.
func TestRefused(t *testing.T) {
	untouched := func(h *host, _ []byte) {
		h.t.Helper()
		if h.table.RxCounter != [lane.Paths]uint64{} || h.table.Peer.Frames != 0 || h.table.LinkCounter != 0 {
			h.t.Errorf("the lane took notice: counters %v, %d frames", h.table.RxCounter, h.table.Peer.Frames)
		}
	}
	cases := []linkCase{
		{name: "magic", frame: spoil(func(f []byte) { f[link]++ }), counted: "link_magic"},
		{name: "version", frame: spoil(func(f []byte) { f[link+4]++ }), counted: "link_version"},
		{name: "lane beyond the table", frame: spoil(func(f []byte) { f[link+6] = 16 }), counted: "link_lane"},
		{name: "lane not of this node", frame: spoil(func(f []byte) { f[link+6] = laneID + 1 }), counted: "link_lane"},
		{name: "lane without peer", prepare: func(h *host) { h.table.Config.PeerNode = 0 }, frame: records(0, 64, 0), counted: "link_lane"},
		{name: "lane without ring", frame: func(h *host) []byte { return records(0, 64, 0)(h) }, prepare: dropRing, counted: "link_lane", check: putRing},
		{name: "length above the maximum", frame: longFrame(1536+32, 0), counted: "link_length"},
		{name: "records and ride above the maximum", frame: longFrame(1536, 1), counted: "link_length"},
		{name: "length no multiple of 32", frame: header(func(x *wire.Header) { x.LengthBytes, x.RideBytes = 48, 16 }), counted: "link_length"},
		{name: "ride shorter than an Ethernet header", frame: longFrame(32, 13), counted: "link_length"},
		{name: "trailing byte", frame: func(h *host) []byte { return append(records(0, 64, 0)(h), 0) }, counted: "link_length"},
		{name: "oversized", frame: func(h *host) []byte { return append(records(0, 64, 0)(h), make([]byte, 3000)...) }, counted: "link_length"},
		{name: "source address", frame: spoil(func(f []byte) { f[29]++ }), counted: "link_address"},
		{name: "destination address", frame: spoil(func(f []byte) { f[33]++ }), counted: "link_address"},
		{name: "node", frame: header(func(x *wire.Header) { x.Node = 9 }), counted: "link_node"},
		{name: "our own frame reflected", frame: header(func(x *wire.Header) { x.Node, x.Incarnation = ourNode, ourInc }), counted: "link_node"},
		{name: "incarnation", frame: header(func(x *wire.Header) { x.Incarnation++ }), counted: "link_incarnation"},
		{name: "busy", prepare: func(h *host) { h.table.Busy = 1 }, frame: records(0, 64, 0), counted: "link_busy"},
		{name: "forged MAC", frame: spoil(func(f []byte) { copy(f[link+88:], "forged!!") }), counted: "link_mac"},
		{name: "no MAC", frame: spoil(func(f []byte) { clear(f[link+88 : link+96]) }), counted: "link_mac"},
		{name: "sealed with the key of the other direction", frame: func(h *host) []byte {
			f := records(0, 64, 0)(h)
			h.us.Seal(f[link:])
			return f
		}, counted: "link_mac"},
		{name: "path", frame: header(func(x *wire.Header) { x.Path = lane.Paths }), counted: "link_path"},
		{name: "path of the order NIC", frame: header(func(x *wire.Header) { x.Path = lane.PathEngineOrder }), counted: "link_path"},
		{name: "counter zero", frame: header(func(x *wire.Header) { x.Counter = 0 }), counted: "link_replay"},
	}
	for i := range cases {
		cases[i].verdict = xdpDrop
		if cases[i].check == nil {
			cases[i].check = untouched
		}
	}
	runLinkCases(t, lane.Standby, append(cases,
		linkCase{name: "type 0", frame: header(func(x *wire.Header) { x.Type = 0 }), verdict: xdpDrop, counted: "link_type"},
		linkCase{name: "unknown type", frame: header(func(x *wire.Header) { x.Type = 9 }), verdict: xdpDrop, counted: "link_type"},
		linkCase{name: "LIFE's type where the kernel answers", frame: header(func(x *wire.Header) { x.Type = wire.Life }), verdict: xdpDrop, counted: "life"},
	))
}

func dropRing(h *host) {
	if err := h.k.maps["rings"].Delete(uint32(laneID)); err != nil {
		h.t.Fatal(err)
	}
}

func putRing(h *host, _ []byte) {
	if err := h.k.maps["rings"].Put(uint32(laneID), h.k.rings[laneID].m); err != nil {
		h.t.Fatal(err)
	}
}

// longFrame has more behind the header than a frame may.
func longFrame(records, ride int) func(*host) []byte {
	return func(h *host) []byte { return h.sent(wire.Mirror, make([]byte, records), make([]byte, ride), nil) }
}

// snapshot is all the memory a frame can change.
func (h *host) snapshot() []byte {
	return bytes.Join([][]byte{h.k.Lane(laneID), h.k.Authority(laneID), h.ring}, nil)
}

// Every bit of the link header, the records and the ride is covered: flip one
// and the frame is refused before anything is written.
func TestEveryFlippedBit(t *testing.T) {
	h := newHost(t)
	f := h.sent(wire.Mirror, bytesOf(64, 3), bytesOf(45, 9), nil)
	before := h.snapshot()
	for bit := link * 8; bit < len(f)*8; bit++ {
		f[bit/8] ^= 1 << (bit % 8)
		if verdict, _ := h.run(h.k.Link, f); verdict != xdpDrop {
			t.Fatalf("bit %d of byte %d (link header at %d): verdict %d", bit%8, bit/8, link, verdict)
		}
		f[bit/8] ^= 1 << (bit % 8)
	}
	if !bytes.Equal(before, h.snapshot()) {
		t.Error("a refused frame changed the lane")
	}
	if verdict, _ := h.run(h.k.Link, f); verdict != xdpTx {
		t.Errorf("the frame itself is refused: %d", verdict)
	}
}

// A flipped bit of an ACK releases nothing.
func TestEveryFlippedBitOfARide(t *testing.T) {
	h := newHost(t)
	h.reset(lane.Active)
	f := h.ack(64, 45, 0, nil)
	before := h.snapshot()
	for bit := link * 8; bit < len(f)*8; bit++ {
		f[bit/8] ^= 1 << (bit % 8)
		if verdict, _ := h.run(h.k.Link, f); verdict != xdpDrop {
			t.Fatalf("bit %d of byte %d (link header at %d): verdict %d", bit%8, bit/8, link, verdict)
		}
		f[bit/8] ^= 1 << (bit % 8)
	}
	if !bytes.Equal(before, h.snapshot()) {
		t.Error("a refused frame changed the lane")
	}
}

func TestEveryTruncation(t *testing.T) {
	h := newHost(t)
	f := h.sent(wire.Mirror, bytesOf(64, 3), bytesOf(45, 9), nil)
	before := h.snapshot()
	for n := 14; n < len(f); n++ { // the kernel runs nothing shorter than an Ethernet header
		want, counted := uint32(xdpDrop), "link_length"
		switch {
		case n < link:
			want, counted = xdpPass, ""
		case n < link+wire.HeaderBytes:
			counted = "link_truncated"
		}
		h.mark()
		verdict, _ := h.run(h.k.Link, f[:n])
		if got := h.counted(); verdict != want || got != counted {
			t.Fatalf("%d bytes: verdict %d counted %q, want %d %q", n, verdict, got, want, counted)
		}
	}
	if !bytes.Equal(before, h.snapshot()) {
		t.Error("a truncated frame changed the lane")
	}
}

// A counter is used once, by path; gaps are allowed.
func TestReplay(t *testing.T) {
	h := newHost(t)
	for i, c := range []struct {
		path    uint8
		counter uint64
		counted string
	}{
		{0, 1, "mirror_heartbeat"}, {0, 1, "link_replay"}, {0, 5, "mirror_heartbeat"}, {0, 4, "link_replay"},
		{1, 1, "mirror_heartbeat"}, {2, 3, "mirror_heartbeat"}, {2, 3, "link_replay"}, {1, 2, "mirror_heartbeat"},
		{0, 1<<64 - 1, "mirror_heartbeat"}, {0, 6, "link_replay"},
	} {
		f := h.sent(wire.Mirror, nil, nil, func(x *wire.Header) { x.Path, x.Counter = c.path, c.counter })
		h.mark()
		h.run(h.k.Link, f)
		if got := h.counted(); got != c.counted {
			t.Errorf("step %d: path %d counter %d: %s, want %s", i, c.path, c.counter, got, c.counted)
		}
	}
}

// What is not a link frame is the kernel's.
func TestLinkPasses(t *testing.T) {
	h := newHost(t)
	good := func() []byte { return h.sent(wire.Mirror, bytesOf(64, 3), nil, nil) }
	before := h.snapshot()
	for name, change := range notOursAnywhere {
		t.Run(name, func(t *testing.T) {
			f := change(good())
			h.t = t
			h.mark()
			if verdict, out := h.run(h.k.Link, f); verdict != xdpPass || !bytes.Equal(out, f) {
				t.Errorf("verdict %d", verdict)
			}
			if got := h.counted(); got != "" {
				t.Errorf("counted %s", got)
			}
		})
	}
	h.t = t
	f := good()
	binary.BigEndian.PutUint16(f[36:], linkPort+1)
	if verdict, _ := h.run(h.k.Link, f); verdict != xdpPass {
		t.Errorf("another port: verdict %d", verdict)
	}
	if !bytes.Equal(before, h.snapshot()) {
		t.Error("passing traffic changed the lane")
	}
}

// notOursAnywhere turns a frame of ours into traffic that is none of ours.
var notOursAnywhere = map[string]func([]byte) []byte{
	"TCP":            func(f []byte) []byte { f[23] = 6; return f },
	"ICMP":           func(f []byte) []byte { f[23] = 1; return f },
	"IPv6":           func(f []byte) []byte { f[12], f[13], f[14] = 0x86, 0xdd, 0x60; return f },
	"VLAN":           func(f []byte) []byte { return append(append(f[:12:12], 0x81, 0, 0, 5), f[12:]...) },
	"IP options":     func(f []byte) []byte { f[14] = 0x46; return f },
	"IP version":     func(f []byte) []byte { f[14] = 0x65; return f },
	"first fragment": func(f []byte) []byte { f[20] |= 0x20; return f },
	"later fragment": func(f []byte) []byte { f[21] = 9; return f },
	"runt":           func(f []byte) []byte { return f[:41] },
	"Ethernet alone": func(f []byte) []byte { return f[:14] },
}
