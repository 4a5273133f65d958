package recv

import (
	"testing"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// twoPaths is a node that its peer can reach on the order network too.
func twoPaths(t testing.TB, w lane.Word) *node {
	n := newNode(t, w)
	c := &n.table.Config
	c.OrderIP, c.PeerOrderIP = [4]byte{10, 1, 0, 1}, [4]byte{10, 1, 0, 2}
	c.LaneIP, c.OrderMAC = [4]byte{10, 1, 0, 100}, [6]byte{3, 3}
	c.LinkMAC, c.PeerLinkMAC, c.LinkFrameMax = [6]byte{1, 1}, [6]byte{2, 2}, 1814
	return n
}

func (n *node) sealSecond(h wire.Header, payloadBytes int) []byte {
	b := make([]byte, FrameHeaderBytes+wire.HeaderBytes+payloadBytes)
	from := frame.Endpoint{MAC: [6]byte{4, 2}, IP: frame.IPv4(n.table.Config.PeerOrderIP), Port: 7000}
	to := frame.Endpoint{MAC: [6]byte{3, 3}, IP: frame.IPv4(n.table.Config.OrderIP), Port: 7000}
	var tpl frame.Template
	tpl.Put(b, &from, 7000, &to, len(b)-FrameHeaderBytes)
	h.Put(b[FrameHeaderBytes:])
	n.peer.Seal(b[FrameHeaderBytes:])
	return b
}

func TestSecondPathReasons(t *testing.T) {
	const l = FrameHeaderBytes
	toUs := func(_ *node, h *wire.Header) { h.Successor = 1 }
	for _, c := range []struct {
		name    string
		word    lane.Word
		typ     wire.Type
		says    lane.Word
		edit    func(*node, *wire.Header)
		payload int
		spoil   func(b []byte) []byte
		verdict Verdict
		reason  Reason
		after   lane.Word // 0: unchanged
		heard   bool
	}{
		{name: "heartbeat", word: standby, typ: wire.Mirror, says: active, reason: LifeReceived, heard: true},
		{name: "life", word: standby, typ: wire.Life, says: active, reason: LifeReceived, heard: true},
		{name: "of an older epoch", word: standby, typ: wire.Mirror, says: older, reason: LifeReceived, heard: true},
		{name: "of a newer epoch", word: standby, typ: wire.Mirror, says: newer, reason: MirrorNewer, after: syncing, heard: true},
		{name: "newer epoch makes ACTIVE stop", word: active, typ: wire.Mirror, says: newer, reason: MirrorNewer, after: syncing, heard: true},
		{name: "probe", word: active, typ: wire.Probe, says: standby, verdict: Answer, reason: ProbeAnswered, heard: true},
		{name: "probe of a hung engine", word: active, typ: wire.Probe, says: standby, edit: func(n *node, _ *wire.Header) { n.table.Watch.StuckTicks = 3 },
			verdict: Answer, reason: ProbeAnswered, after: fencedW, heard: true},
		{name: "probe, no order NIC", word: active, typ: wire.Probe, says: standby, edit: func(n *node, _ *wire.Header) { n.OrderNICGone = func() bool { return true } },
			reason: NoDevice, heard: true},
		{name: "FENCED", word: standby, typ: wire.Fenced, says: fencedW, edit: toUs, reason: FencedReceived, after: lane.MakeWord(5, lane.Candidate), heard: true},
		{name: "FENCED to another", word: standby, typ: wire.Fenced, says: fencedW, reason: LinkNode, heard: true},
		{name: "FENCED by one that is not", word: standby, typ: wire.Fenced, says: active, edit: toUs, reason: LinkType, heard: true},

		{name: "records", word: standby, typ: wire.Mirror, says: active, edit: func(_ *node, h *wire.Header) { h.LengthBytes = 32 }, payload: 32, reason: SecondType},
		{name: "ACK", word: active, typ: wire.Ack, says: standby, reason: SecondType},
		{name: "STALE", word: active, typ: wire.Stale, says: standby, reason: SecondType},
		{name: "FORWARD", word: standby, typ: wire.Forward, says: fencedW, edit: toUs, reason: SecondType},
		{name: "HELLO", word: syncing, typ: wire.HelloFrame, says: active, reason: SecondType},
		{name: "link's path", word: standby, typ: wire.Life, says: active, edit: func(_ *node, h *wire.Header) { h.Path = lane.PathEngine }, reason: LinkPath},
		{name: "replay", word: standby, typ: wire.Life, says: active, edit: func(_ *node, h *wire.Header) { h.Counter = 0 }, reason: LinkReplay},
		{name: "another ring", word: standby, typ: wire.Life, says: active, edit: func(_ *node, h *wire.Header) { h.Incarnation++ }, reason: LinkIncarnation},
		{name: "busy", word: standby, typ: wire.Life, says: active, edit: func(n *node, _ *wire.Header) { n.table.Second.Busy = 1 }, reason: LinkBusy},
		{name: "truncated", word: standby, typ: wire.Life, says: active, spoil: func(b []byte) []byte { return b[:l+95] }, reason: LinkTruncated},
		{name: "longer than its header", word: standby, typ: wire.Life, says: active, payload: 1, reason: LinkLength},
		{name: "flipped", word: standby, typ: wire.Life, says: active, spoil: func(b []byte) []byte { b[l+40] ^= 1; return b }, reason: LinkMAC},
		{name: "from elsewhere", word: standby, typ: wire.Life, says: active, spoil: func(b []byte) []byte { b[29] ^= 1; return b }, reason: LinkAddress},
		{name: "to elsewhere", word: standby, typ: wire.Life, says: active, spoil: func(b []byte) []byte { b[33] ^= 1; return b }, verdict: Pass, reason: None},
		{name: "one path only", word: standby, typ: wire.Life, says: active, edit: func(n *node, _ *wire.Header) { n.table.Config.OrderIP = [4]byte{} }, verdict: Pass, reason: None},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := twoPaths(t, c.word)
			n.table.Peer.Authority = uint64(standby)
			h := n.header(c.typ, c.says)
			h.Path = lane.PathEngineOrder
			b := n.sealSecond(h, c.payload)
			if c.edit != nil {
				c.edit(n, &h)
				b = n.sealSecond(h, c.payload)
			}
			if n.table.Config.OrderIP == [4]byte{} {
				copy(b[offDestination:], []byte{10, 1, 0, 1})
			}
			if c.spoil != nil {
				b = c.spoil(b)
			}
			if c.verdict == Pass && c.reason != None {
				c.verdict = Drop
			}
			v, _, reason := n.Second(b, 1000, n.reply[:])
			if v != c.verdict || reason != c.reason {
				t.Fatalf("%v %v, want %v %v", v, reason, c.verdict, c.reason)
			}
			want := c.after
			if want == 0 {
				want = c.word
			}
			if got := lane.Load(n.word); got != want {
				t.Errorf("authority %v, want %v", got, want)
			}
			if heard := n.table.Second.Frames == 1; heard != c.heard || n.table.Peer.Frames != 0 {
				t.Errorf("heard %v, on the link %d", heard, n.table.Peer.Frames)
			}
			if n.table.Second.Busy = 0; reason != None && n.Count(reason) != 1 {
				t.Errorf("%v counted %d times", reason, n.Count(reason))
			}
		})
	}
}

