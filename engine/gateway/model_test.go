package gateway

import (
	"math"

	"onebeat/engine/sbe"
)

// model is what the checks should come to, as plainly as it can be said: every sum is
// added up anew from all orders.
type model struct {
	limits    map[Scope]map[uint32]*Limits
	reference map[uint32]int64
	orders    map[uint64]*modelOrder // by VenueClOrdID
	net       map[[2]uint32]int64    // by account and symbol
	paid      map[uint32]int64
	passed    map[uint32][]int64 // times of what passed the rate check, by session
	executed  map[[2]uint32][]int64
	stopped   map[[2]uint32]bool
	content   map[modelContent]int64
	killed    map[Scope]map[uint32]bool
}

type modelOrder struct {
	session, account, symbol uint32
	side                     sbe.Side
	market, rests            bool
	price, pendingPrice      int64
	qty, cum, pendingQty     int64
	open                     bool
	worth                    int64 // of a market order, for each lot
}

type modelContent struct {
	session, account, symbol uint32
	side                     sbe.Side
	ordType                  sbe.OrdType
	tif                      sbe.TimeInForce
	price                    int64
	qty                      uint32
}

func newModel() *model {
	m := &model{limits: map[Scope]map[uint32]*Limits{}, reference: map[uint32]int64{}, orders: map[uint64]*modelOrder{},
		net: map[[2]uint32]int64{}, paid: map[uint32]int64{}, passed: map[uint32][]int64{}, executed: map[[2]uint32][]int64{},
		stopped: map[[2]uint32]bool{}, content: map[modelContent]int64{}, killed: map[Scope]map[uint32]bool{}}
	for _, s := range []Scope{ScopeDefault, ScopeAccount, ScopeSession, ScopeSymbol} {
		m.limits[s], m.killed[s] = map[uint32]*Limits{}, map[uint32]bool{}
	}
	return m
}

// set returns the limits of a scope.
func (m *model) set(s Scope, id uint32) *Limits {
	if m.limits[s][id] == nil {
		l := NoLimits()
		m.limits[s][id] = &l
	}
	return m.limits[s][id]
}

// limit is the strictest of what account, session and symbol set, else the default; off
// is false where it counts.
func (m *model) limit(l Limit, account, session, symbol uint32) (value int64, off bool) {
	greater := l == LimitRepeatWindow || l == LimitDuplicateWindow || l == LimitRestricted
	var set []int64
	for s, id := range map[Scope]uint32{ScopeAccount: account, ScopeSession: session, ScopeSymbol: symbol} {
		if v := m.set(s, id)[l]; v >= 0 {
			set = append(set, v)
		}
	}
	if len(set) == 0 {
		if v := m.set(ScopeDefault, 0)[l]; v >= 0 {
			set = append(set, v)
		}
	}
	for _, v := range set {
		switch {
		case v == 0:
		case value == 0, greater && v > value, !greater && v < value:
			value = v
		}
	}
	return value, value == 0
}

func (o *modelOrder) lots() int64 { return max(o.qty, o.pendingQty) - o.cum }

func (o *modelOrder) notional() int64 {
	if o.market {
		return o.lots() * o.worth
	}
	return o.lots() * max(o.price, o.pendingPrice)
}

// sums are an account's, and its orders' in one symbol.
type modelSums struct {
	buyLots, sellLots         int64 // in the symbol
	gross                     int64
	buyNotional, sellNotional int64
}

func (m *model) sums(account, symbol uint32) (s modelSums) {
	for key, net := range m.net {
		if key[0] == account {
			s.gross += max(net, -net)
		}
	}
	for _, o := range m.orders {
		if !o.open || o.account != account {
			continue
		}
		s.gross += o.lots()
		if o.side == sbe.SideBuy {
			s.buyNotional += o.notional()
		} else {
			s.sellNotional += o.notional()
		}
		if o.symbol != symbol {
			continue
		}
		if o.side == sbe.SideBuy {
			s.buyLots += o.lots()
		} else {
			s.sellLots += o.lots()
		}
	}
	return s
}

func (m *model) openOf(session uint32) (n int64) {
	for _, o := range m.orders {
		if o.open && o.session == session {
			n++
		}
	}
	return n
}

// rate counts what passed in the present tenth of a second and the nine before.
func (m *model) rate(session uint32, timeNs int64) (n int64) {
	kept := m.passed[session][:0]
	for _, at := range m.passed[session] {
		if timeNs/100_000_000-at/100_000_000 < 10 {
			kept = append(kept, at)
			n++
		}
	}
	m.passed[session] = kept
	return n
}

