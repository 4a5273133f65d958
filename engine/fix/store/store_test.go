package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/cold"
	"onebeat/engine/fix/convert"
	"onebeat/engine/sbe"
)

func config(t testing.TB, port *cold.Port) Config {
	t.Helper()
	n, err := convert.NewNames(convert.FIX42, []convert.Instrument{{ID: 1, Name: "ONEB", Tick: convert.Tick{Mantissa: 1, Digits: 2}}}, nil, 7)
	if err != nil {
		t.Fatal(err)
	}
	id := func(target string) ID { return ID{Version: convert.FIX42, Sender: "VENUE", Target: target} }
	return Config{First: 2, RetainMessages: 64, RetainBytes: 2 * MessageMaxBytes, OrdersMax: 64, Port: port,
		Sessions: []SessionConfig{{ID: id("A"), Names: n, CancelNs: 1000}, {ID: id("B"), Names: n}, {Names: n}}}
}

func fresh(t testing.TB, port *cold.Port) *Sessions {
	t.Helper()
	s, err := New(config(t, port))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func payload(h Header, body []byte) []byte {
	b := make([]byte, HeaderBytes, HeaderBytes+len(body))
	h.Put(b)
	return append(b, body...)
}

// answer is an application that answers every request at once.
func answer(s *Sessions, in *app.Input, execID *uint64) {
	*execID++
	switch in.Template {
	case sbe.TemplateNewOrderSingle:
		q := sbe.AsNewOrderSingle(in.Block)
		if *execID%5 == 0 {
			r := sbe.AsReject(s.ToClient(in.Session, sbe.TemplateReject))
			r.SetClOrdID(q.ClOrdID())
			r.SetReason(sbe.RejectReasonMaxQuantity)
			r.SetRefTemplateID(in.Template)
			s.SendToClient(in.TimeNs)
			return
		}
		r := sbe.AsExecutionReport(s.ToClient(in.Session, sbe.TemplateExecutionReport))
		r.SetClOrdID(q.ClOrdID())
		r.SetExecID(*execID)
		r.SetSymbolID(1)
		r.SetExecType(sbe.ExecTypeTrade)
		r.SetOrdStatus(sbe.OrdStatusFilled)
		r.SetLastQtyLots(q.QtyLots())
		r.SetLastPriceTicks(q.PriceTicks())
		r.SetCumQtyLots(q.QtyLots())
		s.SendToClient(in.TimeNs)
	default:
		r := sbe.AsReject(s.ToClient(in.Session, sbe.TemplateReject))
		r.SetClOrdID(sbe.AsOrderCancelRequest(in.Block).ClOrdID())
		r.SetReason(sbe.RejectReasonUnknownOrder)
		r.SetRefTemplateID(in.Template)
		s.SendToClient(in.TimeNs)
	}
}

func apply(s *Sessions, rec *app.Record, execID *uint64) {
	var in app.Input
	s.Aim(true, rec.Position)
	if s.Begin(rec, &in) {
		if in.Kind == app.FromClient {
			answer(s, &in, execID)
		}
		s.End()
	}
}

// randomLog makes records as the cold side would, mostly.
func randomLog(rng *rand.Rand, n int) []app.Record {
	var log []app.Record
	next := [3]uint64{1, 1, 1}
	for i := range n {
		at := uint16(rng.IntN(3))
		h := Header{Session: at, Cookie: uint32(i), WallNs: int64(1_700_000_000_000_000_000 + i*1000)}
		var body []byte
		consume := func() {
			h.Flags |= Consume
			h.SeqNo = next[at]
			next[at]++
		}
		switch rng.IntN(12) {
		case 0, 1, 2, 3:
			h.Kind = Order
			consume()
			var block [sbe.NewOrderSingleBytes]byte
			m := sbe.AsNewOrderSingle(block[:])
			m.SetQtyLots(uint32(1 + rng.IntN(9)))
			m.SetSymbolID(1)
			m.SetPriceTicks(int64(1 + rng.IntN(1000)))
			m.SetSide(sbe.SideBuy)
			body = AppendOrder(nil, []byte(fmt.Sprintf("ord-%d", rng.IntN(80))), nil, sbe.TemplateNewOrderSingle, block[:])
		case 4:
			h.Kind = Order
			consume()
			var block [sbe.OrderCancelRequestBytes]byte
			body = AppendOrder(nil, []byte(fmt.Sprintf("cxl-%d", i)), []byte(fmt.Sprintf("ord-%d", rng.IntN(80))), sbe.TemplateOrderCancelRequest, block[:])
		case 5:
			h.Kind, h.Flags, h.Arg = Step, Send|LoggedOn, 30
			consume()
			body = AppendMessage(nil, "A", "", "98=0\x01108=30\x01")
		case 6:
			h.Kind, h.Flags = Step, Send|LoggedOff
			body = AppendMessage(nil, "5", "", "")
		case 7:
			h.Kind = Step
			consume()
		case 8:
			h.Kind = SetIn
			next[at] += uint64(rng.IntN(4))
			h.SeqNo = next[at]
		case 9:
			if rng.IntN(6) > 0 {
				h.Kind, h.Flags = Step, Consume
				h.SeqNo = next[at] + 5 // not the next one
				break
			}
			h.Kind = Reset
			next[at] = 1
		case 10:
			// A long message, in parts.
			long := AppendMessage(nil, "B", "", "58="+strings.Repeat("x", 700+rng.IntN(1500))+"\x01")
			for first := true; len(long) > 900; first = false {
				p := Header{Session: at, Kind: Part}
				if first {
					p.Flags = FirstPart
				}
				log = append(log, app.Record{Payload: payload(p, long[:900])})
				long = long[900:]
				h.Flags |= Joined
			}
			h.Kind, h.Flags = Step, h.Flags|Send
			body = long
		case 11:
			if at == 2 && rng.IntN(4) == 0 {
				h.Kind = Bind
				body = AppendID(nil, ID{Version: convert.FIX42, Sender: "V", Target: "T" + strconv.Itoa(i)})
				next[at] = 1
				break
			}
			h.Kind = Echo
			consume()
			if rng.IntN(2) == 0 {
				h.Flags |= Again
			}
			body = AppendMessage(AppendText(nil, fmt.Sprintf("echo-%d", rng.IntN(20))), "D", "", "11=x\x01")
		}
		log = append(log, app.Record{Payload: payload(h, body)})
	}
	for i := range log {
		log[i].Type, log[i].Position, log[i].TimeNs = app.RecordFIX, uint64(i), int64(i)*1_000_000
	}
	return log
}

func save(t testing.TB, s *Sessions) []byte {
	t.Helper()
	var b bytes.Buffer
	w := app.NewStateWriter(&b)
	s.Save(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// drain returns the messages that went to the port.
func drain(p *cold.Port) (sent []string) {
	p.Release(^uint64(0))
	for e := p.Take(); e != nil; e = p.Take() {
		if e.Kind == Sent {
			sent = append(sent, fmt.Sprintf("%d/%d %s", e.Session, e.SeqNo, e.Payload))
		}
		p.Taken()
	}
	return sent
}

// TestCrashAnywhere: whoever takes over behind any record, from the log or from a saved
// state, says the same messages under the same numbers.
func TestCrashAnywhere(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 9))
		log := randomLog(rng, 600)
		port := cold.NewPort(func() {}, func() {})
		port.Start()
		whole, exec := fresh(t, port), uint64(0)
		crash := rng.IntN(len(log))
		other := cold.NewPort(func() {}, func() {})
		other.Start()
		var second *Sessions
		secondExec := uint64(0)
		for i := range log {
			if i == crash {
				second = fresh(t, other)
				if err := second.Load(app.NewStateReader(bytes.NewReader(save(t, whole)))); err != nil {
					t.Fatalf("seed %d, record %d: %v", seed, i, err)
				}
				if secondExec = exec; second.Digest(0) != whole.Digest(0) || !bytes.Equal(save(t, second), save(t, whole)) {
					t.Fatalf("seed %d, record %d: another state", seed, i)
				}
			}
			apply(whole, &log[i], &exec)
			said := drain(port)
			if second == nil {
				continue
			}
			apply(second, &log[i], &secondExec)
			if got := drain(other); fmt.Sprint(got) != fmt.Sprint(said) {
				t.Fatalf("seed %d, record %d:\n%q\n%q", seed, i, got, said)
			}
			if second.Digest(0) != whole.Digest(0) {
				t.Fatalf("seed %d, record %d: digests differ", seed, i)
			}
		}
		if !bytes.Equal(save(t, second), save(t, whole)) {
			t.Fatalf("seed %d: states differ at the end", seed)
		}
		checkKept(t, whole)
	}
}

