package gateway

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

func (g *Gateway) applyVenue(in *app.Input) {
	switch in.Template {
	case sbe.TemplateExecutionReport:
		g.venueReport(sbe.AsExecutionReport(in.Block))
	case sbe.TemplateReject:
		g.venueReject(sbe.AsReject(in.Block))
	}
}

// venueReport takes a report of the venue into the order and passes it on.
func (g *Gateway) venueReport(r *sbe.ExecutionReport) {
	key := r.OrigClOrdID()
	if key == 0 {
		key = r.ClOrdID()
	}
	o := g.findKey(key)
	if o == nil {
		g.counts[countVenueUnknown]++
		return
	}
	if uint32(o.venue) != g.in.Venue {
		g.counts[countVenueForeign]++
		return
	}
	g.counts[countVenueReports]++
	o.orderID = r.OrderID()
	wasOpen := o.open()
	doubted := o.inDoubt
	g.certain(o)
	if doubted {
		g.sweepLater(o)
	}
	exec := r.ExecType()
	switch exec {
	case sbe.ExecTypeNew:
		if o.status == sbe.OrdStatusPendingNew {
			o.status = sbe.OrdStatusNew
		}
	case sbe.ExecTypeTrade:
		g.traded(o, r)
	case sbe.ExecTypeCancelled:
		if wasOpen {
			g.close(o, sbe.OrdStatusCancelled)
		}
	case sbe.ExecTypeReplaced:
		g.replaced(o, r.PriceTicks(), r.OrderQtyLots())
	case sbe.ExecTypeRejected:
		if wasOpen {
			g.close(o, sbe.OrdStatusRejected)
		}
	case sbe.ExecTypeOrderStatus:
		g.venueStatus(o, r, doubted)
		return
	default:
		g.counts[countVenueUnknown]++
		return
	}
	if exec != sbe.ExecTypeTrade && o.pending != 0 && r.ClOrdID() == o.pendingKey() {
		g.settle(o)
	}
	g.pass(o, r, exec, o.told(r.ClOrdID()))
}

// told is the client's name of a request at the venue; a cancel of our own has none,
// so that it is told of the order.
func (o *order) told(venueClOrdID uint64) uint64 {
	if venueClOrdID>>idBits == ownSession {
		return o.clOrdID()
	}
	return venueClOrdID & idMask
}

// pendingKey names the request about the order at the venue.
func (o *order) pendingKey() uint64 {
	if o.pendingID>>idBits == ownSession {
		return o.pendingID
	}
	return VenueClOrdID(o.session(), o.pendingID)
}

// traded takes a fill. A fill beyond the quantity would be the venue's error:
// it is booked all the same, positions follow the venue.
func (g *Gateway) traded(o *order, r *sbe.ExecutionReport) {
	if !o.open() {
		g.counts[countVenueUnknown]++
		return
	}
	g.fill(o, r.LastQtyLots(), r.LastPriceTicks())
	if r.LeavesQtyLots() == 0 {
		g.close(o, sbe.OrdStatusFilled)
	} else {
		o.status = sbe.OrdStatusPartiallyFilled
	}
}

func (g *Gateway) replaced(o *order, priceTicks int64, qtyLots uint32) {
	if !o.open() {
		return
	}
	i, _ := g.byKey.Get(o.key)
	g.unrest(i)
	before := o.reserved()
	o.priceTicks, o.qtyLots, o.pendingLots = priceTicks, qtyLots, 0
	if o.ordType == sbe.OrdTypeLimit {
		o.pendingTicks = 0
	}
	g.rebook(o, before)
	g.rest(i)
}

// settle ends the cancel or replace at the venue and frees what it reserved.
func (g *Gateway) settle(o *order) {
	i, _ := g.byKey.Get(o.key)
	g.unrest(i)
	before := o.reserved()
	g.requests.Delete(o.pendingKey())
	o.pending, o.pendingID, o.pendingLots = 0, 0, 0
	if o.ordType == sbe.OrdTypeLimit {
		o.pendingTicks = 0
	}
	g.rebook(o, before)
	g.rest(i)
}

