package gateway

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
)

// world drives a gateway, a second one that is fed the same inputs, and the model.
type world struct {
	t       *testing.T
	r       *rand.Rand
	desk    // whose outputs count
	other   *desk
	m       *model
	timeNs  int64
	nextID  []uint64
	open    []uint64 // keys of open orders
	refused map[sbe.RejectReason]int
	events  int
}

const (
	propertySessions = 5
	propertyAccounts = 6
	propertySymbols  = 4
	propertyOpenMax  = 40
)

func propertyConfig() Config {
	cfg := Config{Sessions: propertySessions, OrdersMax: 256, FinishedRetain: 32, PositionsMax: 64, AccountsMax: 16, ClOrdIDWindow: 1024}
	for i := range uint32(propertySymbols) {
		cfg.Symbols = append(cfg.Symbols, Symbol{ID: i + 1, ReferencePriceTicks: int64(i) * 1000}) // the first has none
	}
	return cfg
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 7)), m: newModel(), timeNs: 1_700_000_000_000_000_000,
		nextID: make([]uint64, propertySessions), refused: map[sbe.RejectReason]int{}}
	w.desk = desk{t: t, g: w.fresh(), room: 1 << 62, keep: true}
	w.other = &desk{t: t, g: w.fresh(), room: 1 << 62}
	for i := range uint32(propertySymbols) {
		w.m.reference[i+1] = int64(i) * 1000
	}
	return w
}

