package engine

import (
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/fixp"
	"onebeat/engine/gateway"
	"onebeat/engine/sbe"
	"onebeat/xdp/frame"
)

// rig drives one machine as the loop does, without ring and sockets: a
// datagram of one order in, record, apply, sealed frames out.
type rig struct {
	m          *Machine
	out        *app.Outbox
	nowNs      int64
	seqNo      uint64
	clOrdID    uint64
	payload    [256]byte
	length     int
	dg         app.Datagram
	rec        app.Record
	record     [1024]byte
	venueIn    uint64
	venueFrame [256]byte
	outputs    int
}

func (r *rig) commit(d app.Draft) {
	r.rec = app.Record{TimeNs: r.nowNs, Epoch: 1, Type: d.Type, Payload: r.record[:copy(r.record[:], d.Payload)]}
	r.m.Apply(&r.rec, r.out)
}

func (r *rig) receive(payload []byte, from app.Endpoint, port uint16) {
	r.dg = app.Datagram{Payload: payload, From: from, LocalPort: port}
	n := r.m.Open(&r.dg, r.nowNs)
	for i := range n {
		if v, d := r.m.Admit(i, r.nowNs, r.out); v == app.Commit {
			r.commit(d)
		}
	}
}

func (r *rig) release() {
	r.out.Seal()
	r.outputs += int(r.out.Tail() - r.out.Head())
	r.out.Release(r.out.Tail())
}

// connect establishes client session 0.
func (r *rig) connect() {
	id, key, at := sessionID(0), fixp.NewKey("key0"), endpoint(10, 5000)
	var b [128]byte
	n := sbe.AsNegotiate(sbe.Put(b[:], sbe.TemplateNegotiate, sbe.NegotiateBytes))
	n.SetSessionID(&id)
	n.SetTimestamp(1)
	n.SetClientFlow(sbe.FlowTypeIdempotent)
	n.SetCredentials(key.Sign(sbe.TemplateNegotiate, &id, 1))
	r.receive(b[:sbe.PrefixBytes+sbe.NegotiateBytes], at, simClientPort)
	b = [128]byte{}
	e := sbe.AsEstablish(sbe.Put(b[:], sbe.TemplateEstablish, sbe.EstablishBytes))
	e.SetSessionID(&id)
	e.SetTimestamp(2)
	e.SetNextSeqNo(1)
	e.SetKeepAliveMs(1000)
	e.SetCredentials(key.Sign(sbe.TemplateEstablish, &id, 2))
	r.receive(b[:sbe.PrefixBytes+sbe.EstablishBytes], at, simClientPort)
	r.release()
	r.seqNo, r.clOrdID = 1, 1
	c := sbe.PutContext(r.payload[:], &id, 1)
	sbe.Put(r.payload[c:], sbe.TemplateNewOrderSingle, sbe.NewOrderSingleBytes)
	r.length = c + sbe.PrefixBytes + sbe.NewOrderSingleBytes
}

// order sends the next order; buys and sells alternate and trade.
func (r *rig) order() {
	sbe.AsContext(r.payload[sbe.PrefixBytes:]).SetNextSeqNo(r.seqNo)
	o := sbe.AsNewOrderSingle(r.payload[2*sbe.PrefixBytes+sbe.ContextBytes:])
	o.SetClOrdID(r.clOrdID)
	o.SetPriceTicks(100)
	o.SetSymbolID(1)
	o.SetQtyLots(10)
	o.SetAccount(1)
	o.SetSide(sbe.Side(1 + r.clOrdID&1))
	o.SetOrdType(sbe.OrdTypeLimit)
	r.receive(r.payload[:r.length], endpoint(10, 5000), simClientPort)
	r.seqNo++
	r.clOrdID++
	r.nowNs += 1000
}

func newBookRig() *rig {
	b := must(book.New(book.Config{Symbols: []uint32{1, 2}}))
	r := &rig{nowNs: 1_000_000_000, out: app.NewOutbox(laneEndpoint, 1)}
	r.m = must(NewMachine(MachineConfig{Port: simClientPort, App: b, Sessions: []fixp.SessionConfig{{ID: sessionID(0), Key: fixp.NewKey("key0")}}}))
	r.m.Promote(r.nowNs, r.out)
	r.connect()
	return r
}

