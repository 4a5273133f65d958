package recv

import (
	"encoding/binary"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"onebeat/engine/app"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

const testRing = ring.MinSizeBytes

var testKeys = wire.DeriveKeys([32]byte{7}, 3, 1, 2, 11, 22)

// node is a Receiver with everything it stands on. Node 1 is the test's, the
// peer is node 2; lane 3.
type node struct {
	*Receiver
	table *lane.Table
	word  *uint64
	ring  *ring.Ring
	gone  bool
	// what the peer sends with
	peer    wire.Auth
	counter uint64
	reply   [2048]byte
}

func newNode(t testing.TB, w lane.Word) *node {
	t.Helper()
	n := &node{table: &lane.Table{}, word: new(uint64)}
	*n.word = uint64(w)
	c := &n.table.Config
	c.Used, c.Flags, c.Node, c.PeerNode = 1, lane.ConfigAuth, 1, 2
	c.Incarnation, c.PeerIncarnation = 11, 22
	c.LinkIP, c.PeerLinkIP = [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}
	c.LinkPort = [2]byte{0x1b, 0x58}
	c.TickNs, c.HangTicks, c.SilenceTicks = 100, 3, 4
	c.TxKey, c.RxKey = testKeys.LowToHigh, testKeys.HighToLow
	r, err := ring.New(make([]byte, testRing+ring.SlackBytes), testRing, &n.table.Tail)
	if err != nil {
		t.Fatal(err)
	}
	n.ring = r
	n.Receiver = New(3, n.table, n.word, r, &testKeys.NH)
	n.EngineGone = func() bool { return n.gone }
	n.peer = wire.Auth{Enabled: true, Sip: c.RxKey, NH: &testKeys.NH}
	return n
}

// header is a sound frame of the peer's.
func (n *node) header(typ wire.Type, w lane.Word) wire.Header {
	n.counter++
	return wire.Header{Type: typ, Lane: 3, Node: 2, Epoch: w.Epoch(), Authority: w, Incarnation: 22, Counter: n.counter}
}

func (n *node) seal(h wire.Header, records, ride []byte) []byte {
	h.LengthBytes, h.RideBytes = uint16(len(records)), uint16(len(ride))
	b := make([]byte, FrameHeaderBytes+wire.HeaderBytes, 2048)
	b = append(append(b, records...), ride...)
	from := frame.Endpoint{MAC: [6]byte{2, 2}, IP: frame.IPv4(n.table.Config.PeerLinkIP), Port: 7000}
	to := frame.Endpoint{MAC: [6]byte{1, 1}, IP: frame.IPv4(n.table.Config.LinkIP), Port: 7000}
	var tpl frame.Template
	tpl.Put(b, &from, 7000, &to, len(b)-FrameHeaderBytes)
	h.Put(b[FrameHeaderBytes:])
	n.peer.Seal(b[FrameHeaderBytes:])
	return b
}

// records makes whole records as a writer would at position.
func records(t testing.TB, position uint64, count int) []byte {
	t.Helper()
	tail := position
	r, err := ring.New(make([]byte, testRing+ring.SlackBytes), testRing, &tail)
	if err != nil {
		t.Fatal(err)
	}
	for range count {
		r.Append(app.RecordMessage, 5, 1, make([]byte, 32))
	}
	return append([]byte(nil), r.Bytes(position, position+uint64(count*64))...)
}

var (
	active   = lane.MakeWord(5, lane.Active)
	standby  = lane.MakeWord(5, lane.Standby)
	syncing  = lane.MakeWord(5, lane.Syncing)
	fencedW  = lane.MakeWord(5, lane.Fenced)
	newer    = lane.MakeWord(6, lane.Active)
	older    = lane.MakeWord(4, lane.Active)
	ridebyte = []byte("a finished frame, as it leaves the order NIC, of odd length")
)

func TestEveryReason(t *testing.T) {
	mirrorAt := func(position uint64, count int) func(t *testing.T, n *node) []byte {
		return func(t *testing.T, n *node) []byte {
			h := n.header(wire.Mirror, active)
			h.Position = position
			return n.seal(h, records(t, position, count), nil)
		}
	}
	plain := func(typ wire.Type, w lane.Word, edit func(n *node, h *wire.Header)) func(*testing.T, *node) []byte {
		return func(t *testing.T, n *node) []byte {
			h := n.header(typ, w)
			if edit != nil {
				edit(n, &h)
			}
			return n.seal(h, nil, nil)
		}
	}
	broken := func(edit func(b []byte) []byte) func(*testing.T, *node) []byte {
		return func(t *testing.T, n *node) []byte {
			return edit(n.seal(n.header(wire.Mirror, active), records(t, 0, 1), nil))
		}
	}
	at := func(offset int, v byte) func(*testing.T, *node) []byte {
		return broken(func(b []byte) []byte { b[offset] = v; return b })
	}
	ackWith := func(edit func(n *node, h *wire.Header)) func(*testing.T, *node) []byte {
		return func(t *testing.T, n *node) []byte {
			h := n.header(wire.Ack, standby)
			h.Tail, h.Output, h.Position = 64, 0, 0
			edit(n, &h)
			return n.seal(h, records(t, 0, 1), ridebyte)
		}
	}
	toUs := func(n *node, h *wire.Header) { h.Successor = 1 }
	const l = FrameHeaderBytes
	for _, c := range []struct {
		name    string
		word    lane.Word
		frame   func(*testing.T, *node) []byte
		verdict Verdict
		reason  Reason
		after   lane.Word // 0: unchanged
	}{
		{"other port", standby, at(37, 1), Pass, None, 0},
		{"other protocol", standby, at(23, 6), Pass, None, 0},
		{"too short for a datagram", standby, broken(func(b []byte) []byte { return b[:40] }), Pass, None, 0},
		{"truncated header", standby, broken(func(b []byte) []byte { return b[:l+95] }), Drop, LinkTruncated, 0},
		{"magic", standby, at(l, 0), Drop, LinkMagic, 0},
		{"version", standby, at(l+4, 9), Drop, LinkVersion, 0},
		{"another lane", standby, at(l+6, 4), Drop, LinkLane, 0},
		{"no such lane", standby, at(l+6, 99), Drop, LinkLane, 0},
		{"shorter than it says", standby, broken(func(b []byte) []byte { return b[:len(b)-1] }), Drop, LinkLength, 0},
		{"records not whole steps", standby, at(l+12, 63), Drop, LinkLength, 0},
		{"from elsewhere", standby, at(29, 99), Drop, LinkAddress, 0},
		{"to elsewhere", standby, at(33, 99), Drop, LinkAddress, 0},
		{"another node", standby, at(l+7, 9), Drop, LinkNode, 0},
		{"another ring", standby, at(l+56, 9), Drop, LinkIncarnation, 0},
		{"a flipped record byte", standby, at(l+96+40, 1), Drop, LinkMAC, 0},
		{"unknown type", standby, plain(0, active, nil), Drop, LinkType, 0},
		{"unknown path", standby, plain(wire.Mirror, active, func(_ *node, h *wire.Header) { h.Path = lane.Paths }), Drop, LinkPath, 0},
		{"the order NIC's path", standby, plain(wire.Mirror, active, func(_ *node, h *wire.Header) { h.Path = lane.PathEngineOrder }), Drop, LinkPath, 0},
		{"counter used", standby, plain(wire.Mirror, active, func(_ *node, h *wire.Header) { h.Counter = 0 }), Drop, LinkReplay, 0},

		{"appended", standby, mirrorAt(64, 2), Answer, MirrorAppended, 0},
		{"heartbeat", standby, plain(wire.Mirror, active, func(_ *node, h *wire.Header) { h.Position = 64 }), Answer, MirrorHeartbeat, 0},
		{"repeat", standby, mirrorAt(0, 1), Answer, MirrorRepeat, 0},
		{"gap", standby, mirrorAt(128, 1), Answer, MirrorGap, 0},
		{"overlap is a gap too", standby, mirrorAt(0, 2), Answer, MirrorGap, 0},
		{"older epoch", standby, plain(wire.Mirror, older, nil), Answer, MirrorStale, 0},
		{"newer epoch", standby, plain(wire.Mirror, newer, nil), ToEngine, MirrorNewer, syncing},
		{"newer epoch makes ACTIVE stop", active, plain(wire.Probe, newer, nil), ToEngine, MirrorNewer, syncing},
		{"newer epoch in INIT", lane.MakeWord(0, lane.Init), plain(wire.Mirror, newer, nil), ToEngine, MirrorNewer, 0},
		{"not a standby", active, mirrorAt(64, 1), Drop, MirrorState, 0},
		{"a candidate ACKs nothing", lane.MakeWord(5, lane.Candidate), mirrorAt(64, 1), Drop, MirrorState, 0},
		{"SYNCING: user space appends", syncing, mirrorAt(64, 1), ToEngine, MirrorToEngine, 0},

		{"ACK", active, plain(wire.Ack, standby, nil), Drop, Ack, 0},
		{"ACK of an older epoch", active, plain(wire.Ack, lane.MakeWord(4, lane.Standby), nil), Drop, AckStale, 0},
		{"ACK of no standby", active, plain(wire.Ack, syncing, nil), Drop, AckStale, 0},
		{"ACK while not ACTIVE", standby, plain(wire.Ack, standby, nil), Drop, AckStale, 0},
		{"ride released", active, ackWith(func(*node, *wire.Header) {}), Release, RideReleased, 0},
		{"ride not covered", active, ackWith(func(_ *node, h *wire.Header) { h.Tail = 32 }), Drop, Ack, 0},
		{"ride out of order", active, ackWith(func(_ *node, h *wire.Header) { h.Output = 1 }), Drop, Ack, 0},
		{"ride after fencing", fencedW, ackWith(func(*node, *wire.Header) {}), Drop, AckStale, 0},

		{"probe", active, plain(wire.Probe, standby, nil), Answer, ProbeAnswered, 0},
		{"probe of a dead engine", active, plain(wire.Probe, standby, func(n *node, _ *wire.Header) { n.gone = true }), Answer, ProbeAnswered, fencedW},
		{"probe of a hung engine", active, plain(wire.Probe, standby, func(n *node, _ *wire.Header) { n.table.Watch.StuckTicks = 3 }), Answer, ProbeAnswered, fencedW},
		{"not toward one that is no standby", active, plain(wire.Probe, syncing, func(n *node, _ *wire.Header) { n.gone = true }), Answer, ProbeAnswered, 0},
		{"life", standby, plain(wire.Life, active, nil), Drop, LifeReceived, 0},
		{"stale", active, plain(wire.Stale, older, nil), ToEngine, StaleReceived, 0},
		{"FENCED", standby, plain(wire.Fenced, fencedW, toUs), ToEngine, FencedReceived, lane.MakeWord(5, lane.Candidate)},
		{"FORWARD", standby, plain(wire.Forward, fencedW, toUs), ToEngine, ForwardReceived, lane.MakeWord(5, lane.Candidate)},
		{"FORWARD when ACTIVE already", newer, plain(wire.Forward, fencedW, toUs), ToEngine, ForwardReceived, 0},
		{"FENCED to another", standby, plain(wire.Fenced, fencedW, nil), Drop, LinkNode, 0},
		{"FENCED by one that is not", standby, plain(wire.Fenced, active, toUs), Drop, LinkType, 0},
		{"FENCED, own engine gone", standby, plain(wire.Fenced, fencedW, func(n *node, h *wire.Header) { h.Successor = 1; n.gone = true }), Drop, CandidateRefused, 0},
		{"FENCED, own engine hung", standby, plain(wire.Fenced, fencedW, func(n *node, h *wire.Header) { h.Successor = 1; n.table.Watch.StuckTicks = 3 }), Drop, CandidateRefused, 0},
		{"hello, whatever its ring", syncing, plain(wire.HelloFrame, active, func(_ *node, h *wire.Header) { h.Incarnation = 99 }), ToEngine, HelloReceived, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, c.word)
			n.ring.Append(app.RecordMessage, 5, 1, make([]byte, 32))
			f := c.frame(t, n)
			tail := n.ring.Tail()
			v, _, reason := n.Step(f, 1000, n.reply[:])
			if v != c.verdict || reason != c.reason {
				t.Fatalf("%v %v, want %v %v", v, reason, c.verdict, c.reason)
			}
			if reason != None && n.Count(reason) != 1 {
				t.Errorf("%v counted %d times", reason, n.Count(reason))
			}
			want := c.after
			if want == 0 {
				want = c.word
			}
			if got := lane.Load(n.word); got != want {
				t.Errorf("authority %v, want %v", got, want)
			}
			if moved := n.ring.Tail() != tail; moved != (c.reason == MirrorAppended) {
				t.Errorf("tail %d -> %d", tail, n.ring.Tail())
			}
			if atomic.LoadUint64(&n.table.Busy) != 0 {
				t.Error("left busy")
			}
		})
	}
}

