package convert

import "onebeat/engine/sbe"

// reasonTexts are what tag 58 says; a reason that is not here says its name.
var reasonTexts = map[sbe.RejectReason]string{
	sbe.RejectReasonUnknownSymbol:      "Unknown symbol",
	sbe.RejectReasonDuplicateClOrdID:   "Duplicate ClOrdID",
	sbe.RejectReasonClOrdIDTooLow:      "ClOrdID is older than what is remembered",
	sbe.RejectReasonClOrdIDOutOfRange:  "ClOrdID out of range",
	sbe.RejectReasonUnknownOrder:       "Unknown order",
	sbe.RejectReasonTooLateToCancel:    "Too late: the order is finished",
	sbe.RejectReasonMaxQuantity:        "Quantity exceeds the limit",
	sbe.RejectReasonMaxNotional:        "Notional exceeds the limit",
	sbe.RejectReasonPriceCollar:        "Price is outside of the collar",
	sbe.RejectReasonNoReferencePrice:   "No reference price",
	sbe.RejectReasonPositionLimit:      "Position limit",
	sbe.RejectReasonBadQuantity:        "Incorrect quantity",
	sbe.RejectReasonBadPrice:           "Incorrect price",
	sbe.RejectReasonBadField:           "A field has a value that is not supported",
	sbe.RejectReasonOrderTableFull:     "Too many open orders",
	sbe.RejectReasonPositionTableFull:  "Too many positions",
	sbe.RejectReasonVenueUnavailable:   "The venue cannot be reached",
	sbe.RejectReasonRequestPending:     "A request about this order is pending",
	sbe.RejectReasonNoLiquidity:        "No liquidity",
	sbe.RejectReasonUnsupportedMessage: "Message not supported",
	sbe.RejectReasonVenue:              "Refused by the venue",
	sbe.RejectReasonTooManyFills:       "Too many fills at once",
	sbe.RejectReasonRestricted:         "Trading is restricted",
	sbe.RejectReasonKilled:             "Blocked by the kill switch",
	sbe.RejectReasonOrderRate:          "Too many orders in a second",
	sbe.RejectReasonRepeatedExecutions: "Stopped after repeated executions, until a person enables it again",
	sbe.RejectReasonDuplicateContent:   "The same order was sent just before",
	sbe.RejectReasonGrossPosition:      "Gross position limit",
	sbe.RejectReasonOpenOrders:         "Too many orders are open",
	sbe.RejectReasonOpenNotional:       "Notional of open orders exceeds the limit",
	sbe.RejectReasonCredit:             "Credit exceeded",
	sbe.RejectReasonAccountTableFull:   "Too many accounts",
	sbe.RejectReasonSelfMatch:          "An order of the same account would meet it",
	sbe.RejectReasonOperator:           "By an operator",
	sbe.RejectReasonDisconnected:       "Cancelled because the session was lost",
}

// ReasonText is what a client reads of a reason.
func ReasonText(r sbe.RejectReason) string {
	if s, ok := reasonTexts[r]; ok {
		return s
	}
	return r.String()
}

// OrdRejReason is tag 103 of a reason.
func OrdRejReason(r sbe.RejectReason, v Version) int {
	switch r {
	case sbe.RejectReasonUnknownSymbol:
		return ordRejUnknownSym
	case sbe.RejectReasonDuplicateClOrdID, sbe.RejectReasonClOrdIDTooLow:
		return ordRejDuplicate
	case sbe.RejectReasonUnknownOrder:
		return ordRejUnknownOrder
	case sbe.RejectReasonMaxQuantity, sbe.RejectReasonMaxNotional, sbe.RejectReasonPositionLimit, sbe.RejectReasonGrossPosition,
		sbe.RejectReasonOpenOrders, sbe.RejectReasonOpenNotional, sbe.RejectReasonCredit:
		return 3 // order exceeds limit
	}
	return ordRejOf(ordRejOther, v)
}

// CxlRejReason is tag 102 of a reason.
func CxlRejReason(r sbe.RejectReason, v Version) int {
	switch r {
	case sbe.RejectReasonTooLateToCancel:
		return 0
	case sbe.RejectReasonUnknownOrder:
		return 1
	case sbe.RejectReasonRequestPending:
		return 3
	case sbe.RejectReasonDuplicateClOrdID, sbe.RejectReasonClOrdIDTooLow:
		if v == FIX44 {
			return 6
		}
	}
	return 2
}
