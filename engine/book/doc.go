// Package book is a price-time-priority matching engine for limit and market
// orders: day, immediate-or-cancel and fill-or-kill, and post-only. It runs replicated as an application of
// its own and unreplicated as the exchange simulator.
//
// An order keeps the ClOrdID it was entered with; OrigClOrdID always names
// that one. A flow of ClOrdIDs is (session, high 16 bits of the ClOrdID): a
// gateway that packs its own sessions there has one flow for each. Within a
// flow every ClOrdID is taken once, of new orders, cancels and replaces alike;
// a repeat is refused, or, with PossResend, answered with the state of the
// order it names.
//
// Priority. The better price is first, then the older order. A replace that only
// lowers the quantity keeps its priority; a new price or a greater quantity goes to
// the end of its level, and may trade at once. An order that a self-match rule
// decrements keeps its priority.
//
// A market order, or an immediate-or-cancel one, that finds nothing more to trade
// with is cancelled with NoLiquidity; a fill-or-kill order that cannot be filled at
// once and whole is cancelled with CannotFill before any of it trades; a post-only
// order, or its replace, that would trade is refused with WouldTrade. One order
// trades with at most FillsMax others in one go.
//
// Self-match rules (SelfMatch), phases and schedules (Phase) and seeded misbehaviour
// (Chaos) are described at their types. Drop copy sessions get a copy of every
// ExecutionReport in a recoverable flow of their own.
//
// All memory is bounded: a full table refuses the order with its reason.
// Finished orders are remembered for status until their place is needed.
package book
