package store

import (
	"encoding/binary"

	"onebeat/engine/app"
	"onebeat/engine/cold"
	"onebeat/engine/fix/convert"
	"onebeat/engine/sbe"
)

// send numbers a message, keeps it and hands it out.
func (s *Sessions) send(x *session, at uint16, cookie uint32, msgType, header, fields []byte) {
	b := convert.AppendField(s.body[:0], 35, msgType)
	b = convert.AppendInt(b, 34, int64(x.nextOut))
	b = append(b, x.prefix...)
	b = convert.AppendTimeField(b, 52, s.wallNs())
	b = append(b, x.afterPrefix...)
	b = append(b, header...)
	b = append(b, fields...)
	s.body = b[:0]
	m := append(s.message[:0], x.beginString...)
	m = convert.AppendInt(m, 9, int64(len(b)))
	m = append(m, b...)
	m = AppendChecksum(m)
	s.message = m[:0]
	if len(m) > MessageMaxBytes {
		s.counts[countTooLong]++
		return
	}
	s.counts[countMessages]++
	seqNo := x.nextOut
	x.nextOut++
	x.keep(seqNo, m, s.timeNs)
	s.fold(seqNo, m)
	s.tell(&cold.Entry{Kind: Sent, Session: at, Cookie: cookie, SeqNo: seqNo, TimeNs: s.timeNs, Payload: m})
}

// AppendChecksum ends a message.
func AppendChecksum(m []byte) []byte {
	sum := uint32(0)
	for _, c := range m {
		sum += uint32(c)
	}
	v := byte(sum)
	return append(m, '1', '0', '=', '0'+v/100, '0'+v/10%10, '0'+v%10, convert.SOH)
}

func (s *Sessions) fold(seqNo uint64, m []byte) {
	d := app.Fold(s.digest, seqNo)
	for ; len(m) >= 8; m = m[8:] {
		d = (d ^ binary.LittleEndian.Uint64(m)) * 0x9e3779b97f4a7c15
		d ^= d >> 29
	}
	for _, c := range m {
		d = app.Fold(d, uint64(c))
	}
	s.digest = d
}

// Aim says whether outputs go to the port, which a standby's do not, and where their
// record ends.
func (s *Sessions) Aim(toPort bool, recordEnd uint64) {
	s.aimed = toPort
	if s.cfg.Port != nil && toPort {
		s.cfg.Port.RecordEnd = recordEnd
	}
}

func (s *Sessions) tell(e *cold.Entry) {
	if s.cfg.Port == nil || !s.aimed {
		return
	}
	s.entryOut = *e
	s.cfg.Port.Emit(&s.entryOut)
}

// ToClient starts a message of the application to a session and returns its zeroed
// block; SendToClient ends it.
func (s *Sessions) ToClient(laneSession uint32, template uint16) []byte {
	s.open, s.openTemplate = laneSession-s.cfg.First, template
	s.openBytes = sbe.BlockBytes(template)
	b := s.building[:s.openBytes]
	clear(b)
	return b
}

// SendToClient makes a FIX message of it.
func (s *Sessions) SendToClient(timeNs int64) {
	x := &s.sessions[s.open]
	s.timeNs = timeNs
	cookie := s.cookie
	if s.current != x {
		cookie = 0
	}
	block := s.building[:s.openBytes]
	switch s.openTemplate {
	case sbe.TemplateExecutionReport:
		s.report(x, cookie, sbe.AsExecutionReport(block))
	case sbe.TemplateReject:
		s.reject(x, cookie, sbe.AsReject(block))
	default:
		s.counts[countBad]++
	}
}

// name is the text of a number; one that is forgotten is its digits.
func (s *Sessions) name(id uint64, scratch []byte) []byte {
	if e := s.ids.byNumber(id); e != nil && e.session == uint16(s.open) {
		return e.name()
	}
	s.counts[countNoText]++
	return appendUint(scratch[:0], id)
}

func appendUint(b []byte, v uint64) []byte {
	if v >= 10 {
		b = appendUint(b, v/10)
	}
	return append(b, byte('0'+v%10))
}

// report says what became of an order, under the names that the client gave.
func (s *Sessions) report(x *session, cookie uint32, r *sbe.ExecutionReport) {
	var scratch, scratchOrig [20]byte
	rootID := r.OrigClOrdID()
	if rootID == 0 {
		rootID = r.ClOrdID()
	}
	out := convert.Report{ExecutionReport: r}
	root := s.ids.byNumber(rootID)
	switch {
	case root == nil || root.session != uint16(s.open):
		root = nil
		out.ClOrdID = s.name(r.ClOrdID(), scratch[:])
	case rootID == r.ClOrdID():
		out.ClOrdID = s.name(root.current, scratch[:])
	default:
		out.ClOrdID = s.name(r.ClOrdID(), scratch[:])
		out.OrigClOrdID = s.name(root.current, scratchOrig[:])
	}
	if s.current == x && s.template == sbe.TemplateOrderStatusRequest && r.ExecType() == sbe.ExecTypeOrderStatus {
		out.ClOrdID, out.OrigClOrdID = s.clOrdID, nil
	}
	if root != nil {
		s.note(root, r)
		out.TradedSum = root.sum
	}
	var header []byte
	if r.PossResend() != 0 {
		header = possResend
	}
	s.fields = x.names.AppendReport(s.fields[:0], &out)
	s.send(x, uint16(s.open), cookie, reportType, header, s.fields)
}

