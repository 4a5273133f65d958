package gateway

import (
	"onebeat/engine/app"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
)

// operate applies an operator's command.
func (g *Gateway) operate(c *operator.Command) operator.Result {
	var r operator.Result
	switch c.Kind {
	case operator.RiskSet:
		r = g.setLimit(c)
	case operator.RiskEnable:
		r = g.enable(c)
	case operator.RiskReference:
		r = g.setReference(c)
	case operator.Kill, operator.KillRelease:
		r = g.kill(c)
	case operator.OrderCancel, operator.OrderExecuted, operator.OrderEnded:
		r = g.operateOrder(c)
	default:
		return operator.Result{Outcome: operator.NotSupported}
	}
	d := app.Fold(g.digest, uint64(c.Kind)<<32|uint64(r.Outcome))
	d = app.Fold(d, uint64(c.Session)<<32|uint64(c.Account))
	d = app.Fold(d, uint64(c.Symbol)<<32|uint64(c.What))
	g.digest = app.Fold(d, uint64(c.Value)^c.Order<<16)
	return r
}

// setLimit sets one limit of one scope. Its result counts the changes so far.
func (g *Gateway) setLimit(c *operator.Command) operator.Result {
	l := Limit(c.What)
	if c.What >= uint32(LimitCount) || c.Value < Inherit || c.Value > limitInfos[l].most {
		return operator.Result{Outcome: operator.BadArgument}
	}
	named, row := 0, &g.limits
	if c.Session != operator.None {
		named++
		if c.Session >= uint32(len(g.sessions)) {
			return operator.Result{Outcome: operator.UnknownSession}
		}
		row = &g.sessions[c.Session].limits
	}
	if c.Symbol != operator.None {
		named++
		i, ok := g.symbolByID.Get(uint64(c.Symbol) + 1)
		if !ok {
			return operator.Result{Outcome: operator.UnknownSymbol}
		}
		row = &g.symbols[i].limits
	}
	if c.Account != operator.None {
		if named++; named > 1 {
			return operator.Result{Outcome: operator.BadArgument}
		}
		i := g.accountOf(c.Account)
		if i == none {
			return operator.Result{Outcome: operator.TableFull}
		}
		row = &g.accounts[i].limits
	}
	switch {
	case named > 1:
		return operator.Result{Outcome: operator.BadArgument}
	case row[l] == c.Value:
		return operator.Result{Outcome: operator.Unchanged, Count: int64(g.limitsRevision)}
	}
	if l == LimitRestricted {
		g.stops.Restricted += one(c.Value > 0) - one(row[l] > 0)
	}
	row[l] = c.Value
	g.limitsRevision++
	return operator.Result{Count: int64(g.limitsRevision)}
}

// enable lets an account trade a symbol again that the throttle stopped.
func (g *Gateway) enable(c *operator.Command) operator.Result {
	if c.Account == operator.None || c.Symbol == operator.None {
		return operator.Result{Outcome: operator.BadArgument}
	}
	i, ok := g.positionBy.Get((uint64(c.Account)<<32 | uint64(c.Symbol)) + 1)
	if !ok {
		return operator.Result{Outcome: operator.UnknownAccount}
	}
	p := &g.positions[i]
	if !p.stopped {
		return operator.Result{Outcome: operator.Unchanged}
	}
	p.stopped, p.repeats, p.repeatsNs = false, 0, 0
	g.stops.Positions--
	return operator.Result{}
}

func (g *Gateway) setReference(c *operator.Command) operator.Result {
	i, ok := g.symbolByID.Get(uint64(c.Symbol) + 1)
	switch {
	case !ok || c.Symbol == operator.None:
		return operator.Result{Outcome: operator.UnknownSymbol}
	case c.Price < 0 || c.Price > notionalMax:
		return operator.Result{Outcome: operator.BadArgument}
	}
	g.symbols[i].referenceTicks = c.Price
	return operator.Result{}
}

// operateOrder cancels an order, or says what became of one in doubt. The client is
// told like of any other end.
func (g *Gateway) operateOrder(c *operator.Command) operator.Result {
	if c.Session >= uint32(len(g.sessions)) {
		return operator.Result{Outcome: operator.UnknownSession}
	}
	i, ok := g.byKey.Get(VenueClOrdID(c.Session, c.Order))
	switch {
	case !ok || c.Order == 0 || c.Order > idMask:
		return operator.Result{Outcome: operator.UnknownOrder}
	case !g.orders[i].open():
		return operator.Result{Outcome: operator.OrderNotOpen}
	}
	o := &g.orders[i]
	switch {
	case c.Kind == operator.OrderCancel && o.pending != 0:
		return operator.Result{Outcome: operator.RequestPending}
	case c.Kind == operator.OrderCancel:
		if g.cancelOwn(i, sbe.RejectReasonOperator) != sbe.RejectReasonNone {
			return operator.Result{Outcome: operator.VenueUnavailable}
		}
		return operator.Result{Count: 1}
	case !g.orders[i].inDoubt:
		return operator.Result{Outcome: operator.OrderNotInDoubt}
	case c.Kind == operator.OrderEnded:
		g.endDoubt(o)
		g.close(o, sbe.OrdStatusCancelled)
		g.report(o, sbe.ExecTypeCancelled, o.clOrdID(), 0, sbe.RejectReasonOperator)
		return operator.Result{Count: 1}
	case c.Value < 1 || c.Value > int64(o.leaves()) || c.Price < 1 || c.Price > notionalMax:
		return operator.Result{Outcome: operator.BadArgument}
	}
	g.fill(o, uint32(c.Value), c.Price)
	if o.leaves() == 0 {
		g.endDoubt(o)
		g.close(o, sbe.OrdStatusFilled)
	} else {
		o.status = sbe.OrdStatusPartiallyFilled
	}
	g.lastTicks = c.Price
	g.report(o, sbe.ExecTypeTrade, o.clOrdID(), uint32(c.Value), sbe.RejectReasonOperator)
	g.lastTicks = 0
	return operator.Result{Count: 1}
}

// endDoubt ends what waits for the venue's answer about an order in doubt.
func (g *Gateway) endDoubt(o *order) {
	if o.pending != 0 {
		g.settle(o)
	}
	g.certain(o)
}
