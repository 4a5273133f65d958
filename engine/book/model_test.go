package book

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
)

// model is the book once more, naively: one list of orders, searched from end to end.
type model struct {
	rule     SelfMatch
	phase    [2]Phase
	orders   []*modelOrder // open, none of them matched at the moment
	known    map[uint64]*modelOrder
	finished []uint64
	next     uint64 // priority
	arrivals uint64
	said     []line
}

type modelOrder struct {
	id       uint64
	owner    uint32 // session and account
	symbol   int
	side     sbe.Side
	market   bool
	tif      sbe.TimeInForce
	inst     sbe.ExecInst
	price    int64
	qty, cum uint32
	priority uint64
	arrived  uint64
	ended    bool
}

// line is what matters of a report or a rejection.
type line struct {
	owner      uint32
	reject     bool
	exec       sbe.ExecType
	id, orig   uint64
	last       uint32
	lastTicks  int64
	qty, cum   uint32
	leaves     uint32
	priceTicks int64
	why        sbe.RejectReason
}

func (m *model) report(o *modelOrder, exec sbe.ExecType, id, orig uint64, last uint32, ticks int64, why sbe.RejectReason) {
	leaves := o.qty - o.cum
	if o.ended {
		leaves = 0
	}
	m.said = append(m.said, line{owner: o.owner, exec: exec, id: id, orig: orig, last: last, lastTicks: ticks, qty: o.qty, cum: o.cum,
		leaves: leaves, priceTicks: o.price, why: why})
}

func (m *model) reject(owner uint32, id uint64, why sbe.RejectReason) {
	m.said = append(m.said, line{owner: owner, reject: true, id: id, why: why})
}

func (m *model) end(o *modelOrder) {
	o.ended = true
	m.finished = append(m.finished, o.id)
	m.orders = slices.DeleteFunc(m.orders, func(x *modelOrder) bool { return x == o })
}

// best returns the order on the other side that o meets first; nil: none.
func (m *model) best(o *modelOrder, skip func(*modelOrder) bool) *modelOrder {
	var best *modelOrder
	for _, x := range m.orders {
		if x == o || x.symbol != o.symbol || x.side == o.side || !o.market && !crossing(o, x) || skip != nil && skip(x) {
			continue
		}
		if best == nil || better(x, best) {
			best = x
		}
	}
	return best
}

func crossing(o, x *modelOrder) bool {
	if o.side == sbe.SideBuy {
		return o.price >= x.price
	}
	return o.price <= x.price
}

func better(x, y *modelOrder) bool {
	if x.price != y.price {
		return x.side == sbe.SideBuy == (x.price > y.price)
	}
	return x.priority < y.priority
}

// self applies the rule and reports whether one was needed.
func (m *model) self(taker, maker *modelOrder) bool {
	if m.rule == SelfTrade || taker.owner != maker.owner {
		return false
	}
	kill := func(o *modelOrder) {
		m.end(o)
		m.report(o, sbe.ExecTypeCancelled, o.id, 0, 0, 0, sbe.RejectReasonSelfMatch)
	}
	lots := min(taker.qty-taker.cum, maker.qty-maker.cum)
	shrink := func(o *modelOrder) {
		if o.qty-o.cum == lots {
			kill(o)
			return
		}
		o.qty -= lots
		m.report(o, sbe.ExecTypeReplaced, o.id, 0, 0, 0, sbe.RejectReasonSelfMatch)
	}
	switch m.rule {
	case CancelNewest:
		kill(taker)
	case CancelOldest:
		kill(maker)
	case CancelBoth:
		kill(maker)
		kill(taker)
	case Decrement:
		shrink(maker)
		shrink(taker)
	}
	return true
}

func (m *model) trade(taker, maker *modelOrder) {
	lots := min(taker.qty-taker.cum, maker.qty-maker.cum)
	taker.cum += lots
	maker.cum += lots
	if maker.cum == maker.qty {
		m.end(maker)
	}
	if taker.cum == taker.qty {
		m.end(taker)
	}
	m.report(taker, sbe.ExecTypeTrade, taker.id, 0, lots, maker.price, sbe.RejectReasonNone)
	m.report(maker, sbe.ExecTypeTrade, maker.id, 0, lots, maker.price, sbe.RejectReasonNone)
}

func (m *model) fillable(o *modelOrder) bool {
	want, seen := o.qty-o.cum, map[*modelOrder]bool{}
	for {
		x := m.best(o, func(x *modelOrder) bool { return seen[x] })
		if x == nil {
			return false
		}
		seen[x] = true
		if m.rule != SelfTrade && x.owner == o.owner {
			if m.rule == CancelOldest {
				continue
			}
			return false
		}
		if left := x.qty - x.cum; left >= want {
			return true
		} else {
			want -= left
		}
	}
}

