// Package gateway is the order gateway as an application: it keeps order state
// and positions, checks risk before anything leaves, answers an accepted order
// with ExecutionReport(PendingNew) and sends it to the venue, both derived from
// the same record, and passes the venue's reports on.
//
// The venue's ClOrdID is session index << 48 | client ClOrdID: a bijection, a
// function of nothing else, and readable in the venue's log. Whoever is primary
// gives the same order the same identity, so the venue refuses a repeat.
// Client ClOrdIDs must be below 1<<48; each is taken once per session.
//
// Risk. Four checks, in this order: quantity, price collar, notional, position.
// The collar compares with the symbol's reference price, which trades move; a
// symbol without one refuses every order (it fails closed). The position check
// counts every open order of the side as if it were filled.
//
// While the venue is unreachable accepted orders wait, in order, as PendingNew;
// when the venue session's window is full, orders are refused with
// VenueUnavailable.
//
// An order that the venue refused as a duplicate, but knows no status of, is in
// doubt: it may have been executed and forgotten. It stays open and reserved,
// the venue_in_doubt counter says that an operator should ask the venue.
//
// All memory is bounded: a full table refuses the order with its reason.
package gateway
