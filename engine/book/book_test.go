package book

import (
	"math/rand/v2"
	"sort"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// sink keeps every message said to a client.
type sink struct {
	sent  []said
	block [256]byte
	open  said
	keep  bool
}

type said struct {
	session  uint32
	template uint16
	report   sbe.ExecutionReport
	reject   sbe.Reject
}

func (s *sink) ToClient(session uint32, template uint16) []byte {
	s.open = said{session: session, template: template}
	clear(s.block[:])
	return s.block[:sbe.BlockBytes(template)]
}

func (s *sink) SendToClient() {
	if !s.keep {
		return
	}
	if s.open.template == sbe.TemplateExecutionReport {
		s.open.report = *sbe.AsExecutionReport(s.block[:])
	} else {
		s.open.reject = *sbe.AsReject(s.block[:])
	}
	s.sent = append(s.sent, s.open)
}

func (s *sink) ToVenue(uint32, uint16, uint64) ([]byte, sbe.RejectReason) {
	return nil, sbe.RejectReasonNoRoute
}
func (s *sink) SendToVenue()                 {}
func (s *sink) Withdraw(uint32, uint64) bool { return false }

func (s *sink) take() []said {
	out := s.sent
	s.sent = nil
	return out
}

type desk struct {
	t   *testing.T
	b   *Book
	out *sink
	seq uint64
	in  app.Input
}

func newDesk(t *testing.T, cfg Config) *desk {
	if cfg.Symbols == nil {
		cfg.Symbols = []uint32{7}
	}
	if cfg.ClOrdIDWindow == 0 {
		cfg.ClOrdIDWindow = 4096
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &desk{t: t, b: b, out: &sink{keep: true}}
}

func (d *desk) apply(session uint32, template uint16, block []byte) []said {
	d.seq++
	d.in = app.Input{Kind: app.FromClient, Session: session, SeqNo: d.seq, Template: template, Block: block}
	d.b.Apply(&d.in, d.out)
	return d.out.take()
}

type request struct {
	session  uint32
	id, orig uint64
	side     sbe.Side
	price    int64
	qty      uint32
	market   bool
	ioc      bool
	possible bool
	symbol   uint32
}

func (d *desk) order(q request) []said {
	var m sbe.NewOrderSingle
	m.SetClOrdID(q.id)
	m.SetPriceTicks(q.price)
	m.SetSymbolID(7)
	if q.symbol != 0 {
		m.SetSymbolID(q.symbol)
	}
	m.SetQtyLots(q.qty)
	m.SetSide(q.side)
	m.SetOrdType(sbe.OrdTypeLimit)
	if q.market {
		m.SetOrdType(sbe.OrdTypeMarket)
	}
	if q.ioc {
		m.SetTimeInForce(sbe.TimeInForceImmediateOrCancel)
	}
	if q.possible {
		m.SetPossResend(1)
	}
	return d.apply(q.session, sbe.TemplateNewOrderSingle, m[:])
}

func (d *desk) cancel(q request) []said {
	var m sbe.OrderCancelRequest
	m.SetClOrdID(q.id)
	m.SetOrigClOrdID(q.orig)
	if q.possible {
		m.SetPossResend(1)
	}
	return d.apply(q.session, sbe.TemplateOrderCancelRequest, m[:])
}

func (d *desk) replace(q request) []said {
	var m sbe.OrderCancelReplaceRequest
	m.SetClOrdID(q.id)
	m.SetOrigClOrdID(q.orig)
	m.SetPriceTicks(q.price)
	m.SetQtyLots(q.qty)
	return d.apply(q.session, sbe.TemplateOrderCancelReplaceRequest, m[:])
}

func (d *desk) want(got []said, execs ...sbe.ExecType) {
	d.t.Helper()
	if len(got) != len(execs) {
		d.t.Fatalf("%d messages, want %v", len(got), execs)
	}
	for i := range got {
		if e := got[i].report.ExecType(); got[i].template != sbe.TemplateExecutionReport || e != execs[i] {
			d.t.Fatalf("message %d: %s %v (%v), want %v", i, sbe.TemplateName(got[i].template), e, got[i].reject.Reason(), execs[i])
		}
	}
}

func (d *desk) wantReject(got []said, why sbe.RejectReason) {
	d.t.Helper()
	if len(got) != 1 || got[0].template != sbe.TemplateReject || got[0].reject.Reason() != why {
		d.t.Fatalf("got %d messages, reason %v, want reject %v", len(got), got[0].reject.Reason(), why)
	}
}

const (
	buy, sell = sbe.SideBuy, sbe.SideSell

	eNew, eTrade, eCancelled = sbe.ExecTypeNew, sbe.ExecTypeTrade, sbe.ExecTypeCancelled
)

func TestPriceThenTime(t *testing.T) {
	d := newDesk(t, Config{})
	d.want(d.order(request{session: 1, id: 1, side: sell, price: 101, qty: 5}), eNew)
	d.want(d.order(request{session: 2, id: 1, side: sell, price: 100, qty: 5}), eNew)
	d.want(d.order(request{session: 3, id: 1, side: sell, price: 100, qty: 5}), eNew)
	got := d.order(request{session: 4, id: 1, side: buy, price: 101, qty: 12})
	d.want(got, eNew, eTrade, eTrade, eTrade, eTrade, eTrade, eTrade)
	for i, maker := range []uint32{2, 3, 1} {
		m := got[2+2*i]
		if m.session != maker {
			t.Errorf("fill %d went to session %d, want %d", i, m.session, maker)
		}
	}
	if last := got[5].report; last.LastPriceTicks() != 101 || last.LastQtyLots() != 2 || last.CumQtyLots() != 12 || last.OrdStatus() != sbe.OrdStatusFilled {
		t.Errorf("last fill of the taker: %v at %d, cum %d, %v", last.LastQtyLots(), last.LastPriceTicks(), last.CumQtyLots(), last.OrdStatus())
	}
	if d.b.Open() != 1 {
		t.Errorf("%d open orders, want 1", d.b.Open())
	}
}

func TestImmediateMarketCancelReplace(t *testing.T) {
	d := newDesk(t, Config{})
	d.want(d.order(request{id: 1, side: buy, price: 100, qty: 5, ioc: true}), eNew, eCancelled)
	d.want(d.order(request{id: 2, side: sell, qty: 5, market: true}), eNew, eCancelled)
	d.want(d.order(request{id: 3, side: buy, price: 100, qty: 5}), eNew)
	d.want(d.order(request{id: 4, side: buy, price: 100, qty: 5}), eNew)
	// Less at the same price keeps its place; more loses it.
	d.want(d.replace(request{id: 5, orig: 3, price: 100, qty: 4}), sbe.ExecTypeReplaced)
	got := d.order(request{id: 6, side: sell, price: 100, qty: 1})
	d.want(got, eNew, eTrade, eTrade)
	if got[2].report.ClOrdID() != 3 {
		t.Errorf("traded with %d, want 3", got[2].report.ClOrdID())
	}
	d.want(d.replace(request{id: 7, orig: 3, price: 100, qty: 9}), sbe.ExecTypeReplaced)
	got = d.order(request{id: 8, side: sell, price: 100, qty: 1})
	if got[2].report.ClOrdID() != 4 {
		t.Errorf("traded with %d, want 4", got[2].report.ClOrdID())
	}
	d.wantReject(d.replace(request{id: 9, orig: 3, price: 100, qty: 1}), sbe.RejectReasonBadQuantity)
	d.want(d.cancel(request{id: 10, orig: 3}), eCancelled)
	d.wantReject(d.cancel(request{id: 11, orig: 3}), sbe.RejectReasonTooLateToCancel)
	d.wantReject(d.cancel(request{id: 12, orig: 99}), sbe.RejectReasonUnknownOrder)
	d.wantReject(d.cancel(request{session: 1, id: 13, orig: 4}), sbe.RejectReasonUnknownOrder)
	// A replace may trade at once.
	d.want(d.order(request{id: 14, side: sell, price: 105, qty: 2}), eNew)
	d.want(d.replace(request{id: 15, orig: 14, price: 100, qty: 2}), sbe.ExecTypeReplaced, eTrade, eTrade)
}

func TestRepeats(t *testing.T) {
	d := newDesk(t, Config{})
	d.want(d.order(request{id: 5, side: buy, price: 100, qty: 5}), eNew)
	d.wantReject(d.order(request{id: 5, side: buy, price: 100, qty: 5}), sbe.RejectReasonDuplicateClOrdID)
	got := d.order(request{id: 5, side: buy, price: 100, qty: 5, possible: true})
	d.want(got, sbe.ExecTypeOrderStatus)
	if got[0].report.OrdStatus() != sbe.OrdStatusNew || d.b.Open() != 1 {
		t.Errorf("status %v, %d open", got[0].report.OrdStatus(), d.b.Open())
	}
	d.want(d.order(request{id: 4, side: buy, price: 100, qty: 5, possible: true}), eNew) // not known: taken
	d.want(d.cancel(request{id: 6, orig: 5}), eCancelled)
	got = d.cancel(request{id: 6, orig: 5, possible: true})
	d.want(got, sbe.ExecTypeOrderStatus)
	if r := got[0].report; r.ClOrdID() != 6 || r.OrigClOrdID() != 5 || r.OrdStatus() != sbe.OrdStatusCancelled {
		t.Errorf("%d about %d: %v", r.ClOrdID(), r.OrigClOrdID(), r.OrdStatus())
	}
	// Another session, and another flow of the same session, are others.
	d.want(d.order(request{session: 1, id: 5, side: buy, price: 100, qty: 5}), eNew)
	d.want(d.order(request{id: 3<<48 | 5, side: buy, price: 100, qty: 5}), eNew)
	d.wantReject(d.order(request{id: 3 << 48, side: buy, price: 100, qty: 5}), sbe.RejectReasonClOrdIDOutOfRange)
	d.want(d.order(request{id: 10_000, side: buy, price: 100, qty: 5}), eNew)
	d.wantReject(d.order(request{id: 7, side: buy, price: 100, qty: 5}), sbe.RejectReasonClOrdIDTooLow)
	d.wantReject(d.order(request{id: 10_001, side: buy, price: 100, qty: 5, symbol: 8}), sbe.RejectReasonUnknownSymbol)
	d.wantReject(d.order(request{id: 10_002, side: buy, price: 100}), sbe.RejectReasonBadQuantity)
	d.wantReject(d.order(request{id: 10_003, side: buy, price: 0, qty: 1}), sbe.RejectReasonBadPrice)
	d.wantReject(d.order(request{id: 10_004, side: 9, price: 1, qty: 1}), sbe.RejectReasonBadField)
}

func TestFullTablesRefuse(t *testing.T) {
	d := newDesk(t, Config{OrdersMax: 4, FinishedRetain: 2, LevelsMax: 2, FlowsMax: 2})
	d.want(d.order(request{id: 1, side: buy, price: 1, qty: 1}), eNew)
	d.want(d.order(request{id: 2, side: buy, price: 2, qty: 1}), eNew)
	got := d.order(request{id: 3, side: buy, price: 3, qty: 1})
	d.want(got, eNew, eCancelled)
	if got[1].report.Reason() != sbe.RejectReasonLevelTableFull {
		t.Errorf("cancelled for %v", got[1].report.Reason())
	}
	d.want(d.order(request{id: 4, side: buy, price: 2, qty: 1}), eNew)
	d.want(d.order(request{id: 5, side: buy, price: 2, qty: 1}), eNew) // in the place of the finished one
	d.wantReject(d.order(request{id: 6, side: buy, price: 2, qty: 1}), sbe.RejectReasonOrderTableFull)
	d.want(d.cancel(request{id: 7, orig: 1}), eCancelled)
	d.want(d.order(request{session: 1, id: 1, side: buy, price: 2, qty: 1}), eNew)
	d.wantReject(d.order(request{session: 2, id: 1, side: buy, price: 2, qty: 1}), sbe.RejectReasonFlowTableFull)
}

// TestFinishedOrdersAreRemembered: as many as there are places, by default.
func TestFinishedOrdersAreRemembered(t *testing.T) {
	d := newDesk(t, Config{OrdersMax: 64})
	status := func(id uint64) []said {
		var m sbe.OrderStatusRequest
		m.SetClOrdID(id)
		return d.apply(0, sbe.TemplateOrderStatusRequest, m[:])
	}
	for id := uint64(1); id <= 64; id++ {
		d.want(d.order(request{id: id, side: buy, price: 1, qty: 1, ioc: true}), eNew, eCancelled)
	}
	for id := uint64(1); id <= 64; id++ {
		d.want(status(id), sbe.ExecTypeOrderStatus)
	}
	d.want(d.order(request{id: 65, side: buy, price: 1, qty: 1}), eNew)
	d.wantReject(status(1), sbe.RejectReasonUnknownOrder)
	d.want(status(2), sbe.ExecTypeOrderStatus)
}

func TestFillsAreBounded(t *testing.T) {
	d := newDesk(t, Config{})
	for i := range FillsMax + 10 {
		d.order(request{id: uint64(i + 1), side: sell, price: 100, qty: 1})
	}
	got := d.order(request{session: 1, id: 1, side: buy, price: 100, qty: FillsMax + 5})
	last := got[len(got)-1].report
	if len(got) != 2+2*FillsMax || last.ExecType() != eCancelled || last.Reason() != sbe.RejectReasonTooManyFills || d.b.Open() != 10 {
		t.Fatalf("%d messages, last %v for %v, %d open", len(got), last.ExecType(), last.Reason(), d.b.Open())
	}
}

// naive is a book as one would write it on a page.
type naive struct{ orders []naiveOrder }

type naiveOrder struct {
	id     uint64
	side   sbe.Side
	price  int64
	leaves uint32
}

func (n *naive) add(o naiveOrder, ioc bool) (traded uint32) {
	for o.leaves > 0 {
		best := -1
		for i, m := range n.orders {
			if m.side == o.side || (o.side == buy && m.price > o.price) || (o.side == sell && m.price < o.price) {
				continue
			}
			if best < 0 || (o.side == buy && m.price < n.orders[best].price) || (o.side == sell && m.price > n.orders[best].price) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		lots := min(o.leaves, n.orders[best].leaves)
		traded += lots
		o.leaves -= lots
		if n.orders[best].leaves -= lots; n.orders[best].leaves == 0 {
			n.orders = append(n.orders[:best], n.orders[best+1:]...)
		}
	}
	if o.leaves > 0 && !ioc {
		n.orders = append(n.orders, o)
	}
	return traded
}

func TestAgainstNaiveBook(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	d, n, id := newDesk(t, Config{OrdersMax: 2048, FinishedRetain: 64}), &naive{}, uint64(0)
	for step := range 20_000 {
		id++
		if r.IntN(3) == 0 && len(n.orders) > 0 {
			k := r.IntN(len(n.orders))
			d.want(d.cancel(request{id: id, orig: n.orders[k].id}), eCancelled)
			n.orders = append(n.orders[:k], n.orders[k+1:]...)
		} else {
			q := request{id: id, side: sbe.Side(1 + r.IntN(2)), price: 90 + r.Int64N(21), qty: 1 + r.Uint32N(20), ioc: r.IntN(5) == 0}
			got := d.order(q)
			want := n.add(naiveOrder{q.id, q.side, q.price, q.qty}, q.ioc)
			traded := uint32(0)
			for _, m := range got {
				if m.report.ClOrdID() == id {
					traded += m.report.LastQtyLots()
				}
			}
			if traded != want {
				t.Fatalf("step %d: traded %d, want %d", step, traded, want)
			}
		}
		if d.b.Open() != len(n.orders) {
			t.Fatalf("step %d: %d open, want %d", step, d.b.Open(), len(n.orders))
		}
	}
	for s := range d.b.sides {
		l := d.b.sides[s].levels[:d.b.sides[s].count]
		if !sort.SliceIsSorted(l, func(i, j int) bool { return l[i].priceTicks < l[j].priceTicks }) {
			t.Fatal("levels out of order")
		}
	}
}

func TestNoAllocations(t *testing.T) {
	d := newDesk(t, Config{Symbols: []uint32{7}})
	d.out.keep = false
	var m sbe.NewOrderSingle
	var c sbe.OrderCancelRequest
	m.SetSymbolID(7)
	m.SetQtyLots(1)
	m.SetOrdType(sbe.OrdTypeLimit)
	id := uint64(0)
	if n := testing.AllocsPerRun(20_000, func() {
		id++
		m.SetClOrdID(id)
		m.SetPriceTicks(int64(100 + id%7))
		m.SetSide(sbe.Side(1 + id&1))
		d.apply(0, sbe.TemplateNewOrderSingle, m[:])
		id++
		c.SetClOrdID(id)
		c.SetOrigClOrdID(id - 1)
		d.apply(0, sbe.TemplateOrderCancelRequest, c[:])
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
