package gateway

import (
	"onebeat/engine/app"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
)

// ownSession stands in the venue's ClOrdIDs of cancels that no client asked for.
const ownSession = 1<<16 - 1

const (
	// sweepPlaces and sweepCancels bound one step of a mass cancel: what it looks at
	// and what it says, beside what the venue's window has room for.
	sweepPlaces  = 2048
	sweepCancels = 16
	// Where a pass left something to be done it is made again, later each time.
	sweepAgainNs    = 5_000_000
	sweepAgainMaxNs = 1_000_000_000
	sweepRefusedNs  = 50_000_000 // behind a cancel that the venue refused
)

// sweep is the walk over all orders that cancels those which shall go: one for all
// scopes, step by step, each a timer record.
type sweep struct {
	dueNs   int64 // lane time of the next step; 0: none
	againNs int64
	cursor  uint32
	again   bool // something was left for another pass
}

// startSweep begins a walk, or makes the one under way go round once more.
func (g *Gateway) startSweep() {
	s := &g.sweep
	if s.dueNs != 0 && s.cursor > 0 {
		s.again = true
	}
	s.dueNs, s.againNs = max(g.in.TimeNs, 1), sweepAgainNs
}

// condemned says why an order shall be cancelled; None: it stays.
func (g *Gateway) condemned(i uint32) sbe.RejectReason {
	o, number := &g.orders[i], g.nodes[i].number
	x := &g.sessions[o.session()]
	switch {
	case number < g.cancelBefore, number < g.accounts[g.positions[o.position].account].cancelBefore:
		return sbe.RejectReasonKilled
	case number < x.cancelBefore:
		return x.why
	}
	return sbe.RejectReasonNone
}

// sweepStep takes one step.
func (g *Gateway) sweepStep() {
	s := &g.sweep
	used, sent, failed := uint32(g.places.Used()), 0, 0
	for end := min(s.cursor+sweepPlaces, used); s.cursor < end && sent < sweepCancels && failed < sweepCancels; s.cursor++ {
		o := &g.orders[s.cursor]
		if !o.open() || o.pending == sbe.TemplateOrderCancelRequest || g.orders[s.cursor].inDoubt {
			continue
		}
		why := g.condemned(s.cursor)
		switch {
		case why == sbe.RejectReasonNone:
		case o.pending == 0 && g.cancelOwn(s.cursor, why) == sbe.RejectReasonNone:
			sent++
		default: // a replace is at the venue, or the venue takes nothing
			s.again = true
			failed++
		}
	}
	switch {
	case s.cursor < used:
		s.dueNs = g.in.TimeNs + 1
		if failed > 0 && sent == 0 {
			s.dueNs = g.in.TimeNs + sweepAgainNs
		}
	case s.again:
		s.cursor, s.again = 0, false
		s.dueNs = g.in.TimeNs + s.againNs
		s.againNs = min(2*s.againNs, sweepAgainMaxNs)
	default:
		*s = sweep{}
	}
}

// cancelOwn asks the venue to cancel an order that no request is about, for a reason
// of ours. It returns why that cannot be done now.
func (g *Gateway) cancelOwn(i uint32, why sbe.RejectReason) sbe.RejectReason {
	o, p := &g.orders[i], &g.positions[g.orders[i].position]
	if o.status == sbe.OrdStatusPendingNew && g.out.Withdraw(uint32(o.venue), o.key) {
		// The venue never saw it.
		g.counts[countWithdrawn]++
		g.close(o, sbe.OrdStatusCancelled)
		g.report(o, sbe.ExecTypeCancelled, o.clOrdID(), 0, why)
		return sbe.RejectReasonNone
	}
	key := uint64(ownSession)<<idBits | (g.ownCancels + 1)
	if !g.requests.Put(key, i) {
		return sbe.RejectReasonVenueUnavailable
	}
	block, not := g.out.ToVenue(uint32(o.venue), sbe.TemplateOrderCancelRequest, key)
	if block == nil {
		g.requests.Delete(key)
		return not
	}
	g.ownCancels++
	g.counts[countOwnCancels]++
	v := sbe.AsOrderCancelRequest(block)
	v.SetClOrdID(key)
	v.SetOrigClOrdID(o.key)
	v.SetSymbolID(p.SymbolID)
	v.SetAccount(p.Account)
	v.SetSide(o.side)
	o.pending, o.pendingID = sbe.TemplateOrderCancelRequest, key
	g.nodes[i].why = why
	g.report(o, sbe.ExecTypePendingCancel, o.clOrdID(), 0, why)
	g.out.SendToVenue()
	return sbe.RejectReasonNone
}

