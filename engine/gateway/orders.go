package gateway

import "onebeat/engine/app"

var _ app.Orders = (*Gateway)(nil)

// Order implements app.Orders. One that was refused for want of room is none.
func (g *Gateway) Order(session uint32, clOrdID uint64, o *app.OrderState) bool {
	if clOrdID == 0 || clOrdID > idMask {
		return false
	}
	x := g.findKey(VenueClOrdID(session, clOrdID))
	if x == nil || x.qtyLots == 0 {
		return false
	}
	g.fillState(x, o)
	return true
}

func (g *Gateway) fillState(x *order, o *app.OrderState) {
	p := &g.positions[x.position]
	*o = app.OrderState{Session: x.session(), ClOrdID: x.clOrdID(), OrderID: x.orderID, SymbolID: p.SymbolID, Account: p.Account,
		Side: x.side, OrdType: x.ordType, TimeInForce: x.tif, Status: x.shown(), PriceTicks: x.priceTicks, QtyLots: x.qtyLots,
		CumLots: x.cumLots, LeavesLots: x.leaves(), Open: x.open(), InDoubt: x.inDoubt, Venue: uint32(x.venue)}
	if o.Open {
		o.ReservedLots = x.exposure()
	}
	if x.pending != 0 {
		o.PendingTemplate, o.PendingClOrdID = x.pending, x.pendingID
	}
}

// OpenOrders implements app.Orders.
func (g *Gateway) OpenOrders(visit func(o *app.OrderState)) {
	var o app.OrderState
	for i := range g.orders {
		if x := &g.orders[i]; x.open() {
			g.fillState(x, &o)
			visit(&o)
		}
	}
}

// Requested implements app.Orders.
func (g *Gateway) Requested(session uint32, clOrdID uint64) (order uint64, ok bool) {
	if clOrdID == 0 || clOrdID > idMask {
		return 0, false
	}
	if x := g.pendingOf(session, clOrdID); x != nil {
		return x.clOrdID(), true
	}
	return 0, false
}

// VenueOrder implements app.Orders.
func (g *Gateway) VenueOrder(venueClOrdID uint64) (session uint32, clOrdID uint64, ok bool) {
	if venueClOrdID>>idBits == ownSession {
		i, ok := g.requests.Get(venueClOrdID)
		if !ok {
			return 0, 0, false
		}
		return g.orders[i].session(), g.orders[i].clOrdID(), true
	}
	return uint32(venueClOrdID >> idBits), venueClOrdID & idMask, true
}