func TestBusyFullAndCross(t *testing.T) {
	n := newNode(t, standby)
	n.table.Busy = 1
	if v, _, r := n.Step(n.seal(n.header(wire.Mirror, active), nil, nil), 1, n.reply[:]); v != Drop || r != LinkBusy || n.table.Busy != 1 {
		t.Error(v, r)
	}
	n.table.Busy = 0
	n.ring.Reset(testRing-64, 0)
	n.table.Engine.Applied = testRing - 64
	h := n.header(wire.Mirror, active)
	h.Position = testRing - 64
	if _, _, r := n.Step(n.seal(h, make([]byte, 96), nil), 1, n.reply[:]); r != MirrorCross {
		t.Error(r)
	}
	n.table.Engine.Applied = 0
	h.Counter++
	n.counter++
	if _, _, r := n.Step(n.seal(h, make([]byte, 96), nil), 1, n.reply[:]); r != MirrorFull {
		t.Error(r)
	}
}

// The ACK says what the peer must know, and carries the ride back.
func TestAckCarriesRide(t *testing.T) {
	n := newNode(t, standby)
	n.table.Engine.Applied = 0
	h := n.header(wire.Mirror, active)
	h.Output = 7
	f := n.seal(h, records(t, 0, 2), ridebyte)
	for i, want := range []Reason{MirrorAppended, MirrorRepeat} {
		v, bytes, reason := n.Step(f, 1, n.reply[:])
		if v != Answer || reason != want || bytes != len(f) {
			t.Fatal(i, v, reason, bytes)
		}
		var from frame.Endpoint
		b, port, ok := frame.Parse(n.reply[:bytes], &from)
		if !ok || from.IP != frame.IPv4(n.table.Config.LinkIP) || port != 7000 {
			t.Fatal("the answer's headers are broken")
		}
		var a wire.Header
		auth := wire.Auth{Enabled: true, Sip: n.table.Config.TxKey, NH: &testKeys.NH}
		if a.Parse(b) != wire.OK || !auth.Verify(b) {
			t.Fatal("the answer is not authentic")
		}
		if a.Type != wire.Ack || a.Tail != 128 || a.Authority != standby || a.Echo != h.Counter || a.Output != 7 ||
			a.Node != 1 || a.Incarnation != 11 || string(a.Ride(b)) != string(ridebyte) || a.Counter != uint64(i+1) {
			t.Errorf("%+v", a)
		}
		h.Counter++
		f = n.seal(h, records(t, 0, 2), ridebyte)
	}
}

