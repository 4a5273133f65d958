package convert

import (
	"math"

	"onebeat/engine/sbe"
)

// ClOrdIDMaxBytes bounds a client's ClOrdID.
const ClOrdIDMaxBytes = 36

// Request is what a client asks for: a block of the schema, whose ClOrdIDs are 0,
// and the texts that stand for them. They alias the message.
type Request struct {
	Template             uint16
	Block                []byte
	ClOrdID, OrigClOrdID []byte
}

// Refusal is why a message is not taken, as FIX says it. Order tells that the
// request is answered by a report of its own (AppendRefusal), and not by a Reject.
type Refusal struct {
	Order  bool
	Reason int // tag 103, 102 or, unless Order, 380
	Tag    int // that is wrong
	Text   string
}

// fields of a request, by the tags that mean something here.
type fields struct {
	clOrdID, origClOrdID, account, symbol, side, qty, ordType, price, tif, possResend []byte
	execInst                                                                          []byte
}

func scan(body []byte) (f fields) {
	for len(body) > 0 {
		tag, value, rest, ok := Next(body)
		if !ok {
			break
		}
		body = rest
		switch tag {
		case 1:
			f.account = value
		case 11:
			f.clOrdID = value
		case 18:
			f.execInst = value
		case 38:
			f.qty = value
		case 40:
			f.ordType = value
		case 41:
			f.origClOrdID = value
		case 44:
			f.price = value
		case 54:
			f.side = value
		case 55:
			f.symbol = value
		case 59:
			f.tif = value
		case 97:
			f.possResend = value
		}
	}
	return f
}

// Codes of OrdRejReason (103) and BusinessRejectReason (380).
const (
	ordRejBroker       = 0
	ordRejUnknownSym   = 1
	ordRejUnknownOrder = 5
	ordRejDuplicate    = 6
	ordRejOther        = 99

	BusinessUnsupported = 3
	BusinessMissing     = 5
)

// Request reads a whole message (header too: PossResend stands there) of type D, F, G
// or H into b, which holds sbe.MaxMessageBytes. why is nil when it was converted.
func (n *Names) Request(msgType byte, message, b []byte, r *Request) (why *Refusal) {
	f := scan(message)
	*r = Request{ClOrdID: f.clOrdID, OrigClOrdID: f.origClOrdID}
	if len(f.clOrdID) == 0 {
		return &Refusal{Reason: BusinessMissing, Tag: 11, Text: "Conditionally Required Field Missing (11)"}
	}
	if len(f.clOrdID) > ClOrdIDMaxBytes || len(f.origClOrdID) > ClOrdIDMaxBytes {
		return f.refuse(11, "ClOrdID longer than 36 characters")
	}
	x, ok := n.Symbol(f.symbol)
	if !ok {
		return &Refusal{Order: true, Reason: ordRejUnknownSym, Tag: 55, Text: "Unknown symbol"}
	}
	account, ok := n.accountOf(f.account)
	if !ok {
		return f.refuse(1, "Unknown account")
	}
	side := byte(0)
	if len(f.side) == 1 {
		side = f.side[0] - '0'
	}
	if side != byte(sbe.SideBuy) && side != byte(sbe.SideSell) && msgType != 'H' {
		return f.refuse(54, "Side must be 1 or 2")
	}
	again := uint8(0)
	if len(f.possResend) == 1 && f.possResend[0] == 'Y' {
		again = 1
	}
	switch msgType {
	case 'D':
		return n.newOrder(&f, x, account, side, again, b, r)
	case 'F':
		m := sbe.AsOrderCancelRequest(r.begin(b, sbe.TemplateOrderCancelRequest))
		m.SetSymbolID(x.ID)
		m.SetAccount(account)
		m.SetSide(sbe.Side(side))
		m.SetPossResend(again)
	case 'G':
		return n.replace(&f, x, account, side, again, b, r)
	case 'H':
		m := sbe.AsOrderStatusRequest(r.begin(b, sbe.TemplateOrderStatusRequest))
		m.SetSymbolID(x.ID)
		m.SetAccount(account)
		m.SetPossResend(again)
	default:
		return &Refusal{Reason: BusinessUnsupported, Text: "Unsupported Message Type"}
	}
	return nil
}

func (r *Request) begin(b []byte, template uint16) []byte {
	r.Template = template
	r.Block = b[:sbe.BlockBytes(template)]
	clear(r.Block)
	return r.Block
}

func (f *fields) refuse(tag int, text string) *Refusal {
	return &Refusal{Order: true, Reason: ordRejOther, Tag: tag, Text: text}
}

