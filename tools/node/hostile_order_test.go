package node

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
)

// laneCounts returns what a node's loop counted, by name.
func (w *world) laneCounts(place string) map[string]uint64 {
	w.t.Helper()
	l := w.nodes[place].lanes[0].loop
	l.AskReport()
	l.DoWork(w.clock.NowNs())
	report, ok := l.Report()
	if !ok {
		w.t.Fatal("no report")
	}
	counts := map[string]uint64{}
	for _, c := range report.Counts {
		counts[c.Name] += c.Value
	}
	return counts
}

func (w *world) reasons(place string) map[string]uint64 {
	w.t.Helper()
	r, err := w.nodes[place].kernel.Reasons()
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// risen returns what rose between two counts, without what rises by itself.
func risen(before, after map[string]uint64, quiet func(name string) bool) map[string]uint64 {
	d := map[string]uint64{}
	for name, n := range after {
		if n != before[name] && !quiet(name) {
			d[name] = n - before[name]
		}
	}
	return d
}

// traffic are the loop's counters that say nothing about bad input, but how
// much came and what was answered.
func traffic(name string) bool {
	switch name {
	case "cycles", "frames", "messages", "order_received", "order_sent", "released_by_user", "session_datagrams",
		"session_heartbeats", "session_retransmit_refused", "mirror_rides", "mirror_resends", "second_sent":
		return true
	}
	return strings.HasPrefix(name, "book_")
}

// stepNodes runs a cycle of the nodes alone.
func (w *world) stepNodes() {
	client := w.client
	w.client = nil
	w.step()
	w.client = client
}

// attacker sends frames from the client's place.
type attacker struct {
	w       *world
	session sbe.UUID
	seqNo   uint64 // next of the client's flow
	pending int
	hears   bool // the good client hears its answers meanwhile
}

func newAttacker(w *world) *attacker {
	w.t.Helper()
	id, err := parseUUID(scene.Session(0))
	if err != nil {
		w.t.Fatal(err)
	}
	return &attacker{w: w, session: id, seqNo: w.client.c.Initiator().NextOut()}
}

// orderDatagram is one order behind its Context.
func (a *attacker) orderDatagram(seqNo, clOrdID uint64) []byte {
	b := make([]byte, 256)
	n := sbe.PutContext(b, &a.session, seqNo)
	m := sbe.AsNewOrderSingle(sbe.Put(b[n:], sbe.TemplateNewOrderSingle, sbe.NewOrderSingleBytes))
	m.SetClOrdID(clOrdID)
	m.SetPriceTicks(10000)
	m.SetSymbolID(1)
	m.SetQtyLots(1)
	m.SetSide(sbe.SideBuy)
	m.SetOrdType(sbe.OrdTypeLimit)
	return b[:n+sbe.PrefixBytes+sbe.NewOrderSingleBytes]
}

// session messages without valid credentials.
func (a *attacker) negotiate() []byte {
	b := make([]byte, sbe.PrefixBytes+sbe.NegotiateBytes)
	m := sbe.AsNegotiate(sbe.Put(b, sbe.TemplateNegotiate, sbe.NegotiateBytes))
	m.SetSessionID(&a.session)
	m.SetTimestamp(1)
	m.SetCredentials(42)
	return b
}

func (a *attacker) establish() []byte {
	b := make([]byte, sbe.PrefixBytes+sbe.EstablishBytes)
	m := sbe.AsEstablish(sbe.Put(b, sbe.TemplateEstablish, sbe.EstablishBytes))
	m.SetSessionID(&a.session)
	m.SetTimestamp(1)
	m.SetCredentials(42)
	return b
}

// recorded are a Negotiate and an Establish with good credentials, as somebody
// heard them earlier.
func (a *attacker) recorded(template uint16) []byte {
	key, b := fixp.NewKey(scene.Credentials), make([]byte, sbe.PrefixBytes+sbe.BlockBytes(template))
	m := sbe.AsEstablish(sbe.Put(b, template, sbe.BlockBytes(template)))
	m.SetSessionID(&a.session)
	m.SetTimestamp(7)
	m.SetCredentials(key.Sign(template, &a.session, 7))
	return b
}

// named is a message that only its session stands in.
func (a *attacker) named(template uint16) []byte {
	b := make([]byte, sbe.PrefixBytes+sbe.BlockBytes(template))
	copy(sbe.Put(b, template, sbe.BlockBytes(template)), a.session[:])
	return b
}

// send puts a payload into a frame, lets tweak harm the frame, and sends it.
func (a *attacker) send(payload []byte, srcPort uint16, tweak func(b []byte)) {
	c := a.w.client
	b := c.port.Reserve()
	for ; b == nil; b = c.port.Reserve() {
		a.flush()
	}
	headerBytes := c.local.IP.HeaderBytes()
	n := headerBytes + copy(b[headerBytes:], payload)
	c.template.Put(b, &c.local, srcPort, &c.remote, len(payload))
	if tweak != nil {
		tweak(b[:n])
	}
	c.port.Submit(n)
	if a.pending++; a.pending == 32 {
		a.flush()
	}
}

func (a *attacker) flush() {
	c := a.w.client
	c.port.Kick()
	a.pending = 0
	a.w.stepNodes()
	if a.hears {
		c.step()
		return
	}
	// Replies to nobody's requests.
	if c.port.Recv(64) > 0 {
		c.port.Done()
	}
}

// Every kind of bad datagram is counted under its own name, and the log does
// not notice.
func TestBadOrderFramesAreCountedByReason(t *testing.T) {
	w := steady(t, setting{app: "book", calm: true})
	a := newAttacker(w)
	good := func() []byte { return a.orderDatagram(a.seqNo, 1<<40) }
	second := sbe.PrefixBytes + sbe.ContextBytes // where the order's message begins
	edit := func(f func(b []byte) []byte) func() []byte { return func() []byte { return f(good()) } }
	put16 := func(at int, v uint16) func() []byte {
		return edit(func(b []byte) []byte { binary.LittleEndian.PutUint16(b[at:], v); return b })
	}
	const block, template, schema, version = sbe.SOFHBytes, sbe.SOFHBytes + 2, sbe.SOFHBytes + 4, sbe.SOFHBytes + 6
	for _, c := range []struct {
		name    string
		counter string // "": it never reaches the engine
		payload func() []byte
		srcPort uint16
		tweak   func(b []byte)
	}{
		{"truncated", "session_truncated", edit(func(b []byte) []byte { return b[:len(b)-5] }), clientPort, nil},
		{"cut in the prefix", "session_truncated", edit(func(b []byte) []byte { return b[:second+7] }), clientPort, nil},
		{"empty", "session_truncated", func() []byte { return nil }, clientPort, nil},
		{"oversized", "session_oversized", edit(func(b []byte) []byte { binary.BigEndian.PutUint32(b[second:], 300); return b }), clientPort, nil},
		{"other encoding", "session_bad_encoding", put16(second+4, 0x1234), clientPort, nil},
		{"wrong schema", "session_wrong_schema", put16(second+schema, 999), clientPort, nil},
		{"wrong version", "session_wrong_version", put16(second+version, 0x7f00), clientPort, nil},
		{"unknown template", "session_unknown_template", put16(second+template, 9999), clientPort, nil},
		{"wrong block length", "session_bad_block_length", put16(second+block, 3), clientPort, nil},
		{"too many messages", "session_too_many_messages", func() []byte {
			b := make([]byte, 1472)
			n := sbe.PutContext(b, &a.session, a.seqNo)
			for range sbe.MaxMessages {
				sbe.Put(b[n:], sbe.TemplateUnsequencedHeartbeat, sbe.BlockBytes(sbe.TemplateUnsequencedHeartbeat))
				n += sbe.PrefixBytes + sbe.BlockBytes(sbe.TemplateUnsequencedHeartbeat)
			}
			return b[:n]
		}, clientPort, nil},
		{"wrong session", "session_wrong_session", edit(func(b []byte) []byte { b[sbe.PrefixBytes] ^= 1; return b }), clientPort, nil},
		{"used sequence, other order", "session_replayed_sequence", func() []byte { return a.orderDatagram(5, 1<<40) }, clientPort, nil},
		{"sequence too far", "session_sequence_too_far", func() []byte { return a.orderDatagram(a.seqNo+1<<32, 1<<40) }, clientPort, nil},
		{"bad credentials, Negotiate", "session_bad_credentials", a.negotiate, clientPort, nil},
		{"bad credentials, Establish", "session_bad_credentials", a.establish, clientPort, nil},
		{"recorded Negotiate", "session_stale_timestamp", func() []byte { return a.recorded(sbe.TemplateNegotiate) }, clientPort + 1, nil},
		{"recorded Establish", "session_stale_timestamp", func() []byte { return a.recorded(sbe.TemplateEstablish) }, clientPort + 1, nil},
		{"a stranger's Terminate", "session_wrong_endpoint", func() []byte { return a.named(sbe.TemplateTerminate) }, clientPort + 1, nil},
		{"a stranger's FinishedSending", "session_wrong_endpoint", func() []byte { return a.named(sbe.TemplateFinishedSending) }, clientPort + 1, nil},
		{"a stranger's RetransmitRequest", "session_wrong_endpoint", func() []byte { return a.named(sbe.TemplateRetransmitRequest) }, clientPort + 1, nil},
		{"FinishedReceiving of what goes on", "session_unexpected_message", func() []byte { return a.named(sbe.TemplateFinishedReceiving) }, clientPort, nil},
		{"FinishedSending of fewer than were sent", "session_sequence_too_far", func() []byte { return a.named(sbe.TemplateFinishedSending) }, clientPort, nil},
		{"a Sequence of nobody", "session_unexpected_message", func() []byte { return a.named(sbe.TemplateSequence) }, clientPort, nil},
		{"a message of the server", "session_unexpected_message", func() []byte {
			b := make([]byte, 256)
			n := sbe.PutContext(b, &a.session, a.seqNo)
			sbe.Put(b[n:], sbe.TemplateExecutionReport, sbe.ExecutionReportBytes)
			return b[:n+sbe.PrefixBytes+sbe.ExecutionReportBytes]
		}, clientPort, nil},
		{"someone else's session", "session_wrong_endpoint", good, clientPort + 1, nil},
		{"wrong port", "machine_wrong_port", good, clientPort, func(b []byte) { binary.BigEndian.PutUint16(b[36:], 9999) }},
		{"UDP length beyond the frame", "not_udp", good, clientPort, func(b []byte) { binary.BigEndian.PutUint16(b[38:], 1400) }},
		{"first fragment", "", good, clientPort, ip(func(b []byte) { b[20] = 0x20 })},
		{"later fragment", "", good, clientPort, ip(func(b []byte) { b[20], b[21] = 0, 9 })},
		{"IP options", "", good, clientPort, ip(func(b []byte) { b[14] = 0x46 })},
		{"IPv6", "", good, clientPort, func(b []byte) { b[12], b[13] = 0x86, 0xdd }},
		{"TCP", "", good, clientPort, ip(func(b []byte) { b[23] = 6 })},
		{"no lane's address", "", good, clientPort, ip(func(b []byte) { b[33] = 77 })},
	} {
		w.steps(0)
		w.client.step()
		tail := w.nodes[lab.NodeA].lanes[0].mem.table.Tail
		before, kernel := w.laneCounts(lab.NodeA), w.reasons(lab.NodeA)
		const repeats = 7
		for range repeats {
			a.send(c.payload(), c.srcPort, c.tweak)
		}
		a.flush()
		w.stepNodes()
		want, taken := map[string]uint64{c.counter: repeats}, uint64(repeats)
		if c.counter == "" {
			want, taken = map[string]uint64{}, 0
		}
		got := risen(before, w.laneCounts(lab.NodeA), traffic)
		if len(got) != len(want) || got[c.counter] != want[c.counter] {
			t.Errorf("%s: counted %v, want %v", c.name, got, want)
		}
		toEngine := func(name string) bool { return !strings.HasPrefix(name, "order_") }
		if d := risen(kernel, w.reasons(lab.NodeA), toEngine); d["order_to_engine"] != taken || len(d) > 1 {
			t.Errorf("%s: the kernel counted %v", c.name, d)
		}
		if now := w.nodes[lab.NodeA].lanes[0].mem.table.Tail; now != tail {
			t.Fatalf("%s: the log grew from %d to %d", c.name, tail, now)
		}
	}
	w.orders(50)
	w.checkOnce()
	w.sameState()
}

// ip changes an IP header and makes its checksum right again: switches look.
func ip(change func(b []byte)) func(b []byte) {
	return func(b []byte) {
		change(b)
		b[24], b[25] = 0, 0
		sum := uint32(0)
		for i := 14; i < 14+int(b[14]&15)*4; i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
		sum = sum&0xffff + sum>>16
		binary.BigEndian.PutUint16(b[24:], ^uint16(sum&0xffff+sum>>16))
	}
}

// A flood of random and harmed frames: each is counted once, none reaches the
// log, and the lane serves on.
func TestRandomFramesChangeNothing(t *testing.T) {
	const frames = 100_000
	w := steady(t, setting{app: "book", calm: true})
	a := newAttacker(w)
	a.hears = true // the session stays alive
	r := rand.New(rand.NewPCG(1, 2))
	w.steps(0)
	tail := w.nodes[lab.NodeA].lanes[0].mem.table.Tail
	before, kernel := w.laneCounts(lab.NodeA), w.reasons(lab.NodeA)
	bases := [][]byte{a.orderDatagram(a.seqNo, 1<<40), a.orderDatagram(5, 7), a.negotiate(), a.establish()}
	sent := uint64(0)
	buffer := make([]byte, 1472)
	for i := range frames {
		switch i % 4 {
		case 0: // no frame at all
			b := buffer[:r.IntN(200)]
			fill(r, b)
			a.send(b, clientPort, func(f []byte) {
				fill(r, f[12:])
				if f[12] == 8 {
					f[12] = 9 // neither IP nor ARP
				}
			})
		case 1: // a datagram of anything
			b := buffer[:r.IntN(len(buffer))]
			fill(r, b)
			a.send(b, clientPort+1, nil)
			sent++
		default: // nearly right, from a stranger
			base := bases[r.IntN(len(bases))]
			b := buffer[:copy(buffer, base)]
			for range r.IntN(5) {
				b[r.IntN(len(b))] = byte(r.Uint32())
			}
			if r.IntN(4) == 0 {
				b = buffer[:r.IntN(2*len(b))]
			}
			a.send(b, clientPort+1, nil)
			sent++
		}
	}
	a.flush()
	w.stepNodes()
	after := w.laneCounts(lab.NodeA)
	got, sum := risen(before, after, traffic), uint64(0)
	for _, n := range got {
		sum += n
	}
	own := after["session_datagrams"] - before["session_datagrams"] - sent // the session's own heartbeats
	if sum != sent || own > 20 {
		t.Errorf("%d datagrams, %d counted, %d of the session: %v", sent, sum, own, got)
	}
	if d := risen(kernel, w.reasons(lab.NodeA), func(name string) bool { return !strings.HasPrefix(name, "order_") }); d["order_to_engine"] != sent+own || len(d) != 1 {
		t.Errorf("%d datagrams, the kernel counted %v", sent+own, d)
	}
	if now := w.nodes[lab.NodeA].lanes[0].mem.table.Tail; now != tail {
		t.Fatalf("the log grew from %d to %d", tail, now)
	}
	w.orders(50)
	w.checkOnce()
	w.sameState()
	t.Log(got)
}

func fill(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}