func TestAnswerWithoutRideIsShort(t *testing.T) {
	n := newNode(t, standby)
	v, bytes, _ := n.Step(n.seal(n.header(wire.Mirror, active), records(t, 0, 2), nil), 1, n.reply[:])
	var a wire.Header
	if v != Answer || bytes != FrameHeaderBytes+wire.HeaderBytes || a.Parse(n.reply[FrameHeaderBytes:bytes]) != wire.OK ||
		a.Position != 128 || a.LengthBytes != 0 {
		t.Error(v, bytes, a)
	}
	if got := binary.BigEndian.Uint16(n.reply[16:]); int(got) != bytes-14 {
		t.Error("IPv4 length", got)
	}
}

func TestReleasedRide(t *testing.T) {
	n := newNode(t, active)
	h := n.header(wire.Ack, standby)
	h.Tail, h.Echo, h.Applied = 64, 9, 32
	f := n.seal(h, records(t, 0, 1), ridebyte)
	v, at, _ := n.Step(f, 1, nil)
	if v != Release || string(f[at:]) != string(ridebyte) || n.table.NextOutput != 1 {
		t.Fatal(v, at)
	}
	if p := n.table.Peer; p.Tail != 64 || p.Echo != 9 || p.Applied != 32 || lane.Word(p.Authority) != standby {
		t.Errorf("%+v", p)
	}
	h.Counter++
	if v, _, r := n.Step(n.seal(h, records(t, 0, 1), ridebyte), 1, nil); v != Drop || r != Ack || n.Count(RideOrder) != 1 {
		t.Error("released twice")
	}
}

