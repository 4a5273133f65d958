package convert

import (
	"math"

	"onebeat/engine/sbe"
)

// AppendRequest writes the body of a request to a venue and returns its type. Its
// ClOrdIDs are the block's numbers. nowNs is TransactTime.
func (n *Names) AppendRequest(b []byte, template uint16, block []byte, nowNs int64) (byte, []byte) {
	switch template {
	case sbe.TemplateNewOrderSingle:
		m := sbe.AsNewOrderSingle(block)
		b = AppendInt(b, 11, int64(m.ClOrdID()))
		b = n.appendAccount(b, m.Account())
		if inst := sbe.NewOrderSingleExecInst(block); inst != sbe.ExecInstNone {
			b = AppendChar(b, 18, byte(inst))
		}
		b = n.appendOrder(b, m.SymbolID(), m.Side(), m.QtyLots(), nowNs)
		b = n.appendPrice(b, m.SymbolID(), m.OrdType(), m.PriceTicks())
		return 'D', AppendChar(b, 59, '0'+byte(m.TimeInForce()))
	case sbe.TemplateOrderCancelRequest:
		m := sbe.AsOrderCancelRequest(block)
		b = AppendInt(b, 41, int64(m.OrigClOrdID()))
		b = AppendInt(b, 11, int64(m.ClOrdID()))
		b = n.appendAccount(b, m.Account())
		return 'F', n.appendOrder(b, m.SymbolID(), m.Side(), 0, nowNs)
	case sbe.TemplateOrderCancelReplaceRequest:
		m := sbe.AsOrderCancelReplaceRequest(block)
		b = AppendInt(b, 41, int64(m.OrigClOrdID()))
		b = AppendInt(b, 11, int64(m.ClOrdID()))
		b = n.appendAccount(b, m.Account())
		b = n.appendOrder(b, m.SymbolID(), m.Side(), m.QtyLots(), nowNs)
		return 'G', n.appendPrice(b, m.SymbolID(), sbe.OrdTypeLimit, m.PriceTicks())
	case sbe.TemplateOrderStatusRequest:
		m := sbe.AsOrderStatusRequest(block)
		b = AppendInt(b, 11, int64(m.ClOrdID()))
		b = n.appendAccount(b, m.Account())
		b = n.appendSymbol(b, m.SymbolID())
		return 'H', AppendChar(b, 54, '1')
	}
	return 0, b
}

func (n *Names) appendOrder(b []byte, symbol uint32, side sbe.Side, lots uint32, nowNs int64) []byte {
	b = AppendChar(b, 21, '1')
	b = n.appendSymbol(b, symbol)
	b = AppendChar(b, 54, '0'+byte(side))
	b = AppendTimeField(b, 60, nowNs)
	if lots > 0 {
		b = AppendInt(b, 38, int64(lots))
	}
	return b
}

func (n *Names) appendPrice(b []byte, symbol uint32, ordType sbe.OrdType, ticks int64) []byte {
	b = AppendChar(b, 40, '0'+byte(ordType))
	if ordType != sbe.OrdTypeLimit {
		return b
	}
	return append(n.Instrument(symbol).Tick.AppendPrice(append(b, "44="...), ticks), SOH)
}

// FromVenue reads a message of a venue, ExecutionReport (8), OrderCancelReject (9),
// Reject (3) or BusinessMessageReject (j), into b, which holds sbe.MaxMessageBytes.
// Its ClOrdIDs are the numbers that AppendRequest wrote. false: it is none of them,
// or lacks what it must have. A Reject names the refused message by its MsgSeqNum
// (RefSeqNo) alone: whoever sent it knows the ClOrdID.
func (n *Names) FromVenue(msgType byte, message, b []byte) (template uint16, block []byte, ok bool) {
	v := venueFields{names: n}
	for rest := message; len(rest) > 0; {
		tag, value, next, good := Next(rest)
		if !good {
			return 0, nil, false
		}
		rest = next
		v.take(tag, value)
	}
	if v.bad {
		return 0, nil, false
	}
	switch msgType {
	case '8':
		block = v.report(b)
		return sbe.TemplateExecutionReport, block, block != nil
	case '9', '3', 'j':
		return sbe.TemplateReject, v.reject(msgType, b), true
	}
	return 0, nil, false
}

// venueFields are a report's fields as numbers.
type venueFields struct {
	names                                                           *Names
	bad                                                             bool
	clOrdID, origClOrdID, orderID, execID, refSeqNo                 uint64
	price, lastPrice                                                []byte
	symbol                                                          []byte
	account                                                         []byte
	qty, lastQty, leaves, cum                                       uint32
	side, ordType, tif, execType, status, trans, response, possRsnd byte
	rejReason, cxlReason                                            uint64
	refType                                                         byte
	timeNs                                                          int64
}

func (v *venueFields) number(value []byte) uint64 {
	x, ok := Uint(value)
	v.bad = v.bad || !ok
	return x
}

// lots reads a quantity, 0 included.
func (v *venueFields) lots(value []byte) uint32 {
	x, ok := OneTick.Ticks(value)
	v.bad = v.bad || !ok || x < 0 || x > math.MaxUint32
	return uint32(x)
}

func char(value []byte) byte {
	if len(value) != 1 {
		return 0
	}
	return value[0]
}