func newGatewayRig() *rig { return newSizedGatewayRig(0, 0, 0) }

func newSmallGatewayRig() *rig { return newSizedGatewayRig(64, 64, 16) }

func newSizedGatewayRig(orders, retain, window int) *rig {
	g := must(gateway.New(gateway.Config{Sessions: 1, OrdersMax: orders, FinishedRetain: orders, PositionsMax: orders, ClOrdIDWindow: orders, Symbols: []gateway.Symbol{{ID: 1, ReferencePriceTicks: 100}},
		Limits: limits(1000, 1<<40, 50, 1<<40)}))
	r := &rig{nowNs: 1_000_000_000, out: app.NewOutbox(laneEndpoint, 1)}
	r.m = must(NewMachine(MachineConfig{Port: simClientPort, App: g, RetainMessages: retain, Sessions: []fixp.SessionConfig{{ID: sessionID(0), Key: fixp.NewKey("key0")}},
		Venues: []VenueConfig{{Remote: venueEndpoint, LocalPort: simLocalPort, Session: sessionID(99), Key: fixp.NewKey("venue"), Window: window}}}))
	r.m.Promote(r.nowNs, r.out)
	r.connect()
	// The venue's side of the connection, by hand.
	id := sessionID(99)
	for _, template := range []uint16{sbe.TemplateNegotiationResponse, sbe.TemplateEstablishmentAck} {
		r.m.Poll(r.nowNs, r.out)
		var b [128]byte
		if template == sbe.TemplateNegotiationResponse {
			m := sbe.AsNegotiationResponse(sbe.Put(b[:], template, sbe.NegotiationResponseBytes))
			m.SetSessionID(&id)
			m.SetRequestTimestamp(uint64(r.nowNs))
		} else {
			m := sbe.AsEstablishmentAck(sbe.Put(b[:], template, sbe.EstablishmentAckBytes))
			m.SetSessionID(&id)
			m.SetRequestTimestamp(uint64(r.nowNs))
			m.SetNextSeqNo(1)
		}
		r.receive(b[:sbe.PrefixBytes+sbe.BlockBytes(template)], venueEndpoint, simLocalPort)
		r.release()
		r.nowNs += 10_000_000
	}
	if !r.m.Venue(0).Established() {
		panic("venue session is not up")
	}
	r.venueIn = 1
	return r
}

// answer gives the venue's New for the last order.
func (r *rig) answer() {
	id, b := sessionID(99), &r.venueFrame
	n := sbe.PutContext(b[:], &id, r.venueIn)
	e := sbe.AsExecutionReport(sbe.Put(b[n:], sbe.TemplateExecutionReport, sbe.ExecutionReportBytes))
	e.SetClOrdID(r.clOrdID - 1)
	e.SetOrderID(r.clOrdID)
	e.SetExecType(sbe.ExecTypeTrade)
	e.SetOrdStatus(sbe.OrdStatusFilled)
	e.SetLastQtyLots(10)
	e.SetLastPriceTicks(100)
	e.SetCumQtyLots(10)
	e.SetOrderQtyLots(10)
	r.receive(b[:n+sbe.PrefixBytes+sbe.ExecutionReportBytes], venueEndpoint, simLocalPort)
	r.venueIn++
}

// BenchmarkBookOrder is decode, session check, apply, encode and headers of one
// order with the book; every second one trades (three reports).
func BenchmarkBookOrder(b *testing.B) {
	r := newBookRig()
	b.ReportAllocs()
	for b.Loop() {
		r.order()
		r.release()
	}
	b.ReportMetric(float64(r.outputs)/float64(b.N), "outputs/op")
}

