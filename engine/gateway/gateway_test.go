package gateway

import (
	"math"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

type said struct {
	session  uint32
	template uint16
	venue    uint32 // of what was said to one
	clOrdID  uint64 // as ToVenue was told
	block    [96]byte
}

func (s *said) report() *sbe.ExecutionReport { return sbe.AsExecutionReport(s.block[:]) }
func (s *said) reject() *sbe.Reject          { return sbe.AsReject(s.block[:]) }

// desk is a gateway with what it said.
type desk struct {
	t             *testing.T
	g             *Gateway
	client, venue said
	toClient      []said
	toVenue       []said
	room          int
	waits         map[uint64]bool // ClOrdIDs in the queue to a venue
	keep          bool
	seq           uint64
	in            app.Input
}

func (d *desk) ToClient(session uint32, template uint16) []byte {
	d.client = said{session: session, template: template}
	return d.client.block[:sbe.BlockBytes(template)]
}

func (d *desk) SendToClient() {
	if d.keep {
		d.toClient = append(d.toClient, d.client)
	}
}

func (d *desk) ToVenue(venue uint32, template uint16, clOrdID uint64) ([]byte, sbe.RejectReason) {
	if d.room == 0 {
		return nil, sbe.RejectReasonVenueUnavailable
	}
	if venue == NoVenue {
		return nil, sbe.RejectReasonNoRoute
	}
	d.room--
	d.venue = said{venue: venue, template: template, clOrdID: clOrdID}
	return d.venue.block[:sbe.BlockBytes(template)], sbe.RejectReasonNone
}

// Withdraw takes back what waits; a desk's test says what does.
func (d *desk) Withdraw(venue uint32, clOrdID uint64) bool {
	found := d.waits[clOrdID]
	delete(d.waits, clOrdID)
	return found
}

func (d *desk) SendToVenue() {
	if d.keep {
		d.toVenue = append(d.toVenue, d.venue)
	}
}

func newDesk(t *testing.T) *desk {
	g, err := New(Config{Sessions: 2, OrdersMax: 64, FinishedRetain: 8, PositionsMax: 4, ClOrdIDWindow: 1024,
		Symbols: []Symbol{{ID: 7, ReferencePriceTicks: 1000}, {ID: 8}},
		Limits:  limits(100, 90_000, 10, 150)})
	if err != nil {
		t.Fatal(err)
	}
	return &desk{t: t, g: g, room: 1 << 30, keep: true}
}

func (d *desk) apply(kind app.InputKind, session uint32, template uint16, block []byte) ([]said, []said) {
	d.seq++
	d.toClient, d.toVenue = nil, nil
	d.in = app.Input{Kind: kind, Session: session, SeqNo: d.seq, Template: template, Block: block}
	d.g.Apply(&d.in, d)
	return d.toClient, d.toVenue
}

type asked struct {
	session uint32
	id      uint64
	side    sbe.Side
	price   int64
	qty     uint32
	symbol  uint32
	account uint32
	market  bool
	poss    bool
}

func (d *desk) order(q asked) ([]said, []said) {
	var m sbe.NewOrderSingle
	m.SetClOrdID(q.id)
	m.SetPriceTicks(q.price)
	m.SetSymbolID(max(q.symbol, 7))
	m.SetQtyLots(q.qty)
	m.SetAccount(q.account)
	m.SetSide(q.side)
	m.SetOrdType(sbe.OrdTypeLimit)
	if q.market {
		m.SetOrdType(sbe.OrdTypeMarket)
	}
	if q.poss {
		m.SetPossResend(1)
	}
	return d.apply(app.FromClient, q.session, sbe.TemplateNewOrderSingle, m[:])
}

func (d *desk) accepted(q asked) {
	d.t.Helper()
	c, v := d.order(q)
	if len(c) != 1 || len(v) != 1 || c[0].template != sbe.TemplateExecutionReport || c[0].report().ExecType() != sbe.ExecTypePendingNew {
		d.t.Fatalf("order %+v: %d to client (%v), %d to venue", q, len(c), c[0].reject().Reason(), len(v))
	}
	if key := VenueClOrdID(q.session, q.id); v[0].clOrdID != key || sbe.AsNewOrderSingle(v[0].block[:]).ClOrdID() != key {
		d.t.Fatalf("venue ClOrdID %x, want %x", v[0].clOrdID, key)
	}
}

func (d *desk) refused(why sbe.RejectReason, c, v []said) {
	d.t.Helper()
	if len(c) != 1 || len(v) != 0 || c[0].template != sbe.TemplateReject || c[0].reject().Reason() != why {
		d.t.Fatalf("%d to client, %d to venue, reason %v; want %v", len(c), len(v), c[0].reject().Reason(), why)
	}
}

func (d *desk) refuse(why sbe.RejectReason, q asked) {
	d.t.Helper()
	c, v := d.order(q)
	d.refused(why, c, v)
}

// report gives a report of the venue about order id of session 0.
func (d *desk) report(exec sbe.ExecType, status sbe.OrdStatus, id, orig uint64, set func(r *sbe.ExecutionReport)) []said {
	var r sbe.ExecutionReport
	r.SetClOrdID(id)
	r.SetOrigClOrdID(orig)
	r.SetExecType(exec)
	r.SetOrdStatus(status)
	if set != nil {
		set(&r)
	}
	c, _ := d.apply(app.FromVenue, 0, sbe.TemplateExecutionReport, r[:])
	return c
}

func (d *desk) position() Position {
	return d.g.positions[0]
}

const buy, sell = sbe.SideBuy, sbe.SideSell

func TestRiskChecks(t *testing.T) {
	d := newDesk(t)
	d.refuse(sbe.RejectReasonMaxQuantity, asked{id: 1, side: buy, price: 1000, qty: 101})
	d.refuse(sbe.RejectReasonPriceCollar, asked{id: 2, side: buy, price: 1101, qty: 1})
	d.refuse(sbe.RejectReasonPriceCollar, asked{id: 3, side: sell, price: 899, qty: 1})
	d.refuse(sbe.RejectReasonPriceCollar, asked{id: 4, side: buy, price: math.MaxInt64, qty: 100})
	d.refuse(sbe.RejectReasonNoReferencePrice, asked{id: 5, side: buy, price: 1, qty: 1, symbol: 8})
	d.refuse(sbe.RejectReasonNoReferencePrice, asked{id: 6, side: buy, market: true, qty: 1, symbol: 8})
	d.refuse(sbe.RejectReasonMaxNotional, asked{id: 7, side: buy, price: 1000, qty: 91})
	d.refuse(sbe.RejectReasonMaxNotional, asked{id: 8, side: buy, market: true, qty: 82}) // at 1100
	d.accepted(asked{id: 9, side: buy, price: 1100, qty: 81})
	d.accepted(asked{id: 10, side: buy, price: 900, qty: 69})
	d.refuse(sbe.RejectReasonPositionLimit, asked{id: 11, side: buy, price: 1000, qty: 1})
	d.accepted(asked{id: 12, side: sell, price: 1000, qty: 90}) // the other side has its own room
	d.refuse(sbe.RejectReasonUnknownSymbol, asked{id: 13, side: buy, price: 1, qty: 1, symbol: 9})
	d.refuse(sbe.RejectReasonBadQuantity, asked{id: 14, side: buy, price: 1})
	d.refuse(sbe.RejectReasonBadPrice, asked{id: 15, side: buy, price: -1, qty: 1})
	d.refuse(sbe.RejectReasonBadField, asked{id: 16, side: 3, price: 1, qty: 1})
	if p := d.position(); p.OpenBuyLots != 150 || p.OpenSellLots != 90 || p.NetLots != 0 {
		t.Errorf("%+v", p)
	}
}

func TestDuplicates(t *testing.T) {
	d := newDesk(t)
	d.accepted(asked{id: 1, side: buy, price: 1000, qty: 1})
	d.refuse(sbe.RejectReasonDuplicateClOrdID, asked{id: 1, side: buy, price: 1000, qty: 1})
	c, v := d.order(asked{id: 1, side: buy, price: 1000, qty: 1, poss: true})
	if len(c) != 1 || len(v) != 0 || c[0].report().ExecType() != sbe.ExecTypeOrderStatus || c[0].report().OrdStatus() != sbe.OrdStatusPendingNew {
		t.Fatalf("%d to client, %d to venue", len(c), len(v))
	}
	d.accepted(asked{session: 1, id: 1, side: buy, price: 1000, qty: 1})
	d.refuse(sbe.RejectReasonClOrdIDOutOfRange, asked{id: 1 << 48, side: buy, price: 1000, qty: 1})
	d.refuse(sbe.RejectReasonClOrdIDOutOfRange, asked{side: buy, price: 1000, qty: 1})
	d.accepted(asked{id: 5000, side: buy, price: 1000, qty: 1})
	d.refuse(sbe.RejectReasonClOrdIDTooLow, asked{id: 2, side: buy, price: 1000, qty: 1})
}

func TestVenueUnavailableAndFullTables(t *testing.T) {
	d := newDesk(t)
	d.room = 1
	d.accepted(asked{id: 1, side: buy, price: 1000, qty: 1})
	d.refuse(sbe.RejectReasonVenueUnavailable, asked{id: 2, side: buy, price: 1000, qty: 1})
	if p := d.position(); p.OpenBuyLots != 1 || d.g.Open() != 1 {
		t.Errorf("%+v, %d open", p, d.g.Open())
	}
	d.room = 1000
	for id := uint64(3); d.g.Open() < 64; id++ {
		d.accepted(asked{id: id, side: buy, price: 1000, qty: 1})
	}
	d.refuse(sbe.RejectReasonOrderTableFull, asked{id: 500, side: buy, price: 1000, qty: 1})
	for account := range uint32(3) {
		d.refuse(sbe.RejectReasonOrderTableFull, asked{id: 501 + uint64(account), side: buy, price: 1000, qty: 1, account: account + 1})
	}
	d.refuse(sbe.RejectReasonPositionTableFull, asked{id: 510, side: buy, price: 1000, qty: 1, account: 9})
}

func TestLifeOfAnOrder(t *testing.T) {
	d := newDesk(t)
	d.accepted(asked{id: 1, side: buy, price: 1000, qty: 10})
	c := d.report(sbe.ExecTypeNew, sbe.OrdStatusNew, 1, 0, nil)
	if len(c) != 1 || c[0].report().ExecType() != sbe.ExecTypeNew || c[0].report().OrdStatus() != sbe.OrdStatusNew {
		t.Fatal("New was not passed on")
	}
	fill := func(lots, cum, leaves uint32) func(r *sbe.ExecutionReport) {
		return func(r *sbe.ExecutionReport) {
			r.SetLastQtyLots(lots)
			r.SetLastPriceTicks(990)
			r.SetCumQtyLots(cum)
			r.SetLeavesQtyLots(leaves)
		}
	}
	c = d.report(sbe.ExecTypeTrade, sbe.OrdStatusPartiallyFilled, 1, 0, fill(4, 4, 6))
	if p := d.position(); len(c) != 1 || p.NetLots != 4 || p.OpenBuyLots != 6 {
		t.Fatalf("%d messages, %+v", len(c), p)
	}
	// Replace reserves what it adds, and gives it back when the venue refuses.
	replace := func(id uint64, qty uint32) ([]said, []said) {
		var m sbe.OrderCancelReplaceRequest
		m.SetClOrdID(id)
		m.SetOrigClOrdID(1)
		m.SetPriceTicks(1001)
		m.SetQtyLots(qty)
		return d.apply(app.FromClient, 0, sbe.TemplateOrderCancelReplaceRequest, m[:])
	}
	c, v := replace(2, 20)
	if len(c) != 1 || len(v) != 1 || c[0].report().OrdStatus() != sbe.OrdStatusPendingReplace || d.position().OpenBuyLots != 16 {
		t.Fatalf("replace: %d, %d, %+v", len(c), len(v), d.position())
	}
	c, v = replace(3, 30)
	d.refused(sbe.RejectReasonRequestPending, c, v)
	var r sbe.Reject
	r.SetClOrdID(2)
	r.SetReason(sbe.RejectReasonBadPrice)
	r.SetRefTemplateID(sbe.TemplateOrderCancelReplaceRequest)
	c, _ = d.apply(app.FromVenue, 0, sbe.TemplateReject, r[:])
	if len(c) != 1 || c[0].reject().ClOrdID() != 2 || c[0].reject().Reason() != sbe.RejectReasonBadPrice || d.position().OpenBuyLots != 6 {
		t.Fatalf("refused replace: %+v", d.position())
	}
	replace(4, 12)
	c = d.report(sbe.ExecTypeReplaced, sbe.OrdStatusPartiallyFilled, 4, 1, func(r *sbe.ExecutionReport) {
		r.SetOrderQtyLots(12)
		r.SetPriceTicks(1001)
	})
	if p := d.position(); len(c) != 1 || c[0].report().OrigClOrdID() != 1 || p.OpenBuyLots != 8 {
		t.Fatalf("replaced: %+v", p)
	}
	var m sbe.OrderCancelRequest
	m.SetClOrdID(5)
	m.SetOrigClOrdID(1)
	c, v = d.apply(app.FromClient, 0, sbe.TemplateOrderCancelRequest, m[:])
	if len(c) != 1 || len(v) != 1 || c[0].report().ExecType() != sbe.ExecTypePendingCancel {
		t.Fatal("cancel")
	}
	// It fills before the cancel arrives; the cancel is refused afterwards.
	d.report(sbe.ExecTypeTrade, sbe.OrdStatusFilled, 1, 0, fill(8, 12, 0))
	r.SetClOrdID(5)
	r.SetReason(sbe.RejectReasonTooLateToCancel)
	r.SetRefTemplateID(sbe.TemplateOrderCancelRequest)
	c, _ = d.apply(app.FromVenue, 0, sbe.TemplateReject, r[:])
	if p := d.position(); len(c) != 1 || c[0].reject().ClOrdID() != 5 || p.NetLots != 12 || p.OpenBuyLots != 0 || d.g.Open() != 0 {
		t.Fatalf("end: %+v, %d open", p, d.g.Open())
	}
}

func TestVenueDuplicateIsNotARejection(t *testing.T) {
	d := newDesk(t)
	d.accepted(asked{id: 1, side: buy, price: 1000, qty: 10})
	var r sbe.Reject
	r.SetClOrdID(1)
	r.SetReason(sbe.RejectReasonDuplicateClOrdID)
	r.SetPossResend(1)
	if c, _ := d.apply(app.FromVenue, 0, sbe.TemplateReject, r[:]); len(c) != 0 || d.g.Open() != 1 {
		t.Fatal("a duplicate at the venue became a rejection")
	}
	// Its status, with a fill that was lost on the way.
	c := d.report(sbe.ExecTypeOrderStatus, sbe.OrdStatusPartiallyFilled, 1, 0, func(r *sbe.ExecutionReport) {
		r.SetOrderQtyLots(10)
		r.SetPriceTicks(1000)
		r.SetCumQtyLots(3)
		r.SetLeavesQtyLots(7)
	})
	if p := d.position(); len(c) != 1 || p.NetLots != 3 || p.OpenBuyLots != 7 {
		t.Fatalf("%d messages, %+v", len(c), p)
	}
	// A rejection ends it.
	d.accepted(asked{id: 2, side: buy, price: 1000, qty: 10})
	r.SetClOrdID(2)
	r.SetReason(sbe.RejectReasonNoLiquidity)
	r.SetRefTemplateID(sbe.TemplateNewOrderSingle)
	c, _ = d.apply(app.FromVenue, 0, sbe.TemplateReject, r[:])
	if len(c) != 1 || c[0].report().ExecType() != sbe.ExecTypeRejected || d.position().OpenBuyLots != 7 {
		t.Fatalf("rejected: %+v", d.position())
	}
}

// TestForgottenByTheVenueIsInDoubt: the venue refused the order as a duplicate
// and then does not know its status; whether it was executed nobody can tell.
func TestForgottenByTheVenueIsInDoubt(t *testing.T) {
	d := newDesk(t)
	d.accepted(asked{id: 1, side: buy, price: 1000, qty: 10})
	inDoubt := func() (n uint64) {
		d.g.Counters(func(name string, count uint64) {
			if name == "gateway_venue_in_doubt" {
				n = count
			}
		})
		return n
	}
	var r sbe.Reject
	r.SetClOrdID(1)
	r.SetPossResend(1)
	r.SetReason(sbe.RejectReasonDuplicateClOrdID)
	r.SetRefTemplateID(sbe.TemplateNewOrderSingle)
	if c, _ := d.apply(app.FromVenue, 0, sbe.TemplateReject, r[:]); len(c) != 0 {
		t.Fatal("the client was told of the duplicate")
	}
	r.SetReason(sbe.RejectReasonUnknownOrder)
	r.SetRefTemplateID(sbe.TemplateOrderStatusRequest)
	c, _ := d.apply(app.FromVenue, 0, sbe.TemplateReject, r[:])
	if len(c) != 1 || c[0].report().ExecType() != sbe.ExecTypeOrderStatus || c[0].report().Reason() != sbe.RejectReasonVenueInDoubt {
		t.Fatalf("the client was told %d messages of an order in doubt", len(c))
	}
	if d.g.Open() != 1 || d.position().OpenBuyLots != 10 || inDoubt() != 1 || d.g.InDoubt() != 1 || !d.state(1).InDoubt {
		t.Fatalf("%d open, %+v, %d in doubt", d.g.Open(), d.position(), inDoubt())
	}
	if c, _ := d.apply(app.FromVenue, 0, sbe.TemplateReject, r[:]); len(c) != 0 {
		t.Fatal("the doubt was told twice")
	}
	// Sent again by the client it is still pending, and not taken twice.
	c, v := d.order(asked{id: 1, side: buy, price: 1000, qty: 10, poss: true})
	if len(c) != 1 || len(v) != 0 || c[0].report().OrdStatus() != sbe.OrdStatusPendingNew || c[0].report().Reason() != sbe.RejectReasonVenueInDoubt {
		t.Fatalf("%d to client, %d to venue", len(c), len(v))
	}
	// The fill that the venue did send arrives after all.
	c = d.report(sbe.ExecTypeTrade, sbe.OrdStatusFilled, 1, 0, func(r *sbe.ExecutionReport) {
		r.SetLastQtyLots(10)
		r.SetCumQtyLots(10)
	})
	if p := d.position(); len(c) != 1 || c[0].report().OrdStatus() != sbe.OrdStatusFilled || p.NetLots != 10 || p.OpenBuyLots != 0 || d.g.Open() != 0 || d.g.InDoubt() != 0 {
		t.Fatalf("%d messages, %+v, %d open", len(c), p, d.g.Open())
	}
	// An answer about an order that has ended changes nothing and is no doubt.
	if c, _ = d.apply(app.FromVenue, 0, sbe.TemplateReject, r[:]); len(c) != 0 || inDoubt() != 2 {
		t.Fatalf("%d messages, %d in doubt", len(c), inDoubt())
	}
}

func TestNoAllocations(t *testing.T) {
	d := newDesk(t)
	for l := range LimitCount { // all checks on, and none refuses
		if v := limitInfos[l].most; l != LimitRestricted {
			d.g.limits[l] = max(1, v/2)
		}
	}
	d.g.limits[LimitDuplicateWindow] = 0
	d.g.limitsRevision++
	d.keep = false
	var m sbe.NewOrderSingle
	var r sbe.ExecutionReport
	m.SetSymbolID(7)
	m.SetQtyLots(1)
	m.SetPriceTicks(1000)
	m.SetOrdType(sbe.OrdTypeLimit)
	r.SetExecType(sbe.ExecTypeTrade)
	r.SetLastQtyLots(1)
	id := uint64(0)
	if n := testing.AllocsPerRun(5000, func() {
		id++
		m.SetClOrdID(id)
		m.SetSide(sbe.Side(1 + id&1))
		d.apply(app.FromClient, 0, sbe.TemplateNewOrderSingle, m[:])
		r.SetClOrdID(id)
		d.apply(app.FromVenue, 0, sbe.TemplateExecutionReport, r[:])
	}); n != 0 || d.g.Open() != 0 {
		t.Fatalf("%v allocations, %d open", n, d.g.Open())
	}
}

// limits are the four that every lane has.
func limits(qty, notional, collar, position int64) *Limits {
	l := NoLimits()
	l[LimitQty], l[LimitNotional], l[LimitCollar], l[LimitPosition] = qty, notional, collar, position
	return &l
}
