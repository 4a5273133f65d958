package book

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

func (b *Book) newOrder(m *sbe.NewOrderSingle) {
	b.counts[countNew]++
	b.possResend = m.PossResend()
	symbol, ok := b.symbols.Get(uint64(m.SymbolID()) + 1)
	if !ok {
		b.reject(m.ClOrdID(), sbe.RejectReasonUnknownSymbol, int64(m.SymbolID()), 0)
		return
	}
	if m.QtyLots() == 0 {
		b.reject(m.ClOrdID(), sbe.RejectReasonBadQuantity, 0, 1)
		return
	}
	inst := sbe.NewOrderSingleExecInst(b.in.Block)
	if why := checkFields(m.Side(), m.OrdType(), m.TimeInForce(), inst, m.PriceTicks()); why != sbe.RejectReasonNone {
		b.reject(m.ClOrdID(), why, m.PriceTicks(), 0)
		return
	}
	key, why := b.take(m.ClOrdID())
	if key == 0 {
		b.repeat(m.ClOrdID(), m.ClOrdID(), why)
		return
	}
	if why := b.mayEnter(symbol, m, inst); why != sbe.RejectReasonNone {
		b.reject(m.ClOrdID(), why, int64(m.SymbolID()), 0)
		return
	}
	i := b.alloc(key)
	if i == none {
		b.reject(m.ClOrdID(), sbe.RejectReasonOrderTableFull, int64(b.open), int64(len(b.orders)))
		return
	}
	b.orderID++
	o := &b.orders[i]
	*o = order{key: key, clOrdID: m.ClOrdID(), orderID: b.orderID, priceTicks: m.PriceTicks(), qtyLots: m.QtyLots(),
		session: b.in.Session, account: m.Account(), symbol: uint16(symbol), side: m.Side(), ordType: m.OrdType(),
		tif: m.TimeInForce(), inst: inst, status: sbe.OrdStatusNew, next: none, prev: none}
	b.open++
	if b.cfg.OnAccept != nil {
		b.cfg.OnAccept(o.session, o.clOrdID, b.possResend != 0, b.in.TimeNs)
	}
	b.report(o, sbe.ExecTypeNew, o.clOrdID, 0, 0, 0, sbe.RejectReasonNone)
	b.matchAndRest(i)
}

// mayEnter says why a new order is not taken by the market as it is.
func (b *Book) mayEnter(symbol uint32, m *sbe.NewOrderSingle, inst sbe.ExecInst) sbe.RejectReason {
	if why := b.admits(symbol, m.OrdType(), m.TimeInForce(), inst); why != sbe.RejectReasonNone {
		return why
	}
	if inst == sbe.ExecInstPostOnly && b.wouldTrade(symbol, m.Side(), m.PriceTicks()) {
		return sbe.RejectReasonWouldTrade
	}
	if b.chance(b.cfg.Chaos.RejectPercent) {
		return sbe.RejectReasonVenue
	}
	return sbe.RejectReasonNone
}

// wouldTrade reports whether a limit order of this price meets the other side.
func (b *Book) wouldTrade(symbol uint32, side sbe.Side, priceTicks int64) bool {
	against := &b.sides[2*int(symbol)+2-int(side)]
	return against.count > 0 && rank(side, priceTicks) >= -against.levels[against.count-1].priceTicks
}

func checkFields(side sbe.Side, ordType sbe.OrdType, tif sbe.TimeInForce, inst sbe.ExecInst, priceTicks int64) sbe.RejectReason {
	if side != sbe.SideBuy && side != sbe.SideSell {
		return sbe.RejectReasonBadField
	}
	if tif != sbe.TimeInForceDay && tif != sbe.TimeInForceImmediateOrCancel && tif != sbe.TimeInForceFillOrKill {
		return sbe.RejectReasonBadField
	}
	if inst != sbe.ExecInstNone && (inst != sbe.ExecInstPostOnly || ordType != sbe.OrdTypeLimit || tif != sbe.TimeInForceDay) {
		return sbe.RejectReasonBadField
	}
	switch ordType {
	case sbe.OrdTypeMarket:
	case sbe.OrdTypeLimit:
		if priceTicks <= 0 {
			return sbe.RejectReasonBadPrice
		}
	default:
		return sbe.RejectReasonBadField
	}
	return sbe.RejectReasonNone
}

// repeat answers a ClOrdID that cannot be taken: with PossResend the state of
// the order it is about, if that is still known.
func (b *Book) repeat(clOrdID, about uint64, why sbe.RejectReason) {
	if b.possResend != 0 && why == sbe.RejectReasonDuplicateClOrdID {
		if o := b.find(about); o != nil {
			b.counts[countPossResend]++
			b.reportStatus(o, clOrdID)
			return
		}
	}
	b.reject(clOrdID, why, int64(clOrdID&idMask), 0)
}

