package book

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

const (
	stateVersion  = 1
	bookVersion   = 2 // 2: more counters
	ordersVersion = 2 // 2: execution instructions
)

// Save implements app.App.
func (b *Book) Save(w *app.StateWriter) {
	w.Section("book", bookVersion)
	w.Int("orders_max", len(b.orders))
	w.Int("symbols", len(b.cfg.Symbols))
	for _, id := range b.cfg.Symbols {
		w.U32("symbol", id)
	}
	w.Int("levels_max", b.cfg.LevelsMax)
	w.Int("open", b.open)
	w.U64("order_id", b.orderID)
	w.U64("exec_id", b.execID)
	w.U64("digest", b.digest)
	w.U64("last_key", b.lastKey)
	for i, n := range b.counts {
		w.U64(counterNames[i], n)
	}
	w.End()
	w.Section("places of orders", stateVersion)
	b.places.Save(w)
	w.End()
	w.Section("orders", ordersVersion)
	for i := range b.places.Used() {
		w.Row(b.orders[i].key)
		b.orders[i].save(w)
	}
	w.End()
	w.Section("orders by ClOrdID", stateVersion)
	b.byKey.Save(w)
	w.End()
	w.Section("book levels", stateVersion)
	for i := range b.sides {
		b.saveSide(w, i)
	}
	w.End()
	w.Section("flows", stateVersion)
	w.Int("flows_max", len(b.windows))
	w.Int("count", b.flowIn)
	b.flows.Save(w)
	w.End()
	w.Section("used ClOrdIDs", stateVersion)
	for i := range b.flowIn {
		w.Row(uint64(i))
		b.windows[i].Save(w)
	}
	w.End()
	b.saveMarkets(w)
}

// saveSide writes the levels of a side, the best one last, and the orders of each,
// oldest first.
func (b *Book) saveSide(w *app.StateWriter, i int) {
	s := &b.sides[i]
	w.Row(uint64(i))
	w.Int("levels", s.count)
	for k := range s.count {
		l := &s.levels[k]
		w.I64("rank", l.priceTicks)
		for at := l.head; at != none; at = b.orders[at].next {
			w.U32("order", at)
		}
		w.U32("end", none)
	}
}

func (o *order) save(w *app.StateWriter) {
	w.U64("key", o.key)
	w.U64("cl_ord_id", o.clOrdID)
	w.U64("order_id", o.orderID)
	w.I64("price_ticks", o.priceTicks)
	w.U32("qty_lots", o.qtyLots)
	w.U32("cum_lots", o.cumLots)
	w.U32("session", o.session)
	w.U32("account", o.account)
	w.U16("symbol", o.symbol)
	w.U8("side", uint8(o.side))
	w.U8("ord_type", uint8(o.ordType))
	w.U8("tif", uint8(o.tif))
	w.U8("status", uint8(o.status))
	w.U8("exec_inst", uint8(o.inst))
}

// Load implements app.App.
func (b *Book) Load(r *app.StateReader) error {
	version := r.Section("book", bookVersion)
	r.Is("places of orders", len(b.orders))
	r.Is("the number of symbols", len(b.cfg.Symbols))
	for i, id := range b.cfg.Symbols {
		if there := r.U32(); r.Err() == nil && there != id {
			r.Fail("symbol %d is %d there and %d here: give this node the symbols that it was saved with", i, there, id)
		}
	}
	r.Is("levels of a side", b.cfg.LevelsMax)
	b.open = r.Int("open orders", len(b.orders))
	b.orderID, b.execID, b.digest, b.lastKey = r.U64(), r.U64(), r.U64(), r.U64()
	counts := len(b.counts)
	if version == 1 {
		counts = int(countSelfMatches)
	}
	for i := range counts {
		b.counts[i] = r.U64()
	}
	r.End()
	r.Section("places of orders", stateVersion)
	open := b.places.Load(r)
	r.End()
	ordersAre := r.Section("orders", ordersVersion)
	for i := range open {
		b.orders[i].load(r)
		if ordersAre > 1 {
			b.orders[i].inst = sbe.ExecInst(r.U8())
		}
	}
	r.End()
	r.Section("orders by ClOrdID", stateVersion)
	b.byKey.Load(r, uint32(len(open)))
	r.End()
	if r.Err() == nil {
		b.checkOrders(r, open)
	}
	r.Section("book levels", stateVersion)
	for i := range b.sides {
		b.loadSide(r, i, open)
	}
	r.End()
	r.Section("flows", stateVersion)
	r.Is("flows", len(b.windows))
	b.flowIn = r.Int("flows in use", len(b.windows))
	b.flows.Load(r, uint32(b.flowIn))
	r.End()
	r.Section("used ClOrdIDs", stateVersion)
	for i := range b.flowIn {
		b.windows[i].Load(r)
	}
	r.End()
	if version > 1 {
		b.loadMarkets(r)
	}
	return b.checkLevels(r, open)
}