var (
	possResend = []byte("97=Y\x01")
	reportType = []byte("8")
)

// note takes what a report says to the order's entry.
func (s *Sessions) note(root *entry, r *sbe.ExecutionReport) {
	if id := r.OrderID(); id != 0 {
		root.orderID = id
	}
	root.status = uint8(r.OrdStatus())
	switch r.ExecType() {
	case sbe.ExecTypeTrade:
		price := r.LastPriceTicks()
		if price == 0 {
			price = r.PriceTicks() // a fill that was missed: its price was not told
		}
		root.sum += price * int64(r.LastQtyLots())
	case sbe.ExecTypeReplaced:
		if e := s.ids.byNumber(r.ClOrdID()); e != nil && e != root {
			if root.current != root.id {
				s.ids.finish(s.ids.byNumber(root.current))
			}
			root.current, root.pending = e.id, 0
		}
	}
	if ended(r.OrdStatus()) {
		s.ids.finishOrder(root)
	}
}

// reject says that a request was refused.
func (s *Sessions) reject(x *session, cookie uint32, r *sbe.Reject) {
	var scratch, scratchOrig [20]byte
	out := convert.Refused{Reject: r, TimeNs: s.wallNs(), ExecID: s.refused}
	s.refused++
	here := s.current == x && r.RefTemplateID() == s.template
	e := s.ids.byNumber(r.ClOrdID())
	if e != nil && e.session != uint16(s.open) {
		e = nil
	}
	switch {
	case here:
		out.ClOrdID, out.OrigClOrdID = s.clOrdID, s.orig
		s.describe(&out)
	case e != nil:
		out.ClOrdID = e.name()
	default:
		out.ClOrdID = s.name(r.ClOrdID(), scratch[:])
	}
	if e != nil {
		root := s.ids.byNumber(e.root)
		if root != nil && root != e {
			out.OrderID, out.OrdStatus = root.orderID, sbe.OrdStatus(root.status)
			if out.OrigClOrdID == nil {
				out.OrigClOrdID = s.name(root.current, scratchOrig[:])
			}
		}
		s.refusedEntry(e, root, r)
	}
	kind, fields := x.names.AppendReject(s.fields[:0], &out)
	s.fields = fields[:0]
	s.kind[0] = kind
	var header []byte
	if r.PossResend() != 0 {
		header = possResend
	}
	s.send(x, uint16(s.open), cookie, s.kind[:], header, fields)
}

// refusedEntry: what was refused as a repeat is still what it was.
func (s *Sessions) refusedEntry(e, root *entry, r *sbe.Reject) {
	switch r.Reason() {
	case sbe.RejectReasonDuplicateClOrdID, sbe.RejectReasonClOrdIDTooLow:
		return
	}
	switch r.RefTemplateID() {
	case sbe.TemplateNewOrderSingle:
		e.status = uint8(sbe.OrdStatusRejected)
		s.ids.finishOrder(e)
	case sbe.TemplateOrderCancelRequest, sbe.TemplateOrderCancelReplaceRequest:
		e.dead = true
		if root != nil && root.pending == e.id {
			root.pending = 0
		}
		s.ids.finish(e)
	}
}

// describe fills in what a refused request says of itself.
func (s *Sessions) describe(out *convert.Refused) {
	switch s.template {
	case sbe.TemplateNewOrderSingle:
		m := sbe.AsNewOrderSingle(s.inBlock)
		out.SymbolID, out.Account, out.Side, out.QtyLots = m.SymbolID(), m.Account(), m.Side(), m.QtyLots()
	case sbe.TemplateOrderStatusRequest:
		m := sbe.AsOrderStatusRequest(s.inBlock)
		out.SymbolID, out.Account = m.SymbolID(), m.Account()
	}
}

// refuse answers a request that no application saw.
func (s *Sessions) refuse(x *session, why sbe.RejectReason) {
	clear(s.building[:sbe.RejectBytes])
	r := sbe.AsReject(s.building[:sbe.RejectBytes])
	r.SetReason(why)
	r.SetRefTemplateID(s.template)
	s.open = uint32(s.currentAt)
	s.reject(x, s.cookie, r)
	s.End()
}