// match trades o, which is not in the list, and lets the rest of it rest.
func (m *model) match(o *modelOrder) {
	cancel := func(why sbe.RejectReason) {
		m.end(o)
		m.report(o, sbe.ExecTypeCancelled, o.id, 0, 0, 0, why)
	}
	if o.tif == sbe.TimeInForceFillOrKill && !m.fillable(o) {
		cancel(sbe.RejectReasonCannotFill)
		return
	}
	for m.phase[o.symbol] == Open && !o.ended {
		x := m.best(o, nil)
		if x == nil {
			break
		}
		if !m.self(o, x) {
			m.trade(o, x)
		}
	}
	if o.ended {
		return
	}
	if o.market || o.tif != sbe.TimeInForceDay {
		cancel(sbe.RejectReasonNoLiquidity)
		return
	}
	m.next++
	o.priority = m.next
	m.orders = append(m.orders, o)
}

func (m *model) admits(o *modelOrder) sbe.RejectReason {
	switch p := m.phase[o.symbol]; {
	case p == Open:
		return sbe.RejectReasonNone
	case p == Halted:
		return sbe.RejectReasonHalted
	case p == Closed, o.market, o.tif != sbe.TimeInForceDay, o.inst != sbe.ExecInstNone:
		return sbe.RejectReasonMarketClosed
	}
	return sbe.RejectReasonNone
}

func (m *model) add(o *modelOrder) {
	if why := m.admits(o); why != sbe.RejectReasonNone {
		m.reject(o.owner, o.id, why)
		return
	}
	if o.inst == sbe.ExecInstPostOnly && m.best(o, nil) != nil {
		m.reject(o.owner, o.id, sbe.RejectReasonWouldTrade)
		return
	}
	m.arrivals++
	o.arrived = m.arrivals
	m.known[o.id] = o
	m.report(o, sbe.ExecTypeNew, o.id, 0, 0, 0, sbe.RejectReasonNone)
	m.match(o)
}

// about finds the open order of a cancel or replace.
func (m *model) about(owner uint32, id, orig uint64) *modelOrder {
	switch o := m.known[orig]; {
	case o == nil:
		m.reject(owner, id, sbe.RejectReasonUnknownOrder)
	case o.ended:
		m.reject(owner, id, sbe.RejectReasonTooLateToCancel)
	default:
		return o
	}
	return nil
}

func (m *model) cancel(owner uint32, id, orig uint64) {
	o := m.about(owner, id, orig)
	if o == nil {
		return
	}
	if m.phase[o.symbol] == Closed {
		m.reject(owner, id, sbe.RejectReasonMarketClosed)
		return
	}
	m.end(o)
	m.report(o, sbe.ExecTypeCancelled, id, orig, 0, 0, sbe.RejectReasonNone)
}

func (m *model) replace(owner uint32, id, orig uint64, price int64, qty uint32) {
	o := m.about(owner, id, orig)
	if o == nil {
		return
	}
	changed := *o
	changed.price = price
	switch why := m.admits(o); {
	case qty <= o.cum:
		m.reject(owner, id, sbe.RejectReasonBadQuantity)
	case why != sbe.RejectReasonNone:
		m.reject(owner, id, why)
	case o.inst == sbe.ExecInstPostOnly && m.best(&changed, nil) != nil:
		m.reject(owner, id, sbe.RejectReasonWouldTrade)
	case price == o.price && qty <= o.qty:
		o.qty = qty
		m.report(o, sbe.ExecTypeReplaced, id, orig, 0, 0, sbe.RejectReasonNone)
	default:
		m.orders = slices.DeleteFunc(m.orders, func(x *modelOrder) bool { return x == o })
		o.price, o.qty = price, qty
		m.report(o, sbe.ExecTypeReplaced, id, orig, 0, 0, sbe.RejectReasonNone)
		m.match(o)
	}
}

// enter changes a symbol's phase; a book that opens is uncrossed.
func (m *model) enter(symbol int, p Phase) {
	before := m.phase[symbol]
	if m.phase[symbol] = p; p != Open || before == Open {
		return
	}
	for {
		var bid, ask *modelOrder
		for _, x := range m.orders {
			switch {
			case x.symbol != symbol:
			case x.side == sbe.SideBuy && (bid == nil || better(x, bid)):
				bid = x
			case x.side == sbe.SideSell && (ask == nil || better(x, ask)):
				ask = x
			}
		}
		if bid == nil || ask == nil || bid.price < ask.price {
			return
		}
		taker, maker := bid, ask
		if bid.arrived < ask.arrived {
			taker, maker = ask, bid
		}
		if !m.self(taker, maker) {
			m.trade(taker, maker)
		}
	}
}

