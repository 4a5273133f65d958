package gateway

import (
	"bytes"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
)

// operate applies a command and returns what it said.
func (d *desk) operate(c operator.Command) ([]said, []said, operator.Result) {
	client, venue := d.apply2(app.Input{Kind: app.FromOperator, Command: &c})
	return client, venue, d.in.Result
}

// apply2 applies any input.
func (d *desk) apply2(in app.Input) ([]said, []said) {
	d.seq++
	d.toClient, d.toVenue = nil, nil
	in.SeqNo, d.in = d.seq, in
	d.g.Apply(&d.in, d)
	return d.toClient, d.toVenue
}

// must applies a command that has to be done.
func (d *desk) must(c operator.Command) int64 {
	d.t.Helper()
	_, _, r := d.operate(c)
	if r.Outcome != operator.Applied {
		d.t.Fatalf("%v: %v", &c, r.Outcome)
	}
	return r.Count
}

func command(k operator.Kind, set func(c *operator.Command)) operator.Command {
	c := operator.New(k)
	if set != nil {
		set(&c)
	}
	return c
}

// sweep lets time pass until nothing is due, and returns what was sent to the venue.
func (d *desk) sweep() (cancels []said) {
	d.t.Helper()
	for steps := 0; d.g.Due() != 0; steps++ {
		if steps > 1000 {
			d.t.Fatal("it never ends")
		}
		_, venue := d.apply2(app.Input{Kind: app.Timer, TimeNs: d.g.Due()})
		if len(venue) > sweepCancels {
			d.t.Fatalf("%d cancels in one step", len(venue))
		}
		cancels = append(cancels, venue...)
	}
	return cancels
}

// cancelled lets the venue confirm cancels.
func (d *desk) cancelled(cancels []said) (told []said) {
	for i := range cancels {
		m := sbe.AsOrderCancelRequest(cancels[i].block[:])
		told = append(told, d.report(sbe.ExecTypeCancelled, sbe.OrdStatusCancelled, m.ClOrdID(), m.OrigClOrdID(), nil)...)
	}
	return told
}

func TestKillCancelsInBoundedSteps(t *testing.T) {
	d := newRoutes(t)
	for id := range uint64(50) {
		d.accepted(asked{id: id + 1, side: buy, price: 1000, qty: 1, account: uint32(id % 2)})
		d.accepted(asked{session: 1, id: id + 1, side: buy, price: 1000, qty: 1})
	}
	if n := d.must(command(operator.Kill, func(c *operator.Command) { c.Session = 0 })); n != 50 {
		t.Errorf("%d orders to be cancelled", n)
	}
	d.refuse(sbe.RejectReasonKilled, asked{id: 100, side: buy, price: 1000, qty: 1})
	d.accepted(asked{session: 1, id: 100, side: buy, price: 1000, qty: 1})
	// A client's own cancel is still taken.
	var m sbe.OrderCancelRequest
	m.SetClOrdID(200)
	m.SetOrigClOrdID(1)
	if c, v := d.apply(app.FromClient, 0, sbe.TemplateOrderCancelRequest, m[:]); len(c) != 1 || len(v) != 1 {
		t.Fatalf("%d to client, %d to venue", len(c), len(v))
	}
	cancels := d.sweep()
	if len(cancels) != 49 {
		t.Fatalf("%d cancels", len(cancels))
	}
	told := d.cancelled(cancels)
	if len(told) != 49 || told[0].report().Reason() != sbe.RejectReasonKilled || told[0].report().ClOrdID() != 2 || told[0].report().OrigClOrdID() != 0 || told[0].session != 0 {
		t.Fatalf("%d told, %v", len(told), told[0])
	}
	if s := d.g.SessionRisk(0); s.Orders != 1 || !s.Killed || d.g.SessionRisk(1).Orders != 51 {
		t.Errorf("%+v, %+v", s, d.g.SessionRisk(1))
	}
	if _, _, r := d.operate(command(operator.KillRelease, func(c *operator.Command) { c.Session = 0 })); r.Outcome != operator.Applied {
		t.Errorf("release: %v", r.Outcome)
	}
	d.accepted(asked{id: 300, side: buy, price: 1000, qty: 1})
	if d.sweep() != nil {
		t.Error("an order taken after the release is cancelled")
	}
	// An account, then all.
	d.must(command(operator.Kill, func(c *operator.Command) { c.Account = 0 }))
	d.refuse(sbe.RejectReasonKilled, asked{id: 301, side: buy, price: 1000, qty: 1})
	d.accepted(asked{id: 302, side: buy, price: 1000, qty: 1, account: 5})
	d.must(command(operator.Kill, nil))
	d.refuse(sbe.RejectReasonKilled, asked{id: 303, side: buy, price: 1000, qty: 1, account: 5})
	d.cancelled(d.sweep())
	if d.g.Open() != 1 { // whose cancel the venue has not answered
		t.Errorf("%d open", d.g.Open())
	}
}

