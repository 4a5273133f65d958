package book

import "onebeat/engine/app"

var _ app.Orders = (*Book)(nil)

// Order implements app.Orders.
func (b *Book) Order(session uint32, clOrdID uint64, o *app.OrderState) bool {
	f, ok := b.flows.Get((uint64(session)<<16 | clOrdID>>idBits) + 1)
	if !ok {
		return false
	}
	i, ok := b.byKey.Get(uint64(f)<<idBits | clOrdID&idMask)
	if !ok {
		return false
	}
	b.fillState(&b.orders[i], o)
	return true
}

func (b *Book) fillState(x *order, o *app.OrderState) {
	*o = app.OrderState{Session: x.session, ClOrdID: x.clOrdID, OrderID: x.orderID, SymbolID: b.cfg.Symbols[x.symbol], Account: x.account,
		Side: x.side, OrdType: x.ordType, TimeInForce: x.tif, Status: x.status, PriceTicks: x.priceTicks, QtyLots: x.qtyLots,
		CumLots: x.cumLots, LeavesLots: x.leaves(), Open: x.open(), ReservedLots: int64(x.leaves())}
}

// OpenOrders implements app.Orders.
func (b *Book) OpenOrders(visit func(o *app.OrderState)) {
	var o app.OrderState
	for i := range b.orders {
		if x := &b.orders[i]; x.open() {
			b.fillState(x, &o)
			visit(&o)
		}
	}
}

// Requested implements app.Orders: a book answers at once.
func (b *Book) Requested(uint32, uint64) (order uint64, ok bool) { return 0, false }

// VenueOrder implements app.Orders: a book has no venue.
func (b *Book) VenueOrder(uint64) (session uint32, clOrdID uint64, ok bool) { return 0, 0, false }
