package node

import (
	"testing"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// secondForger sends frames into one node's order NIC from its peer's place on
// the order network.
func secondForger(w *world, to, at string) *forger {
	f := newForger(w, to, at)
	c := &f.to.mem.table.Config
	f.fd = rawSocket(w, at, lab.OrderNIC)
	f.from = frame.Endpoint{MAC: c.PeerOrderMAC, IP: frame.IPv4(c.PeerOrderIP), Port: f.from.Port}
	f.dst = frame.Endpoint{MAC: c.OrderMAC, IP: frame.IPv4(c.OrderIP), Port: f.dst.Port}
	// It takes its numbers from the counter of the peer's kernel, which goes on
	// from there: nothing of the peer's own is taken for a replay.
	peer := w.nodes[at].lanes[0].mem.table
	f.stamp = func(h *wire.Header) {
		peer.Second.Counter++
		h.Path, h.Counter = lane.PathSteerOrder, peer.Second.Counter
	}
	return f
}

// spokenFrames are PROBE, FENCED, STALE and FORWARD as an attacker has them:
// forged, replayed, of an epoch long gone, malformed. second says on which path
// they come.
func spokenFrames(f *forger, second bool) []badLinkFrame {
	const link = frame.HeaderBytes
	header := func(typ wire.Type) wire.Header {
		h := f.header(typ)
		if typ == wire.Fenced || typ == wire.Forward {
			h.Successor, h.Authority = f.to.mem.table.Config.Node, lane.MakeWord(h.Epoch, lane.Fenced)
		}
		if typ == wire.Forward {
			h.RideBytes = 64
		}
		return h
	}
	order := make([]byte, 64)
	send := func(h wire.Header, auth *wire.Auth, tweak func(b []byte)) {
		f.send(f.sealed(h, order[:h.RideBytes], auth), tweak)
	}
	var frames []badLinkFrame
	for _, typ := range []wire.Type{wire.Probe, wire.Fenced, wire.Stale, wire.Forward} {
		// What only the link NIC carries is refused before anything else on the other.
		here := func(reasons ...string) []string {
			if second && (typ == wire.Stale || typ == wire.Forward) {
				return []string{"second_type"}
			}
			return reasons
		}
		add := func(name string, reasons []string, do func()) {
			frames = append(frames, badLinkFrame{name + " " + typ.String(), here(reasons...), do})
		}
		add("forged", []string{"link_mac"}, func() { send(header(typ), &f.hello, nil) })
		add("flipped", []string{"link_mac"}, func() { send(header(typ), &f.auth, func(b []byte) { b[link+40] ^= 1 }) })
		add("replayed", []string{"link_replay"}, func() {
			h := header(typ)
			h.Counter = f.to.mem.table.RxCounter[h.Path]
			send(h, &f.auth, nil)
		})
		add("recorded on the other path", []string{"link_path"}, func() {
			h := header(typ)
			if h.Path = lane.PathEngineOrder; second {
				h.Path = lane.PathEngine
			}
			send(h, &f.auth, nil)
		})
		add("of another ring", []string{"link_incarnation"}, func() {
			h := header(typ)
			h.Incarnation ^= 4
			send(h, &f.auth, nil)
		})
		add("of another node", []string{"link_node"}, func() {
			h := header(typ)
			h.Node = 9
			send(h, &f.auth, nil)
		})
		add("cut", []string{"link_length"}, func() {
			h := header(typ)
			h.RideBytes = 64
			b := f.sealed(h, order, &f.auth)
			if second && typ != wire.Stale && typ != wire.Forward {
				b[12+2] = 0 // says that it has no ride
			}
			f.send(b[:wire.HeaderBytes+63], nil)
		})
		if typ == wire.Fenced || typ == wire.Forward {
			add("stale", []string{reasonOf[typ]}, func() {
				h := header(typ)
				h.Epoch--
				h.Authority = lane.MakeWord(h.Epoch, lane.Fenced)
				send(h, &f.auth, nil)
			})
			add("to another", []string{"link_node"}, func() {
				h := header(typ)
				h.Successor = 9
				send(h, &f.auth, nil)
			})
			add("by one that is not fenced", []string{"link_type"}, func() {
				h := header(typ)
				h.Authority = h.Authority.With(lane.Active)
				send(h, &f.auth, nil)
			})
		}
	}
	return frames
}

var reasonOf = map[wire.Type]string{wire.Fenced: "fenced_received", wire.Forward: "forward_received"}

// PROBE, FENCED, STALE and FORWARD of an attacker change nothing on either node
// and either path, and each is counted by its reason.
func TestSpokenFramesOfAnAttackerAreCountedByReason(t *testing.T) {
	for name, newForger := range map[string]func(*world, string, string) *forger{"link": newForger, "order": secondForger} {
		t.Run(name, func(t *testing.T) {
			w := steady(t, setting{app: "book", calm: true})
			for _, x := range []struct{ to, at string }{{lab.NodeB, lab.NodeA}, {lab.NodeA, lab.NodeB}} {
				f := newForger(w, x.to, x.at)
				f.checkCounted(x.to, spokenFrames(f, name == "order"))
			}
			w.orders(50)
			w.checkOnce()
			w.sameState()
		})
	}
}

// Other link frames on the order network are refused too.
func TestBadFramesOfTheSecondPathAreCountedByReason(t *testing.T) {
	w := steady(t, setting{app: "book", calm: true})
	for _, x := range []struct{ to, at string }{{lab.NodeB, lab.NodeA}, {lab.NodeA, lab.NodeB}} {
		f := secondForger(w, x.to, x.at)
		const link = frame.HeaderBytes
		plain := func(tweak func(b []byte)) func() {
			return func() { f.send(f.sealed(f.header(wire.Mirror), nil, &f.auth), tweak) }
		}
		changed := func(change func(h *wire.Header), payload []byte) func() {
			return func() {
				h := f.header(wire.Mirror)
				change(&h)
				f.send(f.sealed(h, payload, &f.auth), nil)
			}
		}
		f.checkCounted(x.to, []badLinkFrame{
			{"truncated", []string{"link_truncated"}, func() { f.send(f.sealed(f.header(wire.Mirror), nil, &f.auth)[:50], nil) }},
			{"magic", []string{"link_magic"}, plain(func(b []byte) { b[link] ^= 1 })},
			{"version", []string{"link_version"}, plain(func(b []byte) { b[link+4] = 9 })},
			{"no such lane", []string{"link_lane"}, plain(func(b []byte) { b[link+6] = 200 })},
			{"a lane of others", []string{"link_lane"}, plain(func(b []byte) { b[link+6] = 3 })},
			{"records", []string{"second_type"}, changed(func(h *wire.Header) { h.LengthBytes = 64 }, make([]byte, 64))},
			{"a ride", []string{"second_type"}, changed(func(h *wire.Header) { h.RideBytes = 64 }, make([]byte, 64))},
			{"ACK", []string{"second_type"}, changed(func(h *wire.Header) { h.Type = wire.Ack }, nil)},
			{"HELLO", []string{"second_type"}, changed(func(h *wire.Header) { h.Type = wire.HelloFrame }, nil)},
			{"unknown type", []string{"second_type"}, changed(func(h *wire.Header) { h.Type = 99 }, nil)},
			{"source address", []string{"link_address"}, func() { // with a right checksum: the switch looks
				from := f.from
				f.from.IP[15] = 77
				f.send(f.sealed(f.header(wire.Mirror), nil, &f.auth), nil)
				f.from = from
			}},
			{"flipped MAC", []string{"link_mac"}, plain(func(b []byte) { b[link+88] ^= 1 })},
			{"keys of HELLO", []string{"link_mac"}, func() { f.send(f.sealed(f.header(wire.Mirror), nil, &f.hello), nil) }},
		})
	}
	w.orders(50)
	w.checkOnce()
	w.sameState()
}
