package gateway

import (
	"onebeat/engine/app"
	"onebeat/engine/operator"
)

// What follows is for the cold side: it changes nothing.

// Comparison is what one check did with the last request checked.
type Comparison struct {
	Check   Check
	Value   int64
	Limit   int64
	Refused bool
	Off     bool // the limit is not set, or set to off
	// Set is the limit in force and From whose it is; From is ScopeNone for a check
	// that has none.
	Set  int64
	From Scope
}

// Checked names the last request checked.
type Checked struct {
	Session, Account, Symbol uint32
	ClOrdID                  uint64
	Replace                  bool
	Comparisons              []Comparison // up to the one that refused
}

// LastChecked returns what the checks made of the last request that came as far as
// them.
func (g *Gateway) LastChecked() Checked {
	r := &g.checking
	if r.clOrdID == 0 {
		return Checked{}
	}
	p := &g.positions[r.position]
	k := Checked{Session: r.session, Account: p.Account, Symbol: p.SymbolID, ClOrdID: r.clOrdID, Replace: r.place != none}
	for c := range min(g.refusedBy+1, CheckCount) {
		if k.Replace && (c == CheckDuplicate || c == CheckOpenOrders) {
			continue // of new orders only
		}
		x := Comparison{Check: c, Value: g.compared[c].value, Limit: g.compared[c].limit, Refused: c == g.refusedBy, From: ScopeNone}
		if l, ok := c.Limit(); ok {
			x.Set, x.From = l.effective(&g.limits, &g.accounts[p.account].limits, &g.sessions[r.session].limits, &g.symbols[p.symbol].limits)
			x.Off = x.Set == 0
		}
		k.Comparisons = append(k.Comparisons, x)
	}
	return k
}

// Checks counts the requests checked since this gateway was made.
func (g *Gateway) Checks() uint64 { return g.checks }

// LimitsOf returns the limits that a scope itself sets; ok is false where it is not
// known.
func (g *Gateway) LimitsOf(s Scope, id uint32) (l Limits, ok bool) {
	switch s {
	case ScopeDefault:
		return g.limits, true
	case ScopeAccount:
		i, ok := g.accountBy.Get(uint64(id) + 1)
		if !ok {
			return NoLimits(), false
		}
		return g.accounts[i].limits, true
	case ScopeSession:
		if id >= uint32(len(g.sessions)) {
			return NoLimits(), false
		}
		return g.sessions[id].limits, true
	case ScopeSymbol:
		i, ok := g.symbolByID.Get(uint64(id) + 1)
		if !ok {
			return NoLimits(), false
		}
		return g.symbols[i].limits, true
	}
	return NoLimits(), false
}

// Effective returns the limit that counts for an order of a session, an account in a
// symbol, 0 for one that is off, and whose it is. operator.None leaves a scope out.
func (g *Gateway) Effective(l Limit, session, account, symbol uint32) (value int64, from Scope) {
	var rows [3]*Limits
	for i, s := range []struct {
		scope Scope
		id    uint32
	}{{ScopeAccount, account}, {ScopeSession, session}, {ScopeSymbol, symbol}} {
		if limits, ok := g.LimitsOf(s.scope, s.id); ok && s.id != operator.None {
			rows[i] = &limits
		}
	}
	return l.effective(&g.limits, rows[0], rows[1], rows[2])
}

// AccountRisk is what an account has in all symbols.
type AccountRisk struct {
	Account          uint32
	Orders           uint32
	GrossLots        int64
	OpenBuyNotional  int64
	OpenSellNotional int64
	PaidNotional     int64 // bought minus sold
	Killed           bool
}

// Accounts returns how many accounts are known; Account returns one, by its place.
func (g *Gateway) Accounts() int { return g.accountIn }

// Account returns what the account of a place has.
func (g *Gateway) Account(place int) AccountRisk {
	a := &g.accounts[place]
	return AccountRisk{a.id, a.open, a.grossLots, a.openBuy, a.openSell, a.paid, a.killed}
}

// AccountAt returns the place of an account.
func (g *Gateway) AccountAt(id uint32) (place int, ok bool) {
	i, ok := g.accountBy.Get(uint64(id) + 1)
	return int(i), ok
}

// SessionRisk is what the checks know of a session.
type SessionRisk struct {
	Orders     uint32
	LastSecond uint32 // new orders and replaces that passed the rate check, of the last second used
	Killed     bool
}

// SessionRisk returns that of a session.
func (g *Gateway) SessionRisk(session uint32) SessionRisk {
	x := &g.sessions[session]
	return SessionRisk{x.open, x.rate.sum, x.killed}
}

// Killed reports whether all are blocked.
func (g *Gateway) Killed() bool { return g.killed }

// Sweeping reports whether orders are being cancelled.
func (g *Gateway) Sweeping() bool { return g.sweep.dueNs != 0 }

// Revision counts the limits that commands set, from 1.
func (g *Gateway) Revision() uint64 { return g.limitsRevision }

// PositionCount returns how many positions there are; PositionAt returns one of them.
func (g *Gateway) PositionCount() int { return g.positionIn }

// PositionAt returns the position at a place, and whether and with how many executions
// the repeated execution throttle holds it.
func (g *Gateway) PositionAt(place int) (p Position, repeats uint32, stopped bool) {
	x := &g.positions[place]
	return *x, x.repeats, x.stopped
}

// Reference returns the reference price of a symbol, 0 if there is none.
func (g *Gateway) Reference(symbolID uint32) int64 {
	if i, ok := g.symbolByID.Get(uint64(symbolID) + 1); ok {
		return g.symbols[i].referenceTicks
	}
	return 0
}

// Places returns how many places of orders are in use; OrderAt fills in the order of
// one, false if it is none.
func (g *Gateway) Places() int { return g.places.Used() }

// OrderAt fills in the order of a place.
func (g *Gateway) OrderAt(place int, o *app.OrderState) bool {
	x := &g.orders[place]
	if x.qtyLots == 0 {
		return false
	}
	g.fillState(x, o)
	return true
}