func TestTimerStory(t *testing.T) {
	n := newNode(t, standby)
	n.table.Config.Flags |= lane.ConfigSilencePromotes
	now := int64(1000)
	tick := func(afterNs int64, progress bool) bool {
		now += afterNs
		if progress {
			n.table.Engine.ProgressNs = uint64(now)
		}
		return n.Tick(now)
	}
	w := &n.table.Watch
	for range 3 {
		tick(100, true)
	}
	if w.SilentTicks != 3 || w.StuckTicks != 0 {
		t.Fatal(w.SilentTicks, w.StuckTicks)
	}
	tick(151, false) // late: it may accuse nobody
	if w.SilentTicks != 0 || w.StuckTicks != 0 || w.LateTicks != 1 {
		t.Fatal("a late tick counts", w.SilentTicks, w.StuckTicks)
	}
	n.Step(n.seal(n.header(wire.Mirror, active), nil, nil), now, n.reply[:])
	tick(100, false)
	if w.SilentTicks != 0 || w.StuckTicks != 1 || w.LastHeardNs != uint64(now) {
		t.Fatal("the peer was heard", w.SilentTicks)
	}
	for range 4 {
		tick(100, false)
	}
	if lane.Load(n.word) != standby || n.Count(CandidateRefused) == 0 {
		t.Fatal("a hung engine must not promote")
	}
	if !tick(100, true) || lane.Load(n.word).State() != lane.Candidate || lane.Why(w.CandidateWhy) != lane.WhySilent {
		t.Fatal("silence did not promote", lane.Load(n.word))
	}
}

