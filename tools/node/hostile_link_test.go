package node

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// forger sends frames into one node's link NIC from the other end of the cable.
// It knows the keys, so that it can also be wrong in one thing alone.
type forger struct {
	w       *world
	to      *laneParts
	fd      int
	auth    wire.Auth
	hello   wire.Auth
	from    frame.Endpoint
	dst     frame.Endpoint
	counter uint64
	// stamp gives a header its path and counter; nil: the steering program's of
	// the link, which no one else uses here.
	stamp func(h *wire.Header)
	// The node's next output and its sessions' heartbeats when the forger came.
	output, heartbeats uint64
}

func newForger(w *world, to, at string) *forger {
	w.t.Helper()
	n := w.nodes[to]
	p := n.lanes[0]
	c := &p.mem.table.Config
	low, high := c.Incarnation, c.PeerIncarnation
	if c.Node > c.PeerNode {
		low, high = high, low
	}
	keys := wire.DeriveKeys(n.cfg.Links[0].Key, 0, 1, 2, low, high)
	base := wire.DeriveKeys(n.cfg.Links[0].Key, 0, 1, 2, 0, 0)
	tx, _ := keys.For(uint8(c.PeerNode), 1)
	baseTx, _ := base.For(uint8(c.PeerNode), 1)
	if tx != c.RxKey {
		w.t.Fatal("the test's keys are not the node's")
	}
	port := binary.BigEndian.Uint16(c.LinkPort[:])
	return &forger{w: w, to: p, fd: rawSocket(w, at, lab.LinkNIC),
		auth: wire.Auth{Enabled: true, Sip: tx, NH: &keys.NH}, hello: wire.Auth{Enabled: true, Sip: baseTx, NH: &base.NH},
		from: frame.Endpoint{MAC: c.PeerLinkMAC, IP: frame.IPv4(c.PeerLinkIP), Port: port},
		dst:  frame.Endpoint{MAC: c.LinkMAC, IP: frame.IPv4(c.LinkIP), Port: port}, counter: 1000,
		output: p.mem.table.NextOutput, heartbeats: w.laneCounts(to)["session_heartbeats"]}
}

// header is a frame's that the node would take: of its epoch and its peer's
// ring. No one else uses the steering program's path here.
func (f *forger) header(typ wire.Type) wire.Header {
	c, word := &f.to.mem.table.Config, lane.Load(f.to.mem.authority)
	f.counter++
	h := wire.Header{Type: typ, Node: uint8(c.PeerNode), Incarnation: c.PeerIncarnation, Epoch: word.Epoch(),
		Authority: lane.MakeWord(word.Epoch(), lane.Active), Path: lane.PathSteer, Counter: f.counter,
		Position: f.to.mem.table.Tail, Tail: f.to.mem.table.Tail}
	if f.stamp != nil {
		f.stamp(&h)
	}
	return h
}

// sealed returns header and payload, authenticated.
func (f *forger) sealed(h wire.Header, payload []byte, auth *wire.Auth) []byte {
	b := make([]byte, wire.HeaderBytes+len(payload))
	h.Put(b)
	copy(b[wire.HeaderBytes:], payload)
	auth.Seal(b)
	return b
}

// send sends a link frame, after tweak harmed it.
func (f *forger) send(payload []byte, tweak func(b []byte)) {
	f.w.t.Helper()
	b := make([]byte, frame.HeaderBytes+len(payload))
	var t frame.Template
	t.Put(b, &f.from, f.from.Port, &f.dst, len(payload))
	copy(b[frame.HeaderBytes:], payload)
	if tweak != nil {
		tweak(b)
	}
	if _, err := unix.Write(f.fd, b); err != nil {
		f.w.t.Fatal(err)
	}
}

// refusals leaves out what the kernel counts in an undisturbed lane.
func refusals(name string) bool {
	switch name {
	case "mirror_appended", "mirror_heartbeat", "mirror_repeat", "ack", "probe_answered", "life", "ride_released", "stale":
		return true
	}
	return strings.HasPrefix(name, "order_") || strings.HasPrefix(name, "arp_")
}

// numbersKept reports whether a node's next output rose by its own heartbeats
// alone, each of them sooner or later, one of them made before the forger came; a
// standby's follows its writer's.
func (f *forger) numbersKept(place string) bool {
	w, m := f.w, &f.to.mem
	now := atomic.LoadUint64(&m.table.NextOutput)
	if lane.Load(m.authority).State() != lane.Standby {
		return now-f.output <= w.laneCounts(place)["session_heartbeats"]-f.heartbeats+1
	}
	writer := map[string]string{lab.NodeA: lab.NodeB, lab.NodeB: lab.NodeA}[place]
	return now >= f.output && now <= atomic.LoadUint64(&w.nodes[writer].lanes[0].mem.table.NextOutput)
}