func (v *venueFields) take(tag int, value []byte) {
	switch tag {
	case 1:
		v.account = value
	case 6, 58:
	case 11:
		v.clOrdID = v.number(value)
	case 14:
		v.cum = v.lots(value)
	case 17:
		v.execID, _ = Uint(value) // a venue may use letters: its reports are told apart by their numbers
	case 20:
		v.trans = char(value)
	case 31:
		v.lastPrice = value
	case 32:
		v.lastQty = v.lots(value)
	case 37:
		v.orderID, _ = Uint(value)
	case 38:
		v.qty = v.lots(value)
	case 39:
		v.status = char(value)
	case 40:
		v.ordType = char(value)
	case 41:
		v.origClOrdID, _ = Uint(value)
	case 44:
		v.price = value
	case 45:
		v.refSeqNo = v.number(value)
	case 54:
		v.side = char(value)
	case 55:
		v.symbol = value
	case 59:
		v.tif = char(value)
	case 60:
		v.timeNs, _ = Time(value)
	case 97:
		v.possRsnd = char(value)
	case 102:
		v.cxlReason = v.number(value)
	case 103:
		v.rejReason = v.number(value)
	case 150:
		v.execType = char(value)
	case 151:
		v.leaves = v.lots(value)
	case 372:
		v.refType = char(value)
	case 434:
		v.response = char(value)
	}
}

func (v *venueFields) report(b []byte) []byte {
	x, ok := v.names.Symbol(v.symbol)
	if !ok || v.clOrdID == 0 || v.execType == 0 || v.status == 0 {
		return nil
	}
	block := b[:sbe.BlockBytes(sbe.TemplateExecutionReport)]
	clear(block)
	r := sbe.AsExecutionReport(block)
	exec := sbe.ExecType(v.execType)
	switch {
	case v.trans == '3':
		exec = sbe.ExecTypeOrderStatus
	case v.execType == '1' || v.execType == '2':
		exec = sbe.ExecTypeTrade
	}
	r.SetExecType(exec)
	r.SetOrdStatus(sbe.OrdStatus(v.status))
	r.SetOrderID(v.orderID)
	r.SetExecID(v.execID)
	r.SetClOrdID(v.clOrdID)
	r.SetOrigClOrdID(v.origClOrdID)
	r.SetTransactTimeNs(uint64(v.timeNs))
	for _, p := range []struct {
		text []byte
		set  func(int64)
	}{{v.price, r.SetPriceTicks}, {v.lastPrice, r.SetLastPriceTicks}} {
		if p.text == nil {
			continue
		}
		ticks, ok := x.Tick.Ticks(p.text)
		if !ok {
			return nil
		}
		p.set(ticks)
	}
	account, _ := v.names.accountOf(v.account)
	r.SetAccount(account)
	r.SetSymbolID(x.ID)
	r.SetOrderQtyLots(v.qty)
	r.SetLastQtyLots(v.lastQty)
	r.SetLeavesQtyLots(v.leaves)
	r.SetCumQtyLots(v.cum)
	if v.side != 0 {
		r.SetSide(sbe.Side(v.side - '0'))
	}
	if v.ordType != 0 {
		r.SetOrdType(sbe.OrdType(v.ordType - '0'))
	}
	if v.tif != 0 {
		r.SetTimeInForce(sbe.TimeInForce(v.tif - '0'))
	}
	if v.possRsnd == 'Y' {
		r.SetPossResend(1)
	}
	if v.status == byte(sbe.OrdStatusRejected) {
		r.SetReason(reasonOf(v.rejReason))
	}
	return block
}

// reasonOf is a venue's OrdRejReason as a reason of the schema.
func reasonOf(ordRej uint64) sbe.RejectReason {
	switch ordRej {
	case ordRejUnknownSym:
		return sbe.RejectReasonUnknownSymbol
	case ordRejUnknownOrder:
		return sbe.RejectReasonUnknownOrder
	case ordRejDuplicate:
		return sbe.RejectReasonDuplicateClOrdID
	}
	return sbe.RejectReasonVenue
}

func (v *venueFields) reject(msgType byte, b []byte) []byte {
	block := b[:sbe.BlockBytes(sbe.TemplateReject)]
	clear(block)
	r := sbe.AsReject(block)
	r.SetClOrdID(v.clOrdID)
	r.SetRefSeqNo(v.refSeqNo)
	r.SetReason(sbe.RejectReasonVenue)
	template := uint16(0)
	kind := v.refType
	if msgType == '9' {
		kind = 'F'
		if v.response == '2' {
			kind = 'G'
		}
		switch v.cxlReason {
		case 0:
			r.SetReason(sbe.RejectReasonTooLateToCancel)
		case 1:
			r.SetReason(sbe.RejectReasonUnknownOrder)
		case 3:
			r.SetReason(sbe.RejectReasonRequestPending)
		case 6:
			r.SetReason(sbe.RejectReasonDuplicateClOrdID)
		}
	}
	switch kind {
	case 'D':
		template = sbe.TemplateNewOrderSingle
	case 'F':
		template = sbe.TemplateOrderCancelRequest
	case 'G':
		template = sbe.TemplateOrderCancelReplaceRequest
	case 'H':
		template = sbe.TemplateOrderStatusRequest
	}
	r.SetRefTemplateID(template)
	return block
}