// checkKept: what is kept are whole messages with their own numbers.
func checkKept(t *testing.T, s *Sessions) {
	t.Helper()
	for i := range s.Len() {
		x := s.State(i)
		if x.NextOut-x.Oldest > 64 {
			t.Fatalf("session %d keeps %d to %d", i, x.Oldest, x.NextOut)
		}
		for n := x.Oldest; n < x.NextOut; n++ {
			first, second := s.Message(i, n)
			m := append(append([]byte(nil), first...), second...)
			if got := string(convert.Find(m, 34)); got != strconv.FormatUint(n, 10) {
				t.Fatalf("session %d message %d says %q: %q", i, n, got, m)
			}
			if body := m[:len(m)-7]; !bytes.Equal(AppendChecksum(body), m) {
				t.Fatalf("session %d message %d: checksum", i, n)
			}
		}
	}
}

// TestNumbersAreUsedOnce: against the plainest model.
func TestNumbersAreUsedOnce(t *testing.T) {
	port := cold.NewPort(func() {}, func() {})
	port.Start()
	s, exec := fresh(t, port), uint64(0)
	next := map[uint16]uint64{}
	for _, rec := range randomLog(rand.New(rand.NewPCG(5, 5)), 3000) {
		h, _, _ := Parse(rec.Payload)
		if h.Kind == Reset || h.Kind == Bind {
			next[h.Session] = 0
		}
		apply(s, &rec, &exec)
		for _, m := range drain(port) {
			var at uint16
			var n uint64
			if _, err := fmt.Sscanf(m, "%d/%d ", &at, &n); err != nil {
				t.Fatal(err)
			}
			if next[at]++; n != next[at] {
				t.Fatalf("session %d: message %d, %d was next", at, n, next[at])
			}
		}
	}
}

