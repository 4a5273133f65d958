package app

import "onebeat/engine/sbe"

// OrderState is what an application knows of one order, for the cold side: read
// models, tools and tests.
type OrderState struct {
	Session         uint32
	ClOrdID         uint64 // unique in the session for the lane's life
	OrderID         uint64 // the venue's, or the book's; 0: not known yet
	SymbolID        uint32
	Account         uint32
	Side            sbe.Side
	OrdType         sbe.OrdType
	TimeInForce     sbe.TimeInForce
	Status          sbe.OrdStatus // as the client sees it
	PriceTicks      int64
	QtyLots         uint32
	CumLots         uint32
	LeavesLots      uint32
	Open            bool
	InDoubt         bool   // its venue does not know it, and may have executed it
	Venue           uint32 // where it went, of an application with venues
	ReservedLots    int64  // what it could still trade, a replace under way included
	PendingTemplate uint16 // of the request about it at the venue; 0: none
	PendingClOrdID  uint64 // that request's
}

// Orders is what an application implements whose orders are shown: none of its
// methods changes anything.
type Orders interface {
	// Order finds an order, open or finished and still remembered.
	Order(session uint32, clOrdID uint64, o *OrderState) bool
	// OpenOrders calls visit for every open order, in no particular order.
	OpenOrders(visit func(o *OrderState))
	// Requested returns the order that a session's cancel or replace at the venue
	// is about.
	Requested(session uint32, clOrdID uint64) (order uint64, ok bool)
	// VenueOrder returns the order that a message of the venue names, by its
	// ClOrdIDs there.
	VenueOrder(venueClOrdID uint64) (session uint32, clOrdID uint64, ok bool)
}