// A frame on either path ends silence; silence on both promotes, once the own
// engine has moved.
func TestSilenceIsOnBothPaths(t *testing.T) {
	n := twoPaths(t, standby)
	n.table.Config.Flags |= lane.ConfigSilencePromotes
	now := int64(1000)
	tick := func(works bool) bool {
		now += 100
		if works {
			n.table.Engine.ProgressNs = uint64(now)
		}
		return n.Tick(now)
	}
	for i := range 40 {
		if i%3 == 0 {
			h := n.header(wire.Mirror, active)
			if h.Path = lane.PathEngineOrder; i%2 == 0 {
				h.Path = lane.PathEngine
				n.Step(n.seal(h, nil, nil), now, n.reply[:])
			} else {
				n.Second(n.sealSecond(h, 0), now, n.reply[:])
			}
		}
		if tick(true) {
			t.Fatal("promoted while the peer was heard")
		}
	}
	if w := n.table.Watch; w.LastHeardNs == 0 || w.LastSecondHeardNs == 0 {
		t.Errorf("heard at %d and %d", w.LastHeardNs, w.LastSecondHeardNs)
	}
	for range 5 {
		if tick(false) {
			t.Fatal("promoted though its own engine stood still")
		}
	}
	if !tick(true) || lane.Load(n.word).State() != lane.Candidate {
		t.Errorf("%v after silence on both paths", lane.Load(n.word))
	}
}

func TestSteerRules(t *testing.T) {
	order := make([]byte, FrameHeaderBytes+70)
	var tpl frame.Template
	lives := func(*node) {}
	hung := func(n *node) { n.table.Watch.StuckTicks = 3 }
	gone := func(n *node) {
		n.gone = true
		n.OrderSocketGone = func() bool { return true }
	}
	all := []lane.Word{lane.MakeWord(5, lane.Init), syncing, standby, lane.MakeWord(5, lane.Candidate), active, fencedW}
	for _, c := range []struct {
		name   string
		engine func(*node)
		want   [6]Reason // by state of all
		word   lane.Word // of the ACTIVE one, afterwards
	}{
		{"alive", lives, [6]Reason{OrderNotActive, OrderNotActive, OrderNotActive, OrderWaits, OrderToEngine, OrderForwarded}, active},
		{"hung", hung, [6]Reason{OrderNotActive, OrderNotActive, OrderNotActive, OrderWaits, OrderForwarded, OrderForwarded}, fencedW},
		{"gone", gone, [6]Reason{OrderNotActive, OrderNotActive, OrderNotActive, OrderNoEngine, OrderForwarded, OrderForwarded}, fencedW},
	} {
		for i, word := range all {
			n := twoPaths(t, word)
			n.table.Peer.Authority = uint64(standby)
			c.engine(n)
			tpl.Put(order, &frame.Endpoint{IP: frame.IPv4([4]byte{10, 1, 0, 9})}, 4000, &frame.Endpoint{IP: frame.IPv4(n.table.Config.LaneIP), Port: 9000}, 70)
			v, bytes, reason := n.Steer(order, 1000, n.reply[:])
			if reason != c.want[i] {
				t.Errorf("%s, %v: %v %v, want %v", c.name, word, v, reason, c.want[i])
			}
			if word == active && lane.Load(n.word) != c.word {
				t.Errorf("%s: %v, want %v", c.name, lane.Load(n.word), c.word)
			}
			if v == Forward {
				var h wire.Header
				b := n.reply[FrameHeaderBytes:bytes]
				tx := wire.Auth{Enabled: true, Sip: n.table.Config.TxKey, NH: &testKeys.NH}
				if h.Parse(b) != wire.OK || h.Type != wire.Forward || string(h.Ride(b)) != string(order) || !tx.Verify(b) {
					t.Errorf("%s, %v: forwarded as %+v", c.name, word, h)
				}
			}
		}
	}
}