func (o *order) load(r *app.StateReader) {
	o.key, o.clOrdID, o.orderID, o.priceTicks = r.U64(), r.U64(), r.U64(), r.I64()
	o.qtyLots, o.cumLots, o.session, o.account = r.U32(), r.U32(), r.U32(), r.U32()
	o.symbol = r.U16()
	o.side, o.ordType, o.tif = sbe.Side(r.U8()), sbe.OrdType(r.U8()), sbe.TimeInForce(r.U8())
	o.status = sbe.OrdStatus(r.U8())
	o.next, o.prev = none, none
}

// checkOrders: who is open must be found by its key, and stand on a side.
func (b *Book) checkOrders(r *app.StateReader, open []bool) {
	for i := range open {
		o := &b.orders[i]
		if o.open() != open[i] {
			r.Fail("order %d at place %d has status %d, and its place says otherwise", o.key, i, o.status)
			return
		}
		if o.key == 0 { // a place whose order was refused
			continue
		}
		if int(o.symbol) >= len(b.cfg.Symbols) || o.session >= r.Sessions || o.side != sbe.SideBuy && o.side != sbe.SideSell {
			r.Fail("order %d at place %d is of session %d, symbol %d, side %d", o.key, i, o.session, o.symbol, o.side)
			return
		}
		if at, ok := b.byKey.Get(o.key); !ok || at != uint32(i) {
			r.Fail("order %d at place %d is not found by its key", o.key, i)
			return
		}
		if open[i] && o.cumLots >= o.qtyLots {
			r.Fail("order %d is open with %d lots of %d done", o.key, o.cumLots, o.qtyLots)
			return
		}
	}
}

// loadSide puts the orders of a side into its levels; those it has placed are not
// open to another.
func (b *Book) loadSide(r *app.StateReader, i int, open []bool) {
	s := &b.sides[i]
	levels := r.Int("levels", len(s.levels))
	last := int64(0)
	for k := range levels {
		price := r.I64()
		if k > 0 && price <= last {
			r.Fail("level %d of side %d is out of order", k, i)
		}
		last = price
		empty := true
		for {
			at := r.U32()
			if at == none || r.Err() != nil {
				break
			}
			if int(at) >= len(open) || !open[at] || b.orders[at].key == 0 {
				r.Fail("order at place %d stands in a level twice, or is not open", at)
				return
			}
			o := &b.orders[at]
			if b.own(o) != s || rank(o.side, o.priceTicks) != price {
				r.Fail("order %d stands in a level that is not its own", o.key)
				return
			}
			b.push(s, price, at)
			open[at], empty = false, false
		}
		if empty {
			r.Fail("level %d of side %d is empty", k, i)
			return
		}
	}
}

// checkLevels: every open order stood in a level.
func (b *Book) checkLevels(r *app.StateReader, open []bool) error {
	if r.Err() != nil {
		return r.Err()
	}
	for i := range open {
		if open[i] {
			r.Fail("order %d is open and stands in no level", b.orders[i].key)
			return r.Err()
		}
	}
	if n := b.places.Open(); n != b.open {
		r.Fail("%d orders are open, not %d", n, b.open)
	}
	return r.Err()
}