// venueStatus takes over the venue's view of an order after something was lost:
// fills nobody told us of, then the end of the order or of the request asked
// about. The client is told the outcome under the execution it stands for.
func (g *Gateway) venueStatus(o *order, r *sbe.ExecutionReport, doubted bool) {
	g.counts[countVenueStatus]++
	if !o.open() {
		return
	}
	exec := sbe.ExecTypeOrderStatus
	if missed := r.CumQtyLots() - o.cumLots; r.CumQtyLots() > o.cumLots {
		g.counts[countVenueMissedFills]++
		g.fill(o, missed, 0)
		o.status = sbe.OrdStatusPartiallyFilled
		exec = sbe.ExecTypeTrade
	}
	pending, asked := o.pending, o.pending != 0 && r.ClOrdID() == o.pendingKey()
	if r.OrderQtyLots() != o.qtyLots || r.PriceTicks() != o.priceTicks {
		g.replaced(o, r.PriceTicks(), r.OrderQtyLots())
		if asked && pending == sbe.TemplateOrderCancelReplaceRequest {
			exec = sbe.ExecTypeReplaced
		}
	}
	if asked {
		g.settle(o)
	}
	switch r.OrdStatus() {
	case sbe.OrdStatusFilled:
		g.close(o, sbe.OrdStatusFilled)
	case sbe.OrdStatusCancelled:
		g.close(o, sbe.OrdStatusCancelled)
		exec = sbe.ExecTypeCancelled
	case sbe.OrdStatusNew:
		if o.status == sbe.OrdStatusPendingNew {
			o.status = sbe.OrdStatusNew
			exec = sbe.ExecTypeNew
		}
	}
	if exec == sbe.ExecTypeOrderStatus && !asked && !doubted {
		return // it stands as everybody thought
	}
	if asked && exec == sbe.ExecTypeOrderStatus {
		// The order stands as it was: the request did not succeed.
		if r.ClOrdID()>>idBits == ownSession {
			g.ownCancelRefused(o, sbe.RejectReasonVenue)
			return
		}
		g.reject(clientRef{session: o.session(), clOrdID: r.ClOrdID() & idMask, template: pending}, sbe.RejectReasonVenue, 0, 0)
		return
	}
	g.pass(o, r, exec, o.told(r.ClOrdID()))
}

// venueReject ends what the venue refused.
func (g *Gateway) venueReject(r *sbe.Reject) {
	key := r.ClOrdID()
	session, clOrdID := uint32(key>>idBits), key&idMask
	if session >= uint32(len(g.windows)) && session != ownSession {
		g.counts[countVenueUnknown]++
		return
	}
	if r.Reason() == sbe.RejectReasonDuplicateClOrdID {
		// The venue knows it: whatever became of it, it was not rejected.
		g.counts[countVenueDuplicates]++
		return
	}
	g.counts[countVenueRejects]++
	if o := g.findKey(key); o != nil {
		if uint32(o.venue) != g.in.Venue {
			g.counts[countVenueForeign]++
		} else if o.open() {
			g.venueRefused(o, r)
		}
		return
	}
	o := g.pendingOf(session, clOrdID)
	if o == nil || uint32(o.venue) != g.in.Venue {
		g.counts[countVenueUnknown]++
		return
	}
	template := o.pending
	g.settle(o)
	if session == ownSession {
		g.ownCancelRefused(o, r.Reason())
		return
	}
	g.reject(clientRef{session: session, clOrdID: clOrdID, template: template}, r.Reason(), r.Value(), r.Limit())
}

// venueRefused ends an order that the venue did not take. It did take one whose
// status it cannot tell: that was asked for because the venue refused the order
// as a duplicate, or had lost its state; it has forgotten since how the order
// ended. Whether it was executed is in doubt, so nobody is told an end.
func (g *Gateway) venueRefused(o *order, r *sbe.Reject) {
	if r.RefTemplateID() == sbe.TemplateOrderStatusRequest {
		g.doubt(o)
		return
	}
	g.close(o, sbe.OrdStatusRejected)
	g.report(o, sbe.ExecTypeRejected, o.clOrdID(), 0, r.Reason())
}

// pendingOf finds the order whose cancel or replace has this ClOrdID.
func (g *Gateway) pendingOf(session uint32, clOrdID uint64) *order {
	i, ok := g.requests.Get(VenueClOrdID(session, clOrdID))
	if !ok {
		return nil
	}
	return &g.orders[i]
}
