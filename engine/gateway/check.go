package gateway

import (
	"math"
	"math/bits"

	"onebeat/engine/sbe"
)

// Check is one of the checks of an order; they are made in this order, up to the
// first that refuses it.
type Check uint8

// Checks.
const (
	CheckKill Check = iota
	CheckRestricted
	CheckRepeats
	CheckRate
	CheckQty
	CheckReference
	CheckCollar
	CheckNotional
	CheckDuplicate
	CheckPosition
	CheckGross
	CheckOpenOrders
	CheckOpenNotional
	CheckCredit
	CheckSelfMatch
	CheckCount
)

// checkInfos say which limit a check compares with, if it is one, and what it
// refuses for.
var checkInfos = [CheckCount]struct {
	name  string
	limit Limit // LimitCount: none
	why   sbe.RejectReason
}{
	CheckKill:         {"kill switch", LimitCount, sbe.RejectReasonKilled},
	CheckRestricted:   {"restricted", LimitRestricted, sbe.RejectReasonRestricted},
	CheckRepeats:      {"repeated executions", LimitRepeats, sbe.RejectReasonRepeatedExecutions},
	CheckRate:         {"order rate", LimitOrderRate, sbe.RejectReasonOrderRate},
	CheckQty:          {"quantity", LimitQty, sbe.RejectReasonMaxQuantity},
	CheckReference:    {"reference price", LimitCollar, sbe.RejectReasonNoReferencePrice},
	CheckCollar:       {"price collar", LimitCollar, sbe.RejectReasonPriceCollar},
	CheckNotional:     {"notional", LimitNotional, sbe.RejectReasonMaxNotional},
	CheckDuplicate:    {"duplicate content", LimitDuplicateWindow, sbe.RejectReasonDuplicateContent},
	CheckPosition:     {"net position", LimitPosition, sbe.RejectReasonPositionLimit},
	CheckGross:        {"gross position", LimitGross, sbe.RejectReasonGrossPosition},
	CheckOpenOrders:   {"open orders", LimitOpenOrders, sbe.RejectReasonOpenOrders},
	CheckOpenNotional: {"open notional", LimitOpenNotional, sbe.RejectReasonOpenNotional},
	CheckCredit:       {"credit", LimitCredit, sbe.RejectReasonCredit},
	CheckSelfMatch:    {"self-match", LimitSelfMatch, sbe.RejectReasonSelfMatch},
}

// String returns the check's name.
func (c Check) String() string { return checkInfos[c].name }

// Limit returns the limit it compares with; false: none.
func (c Check) Limit() (Limit, bool) { l := checkInfos[c].limit; return l, l < LimitCount }

// compared is what a check compared: it passes what is not above the limit, unless
// its comment says otherwise.
type compared struct{ value, limit int64 }

// request is what the checks look at: a new order, or what a replace makes of one.
type request struct {
	clOrdID    uint64
	session    uint32
	position   uint32
	symbol     uint32
	place      uint32 // of the order that is replaced; none: a new one
	side       sbe.Side
	ordType    sbe.OrdType
	priceTicks int64
	qtyLots    uint32
	hash       uint64 // of the content of a new order
	windowNs   int64  // in which it must not come again
	// worthTicks is what it may cost at worst for each lot; set by the collar.
	worthTicks int64
	// add is what it adds to what the account has reserved.
	add reserved
	// aside are the account's resting orders that are cancelled before it is sent.
	aside  [selfMatchMax]uint32
	asides int
}

// check runs the checks; false: the request was refused, and is answered.
func (g *Gateway) check(r *request) bool {
	if g.unchecked {
		return true
	}
	g.checks++
	limits := g.limitsOf(r.session, r.position)
	c := g.checkStanding(r, limits)
	if c == CheckCount {
		c = g.checkOrder(r, limits)
	}
	if c == CheckCount {
		c = g.checkSums(r, limits)
	}
	if g.refusedBy = c; c != CheckCount {
		g.reject(g.ref(r.clOrdID), checkInfos[c].why, g.compared[c].value, g.compared[c].limit)
		return false
	}
	return true
}