func (n *Names) newOrder(f *fields, x *Instrument, account uint32, side, again uint8, b []byte, r *Request) *Refusal {
	m := sbe.AsNewOrderSingle(r.begin(b, sbe.TemplateNewOrderSingle))
	if len(f.ordType) != 1 || f.ordType[0] != '1' && f.ordType[0] != '2' {
		return f.refuse(40, "OrdType must be 1 (market) or 2 (limit)")
	}
	m.SetOrdType(sbe.OrdType(f.ordType[0] - '0'))
	if f.ordType[0] == '2' {
		ticks, ok := x.Tick.Ticks(f.price)
		if !ok {
			return f.refuse(44, "Price missing or no multiple of the tick")
		}
		m.SetPriceTicks(ticks)
	}
	lots, ok := lotsOf(f.qty)
	if !ok {
		return f.refuse(38, "OrderQty must be a whole number from 1 to 4294967295")
	}
	if f.tif != nil {
		if len(f.tif) != 1 || !tifKnown(f.tif[0]) {
			return f.refuse(59, "TimeInForce is not supported")
		}
		m.SetTimeInForce(sbe.TimeInForce(f.tif[0] - '0'))
	}
	m.SetQtyLots(lots)
	m.SetSymbolID(x.ID)
	m.SetAccount(account)
	m.SetSide(sbe.Side(side))
	m.SetPossResend(again)
	return nil
}

// tifKnown: what the application does not know it refuses with a reason of its own.
func tifKnown(c byte) bool { return c == '0' || c == '3' || c == '4' }

func (n *Names) replace(f *fields, x *Instrument, account uint32, side, again uint8, b []byte, r *Request) *Refusal {
	m := sbe.AsOrderCancelReplaceRequest(r.begin(b, sbe.TemplateOrderCancelReplaceRequest))
	if len(f.ordType) != 1 || f.ordType[0] != '2' {
		return f.refuse(40, "Only a limit order can be replaced (OrdType 2)")
	}
	ticks, ok := x.Tick.Ticks(f.price)
	if !ok {
		return f.refuse(44, "Price missing or no multiple of the tick")
	}
	lots, ok := lotsOf(f.qty)
	if !ok {
		return f.refuse(38, "OrderQty must be a whole number from 1 to 4294967295")
	}
	m.SetPriceTicks(ticks)
	m.SetQtyLots(lots)
	m.SetSymbolID(x.ID)
	m.SetAccount(account)
	m.SetSide(sbe.Side(side))
	m.SetPossResend(again)
	return nil
}

// lotsOf reads a quantity; one lot is one unit. 100.00 is whole.
func lotsOf(b []byte) (uint32, bool) {
	v, ok := OneTick.Ticks(b)
	return uint32(v), ok && v > 0 && v <= math.MaxUint32
}

// AppendRefusal writes the body of the answer to a request that was not converted,
// and returns its type. execID must be unlike all others.
func (n *Names) AppendRefusal(b []byte, msgType byte, message []byte, why *Refusal, execID string, nowNs int64) (byte, []byte) {
	f := scan(message)
	if !why.Order {
		b = AppendField(b, 372, string(msgType))
		b = AppendInt(b, 380, int64(why.Reason))
		return 'j', AppendField(b, 58, why.Text)
	}
	b = AppendField(b, 37, "NONE")
	if msgType == 'F' || msgType == 'G' {
		b = AppendField(b, 11, f.clOrdID)
		b = AppendField(b, 41, orNone(f.origClOrdID))
		b = AppendChar(b, 39, '8')
		b = AppendChar(b, 434, map[byte]byte{'F': '1', 'G': '2'}[msgType])
		b = AppendInt(b, 102, int64(cxlOf(why.Reason, n.Version)))
		b = AppendTimeField(b, 60, nowNs)
		return '9', AppendField(b, 58, why.Text)
	}
	b = AppendField(b, 17, execID)
	if n.Version == FIX42 {
		b = AppendChar(b, 20, '0')
	}
	b = AppendField(b, 11, f.clOrdID)
	b = AppendChar(b, 150, '8')
	b = AppendChar(b, 39, '8')
	b = AppendInt(b, 103, int64(ordRejOf(why.Reason, n.Version)))
	b = AppendField(b, 55, orNone(f.symbol))
	b = AppendField(b, 54, orOne(f.side))
	if f.qty != nil {
		b = AppendField(b, 38, f.qty)
	}
	b = AppendInt(b, 151, 0)
	b = AppendInt(b, 14, 0)
	b = AppendInt(b, 6, 0)
	b = AppendTimeField(b, 60, nowNs)
	return '8', AppendField(b, 58, why.Text)
}

func orNone(b []byte) []byte {
	if len(b) == 0 {
		return []byte("NONE")
	}
	return b
}

func orOne(b []byte) []byte {
	if len(b) == 0 {
		return []byte("1")
	}
	return b
}

// ordRejOf: FIX 4.2 has no 99, its code for what a broker decides is 0.
func ordRejOf(reason int, v Version) int {
	if v == FIX42 && reason == ordRejOther {
		return ordRejBroker
	}
	return reason
}

// cxlOf is CxlRejReason: 0 too late, 1 unknown order, 2 broker's option, 3 pending, 6 duplicate, 99 other.
func cxlOf(reason int, v Version) int {
	switch {
	case reason == ordRejUnknownOrder:
		return 1
	case reason == ordRejDuplicate && v == FIX44:
		return 6
	}
	return 2
}
