package convert

import (
	"strconv"

	"onebeat/engine/sbe"
)

// Report is a report with what the schema does not carry.
type Report struct {
	*sbe.ExecutionReport
	ClOrdID, OrigClOrdID []byte // as the client wrote them; no OrigClOrdID: nil
	TradedSum            int64  // price ticks times lots of all fills, for AvgPx
}

// AppendReport writes the body of an ExecutionReport.
func (n *Names) AppendReport(b []byte, r *Report) []byte {
	x := n.Instrument(r.SymbolID())
	exec, status := byte(r.ExecType()), byte(r.OrdStatus())
	if id := r.OrderID(); id != 0 {
		b = AppendInt(b, 37, int64(id))
	} else {
		b = AppendField(b, 37, "NONE") // the venue has not said it yet
	}
	b = AppendInt(b, 17, int64(r.ExecID()))
	if n.Version == FIX42 {
		trans := byte('0')
		if exec == byte(sbe.ExecTypeOrderStatus) {
			trans = '3'
		}
		b = AppendChar(b, 20, trans)
	}
	b = AppendField(b, 11, r.ClOrdID)
	if len(r.OrigClOrdID) > 0 {
		b = AppendField(b, 41, r.OrigClOrdID)
	}
	b = n.appendAccount(b, r.Account())
	b = AppendChar(b, 150, n.execType(exec, status))
	b = AppendChar(b, 39, status)
	if status == byte(sbe.OrdStatusRejected) {
		b = AppendInt(b, 103, int64(OrdRejReason(r.Reason(), n.Version)))
	}
	b = n.appendSymbol(b, r.SymbolID())
	b = AppendChar(b, 54, '0'+byte(r.Side()))
	b = AppendInt(b, 38, int64(r.OrderQtyLots()))
	b = AppendChar(b, 40, '0'+byte(r.OrdType()))
	if r.OrdType() == sbe.OrdTypeLimit {
		b = append(x.Tick.AppendPrice(append(b, "44="...), r.PriceTicks()), SOH)
	}
	b = AppendChar(b, 59, '0'+byte(r.TimeInForce()))
	if exec == byte(sbe.ExecTypeTrade) {
		b = AppendInt(b, 32, int64(r.LastQtyLots()))
		b = append(x.Tick.AppendPrice(append(b, "31="...), r.LastPriceTicks()), SOH)
	}
	b = AppendInt(b, 151, int64(r.LeavesQtyLots()))
	b = AppendInt(b, 14, int64(r.CumQtyLots()))
	b = append(x.Tick.AppendAverage(append(b, "6="...), r.TradedSum, int64(r.CumQtyLots())), SOH)
	b = AppendTimeField(b, 60, int64(r.TransactTimeNs()))
	if why := r.Reason(); why != sbe.RejectReasonNone {
		b = AppendField(b, 58, ReasonText(why))
	}
	return b
}

// execType: FIX 4.2 says whether a fill is the last one where 4.4 says F, and the
// status where 4.4 says I.
func (n *Names) execType(exec, status byte) byte {
	if n.Version == FIX44 {
		return exec
	}
	switch sbe.ExecType(exec) {
	case sbe.ExecTypeTrade:
		if status == byte(sbe.OrdStatusFilled) {
			return '2'
		}
		return '1'
	case sbe.ExecTypeOrderStatus:
		return status
	}
	return exec
}

// Refused is a Reject of the schema with what it says nothing of.
type Refused struct {
	*sbe.Reject
	ClOrdID, OrigClOrdID []byte
	OrderID              uint64        // of the order it is about, 0: not known
	OrdStatus            sbe.OrdStatus // of that order; 0: there is none
	// Of the request, for a new order that was refused.
	SymbolID, Account, QtyLots uint32
	Side                       sbe.Side
	ExecID                     uint64
	TimeNs                     int64
}

// AppendReject writes the body that answers a refused request, and returns its type:
// ExecutionReport, OrderCancelReject or BusinessMessageReject.
func (n *Names) AppendReject(b []byte, r *Refused) (byte, []byte) {
	why := r.Reason()
	switch r.RefTemplateID() {
	case sbe.TemplateNewOrderSingle, sbe.TemplateOrderStatusRequest:
		return '8', n.appendRefusedOrder(b, r)
	case sbe.TemplateOrderCancelRequest, sbe.TemplateOrderCancelReplaceRequest:
		b = appendOrderID(b, r.OrderID)
		b = AppendField(b, 11, r.ClOrdID)
		b = AppendField(b, 41, orNone(r.OrigClOrdID))
		status := byte(r.OrdStatus)
		if status == 0 {
			status = '8'
		}
		b = AppendChar(b, 39, status)
		response := byte('1')
		if r.RefTemplateID() == sbe.TemplateOrderCancelReplaceRequest {
			response = '2'
		}
		b = AppendChar(b, 434, response)
		b = AppendInt(b, 102, int64(CxlRejReason(why, n.Version)))
		b = AppendTimeField(b, 60, r.TimeNs)
		return '9', AppendField(b, 58, ReasonText(why))
	}
	b = AppendField(b, 372, "UNKNOWN")
	b = AppendInt(b, 380, BusinessUnsupported)
	return 'j', AppendField(b, 58, ReasonText(why))
}

func appendOrderID(b []byte, id uint64) []byte {
	if id == 0 {
		return AppendField(b, 37, "NONE")
	}
	return AppendInt(b, 37, int64(id))
}

// appendRefusedOrder: a new order that was not taken, or a status asked of an order
// that nobody knows.
func (n *Names) appendRefusedOrder(b []byte, r *Refused) []byte {
	b = appendOrderID(b, r.OrderID)
	b = append(b, "17=r"...)
	b = append(strconv.AppendUint(b, r.ExecID, 10), SOH)
	if n.Version == FIX42 {
		trans := byte('0')
		if r.RefTemplateID() == sbe.TemplateOrderStatusRequest {
			trans = '3'
		}
		b = AppendChar(b, 20, trans)
	}
	b = AppendField(b, 11, r.ClOrdID)
	b = n.appendAccount(b, r.Account)
	exec := byte('8')
	if n.Version == FIX44 && r.RefTemplateID() == sbe.TemplateOrderStatusRequest {
		exec = 'I'
	}
	b = AppendChar(b, 150, exec)
	b = AppendChar(b, 39, '8')
	b = AppendInt(b, 103, int64(OrdRejReason(r.Reason(), n.Version)))
	b = n.appendSymbol(b, r.SymbolID)
	side := byte(r.Side)
	if side == 0 {
		side = byte(sbe.SideBuy) // a status request names none, and the field is required
	}
	b = AppendChar(b, 54, '0'+side)
	if r.QtyLots != 0 {
		b = AppendInt(b, 38, int64(r.QtyLots))
	}
	b = AppendInt(b, 151, 0)
	b = AppendInt(b, 14, 0)
	b = AppendInt(b, 6, 0)
	b = AppendTimeField(b, 60, r.TimeNs)
	return AppendField(b, 58, ReasonText(r.Reason()))
}