func TestOrdersKeepTheirNames(t *testing.T) {
	port := cold.NewPort(func() {}, func() {})
	port.Start()
	s := fresh(t, port)
	seq := uint64(0)
	request := func(template uint16, clOrdID, orig string, block []byte) (in app.Input) {
		seq++
		rec := app.Record{Type: app.RecordFIX, TimeNs: int64(seq), Payload: payload(Header{Session: 0, Kind: Order, Flags: Consume, SeqNo: seq},
			AppendOrder(nil, []byte(clOrdID), []byte(orig), template, block))}
		s.Aim(true, 0)
		if !s.Begin(&rec, &in) {
			t.Fatal("no input")
		}
		in.Block = bytes.Clone(in.Block)
		return in
	}
	report := func(id, orig uint64, exec sbe.ExecType, status sbe.OrdStatus) string {
		r := sbe.AsExecutionReport(s.ToClient(2, sbe.TemplateExecutionReport))
		r.SetClOrdID(id)
		r.SetOrigClOrdID(orig)
		r.SetSymbolID(1)
		r.SetExecType(exec)
		r.SetOrdStatus(status)
		s.SendToClient(1)
		s.End()
		m := []byte(drain(port)[0])
		return string(convert.Find(m[bytes.IndexByte(m, ' ')+1:], 11)) + "/" + string(convert.Find(m[bytes.IndexByte(m, ' ')+1:], 41))
	}
	var d [sbe.NewOrderSingleBytes]byte
	in := request(sbe.TemplateNewOrderSingle, "A", "", d[:])
	a := sbe.AsNewOrderSingle(in.Block).ClOrdID()
	if got := report(a, 0, sbe.ExecTypeNew, sbe.OrdStatusNew); got != "A/" {
		t.Error(got)
	}
	var g [sbe.OrderCancelReplaceRequestBytes]byte
	in = request(sbe.TemplateOrderCancelReplaceRequest, "B", "A", g[:])
	q := sbe.AsOrderCancelReplaceRequest(in.Block)
	b := q.ClOrdID()
	if q.OrigClOrdID() != a || b == a {
		t.Fatalf("replace of %d names %d as %d", a, q.OrigClOrdID(), b)
	}
	if got := report(b, a, sbe.ExecTypePendingReplace, sbe.OrdStatusPendingReplace); got != "B/A" {
		t.Error(got)
	}
	if got := report(b, a, sbe.ExecTypeReplaced, sbe.OrdStatusNew); got != "B/A" {
		t.Error(got)
	}
	if got := report(a, 0, sbe.ExecTypeTrade, sbe.OrdStatusPartiallyFilled); got != "B/" {
		t.Error("a fill after the replace", got)
	}
	var f [sbe.OrderCancelRequestBytes]byte
	in = request(sbe.TemplateOrderCancelRequest, "C", "B", f[:])
	if m := sbe.AsOrderCancelRequest(in.Block); m.OrigClOrdID() != a {
		t.Fatalf("cancel of %d", m.OrigClOrdID())
	}
	c := sbe.AsOrderCancelRequest(in.Block).ClOrdID()
	if got := report(c, a, sbe.ExecTypeCancelled, sbe.OrdStatusCancelled); got != "C/B" {
		t.Error(got)
	}
	in = request(sbe.TemplateNewOrderSingle, "A", "", d[:])
	if again := sbe.AsNewOrderSingle(in.Block).ClOrdID(); again != a {
		t.Errorf("the same ClOrdID is %d, was %d", again, a)
	}
	s.End()
}

