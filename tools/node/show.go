package node

import (
	"errors"
	"fmt"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/engine/gateway"
	"onebeat/engine/operator"
	"onebeat/mirror/lane"
	"onebeat/tools/config"
	"onebeat/tools/control"
)

// lookRows bounds what one look at a lane's state goes through: it stands in the way
// of the orders.
const lookRows = 256

// show answers what is asked about a lane's sessions, orders and risk. Any node of
// the lane may be asked: a standby says what it has applied.
func (n *Node) show(r *control.Show) (any, error) {
	p, err := n.lane(r.Lane)
	if err != nil {
		return nil, err
	}
	c, err := commandOf(p.cfg, &control.Operate{Kind: operator.Kill.String(), Session: r.Session, Account: r.Account, Symbol: r.Symbol, ClOrdID: r.ClOrdID})
	if err != nil {
		return nil, err
	}
	if err := n.nameOrder(p.cfg, &c, r.Text); err != nil {
		return nil, err
	}
	v := &view{node: n, lane: p.cfg, named: c, state: lane.Load(p.mem.authority).State().String()}
	switch r.What {
	case control.ShowRisk:
		return v.risk()
	case control.ShowSessions:
		return v.sessions()
	case control.ShowOrder:
		return v.order()
	case control.ShowDoubt:
		return v.doubt()
	}
	return nil, fmt.Errorf("show %q: risk, sessions, order or doubt", r.What)
}

// view is one answer in the making.
type view struct {
	node  *Node
	lane  *config.Lane
	named operator.Command // what was named, None else
	state string
}

// look lets f see the machine of the lane.
func (v *view) look(f func(m *engine.Machine) error) error {
	return v.node.look(v.lane.ID, func(m app.Machine) error {
		machine, ok := m.(*engine.Machine)
		if !ok {
			return fmt.Errorf("%T shows nothing", m)
		}
		return f(machine)
	})
}

var errNoRisk = errors.New("this lane's application has no risk checks: it is no gateway")

// gateway lets f see the gateway of the lane.
func (v *view) gateway(f func(g *gateway.Gateway, m *engine.Machine) error) error {
	return v.look(func(m *engine.Machine) error {
		g, ok := m.App().(*gateway.Gateway)
		if !ok {
			return errNoRisk
		}
		return f(g, m)
	})
}