// under notes what a check compares and reports whether it passes.
func (g *Gateway) under(c Check, value, limit int64) bool {
	g.compared[c] = compared{value, limit}
	return value <= limit
}

// checkStanding asks whether the session and the account may order at all now. It
// returns the check that refuses, CheckCount if none does.
func (g *Gateway) checkStanding(r *request, limits *Limits) Check {
	x, p := &g.sessions[r.session], &g.positions[r.position]
	killed := int64(0) // 1 the session, 2 the account, 3 all
	switch {
	case g.killed:
		killed = 3
	case g.accounts[p.account].killed:
		killed = 2
	case x.killed:
		killed = 1
	}
	if !g.under(CheckKill, killed, 0) {
		return CheckKill
	}
	if !g.under(CheckRestricted, limits[LimitRestricted], 0) {
		return CheckRestricted
	}
	// Who was stopped stays so, whatever became of count and limit since.
	if g.under(CheckRepeats, int64(p.repeats), limits[LimitRepeats]); p.stopped {
		return CheckRepeats
	}
	if !g.under(CheckRate, int64(x.rate.at(g.in.TimeNs))+1, limits[LimitOrderRate]) {
		return CheckRate
	}
	x.rate.add()
	return CheckCount
}

// checkOrder looks at the order by itself.
func (g *Gateway) checkOrder(r *request, limits *Limits) Check {
	if !g.under(CheckQty, int64(r.qtyLots), limits[LimitQty]) {
		return CheckQty
	}
	if c := g.checkPrice(r, limits[LimitCollar]); c != CheckCount {
		return c
	}
	if !g.under(CheckNotional, notionalOf(r.worthTicks, int64(r.qtyLots)), min(limits[LimitNotional], notionalMax-1)) {
		return CheckNotional
	}
	if r.place != none {
		return CheckCount
	}
	// Passes an age at or above the window, and content that is not known, -1.
	r.windowNs = limits[LimitDuplicateWindow] * 1_000_000
	age := int64(-1)
	if r.windowNs > 0 {
		age = g.sameAge(r.hash)
	}
	if g.under(CheckDuplicate, age, r.windowNs); age >= 0 && age < r.windowNs {
		return CheckDuplicate
	}
	return CheckCount
}

// checkPrice holds a price against its symbol's reference. Without one it fails
// closed: a market order always, any other where there is a collar.
func (g *Gateway) checkPrice(r *request, percent int64) Check {
	s := &g.symbols[r.symbol]
	reference := s.referenceTicks
	market := r.ordType == sbe.OrdTypeMarket
	if r.worthTicks = r.priceTicks; percent == collarOff && !market {
		g.compared[CheckReference] = compared{}
		g.compared[CheckCollar] = compared{r.priceTicks, math.MaxInt64}
		return CheckCount
	}
	// Passes what is above the limit, 0.
	if g.compared[CheckReference] = (compared{reference, 0}); reference <= 0 {
		g.compared[CheckReference] = compared{int64(s.id), 0}
		return CheckReference
	}
	off := collarTicks(reference, percent)
	high, low := reference+off, reference-off
	if market {
		r.worthTicks = high // what it may cost at worst
		g.compared[CheckCollar] = compared{high, high}
		return CheckCount
	}
	// Below the reference it passes what is not below the limit.
	if r.priceTicks < reference {
		if g.compared[CheckCollar] = (compared{r.priceTicks, low}); r.priceTicks < low {
			return CheckCollar
		}
		return CheckCount
	}
	if !g.under(CheckCollar, r.priceTicks, high) {
		return CheckCollar
	}
	return CheckCount
}

