package gateway

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

const riskVersion = 1

// saveRisk writes what the checks know beside orders and positions.
func (g *Gateway) saveRisk(w *app.StateWriter) {
	w.Section("risk", riskVersion)
	g.limits.save(w)
	w.U64("limits_revision", g.limitsRevision)
	w.U64("taken", g.taken)
	w.U64("own_cancels", g.ownCancels)
	w.U64("cancel_before", g.cancelBefore)
	w.Bool("killed", g.killed)
	w.I64("sweep_due_ns", g.sweep.dueNs)
	w.I64("sweep_again_ns", g.sweep.againNs)
	w.U32("sweep_cursor", g.sweep.cursor)
	w.Bool("sweep_again", g.sweep.again)
	w.End()
	w.Section("accounts", riskVersion)
	w.Int("accounts_max", len(g.accounts))
	w.Int("count", g.accountIn)
	for i := range g.accountIn {
		w.Row(uint64(g.accounts[i].id))
		g.accounts[i].save(w)
	}
	w.Row(0)
	w.End()
	w.Section("places of accounts", riskVersion)
	g.accountBy.Save(w)
	w.End()
	w.Section("sessions' risk", riskVersion)
	for i := range g.sessions {
		w.Row(uint64(i))
		g.sessions[i].save(w)
	}
	w.End()
	w.Section("symbols' limits", riskVersion)
	for i := range g.symbols {
		w.Row(uint64(g.symbols[i].id))
		g.symbols[i].limits.save(w)
	}
	w.End()
	w.Section("executions", riskVersion)
	for i := range g.positionIn {
		p := &g.positions[i]
		w.Row(uint64(p.Account)<<32 | uint64(p.SymbolID))
		w.U32("repeats", p.repeats)
		w.I64("repeats_ns", p.repeatsNs)
		w.Bool("stopped", p.stopped)
	}
	w.End()
	w.Section("numbers of orders", riskVersion)
	for i := range g.places.Used() {
		w.Row(g.orders[i].key)
		w.U64("number", g.nodes[i].number)
		w.U16("why", uint16(g.nodes[i].why))
	}
	w.End()
	g.saveContents(w)
}

func (g *Gateway) saveContents(w *app.StateWriter) {
	w.Section("contents", riskVersion)
	count := 0
	for i := range g.contents {
		for k := range g.contents[i] {
			if g.contents[i][k].hash != 0 {
				count++
			}
		}
	}
	w.Int("count", count)
	for i := range g.contents {
		for k := range g.contents[i] {
			if e := &g.contents[i][k]; e.hash != 0 {
				w.Row(e.hash)
				w.U32("place", uint32(i*contentWays+k))
				w.U64("hash", e.hash)
				w.I64("at_ns", e.atNs)
			}
		}
	}
	w.Row(0)
	w.End()
}

func (l *Limits) save(w *app.StateWriter) {
	for i, v := range l {
		w.I64(Limit(i).String(), v)
	}
}

func (l *Limits) load(r *app.StateReader) {
	for i := range l {
		v := r.I64()
		if r.Err() == nil && (v < Inherit || v > limitInfos[i].most) {
			r.Fail("%v is %d", Limit(i), v)
		}
		l[i] = v
	}
}

func (a *account) save(w *app.StateWriter) {
	w.U32("account", a.id)
	w.U32("open", a.open)
	w.I64("gross_lots", a.grossLots)
	w.I64("open_buy_notional", a.openBuy)
	w.I64("open_sell_notional", a.openSell)
	w.I64("paid", a.paid)
	w.U64("cancel_before", a.cancelBefore)
	w.Bool("killed", a.killed)
	a.limits.save(w)
}

func (a *account) load(r *app.StateReader) {
	a.id, a.open = r.U32(), r.U32()
	a.grossLots, a.openBuy, a.openSell, a.paid = r.I64(), r.I64(), r.I64(), r.I64()
	a.cancelBefore, a.killed = r.U64(), r.Bool()
	a.limits.load(r)
}

func (x *sessionRisk) save(w *app.StateWriter) {
	w.U32("open", x.open)
	w.Bool("killed", x.killed)
	w.U16("why", uint16(x.why))
	w.U64("cancel_before", x.cancelBefore)
	w.I64("rate_slot", x.rate.slot)
	for i := range x.rate.counts {
		w.U32("rate", x.rate.counts[i])
	}
	x.limits.save(w)
}

func (x *sessionRisk) load(r *app.StateReader) {
	x.open, x.killed, x.why, x.cancelBefore = r.U32(), r.Bool(), sbe.RejectReason(r.U16()), r.U64()
	x.rate = rate{slot: r.I64()}
	for i := range x.rate.counts {
		x.rate.counts[i] = r.U32()
		x.rate.sum += x.rate.counts[i]
	}
	x.limits.load(r)
}