// Frames, ticks and an engine that swaps the word, all at once: no change of
// the word is lost, and ACTIVE never appends.
func TestAuthorityRace(t *testing.T) {
	n := newNode(t, standby)
	n.table.Engine.ProgressNs = 1
	var wg sync.WaitGroup
	stop := atomic.Bool{}
	wg.Add(2)
	go func() {
		defer wg.Done()
		for now := int64(1); !stop.Load(); now += 100 {
			atomic.StoreUint64(&n.table.Engine.ProgressNs, uint64(now))
			n.Tick(now)
		}
	}()
	go func() { // the engine: takes the lane and gives it back
		defer wg.Done()
		for range 2000 {
			w := lane.Load(n.word)
			if !lane.Swap(n.word, w, lane.MakeWord(5, lane.Active)) {
				continue
			}
			for atomic.LoadUint64(&n.table.Busy) != 0 {
			}
			before := n.ring.Tail()
			for range 20 {
				if n.ring.Tail() != before {
					t.Error("the tail moved under an ACTIVE engine")
				}
			}
			atomic.StoreUint64(&n.table.Engine.Applied, before)
			lane.Swap(n.word, lane.MakeWord(5, lane.Active), standby)
		}
		stop.Store(true)
	}()
	for !stop.Load() {
		tail := n.ring.Tail()
		h := n.header(wire.Mirror, active)
		h.Position = tail
		n.Step(n.seal(h, make([]byte, 64), nil), 1, n.reply[:])
	}
	wg.Wait()
	if n.Count(MirrorAppended) == 0 {
		t.Error("nothing was appended")
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	n := newNode(t, standby)
	f := n.seal(n.header(wire.Mirror, active), nil, ridebyte)
	if a := testing.AllocsPerRun(100, func() {
		n.table.RxCounter[0] = 0
		n.Step(f, 1, n.reply[:])
		n.Tick(1)
	}); a != 0 {
		t.Error(a)
	}
}

// The numbers and names are the contract's.
func TestReasonsAreTheHeaders(t *testing.T) {
	src, err := os.ReadFile("../../bpf/onebeat.h")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(src), "enum ob_reason {")
	body, _, _ = strings.Cut(body, "OB_R_MAX")
	names := regexp.MustCompile(`(?m)^\s+OB_R_(\w+)`).FindAllStringSubmatch(body, -1)
	if len(names) != int(ReasonCount) {
		t.Fatalf("%d reasons, bpf/onebeat.h has %d", ReasonCount, len(names))
	}
	for i, m := range names {
		if got := Reason(i).String(); got != strings.ToLower(m[1]) {
			t.Errorf("%d: %s, bpf/onebeat.h says %s", i, got, m[1])
		}
	}
}

func BenchmarkStepMirrorWithRide(b *testing.B) {
	n := newNode(b, standby)
	f := n.seal(n.header(wire.Mirror, active), nil, make([]byte, 174))
	b.ReportAllocs()
	for b.Loop() {
		n.table.RxCounter[0] = 0
		n.Step(f, 1, n.reply[:])
	}
}
