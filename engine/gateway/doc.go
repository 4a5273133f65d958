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
// Risk. Fifteen checks in a fixed order (check.go), each against a limit that is the
// strictest of what the account, the session and the symbol set, or else a default
// (limits.go); what each compared stays for who asks why. Sums over an account are kept
// as orders come and go (account.go), its resting orders in a tree by price (resting.go).
// Time is that of the record. The kill switch, a lost session and an operator end orders
// by cancels of the gateway's own, in bounded steps (kill.go); their ClOrdIDs at the venue
// begin with a session that no client has.
//
// While the venue is unreachable accepted orders wait, in order, as PendingNew;
// when the venue session's window is full, orders are refused with
// VenueUnavailable.
//
// A symbol's orders go to its venue, and what is said of an order counts only from
// the venue it went to. A symbol without one has no route: NoRoute.
//
// An order that the venue was sent and knows no status of (it refused it as a
// duplicate, or it lost its state and was asked about every order) is in doubt: it
// may have been executed and forgotten. It stays open and reserved; its client is
// told by an OrderStatus report with reason VenueInDoubt, and a person should ask
// the venue. A report that still arrives ends the doubt.
//
// All memory is bounded: a full table refuses the order with its reason.
package gateway