// modelDesk gives book and model the same and compares what they say.
type modelDesk struct {
	t      *testing.T
	r      *rand.Rand
	b      *Book
	m      *model
	nextID uint64
	in     app.Input
	lines  []line
	block  [96]byte
	to     uint32
	what   uint16
}

func (d *modelDesk) ToClient(session uint32, template uint16) []byte {
	d.to, d.what = session, template
	b := d.block[:sbe.BlockBytes(template)]
	clear(b)
	return b
}

func (d *modelDesk) SendToClient() {
	if d.what == sbe.TemplateReject {
		r := sbe.AsReject(d.block[:])
		d.lines = append(d.lines, line{owner: d.to << 8, reject: true, id: r.ClOrdID(), why: r.Reason()})
		return
	}
	r := sbe.AsExecutionReport(d.block[:])
	d.lines = append(d.lines, line{owner: d.to<<8 | r.Account(), exec: r.ExecType(), id: r.ClOrdID(), orig: r.OrigClOrdID(), last: r.LastQtyLots(),
		lastTicks: r.LastPriceTicks(), qty: r.OrderQtyLots(), cum: r.CumQtyLots(), leaves: r.LeavesQtyLots(), priceTicks: r.PriceTicks(), why: r.Reason()})
}

func (d *modelDesk) ToVenue(uint32, uint16, uint64) ([]byte, sbe.RejectReason) {
	return nil, sbe.RejectReasonNoRoute
}
func (d *modelDesk) SendToVenue()                 {}
func (d *modelDesk) Withdraw(uint32, uint64) bool { return false }

func (d *modelDesk) apply(owner uint32, template uint16, block []byte) {
	d.in = app.Input{Kind: app.FromClient, TimeNs: 1, Session: owner >> 8, Template: template, Block: block}
	d.b.Apply(&d.in, d)
}

// compare checks what both said of the last event.
func (d *modelDesk) compare(event string) {
	for i := range d.m.said {
		if d.m.said[i].reject {
			d.m.said[i].owner &^= 0xff // a rejection names no account
		}
	}
	if !slices.Equal(d.lines, d.m.said) {
		d.t.Fatalf("%s: the book says\n%+v\nthe model\n%+v", event, d.lines, d.m.said)
	}
	d.lines, d.m.said = d.lines[:0], d.m.said[:0]
}

// kinds of events a run leans to.
var leanings = []string{"market", "limit", "ioc", "fok", "post-only", "cancel", "replace"}

func (d *modelDesk) order(kind string) {
	d.nextID++
	o := &modelOrder{id: d.nextID, owner: uint32(d.r.IntN(2))<<8 | uint32(1+d.r.IntN(2)), symbol: d.r.IntN(2), side: sbe.Side(1 + d.r.IntN(2)),
		price: int64(95 + d.r.IntN(11)), qty: uint32(1 + d.r.IntN(30))}
	var raw [sbe.NewOrderSingleBytes]byte
	q := sbe.AsNewOrderSingle(raw[:32])
	q.SetOrdType(sbe.OrdTypeLimit)
	switch kind {
	case "market":
		o.market, o.price = true, 0
		q.SetOrdType(sbe.OrdTypeMarket)
	case "ioc":
		o.tif = sbe.TimeInForceImmediateOrCancel
		if d.r.IntN(4) == 0 {
			o.market, o.price = true, 0
			q.SetOrdType(sbe.OrdTypeMarket)
		}
	case "fok":
		o.tif = sbe.TimeInForceFillOrKill
		if d.r.IntN(4) == 0 {
			o.market, o.price = true, 0
			q.SetOrdType(sbe.OrdTypeMarket)
		}
	case "post-only":
		o.inst = sbe.ExecInstPostOnly
	}
	q.SetClOrdID(o.id)
	q.SetPriceTicks(o.price)
	q.SetSymbolID(uint32(1 + o.symbol))
	q.SetQtyLots(o.qty)
	q.SetAccount(o.owner & 0xff)
	q.SetSide(o.side)
	q.SetTimeInForce(o.tif)
	sbe.SetNewOrderSingleExecInst(raw[:], o.inst)
	d.apply(o.owner, sbe.TemplateNewOrderSingle, raw[:])
	d.m.add(o)
	d.compare(kind)
}

