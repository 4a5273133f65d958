package node

import (
	"fmt"
	"sync/atomic"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/cold"
	"onebeat/engine/fixp"
	"onebeat/engine/gateway"
	"onebeat/engine/sbe"
	"onebeat/engine/venue"
	"onebeat/tools/config"
)

// newMachine builds a lane's machine. venueAt are the venues' MACs until they were
// heard from, or will be; port is where FIX sessions speak, or nil; log is where a book notes what it accepts, or nil; watch
// are NewReplay's.
func newMachine(l *config.Lane, venueAt []atomic.Uint64, log *orderLog, port *cold.Port, watch ...func(app.App) (app.App, error)) (*engine.Machine, error) {
	cfg := engine.MachineConfig{Port: uint16(l.Port), RetainMessages: l.RetainMessages}
	for _, s := range l.Sessions {
		cfg.Sessions = append(cfg.Sessions, fixp.SessionConfig{ID: sbe.UUID(s.ID), Key: fixp.NewKey(s.Key),
			CancelOnDisconnectNs: s.CancelOnDisconnect.Ns(), OrdersPerSecond: s.OrdersPerSecond, OrderBurst: s.OrderBurst,
			RetainMessages: s.RetainMessages})
	}
	for i := range l.Venues {
		v := venueConfig(&l.Venues[i])
		if i < len(venueAt) {
			v.Resolved = &venueAt[i]
		}
		cfg.Venues = append(cfg.Venues, v)
	}
	var err error
	switch l.App {
	case config.AppBook:
		cfg.App, err = newBook(l, log)
	case config.AppGateway:
		cfg.App, err = newGateway(l)
	default:
		err = fmt.Errorf("unknown app %q", l.App)
	}
	for _, w := range watch {
		if err == nil {
			cfg.App, err = w(cfg.App)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lane %d: %s: %w", l.ID, l.App, err)
	}
	if cfg.FIX, err = storeConfig(l, port); err != nil {
		return nil, fmt.Errorf("lane %d: %w", l.ID, err)
	}
	m, err := engine.NewMachine(cfg)
	if err != nil {
		return nil, fmt.Errorf("lane %d: %w", l.ID, err)
	}
	return m, nil
}

// venueConfig maps one venue's.
func venueConfig(v *config.Venue) engine.VenueConfig {
	return engine.VenueConfig{
		Name: v.Name, Remote: app.Endpoint{IP: app.IP(v.Address), Port: uint16(v.Port)},
		LocalPort: uint16(v.LocalPort), Session: sbe.UUID(v.Session), Key: fixp.NewKey(v.Key),
		FIX: v.FIX != nil, ConnectNs: v.Reconnect.Ns(), ConnectMaxNs: v.ReconnectMax.Ns(),
		Line: venue.Config{OrdersPerSecond: v.OrdersPerSecond, Burst: v.Burst, QueueMax: v.Queue, CancelsFirst: v.CancelsFirst,
			BreakAfter: v.BreakAfter, BreakWindowNs: v.BreakWindow.Ns(), BreakOpenNs: v.BreakOpen.Ns(), BreakTimeoutNs: v.BreakTimeout.Ns()},
	}
}

// NewMachine makes a lane's machine, without records, for who only rebuilds a state.
func NewMachine(l *config.Lane, watch ...func(app.App) (app.App, error)) (*engine.Machine, error) {
	return newMachine(l, nil, nil, nil, watch...)
}

func newBook(l *config.Lane, log *orderLog) (*book.Book, error) {
	cfg := book.Config{FlowsMax: max(64, l.SessionCount()), ClOrdIDWindow: clOrdIDWindow(l.SessionCount())}
	for _, s := range l.Symbols {
		cfg.Symbols = append(cfg.Symbols, s.ID)
	}
	if log != nil {
		cfg.OnAccept = log.accept
	}
	if l.Exchange != nil {
		exchangeConfig(l, &cfg)
	}
	return book.New(cfg)
}

func newGateway(l *config.Lane) (*gateway.Gateway, error) {
	cfg := gateway.Config{Sessions: l.SessionCount(), ClOrdIDWindow: clOrdIDWindow(l.SessionCount()), Limits: limitsOf(&l.Risk),
		SessionLimits: map[uint32]*gateway.Limits{}, AccountLimits: map[uint32]*gateway.Limits{}}
	for i := range l.Sessions {
		cfg.SessionLimits[uint32(i)] = limitsOf(&l.Sessions[i].Risk)
	}
	for i, x := range l.FIXSessions() {
		cfg.SessionLimits[uint32(len(l.Sessions)+i)] = limitsOf(&x.Risk)
	}
	for i := range l.Accounts {
		cfg.AccountLimits[l.Accounts[i].ID] = limitsOf(&l.Accounts[i].Risk)
	}
	for i := range l.Symbols {
		s := &l.Symbols[i]
		to := gateway.NoVenue
		if at := l.VenueOf(s.Name); at >= 0 {
			to = uint32(at)
		}
		cfg.Symbols = append(cfg.Symbols, gateway.Symbol{ID: s.ID, ReferencePriceTicks: s.ReferencePriceTicks, Venue: to, Limits: limitsOf(&s.Risk)})
	}
	return gateway.New(cfg)
}

// limitsOf maps the limits of one scope.
func limitsOf(r *config.Risk) *gateway.Limits {
	limits := gateway.NoLimits()
	r.Each(func(name string, value int64) {
		l, ok := gateway.ParseLimit(name)
		if !ok {
			panic("node: no limit " + name)
		}
		limits[l] = value
	})
	return &limits
}

// clOrdIDWindow is how much reordering of ClOrdIDs each of so many sessions may
// show: a bit each, and all of them together stay at 32 MiB.
func clOrdIDWindow(sessions int) int {
	window := 1 << 18
	for window > 1<<12 && window*sessions > 1<<28 {
		window /= 2
	}
	return window
}