// TestKillWaitsForAReplace: an order whose replace is at the venue is cancelled after
// it; a cancel that the venue refuses is tried again; one that it takes in no more is in
// doubt.
func TestKillWaitsForAReplace(t *testing.T) {
	d := newRoutes(t)
	d.accepted(asked{id: 1, side: buy, price: 1000, qty: 5})
	d.report(sbe.ExecTypeNew, sbe.OrdStatusNew, 1, 0, nil)
	var m sbe.OrderCancelReplaceRequest
	m.SetClOrdID(2)
	m.SetOrigClOrdID(1)
	m.SetPriceTicks(1001)
	m.SetQtyLots(6)
	d.apply(app.FromClient, 0, sbe.TemplateOrderCancelReplaceRequest, m[:])
	d.must(command(operator.Kill, nil))
	for range 5 {
		if _, v := d.apply2(app.Input{Kind: app.Timer, TimeNs: d.g.Due()}); len(v) != 0 {
			t.Fatal("cancelled while its replace is at the venue")
		}
	}
	d.report(sbe.ExecTypeReplaced, sbe.OrdStatusNew, 2, 1, func(r *sbe.ExecutionReport) { r.SetPriceTicks(1001); r.SetOrderQtyLots(6) })
	cancels := d.sweep()
	if len(cancels) != 1 {
		t.Fatalf("%d cancels", len(cancels))
	}
	refuse := func(why sbe.RejectReason, cancel said) []said {
		var r sbe.Reject
		r.SetClOrdID(cancel.clOrdID)
		r.SetReason(why)
		r.SetRefTemplateID(sbe.TemplateOrderCancelRequest)
		c, _ := d.apply2(app.Input{Kind: app.FromVenue, Template: sbe.TemplateReject, Block: r[:]})
		return c
	}
	if c := refuse(sbe.RejectReasonVenue, cancels[0]); len(c) != 1 || c[0].report().ExecType() != sbe.ExecTypeOrderStatus || d.g.Due() == 0 {
		t.Fatalf("%d told, due %d", len(c), d.g.Due())
	}
	if cancels = d.sweep(); len(cancels) != 1 {
		t.Fatalf("%d cancels the second time", len(cancels))
	}
	if refuse(sbe.RejectReasonUnknownOrder, cancels[0]); d.g.InDoubt() != 1 || d.g.Due() != 0 {
		t.Fatalf("%d in doubt, due %d", d.g.InDoubt(), d.g.Due())
	}
	// It does know it after all, and cancels it then.
	d.report(sbe.ExecTypeOrderStatus, sbe.OrdStatusNew, 1, 0, func(r *sbe.ExecutionReport) { r.SetPriceTicks(1001); r.SetOrderQtyLots(6) })
	if cancels = d.sweep(); len(cancels) != 1 || d.g.InDoubt() != 0 {
		t.Fatalf("%d cancels behind the doubt, %d in doubt", len(cancels), d.g.InDoubt())
	}
}

