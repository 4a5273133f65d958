package gateway

// Stops counts what keeps somebody from ordering until a person ends it. It follows from
// the state and is not saved.
type Stops struct {
	Everybody          bool
	Sessions, Accounts int // killed
	Restricted         int // scopes, the default's among them
	Positions          int // stopped by the repeated execution throttle
}

// Any reports whether anything is stopped.
func (s *Stops) Any() bool { return *s != Stops{} }

// Stops returns what is stopped now.
func (g *Gateway) Stops() Stops { s := g.stops; s.Everybody = g.killed; return s }

// countStops begins the counts anew.
func (g *Gateway) countStops() {
	g.stops = Stops{Restricted: one(g.limits[LimitRestricted] > 0)}
	for i := range g.sessions {
		g.stops.Sessions += one(g.sessions[i].killed)
		g.stops.Restricted += one(g.sessions[i].limits[LimitRestricted] > 0)
	}
	for i := range g.accountIn {
		g.stops.Accounts += one(g.accounts[i].killed)
		g.stops.Restricted += one(g.accounts[i].limits[LimitRestricted] > 0)
	}
	for i := range g.symbols {
		g.stops.Restricted += one(g.symbols[i].limits[LimitRestricted] > 0)
	}
	for i := range g.positionIn {
		g.stops.Positions += one(g.positions[i].stopped)
	}
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}