func TestOpenOrdersAreNotForgotten(t *testing.T) {
	port := cold.NewPort(func() {}, func() {})
	port.Start()
	s := fresh(t, port)
	for i := range uint64(70) {
		var d [sbe.NewOrderSingleBytes]byte
		var in app.Input
		rec := app.Record{Type: app.RecordFIX, Payload: payload(Header{Kind: Order, Flags: Consume, SeqNo: i + 1},
			AppendOrder(nil, []byte(fmt.Sprint("o", i)), nil, sbe.TemplateNewOrderSingle, d[:]))}
		s.Aim(true, 0)
		taken := s.Begin(&rec, &in)
		s.End()
		if said := drain(port); taken != (i < 64) || taken != (len(said) == 0) {
			t.Fatalf("order %d: taken %v, %q", i, taken, said)
		}
	}
}

func TestApplyDoesNotAllocate(t *testing.T) {
	port := cold.NewPort(func() {}, func() {})
	port.Start()
	s, exec, seq := fresh(t, port), uint64(0), uint64(0)
	var d [sbe.NewOrderSingleBytes]byte
	sbe.AsNewOrderSingle(d[:]).SetSymbolID(1)
	b := payload(Header{Kind: Order, Flags: Consume}, AppendOrder(nil, []byte("order-0000"), nil, sbe.TemplateNewOrderSingle, d[:]))
	var rec app.Record
	if n := testing.AllocsPerRun(500, func() {
		seq++
		h := Header{Kind: Order, Flags: Consume, SeqNo: seq}
		h.Put(b)
		copy(b[HeaderBytes+1:], strconv.AppendUint(b[HeaderBytes+1:HeaderBytes+1], 1_000_000_000+seq, 10))
		rec = app.Record{Type: app.RecordFIX, Payload: b}
		apply(s, &rec, &exec)
		port.Release(^uint64(0))
		for port.Take() != nil {
			port.Taken()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzRecords(f *testing.F) {
	for _, rec := range randomLog(rand.New(rand.NewPCG(1, 1)), 40) {
		f.Add(rec.Payload)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, exec := fresh(t, nil), uint64(0)
		for range 2 {
			apply(s, &app.Record{Type: app.RecordFIX, Payload: b, TimeNs: 5}, &exec)
		}
		s.Ask(b)
		checkKept(t, s)
	})
}
