package gateway

import (
	"onebeat/engine/sbe"
)

func (g *Gateway) newOrder(m *sbe.NewOrderSingle) {
	g.counts[countNew]++
	g.possResend = m.PossResend()
	id, ref := m.ClOrdID(), g.ref(m.ClOrdID())
	if why := g.look(id); why != sbe.RejectReasonNone {
		g.repeat(id, id, why)
		return
	}
	g.windows[g.in.Session].Mark(id)
	si, ok := g.symbolByID.Get(uint64(m.SymbolID()) + 1)
	if !ok {
		g.reject(ref, sbe.RejectReasonUnknownSymbol, int64(m.SymbolID()), 0)
		return
	}
	if why := checkFields(m, sbe.NewOrderSingleExecInst(g.in.Block)); why != sbe.RejectReasonNone {
		g.reject(ref, why, m.PriceTicks(), 0)
		return
	}
	pi, why := g.position(m.Account(), si)
	if pi == none {
		g.reject(ref, why, int64(g.positionIn), int64(len(g.positions)))
		return
	}
	qtyLots := m.QtyLots()
	r := &g.checking
	r.clOrdID, r.session, r.position, r.symbol, r.place = id, g.in.Session, pi, si, none
	r.side, r.ordType, r.priceTicks, r.qtyLots = m.Side(), m.OrdType(), m.PriceTicks(), qtyLots
	r.hash = contentHash(r.session, m)
	if !g.check(r) || !g.pushAside(r) {
		return
	}
	key := VenueClOrdID(g.in.Session, id)
	i := g.alloc(key)
	if i == none {
		g.reject(ref, sbe.RejectReasonOrderTableFull, int64(g.open), int64(len(g.orders)))
		return
	}
	block, why := g.out.ToVenue(g.symbols[si].venue, sbe.TemplateNewOrderSingle, key)
	if block == nil {
		g.orders[i] = order{key: key, position: pi, symbol: uint16(si), status: sbe.OrdStatusRejected}
		g.places.Finish(i)
		g.notSent(ref, why, g.symbols[si].venue)
		return
	}
	v := sbe.AsNewOrderSingle(block)
	*v = *m
	v.SetClOrdID(key)
	v.SetPossResend(0)
	sbe.SetNewOrderSingleExecInst(block, sbe.NewOrderSingleExecInst(g.in.Block))
	o := &g.orders[i]
	*o = order{key: key, priceTicks: m.PriceTicks(), qtyLots: qtyLots, position: pi, symbol: uint16(si), venue: uint16(g.symbols[si].venue),
		side: m.Side(), ordType: m.OrdType(), tif: m.TimeInForce(), status: sbe.OrdStatusPendingNew}
	if o.ordType == sbe.OrdTypeMarket {
		o.pendingTicks = r.worthTicks
	}
	g.opened(i)
	g.noteContent(r)
	g.report(o, sbe.ExecTypePendingNew, id, 0, sbe.RejectReasonNone)
	g.out.SendToVenue()
}

// notSent refuses a request that could not be handed to its venue.
func (g *Gateway) notSent(ref clientRef, why sbe.RejectReason, venue uint32) {
	switch why {
	case sbe.RejectReasonNoRoute:
		g.counts[countNoRoute]++
		venue = 0
	case sbe.RejectReasonVenueThrottle:
		g.counts[countThrottled]++
	case sbe.RejectReasonVenueCircuitOpen:
		g.counts[countCircuitOpen]++
	}
	g.reject(ref, why, int64(venue), 0)
}

func checkFields(m *sbe.NewOrderSingle, inst sbe.ExecInst) sbe.RejectReason {
	if m.QtyLots() == 0 {
		return sbe.RejectReasonBadQuantity
	}
	if s := m.Side(); s != sbe.SideBuy && s != sbe.SideSell {
		return sbe.RejectReasonBadField
	}
	switch m.TimeInForce() {
	case sbe.TimeInForceDay, sbe.TimeInForceImmediateOrCancel, sbe.TimeInForceFillOrKill:
	default:
		return sbe.RejectReasonBadField
	}
	if inst != sbe.ExecInstNone && (inst != sbe.ExecInstPostOnly || m.OrdType() != sbe.OrdTypeLimit || m.TimeInForce() != sbe.TimeInForceDay) {
		return sbe.RejectReasonBadField
	}
	switch m.OrdType() {
	case sbe.OrdTypeMarket:
		return sbe.RejectReasonNone
	case sbe.OrdTypeLimit:
		if m.PriceTicks() > 0 {
			return sbe.RejectReasonNone
		}
		return sbe.RejectReasonBadPrice
	}
	return sbe.RejectReasonBadField
}

// repeat answers a ClOrdID that cannot be taken: with PossResend the state of
// the order it is about, if that is still known.
func (g *Gateway) repeat(clOrdID, about uint64, why sbe.RejectReason) {
	if g.possResend != 0 && why == sbe.RejectReasonDuplicateClOrdID {
		if o := g.find(about); o != nil && o.status != sbe.OrdStatusRejected {
			g.counts[countPossResend]++
			g.report(o, sbe.ExecTypeOrderStatus, clOrdID, 0, sbe.RejectReasonNone)
			return
		}
	}
	g.counts[countDuplicates]++
	g.reject(g.ref(clOrdID), why, int64(clOrdID&idMask), 0)
}