// piecewise calls f for count rows, some in each look.
func (v *view) piecewise(count func(g *gateway.Gateway) int, f func(g *gateway.Gateway, m *engine.Machine, i int)) error {
	for from, more := 0, true; more; from += lookRows {
		if err := v.gateway(func(g *gateway.Gateway, m *engine.Machine) error {
			end := count(g)
			for i := from; i < min(end, from+lookRows); i++ {
				f(g, m, i)
			}
			more = from+lookRows < end
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func (v *view) wants(account, symbol uint32) bool {
	c := &v.named
	return (c.Account == operator.None || c.Account == account) && (c.Symbol == operator.None || c.Symbol == symbol)
}

func (v *view) risk() (*control.RiskStatus, error) {
	s := &control.RiskStatus{Lane: v.lane.ID, State: v.state}
	c := &v.named
	if err := v.gateway(func(g *gateway.Gateway, _ *engine.Machine) error {
		s.Revision, s.Killed, s.Sweeping = g.Revision(), g.Killed(), g.Sweeping()
		for l := range gateway.LimitCount {
			value, from := g.Effective(l, c.Session, c.Account, c.Symbol)
			s.Limits = append(s.Limits, control.LimitStatus{Name: l.String(), Value: value, From: from.String(), Unit: l.Unit()})
		}
		for _, symbol := range v.lane.Symbols {
			s.Scopes = addScope(s.Scopes, g, gateway.ScopeSymbol, symbol.ID, symbol.Name, false)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	err := v.piecewise(func(*gateway.Gateway) int { return v.lane.SessionCount() }, func(g *gateway.Gateway, _ *engine.Machine, i int) {
		s.Scopes = addScope(s.Scopes, g, gateway.ScopeSession, uint32(i), sessionName(v.lane, uint32(i)), g.SessionRisk(uint32(i)).Killed)
	})
	err = errors.Join(err, v.piecewise((*gateway.Gateway).Accounts, func(g *gateway.Gateway, _ *engine.Machine, i int) {
		a := g.Account(i)
		s.Scopes = addScope(s.Scopes, g, gateway.ScopeAccount, a.Account, "", a.Killed)
		if c.Account == operator.None && !a.Killed || c.Account != operator.None && c.Account != a.Account {
			return
		}
		s.Accounts = append(s.Accounts, control.AccountStatus(a))
	}))
	return s, errors.Join(err, v.piecewise((*gateway.Gateway).PositionCount, func(g *gateway.Gateway, _ *engine.Machine, i int) {
		p, repeats, stopped := g.PositionAt(i)
		if named := c.Account != operator.None || c.Symbol != operator.None; !stopped && !named || !v.wants(p.Account, p.SymbolID) {
			return
		}
		s.Positions = append(s.Positions, control.PositionStatus{Account: p.Account, Symbol: p.SymbolID, NetLots: p.NetLots, OpenBuy: p.OpenBuyLots,
			OpenSell: p.OpenSellLots, Executions: repeats, Stopped: stopped, ReferenceAt: g.Reference(p.SymbolID)})
	}))
}

// stopCounters say that somebody is stopped: by them a look at everything is spared
// as long as nobody is.
var stopCounters = [...]string{"gateway_everybody_killed", "gateway_sessions_killed", "gateway_accounts_killed", "gateway_scopes_restricted",
	"gateway_positions_stopped"}

func stopped(counts map[string]uint64) bool {
	for _, name := range stopCounters {
		if counts[name] > 0 {
			return true
		}
	}
	return false
}

// stops says who is stopped; nil: the loop does not answer.
func (n *Node) stops(p *laneParts) *control.Stops {
	v := &view{node: n, lane: p.cfg, named: operator.New(operator.Kill)}
	r, err := v.risk()
	if err != nil {
		return nil
	}
	s := &control.Stops{Everybody: r.Killed, Sweeping: r.Sweeping}
	for _, x := range r.Scopes {
		name := x.Name
		if name == "" {
			name = fmt.Sprint(x.ID)
		}
		if x.Killed && x.Scope == gateway.ScopeSession.String() {
			s.Sessions = append(s.Sessions, name)
		}
		if x.Limits[gateway.LimitRestricted.String()] > 0 {
			s.Restricted = append(s.Restricted, x.Scope+" "+name)
		}
	}
	for _, l := range r.Limits {
		if l.Name == gateway.LimitRestricted.String() && l.Value > 0 {
			s.Restricted = append(s.Restricted, l.From)
		}
	}
	for _, a := range r.Accounts {
		s.Accounts = append(s.Accounts, a.Account)
	}
	s.Throttled = r.Positions
	return s
}

// addScope adds a scope that sets or stops anything.
func addScope(to []control.ScopeStatus, g *gateway.Gateway, scope gateway.Scope, id uint32, name string, killed bool) []control.ScopeStatus {
	limits, ok := g.LimitsOf(scope, id)
	if !ok {
		return to
	}
	s := control.ScopeStatus{Scope: scope.String(), ID: id, Name: name, Killed: killed, Limits: map[string]int64{}}
	for l := range gateway.LimitCount {
		if limits[l] != gateway.Inherit {
			s.Limits[l.String()] = limits[l]
		}
	}
	if len(s.Limits) == 0 && !killed {
		return to
	}
	return append(to, s)
}

func (v *view) sessions() (*control.SessionList, error) {
	s := &control.SessionList{Lane: v.lane.ID, State: v.state}
	for from, more := 0, true; more; from += lookRows {
		if err := v.look(func(m *engine.Machine) error {
			all := m.Server().Sessions() + m.FIX().Clients()
			g, _ := m.App().(*gateway.Gateway)
			for i := from; i < min(all, from+lookRows); i++ {
				s.Sessions = append(s.Sessions, v.session(m, g, i))
			}
			more = from+lookRows < all
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (v *view) session(m *engine.Machine, g *gateway.Gateway, i int) control.SessionLine {
	l := control.SessionLine{Index: i, Name: sessionName(v.lane, uint32(i))}
	if fixed := m.Server().Sessions(); i < fixed {
		state, in, out := m.Server().SessionState(i)
		l.State, l.NextIn, l.NextOut, l.Blocked = state.String(), in, out, m.Server().Blocked(i)
	} else {
		x := m.FIX().State(i - fixed)
		l.State, l.NextIn, l.NextOut, l.Blocked = "logged out", x.NextIn, x.NextOut, x.Blocked
		if x.LoggedOn {
			l.State = "logged on"
		}
	}
	if g != nil {
		r := g.SessionRisk(uint32(i))
		l.Orders, l.Killed = r.Orders, r.Killed
	}
	return l
}

func (v *view) order() (*control.OrderStatus, error) {
	var found app.OrderState
	var s control.OrderStatus
	if err := v.look(func(m *engine.Machine) error {
		orders, ok := m.App().(app.Orders)
		if !ok || !orders.Order(v.named.Session, v.named.Order, &found) {
			return fmt.Errorf("no such order: %v", operator.UnknownOrder)
		}
		s = orderStatus(v.lane, &found, m)
		return nil
	}); err != nil {
		return nil, err
	}
	return &s, nil
}

// doubt lists the open orders whose end nobody can tell.
func (v *view) doubt() (*control.OrderList, error) {
	s := &control.OrderList{Lane: v.lane.ID, State: v.state, Orders: []control.OrderStatus{}}
	err := v.piecewise((*gateway.Gateway).Places, func(g *gateway.Gateway, m *engine.Machine, i int) {
		var o app.OrderState
		if g.OrderAt(i, &o) && o.Open && o.InDoubt {
			s.Orders = append(s.Orders, orderStatus(v.lane, &o, m))
		}
	})
	return s, err
}

func orderStatus(l *config.Lane, o *app.OrderState, m *engine.Machine) control.OrderStatus {
	text := ""
	if m.FIX().Owns(o.Session) {
		text = m.FIX().ClOrdID(o.ClOrdID)
	}
	return control.OrderStatus{Session: sessionName(l, o.Session), Index: o.Session, ClOrdID: o.ClOrdID, Text: text, VenueID: gateway.VenueClOrdID(o.Session, o.ClOrdID),
		OrderID: o.OrderID, Venue: o.Venue, Account: o.Account, Symbol: o.SymbolID, Side: o.Side.String(), Type: o.OrdType.String(),
		TIF: o.TimeInForce.String(), Status: o.Status.String(), PriceTicks: o.PriceTicks, QtyLots: o.QtyLots, CumLots: o.CumLots,
		LeavesLots: o.LeavesLots, Open: o.Open, InDoubt: o.InDoubt}
}

// sessionName names a session as the configuration does.
func sessionName(l *config.Lane, i uint32) string {
	if i < uint32(len(l.Sessions)) {
		return l.Sessions[i].Name
	}
	if fix := l.FIXSessions(); int(i)-len(l.Sessions) < len(fix) {
		return fix[int(i)-len(l.Sessions)].Name
	}
	return fmt.Sprint(i)
}
