package book

import (
	"fmt"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// SelfMatch is what happens instead of a trade between two orders of one account of
// one session.
type SelfMatch uint8

// Rules for orders that would trade with their own.
const (
	SelfTrade    SelfMatch = iota // they trade
	CancelNewest                  // the incoming order is cancelled
	CancelOldest                  // the resting order is cancelled, the incoming one goes on
	CancelBoth
	Decrement // both lose the smaller quantity; who has none left is cancelled
	selfMatchCount
)

var selfMatchNames = [selfMatchCount]string{"trade", "cancel-newest", "cancel-oldest", "cancel-both", "decrement"}

// String returns the rule's name.
func (s SelfMatch) String() string {
	if s < selfMatchCount {
		return selfMatchNames[s]
	}
	return fmt.Sprintf("rule(%d)", uint8(s))
}

// ParseSelfMatch returns the rule of a name.
func ParseSelfMatch(name string) (SelfMatch, bool) {
	for s, n := range selfMatchNames {
		if n == name {
			return SelfMatch(s), true
		}
	}
	return 0, false
}

// own reports whether two orders are of one account of one session.
func (b *Book) sameOwner(i, j uint32) bool {
	x, y := &b.orders[i], &b.orders[j]
	return x.session == y.session && x.account == y.account
}

// selfMatch applies the rule to taker i, which stands in no level, and maker j, the
// first of the best level of against. false: they may trade.
func (b *Book) selfMatch(i, j uint32, against *side) bool {
	if b.cfg.SelfMatch == SelfTrade || !b.sameOwner(i, j) {
		return false
	}
	b.counts[countSelfMatches]++
	taker, maker := &b.orders[i], &b.orders[j]
	switch b.cfg.SelfMatch {
	case CancelNewest:
		b.cancelSelf(i)
	case CancelOldest:
		b.remove(against, rank(maker.side, maker.priceTicks), j)
		b.cancelSelf(j)
	case CancelBoth:
		b.remove(against, rank(maker.side, maker.priceTicks), j)
		b.cancelSelf(j)
		b.cancelSelf(i)
	case Decrement:
		lots := min(taker.qtyLots-taker.cumLots, maker.qtyLots-maker.cumLots)
		if maker.qtyLots-maker.cumLots == lots {
			b.remove(against, rank(maker.side, maker.priceTicks), j)
			b.cancelSelf(j)
		} else {
			b.decrement(j, lots)
		}
		if taker.qtyLots-taker.cumLots == lots {
			b.cancelSelf(i)
		} else {
			b.decrement(i, lots)
		}
	}
	return true
}

// cancelSelf ends an order that stands in no level.
func (b *Book) cancelSelf(i uint32) {
	b.finish(i, sbe.OrdStatusCancelled)
	o := &b.orders[i]
	b.report(o, sbe.ExecTypeCancelled, o.clOrdID, 0, 0, 0, sbe.RejectReasonSelfMatch)
}

// decrement takes lots from an order that keeps some; it is reported as a
// replacement that nobody asked for.
func (b *Book) decrement(i, lots uint32) {
	o := &b.orders[i]
	o.qtyLots -= lots
	b.report(o, sbe.ExecTypeReplaced, o.clOrdID, 0, 0, 0, sbe.RejectReasonSelfMatch)
}

// fillable reports whether an order would be filled at once, all of it: by orders
// that it may trade with, before the first it may not but would stop at.
func (b *Book) fillable(i uint32) bool {
	o := &b.orders[i]
	against, want := b.opposite(o), o.qtyLots-o.cumLots
	seen := 0
	for k := against.count - 1; k >= 0 && b.crosses(o, against.levels[k].priceTicks); k-- {
		for j := against.levels[k].head; j != none; j = b.orders[j].next {
			if seen++; seen > FillsMax {
				return false
			}
			if b.cfg.SelfMatch != SelfTrade && b.sameOwner(i, j) {
				if b.cfg.SelfMatch == CancelOldest {
					continue
				}
				return false
			}
			maker := &b.orders[j]
			if left := maker.qtyLots - maker.cumLots; left >= want {
				return true
			} else {
				want -= left
			}
		}
	}
	return false
}

func foldPhase(d uint64, symbol int, p Phase) uint64 {
	return app.Fold(d, uint64(symbol)<<8|uint64(p)|1<<63)
}
