package config

import (
	"fmt"
	"slices"
)

// Exchange is how a book trades, and how it misbehaves as a simulator: at random,
// the same for the same seed and the same requests.
type Exchange struct {
	// SelfMatch is what happens when two orders of one account of one session meet.
	SelfMatch string `toml:"self_match" default:"trade" oneof:"trade|cancel-newest|cancel-oldest|cancel-both|decrement"`
	// Phase is what every symbol begins in; Schedule changes it later.
	Phase    string        `toml:"phase" default:"open" oneof:"open|pre-open|halted|closed"`
	Schedule []PhaseChange `toml:"schedule"`
	// DropCopy are sessions, by name, that get a copy of every ExecutionReport.
	DropCopy []string `toml:"drop_copy"`

	Seed uint32 `toml:"seed" default:"0"`
	// RejectPercent of new orders are refused; FillPercent of those that rest trade a
	// part with nobody.
	RejectPercent int `toml:"reject_percent" default:"0" range:"0..100"`
	FillPercent   int `toml:"fill_percent" default:"0" range:"0..100"`
	// DelayMin to DelayMax is how long a request waits, in its order.
	DelayMin Duration `toml:"delay_min" default:"0s" range:"0s..1m"`
	DelayMax Duration `toml:"delay_max" default:"0s" range:"0s..1m"`
	// DisconnectEvery is the mean time between two sessions ended by the book; 0s: it
	// ends none.
	DisconnectEvery Duration `toml:"disconnect_every" default:"0s" range:"0s..24h"`
}

// PhaseChange is one entry of a schedule.
type PhaseChange struct {
	At     Duration `toml:"at" required:"true" range:"0s..168h"` // after the first input
	Symbol string   `toml:"symbol"`                              // its name; empty: all
	Phase  string   `toml:"phase" required:"true" oneof:"open|pre-open|halted|closed"`
}

func (k *checker) exchange(l *Lane, at func(string) string) {
	x := l.Exchange
	if x == nil {
		return
	}
	path := func(name string) string { return join(at("exchange"), name) }
	if l.App == AppGateway {
		k.fail(at("exchange"), "only a book is one", "set it at the venue")
	}
	if k.ok(path("delay_min"), path("delay_max")) && x.DelayMax < x.DelayMin {
		k.fail(path("delay_max"), fmt.Sprintf("%v is less than delay_min = %v", x.DelayMax, x.DelayMin), "give at least as much")
	}
	for _, name := range x.DropCopy {
		if !slices.ContainsFunc(l.Sessions, func(s Session) bool { return s.Name == name }) {
			k.fail(path("drop_copy"), fmt.Sprintf("there is no session %q in this lane", name), "use the names of its [[lane.session]]")
		}
	}
	for i := range x.Schedule {
		c, where := &x.Schedule[i], path(fmt.Sprintf("schedule[%d]", i))
		if i > 0 && k.ok(join(where, "at")) && c.At < x.Schedule[i-1].At {
			k.fail(join(where, "at"), fmt.Sprintf("%v is before the entry above it", c.At), "sort the schedule by time")
		}
		if c.Symbol != "" && !slices.ContainsFunc(l.Symbols, func(s Symbol) bool { return s.Name == c.Symbol }) {
			k.fail(join(where, "symbol"), fmt.Sprintf("there is no symbol %q in this lane", c.Symbol), "use the names of its [[lane.symbol]]")
		}
	}
}