func TestLostSessionsOrdersGoAndLaterOnesStay(t *testing.T) {
	d := newRoutes(t)
	for id := range uint64(30) {
		d.accepted(asked{id: id + 1, side: buy, price: 1000, qty: 1})
	}
	d.apply2(app.Input{Kind: app.SessionLost, Session: 0, TimeNs: 5})
	d.apply2(app.Input{Kind: app.Timer, TimeNs: d.g.Due()})
	d.apply2(app.Input{Kind: app.SessionUp, Session: 0})
	d.accepted(asked{id: 31, side: buy, price: 1000, qty: 1})
	// In the middle of it, another gateway takes over.
	var b bytes.Buffer
	w := app.NewStateWriter(&b)
	d.g.Save(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	g := newRoutes(t).g
	r := app.NewStateReader(&b)
	r.Sessions = 2
	if err := g.Load(r); err != nil {
		t.Fatal(err)
	}
	d.g = g
	cancels := d.sweep()
	if len(cancels) != 30-sweepCancels {
		t.Fatalf("%d cancels behind the first step", len(cancels))
	}
	told := d.cancelled(cancels)
	if told[0].report().Reason() != sbe.RejectReasonDisconnected || d.state(31).Status != sbe.OrdStatusPendingNew {
		t.Errorf("%v, %v", told[0].report().Reason(), d.state(31).Status)
	}
	for _, m := range cancels {
		if sbe.AsOrderCancelRequest(m.block[:]).OrigClOrdID() == 31 {
			t.Error("the later order is cancelled")
		}
	}
}

func TestSelfMatchCancelsWhatRests(t *testing.T) {
	d := newRoutes(t)
	d.must(command(operator.RiskSet, func(c *operator.Command) { c.What, c.Value = uint32(LimitSelfMatch), SelfMatchCancel }))
	d.accepted(asked{id: 1, side: sell, price: 1010, qty: 1})
	d.accepted(asked{id: 2, side: sell, price: 1005, qty: 1})
	d.accepted(asked{id: 3, side: sell, price: 1020, qty: 1})
	d.accepted(asked{id: 4, side: sell, price: 1000, qty: 1, account: 9}) // another's
	d.accepted(asked{id: 5, side: buy, price: 1004, qty: 1})              // crosses nothing of its own
	c, v := d.order(asked{id: 6, side: buy, price: 1010, qty: 1})
	if len(v) != 3 || v[0].template != sbe.TemplateOrderCancelRequest || sbe.AsOrderCancelRequest(v[0].block[:]).OrigClOrdID() != 2 ||
		sbe.AsOrderCancelRequest(v[1].block[:]).OrigClOrdID() != 1 || v[2].template != sbe.TemplateNewOrderSingle {
		t.Fatalf("%d to the venue", len(v))
	}
	if len(c) != 3 || c[0].report().ExecType() != sbe.ExecTypePendingCancel || c[0].report().Reason() != sbe.RejectReasonSelfMatch || c[2].report().ExecType() != sbe.ExecTypePendingNew {
		t.Fatalf("%d to the client", len(c))
	}
	// What goes already is no obstacle; a replace at the venue is.
	d.accepted(asked{id: 7, side: buy, price: 1011, qty: 1})
	var m sbe.OrderCancelReplaceRequest
	m.SetClOrdID(8)
	m.SetOrigClOrdID(3)
	m.SetPriceTicks(1019)
	m.SetQtyLots(1)
	d.apply(app.FromClient, 0, sbe.TemplateOrderCancelReplaceRequest, m[:])
	d.refuse(sbe.RejectReasonSelfMatch, asked{id: 9, side: buy, price: 1019, qty: 1})
	d.refuse(sbe.RejectReasonSelfMatch, asked{id: 10, side: buy, market: true, qty: 1})
	d.accepted(asked{id: 11, side: buy, price: 1018, qty: 1})
}

func TestOperatorDecidesAboutOrders(t *testing.T) {
	d := newRoutes(t)
	order := func(k operator.Kind, id uint64, lots, price int64) operator.Command {
		return command(k, func(c *operator.Command) { c.Session, c.Order, c.Value, c.Price = 0, id, lots, price })
	}
	want := func(o operator.Outcome, c operator.Command) {
		t.Helper()
		if _, _, r := d.operate(c); r.Outcome != o {
			t.Errorf("%v: %v, want %v", &c, r.Outcome, o)
		}
	}
	want(operator.UnknownOrder, order(operator.OrderCancel, 1, 0, 0))
	for id := range uint64(3) {
		d.accepted(asked{id: id + 1, side: buy, price: 1000, qty: 10})
		d.report(sbe.ExecTypeNew, sbe.OrdStatusNew, id+1, 0, nil)
	}
	want(operator.OrderNotInDoubt, order(operator.OrderExecuted, 1, 3, 1000))
	_, v, r := d.operate(order(operator.OrderCancel, 1, 0, 0))
	if r.Outcome != operator.Applied || len(v) != 1 {
		t.Fatalf("%v, %d to the venue", r.Outcome, len(v))
	}
	want(operator.RequestPending, order(operator.OrderCancel, 1, 0, 0))
	if told := d.cancelled(v); told[0].report().Reason() != sbe.RejectReasonOperator {
		t.Errorf("%v", told[0].report().Reason())
	}
	want(operator.OrderNotOpen, order(operator.OrderCancel, 1, 0, 0))
	for _, id := range []uint64{2, 3} {
		var j sbe.Reject
		j.SetClOrdID(id)
		j.SetReason(sbe.RejectReasonUnknownOrder)
		j.SetRefTemplateID(sbe.TemplateOrderStatusRequest)
		d.apply(app.FromVenue, 0, sbe.TemplateReject, j[:])
	}
	want(operator.BadArgument, order(operator.OrderExecuted, 2, 11, 1000))
	want(operator.BadArgument, order(operator.OrderExecuted, 2, 1, 0))
	c, _, r := d.operate(order(operator.OrderExecuted, 2, 4, 999))
	if r.Outcome != operator.Applied || len(c) != 1 || c[0].report().ExecType() != sbe.ExecTypeTrade || c[0].report().LastQtyLots() != 4 ||
		c[0].report().LastPriceTicks() != 999 || c[0].report().LeavesQtyLots() != 6 || c[0].report().Reason() != sbe.RejectReasonOperator {
		t.Fatalf("%v, %v", r.Outcome, c)
	}
	want(operator.Applied, order(operator.OrderExecuted, 2, 6, 998))
	if o := d.state(2); o.Status != sbe.OrdStatusFilled || o.Open || o.InDoubt {
		t.Errorf("%+v", o)
	}
	c, _, _ = d.operate(order(operator.OrderEnded, 3, 0, 0))
	if len(c) != 1 || c[0].report().ExecType() != sbe.ExecTypeCancelled || d.g.Open() != 0 || d.g.InDoubt() != 0 {
		t.Fatalf("%d told, %d open, %d in doubt", len(c), d.g.Open(), d.g.InDoubt())
	}
	if p := d.position(); p.NetLots != 10 || p.OpenBuyLots != 0 || d.g.accounts[p.account].paid != 4*999+6*998 {
		t.Errorf("%+v, paid %d", p, d.g.accounts[p.account].paid)
	}
}

// TestThrottleStaysUntilSomebodyEnables: neither time nor another limit does.
func TestThrottleStaysUntilSomebodyEnables(t *testing.T) {
	d := newRoutes(t)
	d.must(command(operator.RiskSet, func(c *operator.Command) { c.What, c.Value = uint32(LimitRepeats), 2 }))
	for id := range uint64(3) {
		d.accepted(asked{id: id + 1, side: buy, price: 1000, qty: 1})
		d.report(sbe.ExecTypeTrade, sbe.OrdStatusFilled, id+1, 0, func(r *sbe.ExecutionReport) { r.SetLastQtyLots(1); r.SetLastPriceTicks(1000) })
	}
	d.refuse(sbe.RejectReasonRepeatedExecutions, asked{id: 4, side: buy, price: 1000, qty: 1})
	d.accepted(asked{id: 5, side: buy, price: 1000, qty: 1, account: 1}) // another account
	d.must(command(operator.RiskSet, func(c *operator.Command) { c.What, c.Value = uint32(LimitRepeats), 0 }))
	d.refuse(sbe.RejectReasonRepeatedExecutions, asked{id: 6, side: buy, price: 1000, qty: 1})
	d.must(command(operator.RiskEnable, func(c *operator.Command) { c.Account, c.Symbol = 0, 7 }))
	d.accepted(asked{id: 7, side: buy, price: 1000, qty: 1})
	if _, _, r := d.operate(command(operator.RiskEnable, func(c *operator.Command) { c.Account, c.Symbol = 0, 7 })); r.Outcome != operator.Unchanged {
		t.Errorf("%v", r.Outcome)
	}
}

func TestCommandsThatCannotBe(t *testing.T) {
	d := newRoutes(t)
	digest := d.g.Digest()
	for _, x := range []struct {
		want operator.Outcome
		c    operator.Command
	}{
		{operator.BadArgument, command(operator.RiskSet, func(c *operator.Command) { c.What = uint32(LimitCount) })},
		{operator.BadArgument, command(operator.RiskSet, func(c *operator.Command) { c.What, c.Value = uint32(LimitCollar), 101 })},
		{operator.BadArgument, command(operator.RiskSet, func(c *operator.Command) { c.Session, c.Account = 0, 1 })},
		{operator.UnknownSession, command(operator.RiskSet, func(c *operator.Command) { c.Session = 2 })},
		{operator.UnknownSymbol, command(operator.RiskSet, func(c *operator.Command) { c.Symbol = 70 })},
		{operator.UnknownSymbol, command(operator.RiskReference, nil)},
		{operator.BadArgument, command(operator.RiskEnable, nil)},
		{operator.UnknownAccount, command(operator.RiskEnable, func(c *operator.Command) { c.Account, c.Symbol = 77, 7 })},
		{operator.BadArgument, command(operator.Kill, func(c *operator.Command) { c.Symbol = 7 })},
		{operator.UnknownSession, command(operator.Kill, func(c *operator.Command) { c.Session = 9 })},
		{operator.UnknownSession, command(operator.OrderCancel, func(c *operator.Command) { c.Order = 1 })},
		{operator.NotSupported, command(operator.Kind(999), nil)},
	} {
		if _, _, r := d.operate(x.c); r.Outcome != x.want {
			t.Errorf("%v: %v, want %v", &x.c, r.Outcome, x.want)
		}
	}
	if d.g.Digest() == digest {
		t.Error("a refused command leaves no trace in the digest")
	}
}