// Every kind of bad link frame is counted under its own name on both nodes; no
// log, no word and no number changes.
func TestBadLinkFramesAreCountedByReason(t *testing.T) {
	w := steady(t, setting{app: "book", calm: true})
	for _, x := range []struct{ to, at string }{{lab.NodeB, lab.NodeA}, {lab.NodeA, lab.NodeB}} {
		f := newForger(w, x.to, x.at)
		f.checkCounted(x.to, badLinkFrames(f, x.to == lab.NodeA))
	}
	w.orders(50)
	w.checkOnce()
	w.sameState()
}

// checkCounted sends each frame a few times to a node: it must be counted under
// its own names, and no log, no word and no number may change.
func (f *forger) checkCounted(to string, frames []badLinkFrame) {
	f.w.t.Helper()
	w, m := f.w, &f.to.mem
	for _, c := range frames {
		tail, word := m.table.Tail, lane.Load(m.authority)
		before, counts := w.reasons(to), w.laneCounts(to)
		const repeats = 5
		for range repeats {
			c.send()
			w.step()
		}
		w.step()
		want := map[string]uint64{}
		for _, name := range c.reasons {
			want[name] += repeats
		}
		got := risen(before, w.reasons(to), refusals)
		after := w.laneCounts(to)
		for name, n := range risen(counts, after, func(name string) bool { return name != "mirror_hello_refused" }) {
			got[name] = n
		}
		same := len(got) == len(want)
		for name := range want {
			same = same && got[name] == want[name]
		}
		if !same {
			w.t.Errorf("%s, %s: counted %v, want %v", to, c.name, got, want)
		}
		if m.table.Tail != tail || lane.Load(m.authority) != word || !f.numbersKept(to) {
			w.t.Fatalf("%s, %s: something changed: %s", to, c.name, w.describe())
		}
	}
}

type badLinkFrame struct {
	name    string
	reasons []string
	send    func()
}

func badLinkFrames(f *forger, active bool) []badLinkFrame {
	const link = frame.HeaderBytes
	mirror := func() wire.Header { return f.header(wire.Mirror) }
	plain := func(tweak func(b []byte)) func() {
		return func() { f.send(f.sealed(mirror(), nil, &f.auth), tweak) }
	}
	changed := func(change func(h *wire.Header), payload []byte) func() {
		return func() {
			h := mirror()
			change(&h)
			f.send(f.sealed(h, payload, &f.auth), nil)
		}
	}
	record := make([]byte, 64)
	frames := []badLinkFrame{
		{"truncated", []string{"link_truncated"}, func() { f.send(f.sealed(mirror(), nil, &f.auth)[:50], nil) }},
		{"magic", []string{"link_magic"}, plain(func(b []byte) { b[link] ^= 1 })},
		{"version", []string{"link_version"}, plain(func(b []byte) { b[link+4] = 9 })},
		{"no such lane", []string{"link_lane"}, plain(func(b []byte) { b[link+6] = 200 })},
		{"a lane of others", []string{"link_lane"}, plain(func(b []byte) { b[link+6] = 3 })},
		{"length beyond the frame", []string{"link_length"}, plain(func(b []byte) { b[link+12] = 64 })},
		{"length of no records", []string{"link_length"}, changed(func(h *wire.Header) { h.LengthBytes = 40 }, record[:40])},
		{"ride that is no frame", []string{"link_length"}, changed(func(h *wire.Header) { h.RideBytes = 8 }, record[:8])},
		{"source address", []string{"link_address"}, plain(func(b []byte) { b[29] = 77 })},
		{"another node", []string{"link_node"}, changed(func(h *wire.Header) { h.Node = 9 }, nil)},
		{"another ring", []string{"link_incarnation"}, changed(func(h *wire.Header) { h.Incarnation ^= 2 }, nil)},
		{"flipped MAC", []string{"link_mac"}, plain(func(b []byte) { b[link+88] ^= 1 })},
		{"flipped position", []string{"link_mac"}, plain(func(b []byte) { b[link+24] ^= 32 })},
		{"flipped counter", []string{"link_mac"}, plain(func(b []byte) { b[link+81] ^= 1 })},
		{"flipped record", []string{"link_mac"}, func() {
			h := mirror()
			h.LengthBytes = 64
			f.send(f.sealed(h, record, &f.auth), func(b []byte) { b[link+wire.HeaderBytes+63] ^= 0x80 })
		}},
		{"keys of HELLO", []string{"link_mac"}, func() { f.send(f.sealed(mirror(), nil, &f.hello), nil) }},
		{"replayed", []string{"link_replay"}, changed(func(h *wire.Header) { h.Counter = f.to.mem.table.RxCounter[lane.PathEngine]; h.Path = lane.PathEngine }, nil)},
		{"no such path", []string{"link_path"}, changed(func(h *wire.Header) { h.Path = 7 }, nil)},
		{"no such type", []string{"link_type"}, changed(func(h *wire.Header) { h.Type = 99 }, nil)},
		{"stale epoch", []string{"mirror_stale"}, changed(func(h *wire.Header) { h.Epoch-- }, nil)},
		{"stale ACK with a ride", []string{"ride_fenced", "ack_stale"}, changed(func(h *wire.Header) {
			h.Type, h.Epoch, h.RideBytes, h.Output = wire.Ack, h.Epoch-1, 64, f.to.mem.table.NextOutput
		}, record)},
		{"forged FENCED", []string{"link_mac"}, func() {
			h := f.header(wire.Fenced)
			h.Successor, h.Authority = f.to.mem.table.Config.Node, lane.MakeWord(h.Epoch, lane.Fenced)
			f.send(f.sealed(h, nil, &f.hello), nil)
		}},
		{"FENCED to another", []string{"link_node"}, changed(func(h *wire.Header) {
			h.Type, h.Successor, h.Authority = wire.Fenced, 9, lane.MakeWord(h.Epoch, lane.Fenced)
		}, nil)},
		{"FENCED of no fenced node", []string{"link_type"}, changed(func(h *wire.Header) {
			h.Type, h.Successor = wire.Fenced, f.to.mem.table.Config.Node
		}, nil)},
		{"forged HELLO", []string{"hello", "mirror_hello_refused"}, func() { f.sendHello(&f.auth, f.counter+1<<40, nil) }},
		{"HELLO that is none", []string{"hello", "mirror_hello_refused"}, func() {
			f.sendHello(&f.hello, f.counter+1<<40, func(b []byte) { b[27] = 200 })
		}},
		{"old HELLO", []string{"hello", "mirror_hello_refused"}, func() { f.sendHello(&f.hello, 1, nil) }},
	}
	if active {
		frames = append(frames, badLinkFrame{"MIRROR to a writer", []string{"mirror_state"}, changed(func(*wire.Header) {}, nil)})
	} else {
		frames = append(frames, badLinkFrame{"ACK to a standby", []string{"ack_stale"}, changed(func(h *wire.Header) { h.Type = wire.Ack }, nil)})
	}
	return frames
}