// BenchmarkBookReport is an order that finds nothing: two reports, one datagram.
func BenchmarkBookReport(b *testing.B) {
	r := newBookRig()
	o := sbe.AsNewOrderSingle(r.payload[2*sbe.PrefixBytes+sbe.ContextBytes:])
	b.ReportAllocs()
	for b.Loop() {
		// An IOC order on an empty book: New and Cancelled.
		sbe.AsContext(r.payload[sbe.PrefixBytes:]).SetNextSeqNo(r.seqNo)
		o.SetClOrdID(r.clOrdID)
		o.SetPriceTicks(100)
		o.SetSymbolID(1)
		o.SetQtyLots(10)
		o.SetSide(sbe.SideBuy)
		o.SetOrdType(sbe.OrdTypeLimit)
		o.SetTimeInForce(sbe.TimeInForceImmediateOrCancel)
		r.receive(r.payload[:r.length], endpoint(10, 5000), simClientPort)
		r.seqNo++
		r.clOrdID++
		r.nowNs += 1000
		r.release()
	}
}

// BenchmarkGatewayOrder is one order with all checks and two outputs. The
// venue's answers are not timed; they come every 64 orders.
func BenchmarkGatewayOrder(b *testing.B) {
	r := newGatewayRig()
	b.ReportAllocs()
	for b.Loop() {
		r.order()
		r.release()
		if r.clOrdID&63 == 0 {
			b.StopTimer()
			last := r.clOrdID
			for k := last - 64; k < last; k++ {
				if k == 0 {
					continue
				}
				r.clOrdID = k + 1
				r.answer()
				r.release()
			}
			r.clOrdID = last
			b.StartTimer()
		}
	}
}

// BenchmarkGatewayRound is one order and its fill by the venue.
func BenchmarkGatewayRound(b *testing.B) {
	r := newGatewayRig()
	b.ReportAllocs()
	for b.Loop() {
		r.order()
		r.answer()
		r.release()
	}
	b.ReportMetric(float64(r.outputs)/float64(b.N), "outputs/op")
	if n := r.m.Venue(0).Unanswered(); n != 0 {
		b.Fatalf("%d unanswered", n)
	}
}

func TestRigAnswersInFrames(t *testing.T) {
	r := newGatewayRig()
	for range 10 {
		r.order()
		if n := r.out.Tail() - r.out.Head(); n != 2 {
			t.Fatalf("%d outputs for one order, want the answer and the venue's order", n)
		}
		a, v := r.out.At(r.out.Head()), r.out.At(r.out.Head()+1)
		if a.Remote != endpoint(10, 5000) || v.Remote != venueEndpoint || a.LengthBytes <= frame.HeaderBytes {
			t.Fatalf("answer to %v, order to %v", a.Remote, v.Remote)
		}
		r.answer()
		r.release()
	}
}

func TestNoAllocations(t *testing.T) {
	bookRig, gatewayRig := newBookRig(), newGatewayRig()
	cases := map[string]func(){
		"book order":          func() { bookRig.order(); bookRig.release() },
		"gateway order, fill": func() { gatewayRig.order(); gatewayRig.answer(); gatewayRig.release() },
		"book repeat":         func() { bookRig.seqNo--; bookRig.clOrdID--; bookRig.order(); bookRig.release() },
		"gateway poll": func() {
			gatewayRig.nowNs += 1_000_000
			gatewayRig.m.Poll(gatewayRig.nowNs, gatewayRig.out)
			gatewayRig.release()
		},
		"book not applied":     func() { bookRig.seqNo += 3; bookRig.order(); bookRig.release() },
		"gateway promote":      func() { gatewayRig.m.Promote(gatewayRig.nowNs, gatewayRig.out); gatewayRig.release() },
		"gateway digest":       func() { gatewayRig.m.Digest() },
		"book random datagram": func() { bookRig.receive(bookRig.record[:40], endpoint(10, 5000), simClientPort) },
	}
	for name, f := range cases {
		if n := testing.AllocsPerRun(500, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// limits are the four that every lane has.
func limits(qty, notional, collar, position int64) *gateway.Limits {
	l := gateway.NoLimits()
	l[gateway.LimitQty], l[gateway.LimitNotional], l[gateway.LimitCollar], l[gateway.LimitPosition] = qty, notional, collar, position
	return &l
}