// checkSums adds the order to what its session and account have.
func (g *Gateway) checkSums(r *request, limits *Limits) Check {
	p, x := &g.positions[r.position], &g.sessions[r.session]
	a := &g.accounts[p.account]
	opens := int64(1)
	r.add = reserved{int64(r.qtyLots), notionalOf(r.worthTicks, int64(r.qtyLots))}
	if r.place != none {
		opens = 0
		if !g.addOfReplace(r) {
			g.compared[CheckNotional] = compared{notionalMax, notionalMax - 1}
			return CheckNotional
		}
	}
	worst, owed := p.NetLots+p.OpenBuyLots+r.add.lots, a.paid+a.openBuy+r.add.notional
	if r.side == sbe.SideSell {
		worst, owed = p.OpenSellLots+r.add.lots-p.NetLots, a.openSell+r.add.notional-a.paid
	}
	switch {
	case !g.under(CheckPosition, worst, limits[LimitPosition]):
		return CheckPosition
	case !g.under(CheckGross, a.grossLots+r.add.lots, limits[LimitGross]):
		return CheckGross
	case !g.under(CheckOpenOrders, int64(x.open)+opens, limits[LimitOpenOrders]) && opens > 0:
		return CheckOpenOrders
	case !g.under(CheckOpenNotional, a.openBuy+a.openSell+r.add.notional, limits[LimitOpenNotional]):
		return CheckOpenNotional
	case !g.under(CheckCredit, owed, limits[LimitCredit]):
		return CheckCredit
	case !g.checkSelfMatch(r, p, limits[LimitSelfMatch]):
		return CheckSelfMatch
	}
	return CheckCount
}

// addOfReplace is the difference that a replace under way makes; false: its worth is
// beyond what is counted.
func (g *Gateway) addOfReplace(r *request) bool {
	o := g.orders[r.place] // as it would be
	before := o.reserved()
	o.pendingTicks, o.pendingLots = r.priceTicks, r.qtyLots
	now := o.reserved()
	r.add = reserved{now.lots - before.lots, now.notional - before.notional}
	return now.notional < notionalMax
}

// checkSelfMatch compares with the best resting order of the account's other side.
// Value is its price, limit the request's; it passes what does not cross.
func (g *Gateway) checkSelfMatch(r *request, p *Position, mode int64) bool {
	r.asides = 0
	if mode != SelfMatchRefuse && mode != SelfMatchCancel {
		g.compared[CheckSelfMatch] = compared{}
		return true
	}
	root, ticks := p.asks, r.priceTicks
	if r.side == sbe.SideSell {
		root = p.bids
	}
	if r.ordType == sbe.OrdTypeMarket {
		if ticks = math.MaxInt64; r.side == sbe.SideSell {
			ticks = 0
		}
	}
	best := g.best(root)
	if best == none {
		g.compared[CheckSelfMatch] = compared{0, ticks}
		return true
	}
	g.compared[CheckSelfMatch] = compared{g.nodes[best].ticks, ticks}
	if !crosses(r.side, ticks, g.nodes[best].ticks) {
		return true
	}
	if mode == SelfMatchRefuse {
		return false
	}
	n := g.crossing(root, r.side, ticks, r.place, &r.aside, 0)
	if n > selfMatchMax {
		return false
	}
	for _, i := range r.aside[:n] {
		switch g.orders[i].pending {
		case 0:
			r.aside[r.asides] = i
			r.asides++
		case sbe.TemplateOrderCancelRequest: // it goes already
		default:
			return false
		}
	}
	return true
}

// notionalMax is beyond what one order may be worth.
const notionalMax = 1 << 60

// notionalOf is price times lots, at most notionalMax.
func notionalOf(ticks, lots int64) int64 {
	if ticks <= 0 || lots <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(ticks), uint64(lots))
	if high != 0 || low > notionalMax {
		return notionalMax
	}
	return int64(low)
}

// collarTicks is percent of reference, without overflow.
func collarTicks(reference, percent int64) int64 {
	high, low := bits.Mul64(uint64(reference), uint64(percent))
	if high >= 100 {
		return notionalMax
	}
	q, _ := bits.Div64(high, low, 100)
	return int64(min(q, notionalMax))
}