// begin takes the ClOrdID of a cancel or replace and returns the open order it
// is about; nil: it was refused.
func (b *Book) begin(id, origID uint64) *order {
	if key, why := b.take(id); key == 0 {
		b.repeat(id, origID, why)
		return nil
	}
	o := b.find(origID)
	switch {
	case o == nil:
		b.reject(id, sbe.RejectReasonUnknownOrder, int64(origID&idMask), 0)
		return nil
	case !o.open():
		b.reject(id, sbe.RejectReasonTooLateToCancel, int64(origID&idMask), 0)
		return nil
	}
	return o
}

func (b *Book) cancel(m *sbe.OrderCancelRequest) {
	b.counts[countCancel]++
	b.possResend = m.PossResend()
	o := b.begin(m.ClOrdID(), m.OrigClOrdID())
	if o == nil {
		return
	}
	if b.markets[o.symbol].phase == Closed {
		b.reject(m.ClOrdID(), sbe.RejectReasonMarketClosed, int64(b.cfg.Symbols[o.symbol]), 0)
		return
	}
	i := b.indexOf(o)
	b.remove(b.own(o), rank(o.side, o.priceTicks), i)
	b.finish(i, sbe.OrdStatusCancelled)
	b.report(o, sbe.ExecTypeCancelled, m.ClOrdID(), o.clOrdID, 0, 0, sbe.RejectReasonNone)
}

func (b *Book) replace(m *sbe.OrderCancelReplaceRequest) {
	b.counts[countReplace]++
	b.possResend = m.PossResend()
	o := b.begin(m.ClOrdID(), m.OrigClOrdID())
	if o == nil {
		return
	}
	if m.QtyLots() <= o.cumLots {
		b.reject(m.ClOrdID(), sbe.RejectReasonBadQuantity, int64(m.QtyLots()), int64(o.cumLots))
		return
	}
	if m.PriceTicks() <= 0 {
		b.reject(m.ClOrdID(), sbe.RejectReasonBadPrice, m.PriceTicks(), 1)
		return
	}
	if why := b.admits(uint32(o.symbol), o.ordType, o.tif, o.inst); why != sbe.RejectReasonNone {
		b.reject(m.ClOrdID(), why, int64(b.cfg.Symbols[o.symbol]), 0)
		return
	}
	if o.inst == sbe.ExecInstPostOnly && b.wouldTrade(uint32(o.symbol), o.side, m.PriceTicks()) {
		b.reject(m.ClOrdID(), sbe.RejectReasonWouldTrade, m.PriceTicks(), 0)
		return
	}
	i, s := b.indexOf(o), b.own(o)
	if m.PriceTicks() == o.priceTicks && m.QtyLots() <= o.qtyLots {
		o.qtyLots = m.QtyLots() // keeps its place
		b.report(o, sbe.ExecTypeReplaced, m.ClOrdID(), o.clOrdID, 0, 0, sbe.RejectReasonNone)
		return
	}
	b.remove(s, rank(o.side, o.priceTicks), i)
	o.priceTicks, o.qtyLots = m.PriceTicks(), m.QtyLots()
	b.report(o, sbe.ExecTypeReplaced, m.ClOrdID(), o.clOrdID, 0, 0, sbe.RejectReasonNone)
	b.matchAndRest(i)
}

func (b *Book) status(m *sbe.OrderStatusRequest) {
	b.counts[countStatus]++
	b.possResend = m.PossResend()
	if o := b.find(m.ClOrdID()); o != nil {
		b.reportStatus(o, m.ClOrdID())
		return
	}
	b.reject(m.ClOrdID(), sbe.RejectReasonUnknownOrder, int64(m.ClOrdID()&idMask), 0)
}

// Warm implements app.Warmer: the place of the next order, what is forgotten for it,
// and where its key will stand if ClOrdIDs rise; of as many orders as came since the
// last call. Those of one datagram would wait for a cold line each: here the loads are
// independent of each other, and so wait at once.
func (b *Book) Warm() {
	n := min(max(b.counts[countNew]-b.warmedNew, 1), app.WarmMost)
	b.warmedNew = b.counts[countNew]
	for k := range n {
		i := b.places.Ahead(int(k))
		if i == none {
			return
		}
		o := &b.orders[i]
		b.warmed += b.byKey.Warm(o.key) + b.byKey.Warm(b.lastKey+1+k) + uint64(o.next)
	}
}
