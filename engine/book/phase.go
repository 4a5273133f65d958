package book

import (
	"fmt"

	"onebeat/engine/operator"
	"onebeat/engine/sbe"
)

// Phase is what a symbol's market does.
//
//	PreOpen   day limit orders rest and do not trade; everything else is refused
//	Open      continuous trading
//	Halted    cancels only
//	Closed    nothing; what rests stays
//
// Any phase may follow any other. From PreOpen, Halted and Closed to Open the book
// is uncrossed first: the best bid trades with the best offer at the price of the
// older of the two, until they no longer cross. Until then orders rest as in PreOpen.
type Phase uint8

// Phases of a symbol.
const (
	Open Phase = iota
	PreOpen
	Halted
	Closed
	phaseCount
)

var phaseNames = [phaseCount]string{"open", "pre-open", "halted", "closed"}

// String returns the phase's name.
func (p Phase) String() string {
	if p < phaseCount {
		return phaseNames[p]
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// ParsePhase returns the phase of a name.
func ParsePhase(name string) (Phase, bool) {
	for p, n := range phaseNames {
		if n == name {
			return Phase(p), true
		}
	}
	return 0, false
}

// PhaseChange is one entry of a schedule.
type PhaseChange struct {
	AtNs     int64  // after the first input
	SymbolID uint32 // AllSymbols: of all
	Phase    Phase
}

// AllSymbols stands for every symbol of a book.
const AllSymbols = operator.None

// market is a symbol's phase.
type market struct {
	phase    Phase
	crossing bool // Open, but not uncrossed yet
}

// matching reports whether orders trade when they come in.
func (m *market) matching() bool { return m.phase == Open && !m.crossing }

// Phase returns the phase of a symbol, by its index in the configuration.
func (b *Book) Phase(symbol int) Phase { return b.markets[symbol].phase }

// setPhase changes the phase of one symbol, or of all.
func (b *Book) setPhase(symbolID uint32, p Phase) bool {
	if p >= phaseCount {
		return false
	}
	if symbolID == AllSymbols {
		for i := range b.markets {
			b.enter(i, p)
		}
		return true
	}
	i, ok := b.symbols.Get(uint64(symbolID) + 1)
	if ok {
		b.enter(int(i), p)
	}
	return ok
}

func (b *Book) enter(symbol int, p Phase) {
	m := &b.markets[symbol]
	if m.phase == p {
		return
	}
	b.counts[countPhases]++
	b.digest = foldPhase(b.digest, symbol, p)
	m.phase, m.crossing = p, false
	if p == Open && b.crossed(symbol) {
		m.crossing = true
		b.crossings++
		b.uncross(symbol)
	}
}

func (b *Book) crossed(symbol int) bool {
	bids, asks := &b.sides[2*symbol], &b.sides[2*symbol+1]
	return bids.count > 0 && asks.count > 0 && bids.levels[bids.count-1].priceTicks >= -asks.levels[asks.count-1].priceTicks
}

// uncross trades what crosses, a bounded piece; a timer brings the next.
func (b *Book) uncross(symbol int) {
	for range FillsMax {
		if !b.crossed(symbol) {
			b.markets[symbol].crossing = false
			b.crossings--
			return
		}
		bids, asks := &b.sides[2*symbol], &b.sides[2*symbol+1]
		bid, ask := bids.levels[bids.count-1].head, asks.levels[asks.count-1].head
		// The younger one takes from the older, as if it came now.
		taker, maker, s := bid, ask, asks
		if b.orders[bid].orderID < b.orders[ask].orderID {
			taker, maker, s = ask, bid, bids
		}
		o := &b.orders[taker]
		b.remove(b.own(o), rank(o.side, o.priceTicks), taker)
		if b.selfMatch(taker, maker, s) {
			if o.open() {
				b.pushFirst(b.own(o), rank(o.side, o.priceTicks), taker)
			}
			continue
		}
		b.trade(taker, maker, s)
		if o.cumLots == o.qtyLots {
			b.finish(taker, sbe.OrdStatusFilled)
		} else {
			b.pushFirst(b.own(o), rank(o.side, o.priceTicks), taker)
		}
	}
}

// admits says why an order or a replace is not taken in the symbol's phase.
func (b *Book) admits(symbol uint32, ordType sbe.OrdType, tif sbe.TimeInForce, inst sbe.ExecInst) sbe.RejectReason {
	switch m := &b.markets[symbol]; {
	case m.matching():
		return sbe.RejectReasonNone
	case m.phase == Halted:
		return sbe.RejectReasonHalted
	case m.phase == Closed:
		return sbe.RejectReasonMarketClosed
	case ordType != sbe.OrdTypeLimit || tif != sbe.TimeInForceDay || inst != sbe.ExecInstNone:
		return sbe.RejectReasonMarketClosed
	}
	return sbe.RejectReasonNone
}

// operate executes an operator's change of phase.
func (b *Book) operate() {
	c := b.in.Command
	if c.Kind != operator.MarketPhase {
		return
	}
	b.in.Result.Outcome = operator.BadArgument
	if c.Value >= 0 && c.Value < int64(phaseCount) && b.setPhase(c.Symbol, Phase(c.Value)) {
		b.in.Result.Outcome = operator.Applied
	}
}
