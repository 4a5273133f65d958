package gateway

import (
	"math/bits"

	"onebeat/engine/sbe"
)

// verdict is the outcome of the checks, with what was compared.
type verdict struct {
	why          sbe.RejectReason
	value, limit int64
}

// check runs the four pre-trade checks. addLots is what the request adds to
// the open orders of its side.
func (g *Gateway) check(s *symbol, p *Position, side sbe.Side, ordType sbe.OrdType, priceTicks int64, qtyLots uint32, addLots int64) verdict {
	r := &g.cfg.Risk
	if qtyLots > r.MaxQtyLots {
		return verdict{sbe.RejectReasonMaxQuantity, int64(qtyLots), int64(r.MaxQtyLots)}
	}
	reference := s.referenceTicks
	if reference <= 0 {
		return verdict{sbe.RejectReasonNoReferencePrice, int64(s.id), 0}
	}
	if ordType == sbe.OrdTypeMarket {
		// What it may cost at worst: the far end of the collar.
		priceTicks = reference + collarTicks(reference, r.CollarPercent)
	} else if off := priceTicks - reference; off > collarTicks(reference, r.CollarPercent) || -off > collarTicks(reference, r.CollarPercent) {
		return verdict{sbe.RejectReasonPriceCollar, priceTicks, reference}
	}
	high, low := bits.Mul64(uint64(priceTicks), uint64(qtyLots))
	if high != 0 || low >= notionalMax {
		return verdict{sbe.RejectReasonMaxNotional, notionalMax, r.MaxNotional}
	}
	if int64(low) > r.MaxNotional {
		return verdict{sbe.RejectReasonMaxNotional, int64(low), r.MaxNotional}
	}
	worst := p.NetLots + p.OpenBuyLots + addLots
	if side == sbe.SideSell {
		worst = p.OpenSellLots + addLots - p.NetLots
	}
	if worst > r.MaxPositionLots {
		return verdict{sbe.RejectReasonPositionLimit, worst, r.MaxPositionLots}
	}
	return verdict{}
}

// collarTicks is percent of reference, without overflow.
func collarTicks(reference int64, percent uint32) int64 {
	high, low := bits.Mul64(uint64(reference), uint64(percent))
	if high >= 100 {
		return notionalMax
	}
	q, _ := bits.Div64(high, low, 100)
	return int64(min(q, notionalMax))
}

// position returns the index of an account's position, opening it if there is
// room; none if not.
func (g *Gateway) position(account, symbolID uint32) uint32 {
	// Neither half is shifted out; plus a bit that keeps the key from being 0.
	key := (uint64(account)<<32 | uint64(symbolID)) + 1
	if i, ok := g.positionBy.Get(key); ok {
		return i
	}
	if key == 0 || g.positionIn == len(g.positions) || !g.positionBy.Put(key, uint32(g.positionIn)) {
		return none
	}
	g.positions[g.positionIn] = Position{Account: account, SymbolID: symbolID}
	g.positionIn++
	return uint32(g.positionIn - 1)
}

// addOpen changes what is open on the order's side.
func (g *Gateway) addOpen(o *order, lots int64) {
	p := &g.positions[o.position]
	if o.side == sbe.SideBuy {
		p.OpenBuyLots += lots
	} else {
		p.OpenSellLots += lots
	}
}

// fill moves lots from open to net; the last price becomes the reference.
func (g *Gateway) fill(o *order, lots uint32, lastTicks int64) {
	before := o.exposure()
	o.cumLots += lots
	g.addOpen(o, o.exposure()-before)
	p := &g.positions[o.position]
	if o.side == sbe.SideBuy {
		p.NetLots += int64(lots)
	} else {
		p.NetLots -= int64(lots)
	}
	if lastTicks > 0 {
		g.symbols[o.symbol].referenceTicks = lastTicks
	}
}