func (w *world) fresh() *Gateway {
	g, err := New(propertyConfig())
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

// give applies one input to both gateways.
func (w *world) give(in app.Input) ([]said, []said) {
	in.TimeNs = w.timeNs
	w.seq++
	in.SeqNo = w.seq
	w.toClient, w.toVenue = w.toClient[:0], w.toVenue[:0]
	other := in
	w.in = in
	w.g.Apply(&w.in, &w.desk)
	w.other.in = other
	w.other.g.Apply(&w.other.in, w.other)
	return w.toClient, w.toVenue
}

func (w *world) step() {
	w.timeNs += w.r.Int64N(6_000_000)
	switch n := w.r.IntN(100); {
	case n < 45:
		w.newOrder()
	case n < 52:
		w.replace()
	case n < 96:
		w.venue()
	case n < 99:
		w.operate()
	default:
		w.restart()
	}
	w.events++
}

func (w *world) newOrder() {
	c := modelContent{session: w.r.Uint32N(propertySessions), account: w.r.Uint32N(propertyAccounts), symbol: 1 + w.r.Uint32N(propertySymbols),
		side: sbe.Side(1 + w.r.IntN(2)), ordType: sbe.OrdTypeLimit, qty: 1 + w.r.Uint32N(12)}
	c.price = max(1, w.m.reference[c.symbol]+w.r.Int64N(400)-200)
	if w.r.IntN(3) == 0 { // as somebody else sends it, too
		c.price, c.qty = max(1, c.price/100*100), 1+c.qty%2
	}
	switch w.r.IntN(12) {
	case 0:
		c.ordType = sbe.OrdTypeMarket
	case 1:
		c.tif = sbe.TimeInForceImmediateOrCancel
	}
	if len(w.open) >= propertyOpenMax {
		return
	}
	w.nextID[c.session]++
	id := w.nextID[c.session]
	var b sbe.NewOrderSingle
	b.SetClOrdID(id)
	b.SetAccount(c.account)
	b.SetSymbolID(c.symbol)
	b.SetSide(c.side)
	b.SetOrdType(c.ordType)
	b.SetTimeInForce(c.tif)
	b.SetPriceTicks(c.price)
	b.SetQtyLots(c.qty)
	why, value, limit := w.m.check(c, nil, w.timeNs)
	client, _ := w.give(app.Input{Kind: app.FromClient, Session: c.session, Template: sbe.TemplateNewOrderSingle, Block: b[:]})
	if !w.judged(client, why, value, limit, c) {
		return
	}
	if _, off := w.m.limit(LimitDuplicateWindow, c.account, c.session, c.symbol); !off {
		w.m.content[c] = w.timeNs // else it is not remembered
	}
	o := &modelOrder{session: c.session, account: c.account, symbol: c.symbol, side: c.side, price: c.price, qty: int64(c.qty), open: true,
		market: c.ordType == sbe.OrdTypeMarket, rests: c.ordType == sbe.OrdTypeLimit && c.tif == sbe.TimeInForceDay}
	if o.market {
		percent, off := w.m.limit(LimitCollar, c.account, c.session, c.symbol)
		if off {
			percent = 1_000_000
		}
		reference := w.m.reference[c.symbol]
		o.worth = reference + reference*percent/100
	}
	key := VenueClOrdID(c.session, id)
	w.m.orders[key] = o
	w.open = append(w.open, key)
}

// judged compares what was answered with what the model says; true: it was taken.
func (w *world) judged(client []said, why sbe.RejectReason, value, limit int64, about any) bool {
	w.t.Helper()
	if len(client) != 1 {
		w.t.Fatalf("event %d: %d answers", w.events, len(client))
	}
	if client[0].template != sbe.TemplateReject {
		if why != sbe.RejectReasonNone {
			w.t.Fatalf("event %d: %+v was taken; the model refuses it for %v, %d against %d", w.events, about, why, value, limit)
		}
		return true
	}
	r := client[0].reject()
	w.refused[why]++
	if r.Reason() != why || value >= 0 && limit >= 0 && (r.Value() != value || r.Limit() != limit) {
		w.t.Fatalf("event %d: %+v was refused for %v, %d against %d; the model says %v, %d against %d",
			w.events, about, r.Reason(), r.Value(), r.Limit(), why, value, limit)
	}
	return false
}

func (w *world) pick() (uint64, *modelOrder) {
	if len(w.open) == 0 {
		return 0, nil
	}
	key := w.open[w.r.IntN(len(w.open))]
	return key, w.m.orders[key]
}

func (w *world) end(key uint64) {
	w.m.orders[key].open = false
	delete(w.m.orders, key)
	w.open = slices.DeleteFunc(w.open, func(k uint64) bool { return k == key })
}

func (w *world) replace() {
	key, o := w.pick()
	if o == nil || o.market || o.pendingQty != 0 {
		return
	}
	c := modelContent{session: o.session, account: o.account, symbol: o.symbol, side: o.side, ordType: sbe.OrdTypeLimit,
		price: max(1, o.price+w.r.Int64N(200)-100), qty: uint32(o.cum) + 1 + w.r.Uint32N(15)}
	w.nextID[o.session]++
	id := w.nextID[o.session]
	var b sbe.OrderCancelReplaceRequest
	b.SetClOrdID(id)
	b.SetOrigClOrdID(key & idMask)
	b.SetPriceTicks(c.price)
	b.SetQtyLots(c.qty)
	why, value, limit := w.m.check(c, o, w.timeNs)
	client, _ := w.give(app.Input{Kind: app.FromClient, Session: o.session, Template: sbe.TemplateOrderCancelReplaceRequest, Block: b[:]})
	if !w.judged(client, why, value, limit, c) {
		return
	}
	o.pendingPrice, o.pendingQty = c.price, int64(c.qty)
	switch w.r.IntN(3) { // else it stays at the venue for a while
	case 0:
		w.report(sbe.ExecTypeReplaced, VenueClOrdID(o.session, id), key, func(r *sbe.ExecutionReport) {
			r.SetPriceTicks(c.price)
			r.SetOrderQtyLots(c.qty)
		})
		o.price, o.qty, o.pendingPrice, o.pendingQty = c.price, int64(c.qty), 0, 0
	case 1:
		var j sbe.Reject
		j.SetClOrdID(VenueClOrdID(o.session, id))
		j.SetReason(sbe.RejectReasonVenue)
		w.give(app.Input{Kind: app.FromVenue, Template: sbe.TemplateReject, Block: j[:]})
		o.pendingPrice, o.pendingQty = 0, 0
	}
}

func (w *world) report(exec sbe.ExecType, clOrdID, orig uint64, set func(*sbe.ExecutionReport)) {
	var r sbe.ExecutionReport
	r.SetClOrdID(clOrdID)
	r.SetOrigClOrdID(orig)
	r.SetExecType(exec)
	if set != nil {
		set(&r)
	}
	w.give(app.Input{Kind: app.FromVenue, Template: sbe.TemplateExecutionReport, Block: r[:]})
}

// venue fills or ends an order.
func (w *world) venue() {
	key, o := w.pick()
	if o == nil {
		return
	}
	if w.r.IntN(4) == 0 {
		w.report(sbe.ExecTypeCancelled, key, 0, nil)
		w.end(key)
		return
	}
	left := o.qty - o.cum
	if left <= 0 {
		return
	}
	lots := 1 + w.r.Int64N(left)
	price := max(1, o.price+w.r.Int64N(20)-10)
	// An order whose replace is under way may end with its old quantity.
	w.report(sbe.ExecTypeTrade, key, 0, func(r *sbe.ExecutionReport) {
		r.SetLastQtyLots(uint32(lots))
		r.SetLastPriceTicks(price)
		r.SetLeavesQtyLots(uint32(left - lots))
	})
	w.m.fill(o, lots, price, w.timeNs)
	if lots == left {
		w.end(key)
	}
}

// operate changes a limit, enables, kills or releases.
func (w *world) operate() {
	c := operator.New(operator.RiskSet)
	scope := Scope(w.r.IntN(4))
	id := uint32(0)
	switch scope {
	case ScopeAccount:
		id = w.r.Uint32N(propertyAccounts)
		c.Account = id
	case ScopeSession:
		id = w.r.Uint32N(propertySessions)
		c.Session = id
	case ScopeSymbol:
		id = 1 + w.r.Uint32N(propertySymbols)
		c.Symbol = id
	}
	switch n := w.r.IntN(20); {
	case n == 0 && scope != ScopeSymbol && w.r.IntN(4) == 0:
		// A kill would cancel: the orders of this world end by themselves.
		if w.m.killed[scope][id] || len(w.open) > 0 {
			return
		}
		c.Kind = operator.Kill
		w.m.killed[scope][id] = true
	case n < 4 && scope != ScopeSymbol:
		c.Kind = operator.KillRelease
		w.m.killed[scope][id] = false
	case n < 6:
		c = operator.New(operator.RiskEnable)
		c.Account, c.Symbol = w.r.Uint32N(propertyAccounts), 1+w.r.Uint32N(propertySymbols)
		if place := [2]uint32{c.Account, c.Symbol}; w.m.stopped[place] {
			w.m.stopped[place], w.m.executed[place] = false, nil
		}
	case n == 8:
		c = operator.New(operator.RiskReference)
		c.Symbol, c.Price = 1+w.r.Uint32N(propertySymbols), w.r.Int64N(3)*1000
		w.m.reference[c.Symbol] = c.Price
	default:
		l := Limit(w.r.IntN(int(LimitCount)))
		c.What = uint32(l)
		c.Value = w.someLimit(l)
		w.m.set(scope, id)[l] = c.Value
	}
	w.give(app.Input{Kind: app.FromOperator, Command: &c})
	if !w.in.Result.Outcome.Done() && c.Kind != operator.RiskEnable {
		w.t.Fatalf("event %d: %v: %v", w.events, &c, w.in.Result.Outcome)
	}
}

// someLimit is a value near what matters.
func (w *world) someLimit(l Limit) int64 {
	if w.r.IntN(3) == 0 {
		return []int64{Inherit, 0}[w.r.IntN(2)]
	}
	near := map[Limit]int64{LimitQty: 12, LimitNotional: 30_000, LimitCollar: 20, LimitPosition: 60, LimitGross: 200, LimitOpenOrders: 12,
		LimitOpenNotional: 400_000, LimitCredit: 300_000, LimitOrderRate: 30, LimitRepeats: 20, LimitRepeatWindow: 2000, LimitDuplicateWindow: 2000}
	switch l {
	case LimitRestricted:
		return w.r.Int64N(8) / 7
	case LimitSelfMatch:
		return SelfMatchRefuse
	}
	return near[l]/2 + w.r.Int64N(near[l])
}

// restart puts a gateway in the place of one: loaded from its state, or the one that
// was fed beside it. It must be the same.
func (w *world) restart() {
	if w.g.Digest() != w.other.g.Digest() {
		w.t.Fatalf("event %d: two gateways of the same inputs differ", w.events)
	}
	if w.r.IntN(4) == 0 {
		w.g, w.other.g = w.other.g, w.g // a failover
	} else {
		var b bytes.Buffer
		s := app.NewStateWriter(&b)
		w.g.Save(s)
		if err := s.Flush(); err != nil {
			w.t.Fatal(err)
		}
		loaded := w.fresh()
		in := app.NewStateReader(&b)
		in.Sessions = propertySessions
		if err := loaded.Load(in); err != nil {
			w.t.Fatalf("event %d: %v", w.events, err)
		}
		w.g = loaded
	}
	w.compare()
}

// compare holds every sum against the model's.
func (w *world) compare() {
	w.t.Helper()
	w.g.Positions(func(p *Position) {
		s := w.m.sums(p.Account, p.SymbolID)
		if net := w.m.net[[2]uint32{p.Account, p.SymbolID}]; p.NetLots != net || p.OpenBuyLots != s.buyLots || p.OpenSellLots != s.sellLots {
			w.t.Fatalf("event %d: %+v, the model has %d and %+v", w.events, *p, net, s)
		}
		if a := &w.g.accounts[p.account]; a.grossLots != s.gross || a.openBuy != s.buyNotional || a.openSell != s.sellNotional || a.paid != w.m.paid[p.Account] {
			w.t.Fatalf("event %d: account %+v, the model has paid %d and %+v", w.events, *a, w.m.paid[p.Account], s)
		}
	})
	for i := range w.g.sessions {
		x := &w.g.sessions[i]
		if n := w.m.openOf(uint32(i)); int64(x.open) != n {
			w.t.Fatalf("event %d: session %d has %d orders, the model %d", w.events, i, x.open, n)
		}
		if n := w.m.rate(uint32(i), w.timeNs); int64(x.rate.at(w.timeNs)) != n {
			w.t.Fatalf("event %d: rate %d, the model has %d", w.events, x.rate.sum, n)
		}
	}
	stops := w.g.stops
	if w.g.countStops(); w.g.stops != stops {
		w.t.Fatalf("event %d: %+v are stopped, counted %+v", w.events, w.g.stops, stops)
	}
}

// TestRiskAgainstModel: a million events; after each the decision is the model's, with
// what was compared, and every so often a gateway is replaced by one loaded from its
// state or by its standby, and every sum compared.
func TestRiskAgainstModel(t *testing.T) {
	events := 1_000_000
	if testing.Short() {
		events = 50_000
	}
	w := newWorld(t, 1)
	for w.events < events {
		w.step()
	}
	w.compare()
	for _, c := range checkInfos {
		if w.refused[c.why] == 0 {
			t.Errorf("nothing was refused for %v", c.why)
		}
	}
	t.Logf("%d events, refused %v", w.events, w.refused)
}
