package gateway

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

const (
	stateVersion   = 1
	gatewayVersion = 2  // 2: how many counters there are, and behind all else what the checks know
	countersOfOne  = 13 // counters of version 1
	ordersVersion  = 2  // 2: where an order went, and whether that is in doubt
)

// Save implements app.App.
func (g *Gateway) Save(w *app.StateWriter) {
	w.Section("gateway", gatewayVersion)
	w.Int("symbols", len(g.symbols))
	w.Int("sessions", len(g.windows))
	w.Int("orders_max", len(g.orders))
	w.Int("positions_max", len(g.positions))
	w.Int("open", g.open)
	w.U64("exec_id", g.execID)
	w.U64("digest", g.digest)
	w.U64("last_key", g.lastKey)
	w.Int("counters", len(g.counts))
	for i, n := range g.counts {
		w.U64(counterNames[i], n)
	}
	w.End()
	w.Section("symbols", stateVersion)
	for i := range g.symbols {
		w.Row(uint64(g.symbols[i].id))
		w.U32("id", g.symbols[i].id)
		w.I64("reference_ticks", g.symbols[i].referenceTicks)
	}
	w.End()
	w.Section("places of orders", stateVersion)
	g.places.Save(w)
	w.End()
	w.Section("orders", ordersVersion)
	for i := range g.places.Used() {
		w.Row(g.orders[i].key)
		g.orders[i].save(w)
	}
	w.End()
	w.Section("orders by ClOrdID", stateVersion)
	g.byKey.Save(w)
	w.End()
	w.Section("requests at the venue", stateVersion)
	g.requests.Save(w)
	w.End()
	g.savePositions(w)
	g.saveReconciles(w)
	w.Section("used ClOrdIDs", stateVersion)
	for i := range g.windows {
		w.Row(uint64(i))
		g.windows[i].Save(w)
	}
	w.End()
	g.saveRisk(w)
}

func (g *Gateway) savePositions(w *app.StateWriter) {
	w.Section("positions", stateVersion)
	w.Int("count", g.positionIn)
	for i := range g.positionIn {
		p := &g.positions[i]
		w.Row(uint64(p.Account)<<32 | uint64(p.SymbolID))
		w.U32("account", p.Account)
		w.U32("symbol", p.SymbolID)
		w.I64("net_lots", p.NetLots)
		w.I64("open_buy_lots", p.OpenBuyLots)
		w.I64("open_sell_lots", p.OpenSellLots)
	}
	w.Row(0)
	w.End()
	w.Section("places of positions", stateVersion)
	g.positionBy.Save(w)
	w.End()
}

func (o *order) save(w *app.StateWriter) {
	w.U64("key", o.key)
	w.U64("order_id", o.orderID)
	w.U64("pending_id", o.pendingID)
	w.I64("price_ticks", o.priceTicks)
	w.I64("pending_ticks", o.pendingTicks)
	w.U32("qty_lots", o.qtyLots)
	w.U32("cum_lots", o.cumLots)
	w.U32("pending_lots", o.pendingLots)
	w.U32("position", o.position)
	w.U16("symbol", o.symbol)
	w.U16("pending", o.pending)
	w.U8("side", uint8(o.side))
	w.U8("ord_type", uint8(o.ordType))
	w.U8("tif", uint8(o.tif))
	w.U8("status", uint8(o.status))
	w.U16("venue", o.venue)
	w.Bool("in_doubt", o.inDoubt)
}

