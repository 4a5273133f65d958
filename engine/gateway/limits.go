package gateway

import (
	"fmt"

	"onebeat/engine/operator"
)

// Limit is one limit of the checks. The numbers are stored in the log, in commands,
// and never change their meaning.
type Limit uint8

// Limits.
const (
	LimitQty             Limit = iota // lots of one order
	LimitNotional                     // of one order: price ticks times lots
	LimitCollar                       // percent a price may be off its symbol's reference
	LimitPosition                     // lots an account may be long or short in a symbol, open orders counted as filled
	LimitGross                        // lots of an account in all symbols, long and short and open orders added up
	LimitOpenOrders                   // of a session
	LimitOpenNotional                 // of an account's open orders
	LimitCredit                       // notional an account may owe, open orders counted as filled
	LimitOrderRate                    // new orders and replaces of a session in a second
	LimitRepeats                      // executed orders of an account in a symbol within the window
	LimitRepeatWindow                 // ms
	LimitDuplicateWindow              // ms within which a session's orders must differ
	LimitSelfMatch                    // SelfMatchRefuse or SelfMatchCancel
	LimitRestricted                   // 1: no orders
	LimitCount
)

// What self-match prevention does with an order that would trade with another one of
// its account.
const (
	SelfMatchRefuse = 1 // it is refused
	SelfMatchCancel = 2 // the others are cancelled before it is sent
)

// Inherit is the value of a limit that a scope does not set; 0 is a check that is off.
const Inherit = operator.Unset

// limitInfo is what the checks need to know about a limit.
type limitInfo struct {
	unit string
	most int64 // what can be set
	off  int64 // what the checks compare with when it is off
	// greater: of two values the greater one is stricter.
	greater bool
}

// sumMax bounds every sum of notionals, limit or not: none overflows.
const sumMax = 1 << 60

var limitInfos = [LimitCount]limitInfo{
	LimitQty:             {unit: "lots", most: 1<<32 - 1, off: 1<<32 - 1},
	LimitNotional:        {unit: "ticks x lots", most: notionalMax, off: notionalMax},
	LimitCollar:          {unit: "percent", most: 100, off: collarOff},
	LimitPosition:        {unit: "lots", most: sumMax, off: 1 << 62},
	LimitGross:           {unit: "lots", most: sumMax, off: 1 << 62},
	LimitOpenOrders:      {unit: "orders", most: 1 << 31, off: 1 << 62},
	LimitOpenNotional:    {unit: "ticks x lots", most: sumMax, off: sumMax},
	LimitCredit:          {unit: "ticks x lots", most: sumMax, off: 1 << 62},
	LimitOrderRate:       {unit: "orders", most: 1 << 31, off: 1 << 62},
	LimitRepeats:         {unit: "orders", most: 1 << 31, off: 1 << 62},
	LimitRepeatWindow:    {unit: "ms", most: 86_400_000, off: 1000, greater: true},
	LimitDuplicateWindow: {unit: "ms", most: 3_600_000, off: 0, greater: true},
	LimitSelfMatch:       {unit: "1 refuse, 2 cancel", most: SelfMatchCancel, off: 3},
	LimitRestricted:      {unit: "1 yes", most: 1, off: 0, greater: true},
}

// collarOff is a percentage that no price reaches.
const collarOff = 1_000_000

// String is the limit's name in the configuration and on the command line.
func (l Limit) String() string { return operator.LimitName(uint32(l)) }

// Every limit has a name there.
var _ = [1]struct{}{}[operator.Limits-int(LimitCount)]

// Unit is what it counts.
func (l Limit) Unit() string { return limitInfos[l].unit }

// Most is the greatest value that can be set.
func (l Limit) Most() int64 { return limitInfos[l].most }

// ParseLimit returns the limit of a name.
func ParseLimit(name string) (Limit, bool) {
	for l := range LimitCount {
		if l.String() == name {
			return l, true
		}
	}
	return 0, false
}

// Limits are those of one scope; Inherit what it does not set.
type Limits [LimitCount]int64

// NoLimits sets none.
func NoLimits() (l Limits) {
	for i := range l {
		l[i] = Inherit
	}
	return l
}

func (l *Limits) check() error {
	for i, v := range l {
		if v < Inherit || v > limitInfos[i].most {
			return fmt.Errorf("%w: %v = %d: give 0 (off) to %d, or leave it out", ErrConfig, Limit(i), v, limitInfos[i].most)
		}
	}
	return nil
}

// Scope is where a limit was set.
type Scope uint8

// Scopes. Of what account, session and symbol set, the strictest counts; the default
// counts where none of them sets anything.
const (
	ScopeDefault Scope = iota
	ScopeAccount
	ScopeSession
	ScopeSymbol
	ScopeNone // nobody sets it: the check is off
)

// String returns the scope's name.
func (s Scope) String() string {
	return [...]string{"default", "account", "session", "symbol", "not set"}[min(s, ScopeNone)]
}

// effective is the limit that counts, 0 for one that is off, and whose it is.
func (l Limit) effective(byDefault, account, session, symbol *Limits) (value int64, from Scope) {
	value, from = Inherit, ScopeNone
	for s, row := range [...]*Limits{nil, account, session, symbol} {
		if row == nil || row[l] == Inherit {
			continue
		}
		if from == ScopeNone || l.stricter(row[l], value) {
			value, from = row[l], Scope(s)
		}
	}
	if from == ScopeNone && byDefault[l] != Inherit {
		return byDefault[l], ScopeDefault
	}
	return max(value, 0), from
}

// stricter compares two values that are set.
func (l Limit) stricter(a, b int64) bool {
	switch {
	case limitInfos[l].greater:
		return a > b
	case a == 0 || b == 0:
		return a != 0
	}
	return a < b
}

// limitsCached is a power of two.
const limitsCached = 1024

// resolved are the limits that count for a session and a position, as the checks
// compare with them. It is derived, and no part of the state.
type resolved struct {
	revision uint64 // of all limits when it was made; 0: never
	session  uint32
	position uint32
	limits   Limits
}

// limitsOf returns what counts for a session and a position.
func (g *Gateway) limitsOf(session, position uint32) *Limits {
	at := (uint64(session)<<32 | uint64(position)) * 0x9e3779b97f4a7c15 >> 54
	r := &g.resolved[at&(limitsCached-1)]
	if r.revision != g.limitsRevision || r.session != session || r.position != position {
		g.resolve(r, session, position)
	}
	return &r.limits
}

func (g *Gateway) resolve(r *resolved, session, position uint32) {
	r.revision, r.session, r.position = g.limitsRevision, session, position
	p := &g.positions[position]
	for l := range LimitCount {
		v, _ := l.effective(&g.limits, &g.accounts[p.account].limits, &g.sessions[session].limits, &g.symbols[p.symbol].limits)
		if v == 0 {
			v = limitInfos[l].off
		}
		r.limits[l] = v
	}
}