// check says what a request should be refused for; about is the order of a replace.
func (m *model) check(c modelContent, about *modelOrder, timeNs int64) (why sbe.RejectReason, value, limit int64) {
	get := func(l Limit) (int64, bool) { return m.limit(l, c.account, c.session, c.symbol) }
	place := [2]uint32{c.account, c.symbol}
	switch {
	case m.killed[ScopeDefault][0]:
		return sbe.RejectReasonKilled, 3, 0
	case m.killed[ScopeAccount][c.account]:
		return sbe.RejectReasonKilled, 2, 0
	case m.killed[ScopeSession][c.session]:
		return sbe.RejectReasonKilled, 1, 0
	}
	if v, off := get(LimitRestricted); !off {
		return sbe.RejectReasonRestricted, v, 0
	}
	if m.stopped[place] {
		return sbe.RejectReasonRepeatedExecutions, -1, -1
	}
	rate := m.rate(c.session, timeNs) + 1
	if v, off := get(LimitOrderRate); !off && rate > v {
		return sbe.RejectReasonOrderRate, rate, v
	}
	m.passed[c.session] = append(m.passed[c.session], timeNs)
	if v, off := get(LimitQty); !off && int64(c.qty) > v {
		return sbe.RejectReasonMaxQuantity, int64(c.qty), v
	}
	worth, market := c.price, c.ordType == sbe.OrdTypeMarket
	percent, collarOff := get(LimitCollar)
	reference := m.reference[c.symbol]
	if market || !collarOff {
		if reference <= 0 {
			return sbe.RejectReasonNoReferencePrice, int64(c.symbol), 0
		}
		if collarOff {
			percent = 1_000_000
		}
		off := reference * percent / 100
		switch {
		case market:
			worth = reference + off
		case c.price > reference+off:
			return sbe.RejectReasonPriceCollar, c.price, reference + off
		case c.price < reference-off:
			return sbe.RejectReasonPriceCollar, c.price, reference - off
		}
	}
	notional := worth * int64(c.qty)
	if v, off := get(LimitNotional); !off && notional > v {
		return sbe.RejectReasonMaxNotional, notional, v
	}
	if about == nil {
		if v, off := get(LimitDuplicateWindow); !off {
			if at, known := m.content[c]; known && timeNs-at < v*1_000_000 {
				return sbe.RejectReasonDuplicateContent, timeNs - at, v * 1_000_000
			}
		}
	}
	return m.checkSums(c, about, notional)
}

func (m *model) checkSums(c modelContent, about *modelOrder, notional int64) (why sbe.RejectReason, value, limit int64) {
	get := func(l Limit) (int64, bool) { return m.limit(l, c.account, c.session, c.symbol) }
	lots, opens := int64(c.qty), int64(1)
	if about != nil {
		as := *about
		as.pendingPrice, as.pendingQty = c.price, int64(c.qty)
		lots, notional, opens = as.lots()-about.lots(), as.notional()-about.notional(), 0
	}
	s := m.sums(c.account, c.symbol)
	net, paid := m.net[[2]uint32{c.account, c.symbol}], m.paid[c.account]
	worst, owed := net+s.buyLots+lots, paid+s.buyNotional+notional
	if c.side == sbe.SideSell {
		worst, owed = s.sellLots+lots-net, s.sellNotional+notional-paid
	}
	open := m.openOf(c.session) + opens
	for _, x := range []struct {
		limit Limit
		why   sbe.RejectReason
		value int64
	}{{LimitPosition, sbe.RejectReasonPositionLimit, worst}, {LimitGross, sbe.RejectReasonGrossPosition, s.gross + lots},
		{LimitOpenOrders, sbe.RejectReasonOpenOrders, open}, {LimitOpenNotional, sbe.RejectReasonOpenNotional, s.buyNotional + s.sellNotional + notional},
		{LimitCredit, sbe.RejectReasonCredit, owed}} {
		if v, off := get(x.limit); !off && x.value > v && (x.limit != LimitOpenOrders || opens > 0) {
			return x.why, x.value, v
		}
	}
	if v, off := get(LimitSelfMatch); !off && v == SelfMatchRefuse {
		for _, o := range m.orders {
			if m.meets(c, o) {
				return sbe.RejectReasonSelfMatch, -1, -1
			}
		}
	}
	return sbe.RejectReasonNone, 0, 0
}

// meets reports whether a request would trade with a resting order of its account.
func (m *model) meets(c modelContent, o *modelOrder) bool {
	if !o.open || !o.rests || o.account != c.account || o.symbol != c.symbol || o.side == c.side {
		return false
	}
	price := c.price
	if c.ordType == sbe.OrdTypeMarket {
		if price = math.MaxInt64; c.side == sbe.SideSell {
			price = 0
		}
	}
	for _, at := range []int64{o.price, o.pendingPrice} {
		if at > 0 && (c.side == sbe.SideBuy && at <= price || c.side == sbe.SideSell && at >= price) {
			return true
		}
	}
	return false
}

// fill moves what an order traded.
func (m *model) fill(o *modelOrder, lots, price, timeNs int64) {
	place := [2]uint32{o.account, o.symbol}
	first := o.cum == 0
	o.cum += lots
	if o.side == sbe.SideSell {
		lots = -lots
	}
	m.net[place] += lots
	m.paid[o.account] += lots * price
	m.reference[o.symbol] = price
	if !first || m.stopped[place] {
		return
	}
	window, off := m.limit(LimitRepeatWindow, o.account, o.session, o.symbol)
	if off {
		window = 1000
	}
	times := m.executed[place]
	if len(times) > 0 && timeNs-times[0] >= window*1_000_000 {
		times = nil
	}
	m.executed[place] = append(times, timeNs)
	if most, off := m.limit(LimitRepeats, o.account, o.session, o.symbol); !off && int64(len(m.executed[place])) > most {
		m.stopped[place] = true
	}
}
