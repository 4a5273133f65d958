package gateway

import (
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// newRoutes is a desk whose symbols 7, 8 and 9 go to venues 0, 1 and none.
func newRoutes(t *testing.T) *desk {
	g, err := New(Config{Sessions: 2, OrdersMax: 1024, FinishedRetain: 64, PositionsMax: 4, ClOrdIDWindow: 4096,
		Symbols: []Symbol{{ID: 7, ReferencePriceTicks: 1000}, {ID: 8, ReferencePriceTicks: 1000, Venue: 1}, {ID: 9, ReferencePriceTicks: 1000, Venue: NoVenue}},
		Limits:  limits(100, 1<<40, 10, 1<<30)})
	if err != nil {
		t.Fatal(err)
	}
	return &desk{t: t, g: g, room: 1 << 30, keep: true, waits: map[uint64]bool{}}
}

func (d *desk) state(id uint64) (o app.OrderState) {
	d.t.Helper()
	if !d.g.Order(0, id, &o) {
		d.t.Fatalf("order %d is not known", id)
	}
	return o
}

func (d *desk) count(name string) (n uint64) {
	d.g.Counters(func(is string, count uint64) {
		if is == "gateway_"+name {
			n = count
		}
	})
	return n
}

func (d *desk) cancel(id, orig uint64) ([]said, []said) {
	var m sbe.OrderCancelRequest
	m.SetClOrdID(id)
	m.SetOrigClOrdID(orig)
	return d.apply(app.FromClient, 0, sbe.TemplateOrderCancelRequest, m[:])
}

// fromVenue gives the gateway a message of a venue.
func (d *desk) fromVenue(venue uint32, template uint16, block []byte) []said {
	d.toClient, d.toVenue = nil, nil
	d.in = app.Input{Kind: app.FromVenue, Venue: venue, Template: template, Block: block}
	d.g.Apply(&d.in, d)
	return d.toClient
}

func TestOrdersGoBySymbol(t *testing.T) {
	d := newRoutes(t)
	for symbol, venue := range map[uint32]uint32{7: 0, 8: 1} {
		_, v := d.order(asked{id: uint64(symbol), side: buy, price: 1000, qty: 1, symbol: symbol})
		if len(v) != 1 || v[0].venue != venue || d.state(uint64(symbol)).Venue != venue {
			t.Fatalf("an order in symbol %d: %+v", symbol, v)
		}
		if _, v = d.cancel(uint64(symbol)+100, uint64(symbol)); len(v) != 1 || v[0].venue != venue {
			t.Fatalf("its cancel: %+v", v)
		}
	}
	d.refuse(sbe.RejectReasonNoRoute, asked{id: 9, side: buy, price: 1000, qty: 1, symbol: 9})
	if d.count("no_route") != 1 || d.g.Open() != 2 {
		t.Fatalf("%d counted, %d open", d.count("no_route"), d.g.Open())
	}
}

// TestAVenueSpeaksOfItsOwnOrders: what one venue says of another's order is
// counted and changes nothing.
func TestAVenueSpeaksOfItsOwnOrders(t *testing.T) {
	d := newRoutes(t)
	d.order(asked{id: 1, side: buy, price: 1000, qty: 10, symbol: 8})
	d.cancel(2, 1)
	var r sbe.ExecutionReport
	r.SetClOrdID(1)
	r.SetExecType(sbe.ExecTypeTrade)
	r.SetLastQtyLots(10)
	var j sbe.Reject
	j.SetClOrdID(1)
	j.SetReason(sbe.RejectReasonHalted)
	if c := d.fromVenue(0, sbe.TemplateExecutionReport, r[:]); len(c) != 0 {
		t.Fatal("a foreign fill was passed on")
	}
	if c := d.fromVenue(0, sbe.TemplateReject, j[:]); len(c) != 0 {
		t.Fatal("a foreign rejection was passed on")
	}
	j.SetClOrdID(2)
	if c := d.fromVenue(0, sbe.TemplateReject, j[:]); len(c) != 0 {
		t.Fatal("a foreign rejection of a cancel was passed on")
	}
	if d.count("venue_foreign") != 2 || d.state(1).CumLots != 0 || d.state(1).PendingClOrdID != 2 {
		t.Fatalf("%d counted, %+v", d.count("venue_foreign"), d.state(1))
	}
	if c := d.fromVenue(1, sbe.TemplateExecutionReport, r[:]); len(c) != 1 {
		t.Fatal("the venue's own fill was not passed on")
	}
}

// TestWhatNeverLeftIsWithdrawn: the cancel of an order that waits for the throttle
// ends it without the venue.
func TestWhatNeverLeftIsWithdrawn(t *testing.T) {
	d := newRoutes(t)
	d.order(asked{id: 1, side: buy, price: 1000, qty: 10})
	d.waits[1] = true
	c, v := d.cancel(2, 1)
	if len(v) != 0 || len(c) != 1 || c[0].report().ExecType() != sbe.ExecTypeCancelled || c[0].report().Reason() != sbe.RejectReasonWithdrawn ||
		c[0].report().OrigClOrdID() != 1 || d.g.Open() != 0 || d.position().OpenBuyLots != 0 {
		t.Fatalf("%d to venue, %+v, %d open", len(v), c, d.g.Open())
	}
	if c, _ = d.cancel(3, 1); len(c) != 1 || c[0].reject().Reason() != sbe.RejectReasonTooLateToCancel {
		t.Fatal("it was cancelled twice")
	}
}

// TestReconciliation: a venue that lost reports is asked about every order that it
// confirmed, a piece at a time; what it does not know is in doubt, and what it
// knows otherwise is taken over.
func TestReconciliation(t *testing.T) {
	d := newRoutes(t)
	const orders = 40
	for id := uint64(1); id <= orders; id++ {
		symbol := uint32(7 + id%2)
		d.order(asked{id: id, side: buy, price: 1000, qty: 10, symbol: symbol})
		if id != orders { // the last one of venue 0 is unanswered: its resend asks
			var r sbe.ExecutionReport
			r.SetClOrdID(id)
			r.SetExecType(sbe.ExecTypeNew)
			d.fromVenue(uint32(id%2), sbe.TemplateExecutionReport, r[:])
		}
	}
	d.in = app.Input{Kind: app.VenueLost, TimeNs: 1000, Venue: 0}
	d.g.Apply(&d.in, d)
	asked := map[uint64]bool{}
	at, steps := int64(1000), 0
	for ; d.g.Due() != 0; steps++ {
		if steps == 3 {
			d.room = 0 // the venue's session is full for a while
		}
		if steps == 5 {
			d.room = 1 << 30
		}
		at = max(at, d.g.Due())
		d.toVenue = nil
		d.in = app.Input{Kind: app.Timer, TimeNs: at}
		d.g.Apply(&d.in, d)
		for _, v := range d.toVenue {
			if v.template != sbe.TemplateOrderStatusRequest || v.venue != 0 || asked[v.clOrdID] {
				t.Fatalf("asked %+v", v)
			}
			asked[v.clOrdID] = true
		}
		if len(d.toVenue) > reconcileAsks || steps > 100 {
			t.Fatalf("%d asked in one step of %d", len(d.toVenue), steps)
		}
	}
	if len(asked) != orders/2-1 || asked[orders] {
		t.Fatalf("%d orders asked about, want %d", len(asked), orders/2-1)
	}
	var r sbe.ExecutionReport // known, and as we thought: nobody is told
	r.SetClOrdID(2)
	r.SetExecType(sbe.ExecTypeOrderStatus)
	r.SetOrdStatus(sbe.OrdStatusNew)
	r.SetPriceTicks(1000)
	r.SetOrderQtyLots(10)
	if c := d.fromVenue(0, sbe.TemplateExecutionReport, r[:]); len(c) != 0 {
		t.Fatalf("the client was told %d messages of nothing new", len(c))
	}
	r.SetClOrdID(4) // filled meanwhile
	r.SetOrdStatus(sbe.OrdStatusFilled)
	r.SetCumQtyLots(10)
	if c := d.fromVenue(0, sbe.TemplateExecutionReport, r[:]); len(c) != 1 || c[0].report().OrdStatus() != sbe.OrdStatusFilled || d.state(4).Open {
		t.Fatalf("the client was told %d messages of a fill", len(c))
	}
	var j sbe.Reject // not known
	j.SetClOrdID(6)
	j.SetReason(sbe.RejectReasonUnknownOrder)
	j.SetRefTemplateID(sbe.TemplateOrderStatusRequest)
	if c := d.fromVenue(0, sbe.TemplateReject, j[:]); len(c) != 1 || c[0].report().Reason() != sbe.RejectReasonVenueInDoubt || !d.state(6).InDoubt {
		t.Fatalf("the client was told %d messages of a doubt", len(c))
	}
}