// ownCancelRefused: the venue refused a cancel of ours. What is still to go is tried
// again. An order that it does not know any more is in doubt; one that it has not
// answered yet may still come to it, behind the cancel.
func (g *Gateway) ownCancelRefused(o *order, why sbe.RejectReason) {
	g.counts[countOwnCancelsRefused]++
	if !o.open() {
		return
	}
	if why == sbe.RejectReasonUnknownOrder && o.status != sbe.OrdStatusPendingNew {
		g.doubt(o)
		return
	}
	g.sweepLater(o)
	g.report(o, sbe.ExecTypeOrderStatus, o.clOrdID(), 0, why)
}

// sweepLater makes the walk come by an order again, if that shall go.
func (g *Gateway) sweepLater(o *order) {
	i, _ := g.byKey.Get(o.key)
	if !o.open() || g.condemned(i) == sbe.RejectReasonNone {
		return
	}
	s := &g.sweep
	if s.dueNs == 0 {
		*s = sweep{dueNs: g.in.TimeNs + sweepRefusedNs, againNs: sweepAgainNs}
	}
	s.again = true
}

// sessionLost cancels what a session has open, in steps.
func (g *Gateway) sessionLost(session uint32) {
	if session >= uint32(len(g.sessions)) || g.sessions[session].open == 0 {
		return
	}
	x := &g.sessions[session]
	x.cancelBefore, x.why = g.taken+1, sbe.RejectReasonDisconnected
	g.counts[countSessionsLost]++
	g.digest = app.Fold(g.digest, uint64(session)<<32|uint64(x.open))
	g.startSweep()
}

// kill blocks a scope, or ends that; a kill cancels what the scope has open.
func (g *Gateway) kill(c *operator.Command) operator.Result {
	on, count := c.Kind == operator.Kill, int64(0)
	var killed *bool
	var before *uint64
	stops := new(int)
	switch {
	case c.Symbol != operator.None || c.Session != operator.None && c.Account != operator.None:
		return operator.Result{Outcome: operator.BadArgument}
	case c.Session != operator.None:
		if c.Session >= uint32(len(g.sessions)) {
			return operator.Result{Outcome: operator.UnknownSession}
		}
		x := &g.sessions[c.Session]
		killed, before, count, stops = &x.killed, &x.cancelBefore, int64(x.open), &g.stops.Sessions
		if on {
			x.why = sbe.RejectReasonKilled
		}
	case c.Account != operator.None:
		i := g.accountOf(c.Account)
		if i == none {
			return operator.Result{Outcome: operator.TableFull}
		}
		a := &g.accounts[i]
		killed, before, count, stops = &a.killed, &a.cancelBefore, int64(a.open), &g.stops.Accounts
	default:
		killed, before, count = &g.killed, &g.cancelBefore, int64(g.open)
	}
	if *killed == on && (!on || count == 0) {
		return operator.Result{Outcome: operator.Unchanged}
	}
	*stops += one(on) - one(*killed)
	if *killed = on; !on {
		return operator.Result{}
	}
	if *before = g.taken + 1; count > 0 {
		g.startSweep()
	}
	return operator.Result{Count: count}
}