// target picks an order, mostly an open one, and its owner.
func (d *modelDesk) target() (owner uint32, id uint64) {
	switch n := d.r.IntN(20); {
	case n == 0 || len(d.m.known) == 0:
		return 1, 1 << 40 // never used
	case n == 1 && len(d.m.finished) > 0:
		id = d.m.finished[len(d.m.finished)-1]
	case len(d.m.orders) > 0:
		id = d.m.orders[d.r.IntN(len(d.m.orders))].id
	default:
		return 1, 1 << 40
	}
	return d.m.known[id].owner, id
}

func (d *modelDesk) cancel() {
	owner, orig := d.target()
	d.nextID++
	var q sbe.OrderCancelRequest
	q.SetClOrdID(d.nextID)
	q.SetOrigClOrdID(orig)
	d.apply(owner, sbe.TemplateOrderCancelRequest, q[:])
	d.m.cancel(owner, d.nextID, orig)
	d.compare("cancel")
}

func (d *modelDesk) replace() {
	owner, orig := d.target()
	d.nextID++
	price, qty := int64(95+d.r.IntN(11)), uint32(1+d.r.IntN(30))
	if o := d.m.known[orig]; o != nil && d.r.IntN(2) == 0 {
		price = max(o.price, 1)
	}
	var q sbe.OrderCancelReplaceRequest
	q.SetClOrdID(d.nextID)
	q.SetOrigClOrdID(orig)
	q.SetPriceTicks(price)
	q.SetQtyLots(qty)
	d.apply(owner, sbe.TemplateOrderCancelReplaceRequest, q[:])
	d.m.replace(owner, d.nextID, orig, price, qty)
	d.compare("replace")
}

func (d *modelDesk) phase() {
	symbol, p := d.r.IntN(2), Phase(d.r.IntN(int(phaseCount)))
	if d.r.IntN(2) == 0 {
		p = Open
	}
	c := operator.New(operator.MarketPhase)
	c.Symbol, c.Value = uint32(1+symbol), int64(p)
	d.in = app.Input{Kind: app.FromOperator, TimeNs: 1, Command: &c}
	d.b.Apply(&d.in, d)
	if d.in.Result.Outcome != operator.Applied {
		d.t.Fatalf("phase %v: %v", p, d.in.Result.Outcome)
	}
	d.m.enter(symbol, p)
	d.compare("phase")
}

func (d *modelDesk) step(lean string) {
	kind := lean
	if d.r.IntN(5) < 2 {
		kind = leanings[d.r.IntN(len(leanings))]
	}
	if open := len(d.m.orders); open > 40 {
		kind = "cancel"
	} else if open < 8 && d.r.IntN(2) == 0 {
		kind = "limit"
	}
	switch {
	case d.r.IntN(400) == 0 || d.m.phase != [2]Phase{} && d.r.IntN(30) == 0:
		d.phase()
	case kind == "cancel":
		d.cancel()
	case kind == "replace":
		d.replace()
	default:
		d.order(kind)
	}
	if len(d.m.known) > 2000 { // the model forgets what the book may
		for id, o := range d.m.known {
			if o.ended {
				delete(d.m.known, id)
			}
		}
		d.m.finished = d.m.finished[:0]
	}
}

// TestBookAgainstModel: a million random events of each kind, under every self-match
// rule and through all phases: the book says what the model says, in the same order.
func TestBookAgainstModel(t *testing.T) {
	events := 1_000_000
	if testing.Short() {
		events = 30_000
	}
	for k, lean := range leanings {
		t.Run(lean, func(t *testing.T) {
			t.Parallel()
			for rule := range selfMatchCount {
				b, err := New(Config{Symbols: []uint32{1, 2}, OrdersMax: 8192, LevelsMax: 32, ClOrdIDWindow: 1 << 20, SelfMatch: rule})
				if err != nil {
					t.Fatal(err)
				}
				d := &modelDesk{t: t, r: rand.New(rand.NewPCG(uint64(k), uint64(rule))), b: b, m: &model{rule: rule, known: map[uint64]*modelOrder{}}}
				for range events / int(selfMatchCount) {
					d.step(lean)
				}
				if b.Open() != len(d.m.orders) {
					t.Fatalf("%d orders open, the model has %d", b.Open(), len(d.m.orders))
				}
				checkCounts(t, fmt.Sprint(lean, " ", rule), b)
			}
		})
	}
}

// checkCounts: a run that never came where it leans to would prove nothing.
func checkCounts(t *testing.T, what string, b *Book) {
	t.Helper()
	if b.counts[countTrades] == 0 || b.counts[countPhases] == 0 || b.cfg.SelfMatch != SelfTrade && b.counts[countSelfMatches] == 0 {
		t.Errorf("%s: %v", what, b.counts)
	}
}
