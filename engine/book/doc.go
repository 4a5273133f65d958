// Package book is a price-time-priority matching engine for limit and market
// orders, day and immediate-or-cancel. It runs replicated as an application of
// its own and unreplicated as the exchange simulator.
//
// An order keeps the ClOrdID it was entered with; OrigClOrdID always names
// that one. A flow of ClOrdIDs is (session, high 16 bits of the ClOrdID): a
// gateway that packs its own sessions there has one flow for each. Within a
// flow every ClOrdID is taken once, of new orders, cancels and replaces alike;
// a repeat is refused, or, with PossResend, answered with the state of the
// order it names. A replace that only lowers the quantity keeps its priority.
//
// All memory is bounded: a full table refuses the order with its reason.
// Finished orders are remembered for status until their place is needed.
package book
