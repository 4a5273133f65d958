package gateway

import "onebeat/engine/sbe"

// Position of one account in one symbol, in lots.
type Position struct {
	Account, SymbolID uint32
	NetLots           int64
	OpenBuyLots       int64
	OpenSellLots      int64

	account, symbol uint32 // their places
	bids, asks      uint32 // roots of the account's resting orders; none: there are none
	repeats         uint32 // orders executed since repeatsNs
	stopped         bool   // by the repeated execution throttle
	repeatsNs       int64
}

// account is what an account has in all symbols.
type account struct {
	id           uint32
	open         uint32 // orders
	grossLots    int64  // of its positions, without sign, and of its open orders
	openBuy      int64  // notional of its open orders
	openSell     int64
	paid         int64  // notional bought minus sold, within ±sumMax
	cancelBefore uint64 // orders taken before this number are being cancelled
	killed       bool
	limits       Limits
}

// sessionRisk is what the checks know of a session.
type sessionRisk struct {
	rate         rate
	open         uint32 // orders
	killed       bool
	why          sbe.RejectReason // of cancelBefore
	cancelBefore uint64
	limits       Limits
}

// accountOf returns the place of an account, opening it if there is room; none if not.
func (g *Gateway) accountOf(id uint32) uint32 {
	if i, ok := g.accountBy.Get(uint64(id) + 1); ok {
		return i
	}
	if g.accountIn == len(g.accounts) || !g.accountBy.Put(uint64(id)+1, uint32(g.accountIn)) {
		return none
	}
	g.accounts[g.accountIn] = account{id: id, limits: NoLimits()}
	g.accountIn++
	return uint32(g.accountIn - 1)
}

// position returns the index of an account's position, opening it if there is
// room; none if not, and why.
func (g *Gateway) position(accountID uint32, symbol uint32) (uint32, sbe.RejectReason) {
	// Neither half is shifted out; plus a bit that keeps the key from being 0.
	symbolID := g.symbols[symbol].id
	key := (uint64(accountID)<<32 | uint64(symbolID)) + 1
	if i, ok := g.positionBy.Get(key); ok {
		return i, sbe.RejectReasonNone
	}
	a := g.accountOf(accountID)
	if a == none {
		return none, sbe.RejectReasonAccountTableFull
	}
	if key == 0 || g.positionIn == len(g.positions) || !g.positionBy.Put(key, uint32(g.positionIn)) {
		return none, sbe.RejectReasonPositionTableFull
	}
	g.positions[g.positionIn] = Position{Account: accountID, SymbolID: symbolID, account: a, symbol: symbol, bids: none, asks: none}
	g.positionIn++
	return uint32(g.positionIn - 1), sbe.RejectReasonNone
}

// reserved is what an order still takes of its account's limits.
type reserved struct{ lots, notional int64 }

// reserved: an order is worth its price, or the one that a replace under way asks
// for, whichever is more; a market order what it may cost at worst (pendingTicks).
func (o *order) reserved() reserved {
	if !o.open() {
		return reserved{}
	}
	lots := o.exposure()
	return reserved{lots, notionalOf(o.reservedTicks(), lots)}
}

func (o *order) reservedTicks() int64 {
	if o.ordType == sbe.OrdTypeMarket {
		return o.pendingTicks
	}
	return max(o.priceTicks, o.pendingTicks)
}

// rebook moves what is reserved for an order from what it was before.
func (g *Gateway) rebook(o *order, before reserved) {
	now := o.reserved()
	p := &g.positions[o.position]
	a := &g.accounts[p.account]
	lots := now.lots - before.lots
	a.grossLots += lots
	if o.side == sbe.SideBuy {
		p.OpenBuyLots += lots
		a.openBuy += now.notional - before.notional
	} else {
		p.OpenSellLots += lots
		a.openSell += now.notional - before.notional
	}
}

// fill moves lots from open to net; the last price becomes the reference. Lots
// without a price (0) cost what was reserved for them.
func (g *Gateway) fill(o *order, lots uint32, lastTicks int64) {
	first, before := o.cumLots == 0, o.reserved()
	p := &g.positions[o.position]
	a := &g.accounts[p.account]
	priceTicks := lastTicks
	if priceTicks <= 0 {
		priceTicks = o.reservedTicks()
	}
	o.cumLots += lots
	g.rebook(o, before)
	a.grossLots -= abs(p.NetLots)
	paid := notionalOf(priceTicks, int64(lots))
	if o.side == sbe.SideBuy {
		p.NetLots += int64(lots)
		a.paid = min(a.paid+paid, sumMax)
	} else {
		p.NetLots -= int64(lots)
		a.paid = max(a.paid-paid, -sumMax)
	}
	a.grossLots += abs(p.NetLots)
	if lastTicks > 0 {
		g.symbols[o.symbol].referenceTicks = lastTicks
	}
	if first && lots > 0 {
		g.executed(o.session(), o.position)
	}
}

func abs(v int64) int64 { return max(v, -v) }
