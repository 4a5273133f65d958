package config

import "fmt"

// Risk is the gateway's limits of one scope: the lane's are the defaults, those of an
// account, a session or a symbol are its own. 0: that check is off. What is absent is
// not set here. Of those that are set, the strictest counts; the defaults count where
// nobody sets anything (docs/risk.md). They are what a lane begins with: `onebeat risk
// set` changes them.
type Risk struct {
	MaxQtyLots  *int64 `toml:"max_qty_lots" range:"0..4294967295"`
	MaxNotional *int64 `toml:"max_notional" range:"0..1152921504606846976"` // price ticks x lots
	// CollarPercent is how far a price may be from its symbol's reference.
	CollarPercent   *int64 `toml:"collar_percent" range:"0..100"`
	MaxPositionLots *int64 `toml:"max_position_lots" range:"0..1152921504606846976"`
	MaxGrossLots    *int64 `toml:"max_gross_lots" range:"0..1152921504606846976"`
	MaxOpenOrders   *int64 `toml:"max_open_orders" range:"0..2147483648"`
	MaxOpenNotional *int64 `toml:"max_open_notional" range:"0..1152921504606846976"`
	MaxCredit       *int64 `toml:"max_credit" range:"0..1152921504606846976"`
	MaxOrderRate    *int64 `toml:"max_orders_per_second" range:"0..2147483648"`
	// MaxRepeats executed orders of an account in a symbol may come in RepeatWindowMs.
	MaxRepeats        *int64 `toml:"max_repeated_executions" range:"0..2147483648"`
	RepeatWindowMs    *int64 `toml:"repeat_window_ms" range:"0..86400000"`
	DuplicateWindowMs *int64 `toml:"duplicate_window_ms" range:"0..3600000"`
	// SelfMatch: an order that would trade with its own account's is refused, or the
	// others are cancelled.
	SelfMatch  string `toml:"self_match" oneof:"off|refuse|cancel"`
	Restricted *bool  `toml:"restricted"`
}

// Each calls visit for every limit that is set, by its name.
func (r *Risk) Each(visit func(name string, value int64)) {
	for _, l := range []struct {
		name  string
		value *int64
	}{{"max_qty_lots", r.MaxQtyLots}, {"max_notional", r.MaxNotional}, {"collar_percent", r.CollarPercent},
		{"max_position_lots", r.MaxPositionLots}, {"max_gross_lots", r.MaxGrossLots}, {"max_open_orders", r.MaxOpenOrders},
		{"max_open_notional", r.MaxOpenNotional}, {"max_credit", r.MaxCredit}, {"max_orders_per_second", r.MaxOrderRate},
		{"max_repeated_executions", r.MaxRepeats}, {"repeat_window_ms", r.RepeatWindowMs}, {"duplicate_window_ms", r.DuplicateWindowMs}} {
		if l.value != nil {
			visit(l.name, *l.value)
		}
	}
	if r.SelfMatch != "" {
		visit("self_match", map[string]int64{"off": 0, "refuse": 1, "cancel": 2}[r.SelfMatch])
	}
	if r.Restricted != nil {
		value := int64(0)
		if *r.Restricted {
			value = 1
		}
		visit("restricted", value)
	}
}

// Account is an account with limits of its own; orders may name others, too.
type Account struct {
	ID   uint32 `toml:"id" required:"true"`
	Risk Risk   `toml:"risk"`
}

// accounts: each has one table.
func (k *checker) accounts(l *Lane, at func(string) string) {
	seen := map[uint32]int{}
	for i, a := range l.Accounts {
		path := fmt.Sprintf("%s[%d].id", at("account"), i)
		first, twice := seen[a.ID]
		switch {
		case !k.ok(path):
			continue
		case twice:
			k.fail(path, fmt.Sprintf("account %d is that of account[%d], too", a.ID, first), "put its limits into one table")
		case a.ID == ^uint32(0):
			k.fail(path, "stands for no account", "use 0 to 4294967294")
		}
		seen[a.ID] = i
	}
}