func (g *Gateway) cancel(m *sbe.OrderCancelRequest) {
	g.counts[countCancel]++
	g.possResend = m.PossResend()
	id := m.ClOrdID()
	o := g.begin(id, m.OrigClOrdID())
	if o == nil {
		return
	}
	if o.status == sbe.OrdStatusPendingNew && g.out.Withdraw(uint32(o.venue), o.key) {
		// The venue never saw it.
		g.counts[countWithdrawn]++
		g.close(o, sbe.OrdStatusCancelled)
		g.report(o, sbe.ExecTypeCancelled, id, 0, sbe.RejectReasonWithdrawn)
		return
	}
	venue := g.request(o, sbe.TemplateOrderCancelRequest, id)
	if venue == nil {
		return
	}
	v := sbe.AsOrderCancelRequest(venue)
	*v = *m
	v.SetClOrdID(VenueClOrdID(g.in.Session, id))
	v.SetOrigClOrdID(o.key)
	v.SetPossResend(0)
	g.report(o, sbe.ExecTypePendingCancel, id, 0, sbe.RejectReasonNone)
	g.out.SendToVenue()
}

func (g *Gateway) replace(m *sbe.OrderCancelReplaceRequest) {
	g.counts[countReplace]++
	g.possResend = m.PossResend()
	id := m.ClOrdID()
	o := g.begin(id, m.OrigClOrdID())
	if o == nil {
		return
	}
	if m.QtyLots() <= o.cumLots {
		g.reject(g.ref(id), sbe.RejectReasonBadQuantity, int64(m.QtyLots()), int64(o.cumLots))
		return
	}
	if m.PriceTicks() <= 0 || o.ordType != sbe.OrdTypeLimit {
		g.reject(g.ref(id), sbe.RejectReasonBadPrice, m.PriceTicks(), 1)
		return
	}
	i, _ := g.byKey.Get(o.key)
	r := &g.checking
	r.clOrdID, r.session, r.position, r.symbol, r.place = id, g.in.Session, o.position, uint32(o.symbol), i
	r.side, r.ordType, r.priceTicks, r.qtyLots = o.side, o.ordType, m.PriceTicks(), m.QtyLots()
	if !g.check(r) || !g.pushAside(r) {
		return
	}
	venue := g.request(o, sbe.TemplateOrderCancelReplaceRequest, id)
	if venue == nil {
		return
	}
	v := sbe.AsOrderCancelReplaceRequest(venue)
	*v = *m
	v.SetClOrdID(VenueClOrdID(g.in.Session, id))
	v.SetOrigClOrdID(o.key)
	v.SetPossResend(0)
	g.unrest(i)
	before := o.reserved()
	o.pendingTicks, o.pendingLots = m.PriceTicks(), m.QtyLots()
	g.rebook(o, before)
	g.rest(i)
	g.report(o, sbe.ExecTypePendingReplace, id, 0, sbe.RejectReasonNone)
	g.out.SendToVenue()
}

// pushAside cancels the resting orders that the request would trade with; false: the
// venue takes nothing, and the request was refused.
func (g *Gateway) pushAside(r *request) bool {
	for _, i := range r.aside[:r.asides] {
		if why := g.cancelOwn(i, sbe.RejectReasonSelfMatch); why != sbe.RejectReasonNone {
			g.notSent(g.ref(r.clOrdID), why, uint32(g.orders[i].venue))
			return false
		}
	}
	return true
}

// begin takes the ClOrdID of a cancel or replace and returns the order it is
// about; nil: it was refused.
func (g *Gateway) begin(id, origID uint64) *order {
	if why := g.look(id); why != sbe.RejectReasonNone {
		g.repeat(id, origID, why)
		return nil
	}
	g.windows[g.in.Session].Mark(id)
	o := g.find(origID)
	why := sbe.RejectReasonNone
	switch {
	case o == nil:
		why = sbe.RejectReasonUnknownOrder
	case !o.open():
		why = sbe.RejectReasonTooLateToCancel
	case o.pending != 0:
		why = sbe.RejectReasonRequestPending
	default:
		return o
	}
	g.reject(g.ref(id), why, int64(origID&idMask), 0)
	return nil
}

// request starts a cancel or replace at the venue; nil: there was no room for
// it and it was refused.
func (g *Gateway) request(o *order, template uint16, id uint64) []byte {
	key := VenueClOrdID(o.session(), id)
	i, _ := g.byKey.Get(o.key)
	if g.requests.Put(key, i) {
		block, why := g.out.ToVenue(uint32(o.venue), template, key)
		if block != nil {
			o.pending, o.pendingID = template, id
			return block
		}
		g.requests.Delete(key)
		g.notSent(g.ref(id), why, uint32(o.venue))
		return nil
	}
	g.reject(g.ref(id), sbe.RejectReasonVenueUnavailable, 0, 0)
	return nil
}