// loadRisk reads it into a gateway whose positions and orders are there.
func (g *Gateway) loadRisk(r *app.StateReader) {
	r.Section("risk", riskVersion)
	g.limits.load(r)
	g.limitsRevision, g.taken, g.ownCancels, g.cancelBefore = r.U64(), r.U64(), r.U64(), r.U64()
	g.killed = r.Bool()
	g.sweep = sweep{dueNs: r.I64(), againNs: r.I64(), cursor: r.U32(), again: r.Bool()}
	r.End()
	r.Section("accounts", riskVersion)
	r.Is("places of accounts", len(g.accounts))
	g.accountIn = r.Int("accounts", len(g.accounts))
	for i := range g.accountIn {
		g.accounts[i].load(r)
	}
	r.End()
	r.Section("places of accounts", riskVersion)
	g.accountBy.Clear() // of those that the configuration names
	g.accountBy.Load(r, uint32(g.accountIn))
	r.End()
	for i := range g.accountIn {
		if at, ok := g.accountBy.Get(uint64(g.accounts[i].id) + 1); r.Err() == nil && (!ok || at != uint32(i)) {
			r.Fail("account %d at place %d is not found by its number", g.accounts[i].id, i)
		}
	}
	r.Section("sessions' risk", riskVersion)
	for i := range g.sessions {
		g.sessions[i].load(r)
	}
	r.End()
	r.Section("symbols' limits", riskVersion)
	for i := range g.symbols {
		g.symbols[i].limits.load(r)
	}
	r.End()
	r.Section("executions", riskVersion)
	for i := range g.positionIn {
		p := &g.positions[i]
		p.repeats, p.repeatsNs, p.stopped = r.U32(), r.I64(), r.Bool()
	}
	r.End()
	r.Section("numbers of orders", riskVersion)
	for i := range g.places.Used() {
		g.nodes[i] = node{number: r.U64(), why: sbe.RejectReason(r.U16())}
		if r.Err() == nil && g.nodes[i].number > g.taken {
			r.Fail("order %d has number %d of %d", g.orders[i].key, g.nodes[i].number, g.taken)
		}
	}
	r.End()
	r.Section("contents", riskVersion)
	for range r.Int("contents of orders", contentSets*contentWays) {
		place, hash, at := r.U32(), r.U64(), r.I64()
		if r.Err() == nil && (place >= contentSets*contentWays || hash == 0 || hash&(contentSets-1) != uint64(place/contentWays)) {
			r.Fail("content %016x at place %d", hash, place)
			return
		}
		g.contents[place/contentWays%contentSets][place%contentWays] = content{hash, at}
	}
	r.End()
}

// placePositions finds the accounts and symbols of positions. A state of an older
// program has no accounts: they begin here.
func (g *Gateway) placePositions(r *app.StateReader) {
	for i := range g.positionIn {
		p := &g.positions[i]
		a := g.accountOf(p.Account)
		s, ok := g.symbolByID.Get(uint64(p.SymbolID) + 1)
		if a == none || !ok {
			r.Fail("position %d is of account %d in symbol %d, which are not both known", i, p.Account, p.SymbolID)
			return
		}
		p.account, p.symbol, p.bids, p.asks = a, s, none, none
	}
}

// checkSumsOf adds up what orders and positions reserve, and holds it against what was
// saved; saved is false for a state of an older program, which has none of it.
func (g *Gateway) checkSumsOf(r *app.StateReader, saved bool) {
	type sums struct {
		open                   uint32
		gross, buying, selling int64
	}
	accounts, sessions := make([]sums, g.accountIn), make([]uint32, len(g.sessions))
	for i := range g.positionIn {
		p := &g.positions[i]
		accounts[p.account].gross += abs(p.NetLots)
	}
	for i := range g.places.Used() {
		o := &g.orders[i]
		if o.key == 0 || !o.open() {
			continue
		}
		v, a := o.reserved(), &accounts[g.positions[o.position].account]
		a.open++
		a.gross += v.lots
		if o.side == sbe.SideBuy {
			a.buying += v.notional
		} else {
			a.selling += v.notional
		}
		sessions[o.session()]++
		g.rest(uint32(i))
	}
	for i := range accounts {
		a, s := &g.accounts[i], &accounts[i]
		if saved && (sums{a.open, a.grossLots, a.openBuy, a.openSell} != *s) {
			r.Fail("account %d has %d orders, %d lots, %d and %d notional, where its orders and positions say %+v",
				a.id, a.open, a.grossLots, a.openBuy, a.openSell, *s)
			return
		}
		a.open, a.grossLots, a.openBuy, a.openSell = s.open, s.gross, s.buying, s.selling
	}
	for i := range sessions {
		if x := &g.sessions[i]; saved && x.open != sessions[i] {
			r.Fail("session %d has %d orders, not %d", i, sessions[i], x.open)
			return
		}
		g.sessions[i].open = sessions[i]
	}
}