// sendHello sends the peer's HELLO as it could have been, harmed before it was
// authenticated.
func (f *forger) sendHello(auth *wire.Auth, counter uint64, harm func(b []byte)) {
	c := &f.to.mem.table.Config
	h := f.header(wire.HelloFrame)
	h.RideBytes, h.Counter = wire.HelloBytes, counter
	hello := wire.Hello{Incarnation: c.PeerIncarnation, PeerIncarnation: c.Incarnation, Authority: lane.MakeWord(h.Epoch, lane.Syncing),
		Tail: 0, RingBytes: 1 << 20, Want: wire.WantJoin, CutAt: wire.NoCut}
	var b [wire.HelloBytes]byte
	hello.Put(b[:])
	if harm != nil {
		harm(b[:])
	}
	f.send(f.sealed(h, b[:], auth), nil)
}

// Random frames and harmed ones on the cable change nothing.
func TestRandomLinkFramesChangeNothing(t *testing.T) {
	w := steady(t, setting{app: "book", calm: true})
	r := rand.New(rand.NewPCG(3, 4))
	for _, x := range []struct{ to, at string }{{lab.NodeB, lab.NodeA}, {lab.NodeA, lab.NodeB}} {
		f := newForger(w, x.to, x.at)
		m := &f.to.mem
		tail, word := m.table.Tail, lane.Load(m.authority)
		before := w.reasons(x.to)
		const frames = 20_000
		for i := range frames {
			var b []byte
			if i%2 == 0 {
				b = make([]byte, r.IntN(600))
				fill(r, b)
			} else {
				payload := make([]byte, 32*r.IntN(4))
				fill(r, payload)
				h := f.header(wire.Type(r.IntN(8)))
				h.LengthBytes = uint16(len(payload))
				b = f.sealed(h, payload, &f.auth)
				b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
				if r.IntN(4) == 0 {
					b = b[:r.IntN(len(b))]
				}
			}
			f.send(b, nil)
			if i%64 == 0 {
				w.step()
			}
		}
		w.step()
		sum := uint64(0)
		got := risen(before, w.reasons(x.to), refusals)
		for _, n := range got {
			sum += n
		}
		// A flip that makes the type HELLO's is found out by user space.
		if sum != frames {
			t.Errorf("%s: %d frames, %d counted: %v", x.to, frames, sum, got)
		}
		if m.table.Tail != tail || lane.Load(m.authority) != word || !f.numbersKept(x.to) {
			t.Fatalf("%s: something changed: %s", x.to, w.describe())
		}
	}
	w.orders(50)
	w.checkOnce()
	w.sameState()
}