// Load implements app.App.
func (g *Gateway) Load(r *app.StateReader) error {
	gateway := r.Section("gateway", gatewayVersion)
	r.Is("the number of symbols", len(g.symbols))
	r.Is("the number of sessions", len(g.windows))
	r.Is("places of orders", len(g.orders))
	r.Is("places of positions", len(g.positions))
	g.open = r.Int("open orders", len(g.orders))
	g.execID, g.digest, g.lastKey = r.U64(), r.U64(), r.U64()
	counters := countersOfOne
	if gateway > 1 {
		counters = r.Int("counters", len(g.counts))
	}
	for i := range counters {
		g.counts[i] = r.U64()
	}
	r.End()
	r.Section("symbols", stateVersion)
	for i := range g.symbols {
		s := &g.symbols[i]
		if id := r.U32(); r.Err() == nil && id != s.id {
			r.Fail("symbol %d is %d there and %d here: give this node the symbols that it was saved with", i, id, s.id)
		}
		s.referenceTicks = r.I64()
	}
	r.End()
	r.Section("places of orders", stateVersion)
	open := g.places.Load(r)
	r.End()
	version := r.Section("orders", ordersVersion)
	for i := range open {
		g.orders[i].load(r, version)
	}
	r.End()
	used := uint32(len(open))
	r.Section("orders by ClOrdID", stateVersion)
	g.byKey.Load(r, used)
	r.End()
	r.Section("requests at the venue", stateVersion)
	g.requests.Load(r, used)
	r.End()
	g.loadPositions(r)
	if version > 1 {
		if gateway > 1 {
			g.loadReconciles(r)
		}
	}
	r.Section("used ClOrdIDs", stateVersion)
	for i := range g.windows {
		g.windows[i].Load(r)
	}
	r.End()
	if gateway > 1 {
		g.loadRisk(r)
	}
	if r.Err() == nil {
		g.placePositions(r)
	}
	if r.Err() == nil {
		g.checkOrders(r, open)
	}
	if r.Err() == nil {
		g.checkSumsOf(r, gateway > 1)
		g.countStops()
	}
	return r.Err()
}

func (g *Gateway) loadPositions(r *app.StateReader) {
	r.Section("positions", stateVersion)
	g.positionIn = r.Int("positions", len(g.positions))
	for i := range g.positionIn {
		p := &g.positions[i]
		p.Account, p.SymbolID = r.U32(), r.U32()
		p.NetLots, p.OpenBuyLots, p.OpenSellLots = r.I64(), r.I64(), r.I64()
	}
	r.End()
	r.Section("places of positions", stateVersion)
	g.positionBy.Load(r, uint32(g.positionIn))
	r.End()
}

func (o *order) load(r *app.StateReader, version uint16) {
	o.key, o.orderID, o.pendingID = r.U64(), r.U64(), r.U64()
	o.priceTicks, o.pendingTicks = r.I64(), r.I64()
	o.qtyLots, o.cumLots, o.pendingLots, o.position = r.U32(), r.U32(), r.U32(), r.U32()
	o.symbol, o.pending = r.U16(), r.U16()
	o.side, o.ordType, o.tif = sbe.Side(r.U8()), sbe.OrdType(r.U8()), sbe.TimeInForce(r.U8())
	o.status = sbe.OrdStatus(r.U8())
	if version > 1 {
		o.venue, o.inDoubt = r.U16(), r.Bool()
	}
}

// checkOrders: what is looked up by an index must be there, and who is open must
// be found by its key.
func (g *Gateway) checkOrders(r *app.StateReader, open []bool) {
	opened := 0
	for i := range open {
		o := &g.orders[i]
		if o.open() != open[i] {
			r.Fail("order %d at place %d has status %d, and its place says otherwise", o.key, i, o.status)
			return
		}
		if o.key == 0 { // a place whose order was refused
			continue
		}
		if o.session() >= min(r.Sessions, uint32(len(g.windows))) || int(o.symbol) >= len(g.symbols) || int(o.position) >= g.positionIn {
			r.Fail("order %d at place %d is of session %d, symbol %d, position %d", o.key, i, o.session(), o.symbol, o.position)
			return
		}
		if at, ok := g.byKey.Get(o.key); !ok || at != uint32(i) {
			r.Fail("order %d at place %d is not found by its key", o.key, i)
			return
		}
		if open[i] {
			opened++
		}
	}
	if opened != g.open {
		r.Fail("%d orders are open, not %d", opened, g.open)
	}
}
