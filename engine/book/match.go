package book

import (
	"onebeat/engine/sbe"
)

// rank orders prices so that greater is better on both sides.
func rank(s sbe.Side, priceTicks int64) int64 {
	if s == sbe.SideBuy {
		return priceTicks
	}
	return -priceTicks
}

func (b *Book) own(o *order) *side { return &b.sides[2*int(o.symbol)+int(o.side)-1] }

func (b *Book) opposite(o *order) *side { return &b.sides[2*int(o.symbol)+2-int(o.side)] }

// matchAndRest trades an open order that stands in no level against the other
// side, then lets the rest of it rest, or cancels it.
func (b *Book) matchAndRest(i uint32) {
	o := &b.orders[i]
	against := b.opposite(o)
	matching := b.markets[o.symbol].matching()
	if o.tif == sbe.TimeInForceFillOrKill && !b.fillable(i) {
		b.finish(i, sbe.OrdStatusCancelled)
		b.report(o, sbe.ExecTypeCancelled, o.clOrdID, 0, 0, 0, sbe.RejectReasonCannotFill)
		return
	}
	for fills := 0; matching && fills < FillsMax && o.cumLots < o.qtyLots && against.count > 0; fills++ {
		best := &against.levels[against.count-1]
		if !b.crosses(o, best.priceTicks) {
			break
		}
		if !b.selfMatch(i, best.head, against) {
			b.trade(i, best.head, against)
		} else if !o.open() {
			return
		}
	}
	if o.cumLots == o.qtyLots {
		b.finish(i, sbe.OrdStatusFilled)
		return
	}
	why := sbe.RejectReasonNone
	s, r := b.own(o), rank(o.side, o.priceTicks)
	switch {
	case matching && against.count > 0 && b.crosses(o, against.levels[against.count-1].priceTicks):
		why = sbe.RejectReasonTooManyFills
	case o.ordType == sbe.OrdTypeMarket || o.tif == sbe.TimeInForceImmediateOrCancel:
		why = sbe.RejectReasonNoLiquidity
	case !s.room(r):
		why = sbe.RejectReasonLevelTableFull
	}
	if why != sbe.RejectReasonNone {
		b.finish(i, sbe.OrdStatusCancelled)
		b.report(o, sbe.ExecTypeCancelled, o.clOrdID, 0, 0, 0, why)
		return
	}
	b.push(s, r, i)
	b.streetFill(i)
}

// crosses: would o trade with a level of the other side of this rank?
func (b *Book) crosses(o *order, oppositeRank int64) bool {
	return o.ordType == sbe.OrdTypeMarket || rank(o.side, o.priceTicks) >= -oppositeRank
}

// trade executes taker i against maker j, the first of the best level, at the
// maker's price, and reports to both.
func (b *Book) trade(i, j uint32, against *side) {
	taker, maker := &b.orders[i], &b.orders[j]
	lots := min(taker.qtyLots-taker.cumLots, maker.qtyLots-maker.cumLots)
	priceTicks := maker.priceTicks
	taker.cumLots += lots
	maker.cumLots += lots
	taker.status, maker.status = sbe.OrdStatusPartiallyFilled, sbe.OrdStatusPartiallyFilled
	if maker.cumLots == maker.qtyLots {
		b.remove(against, rank(maker.side, maker.priceTicks), j)
		b.finish(j, sbe.OrdStatusFilled)
	}
	if taker.cumLots == taker.qtyLots {
		taker.status = sbe.OrdStatusFilled // finished by the caller
	}
	b.counts[countTrades]++
	b.report(taker, sbe.ExecTypeTrade, taker.clOrdID, 0, lots, priceTicks, sbe.RejectReasonNone)
	b.report(maker, sbe.ExecTypeTrade, maker.clOrdID, 0, lots, priceTicks, sbe.RejectReasonNone)
}

// alloc finds a place for an order; none: there is no room for it.
func (b *Book) alloc(key uint64) uint32 {
	b.lastKey = key
	i, forget := b.places.Take()
	if i == none {
		return none
	}
	if forget {
		b.byKey.Delete(b.orders[i].key)
	}
	if !b.byKey.Put(key, i) {
		// The table is crowded around this key: the place stays available.
		b.orders[i] = order{status: sbe.OrdStatusRejected}
		b.places.Finish(i)
		return none
	}
	return i
}

// finish ends an order that stands in no level; it stays known for a while.
func (b *Book) finish(i uint32, status sbe.OrdStatus) {
	b.orders[i].status = status
	b.open--
	b.places.Finish(i)
}

func (b *Book) indexOf(o *order) uint32 {
	i, _ := b.byKey.Get(o.key)
	return i
}
