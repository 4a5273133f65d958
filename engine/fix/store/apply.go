package store

import (
	"onebeat/engine/app"
	"onebeat/engine/cold"
	"onebeat/engine/fix/convert"
	"onebeat/engine/sbe"
)

// What an entry to the cold side is.
const (
	// Sent: a new message of a session, with its number.
	Sent uint8 = iota + 1
	// Kept: a message that was asked for again.
	Kept
	// Asked: behind the messages that were asked for; SeqNo is the next one to ask for.
	Asked
	// StateIs: SeqNo and Arg are the next numbers, ours and the client's; TimeNs is when
	// the session was created; the payload is the oldest message kept.
	StateIs
	// Broken: a draft of the connection was not what the state expects; it has to start
	// anew.
	Broken
)

// Begin applies a RecordFIX. true: in is an input for the application, whose outputs
// to this session come next; End follows it.
func (s *Sessions) Begin(rec *app.Record, in *app.Input) bool {
	h, body, ok := Parse(rec.Payload)
	if !ok || int(h.Session) >= len(s.sessions) {
		s.counts[countBad]++
		return false
	}
	s.counts[countRecords]++
	s.timeNs, s.cookie = rec.TimeNs, h.Cookie
	if h.WallNs != 0 {
		s.offsetNs = h.WallNs - rec.TimeNs
	}
	if h.Kind == Part {
		s.joinPart(&h, body)
		return false
	}
	if h.Flags&Joined != 0 {
		s.joinPart(&h, body)
		body = s.joined
	}
	x := &s.sessions[h.Session]
	if h.Flags&Consume != 0 {
		if h.SeqNo != x.nextIn {
			s.counts[countOutOfStep]++
			s.tell(&cold.Entry{Kind: Broken, Session: h.Session, Cookie: h.Cookie})
			return false
		}
		x.nextIn++
	}
	if x.createdNs == 0 {
		x.createdNs = s.wallNs()
	}
	return s.perform(x, &h, body, in)
}

func (s *Sessions) joinPart(h *Header, body []byte) {
	if h.Flags&FirstPart != 0 {
		s.joined = s.joined[:0]
	}
	if len(s.joined)+len(body) <= cap(s.joined) {
		s.joined = append(s.joined, body...)
	} else {
		s.counts[countTooLong]++
	}
}

// wallNs is the time of the record as its drafter's clock had it, or would have.
func (s *Sessions) wallNs() int64 { return s.timeNs + s.offsetNs }

func (s *Sessions) perform(x *session, h *Header, body []byte, in *app.Input) bool {
	switch h.Kind {
	case Step:
		s.link(x, h)
		return s.step(x, h, body, in)
	case Order:
		return s.order(x, h, body, in)
	case Answer:
		return s.answer(h, body, in)
	case Echo:
		s.echo(x, h, body)
	case Reset:
		s.reset(x)
		if h.Flags&Send != 0 {
			if msgType, header, fields, ok := message(body); ok {
				s.send(x, h.Session, h.Cookie, msgType, header, fields)
			}
		}
		if x.cfg.Venue {
			*in = app.Input{Kind: app.VenueLost, TimeNs: s.timeNs, Venue: uint32(h.Session) - uint32(s.clients)}
			return true
		}
	case SetIn:
		if h.SeqNo > 0 && h.SeqNo < seqNoMax {
			x.nextIn = h.SeqNo
		}
	case Bind:
		s.bind(x, body)
	case Lost:
		return s.lost(x, h, in)
	}
	return false
}

// step takes what a session said or says to the state.
func (s *Sessions) step(x *session, h *Header, body []byte, in *app.Input) (up bool) {
	if h.Flags&LoggedOn != 0 {
		if up = !x.up && !x.cfg.Venue; up {
			x.up = true
			*in = app.Input{Kind: app.SessionUp, TimeNs: s.timeNs, Session: s.cfg.First + uint32(h.Session)}
		}
		x.loggedOn, x.heartbeatS, x.lostAtNs, x.left = true, uint32(h.Arg), 0, false
	}
	if h.Flags&Send != 0 {
		if msgType, header, fields, ok := message(body); ok {
			s.send(x, h.Session, h.Cookie, msgType, header, fields)
		} else {
			s.counts[countBad]++
		}
	}
	if h.Flags&LoggedOff != 0 && x.loggedOn {
		x.loggedOn, x.left = false, false
		if x.cfg.CancelNs > 0 {
			x.lostAtNs = max(1, s.timeNs)
		}
	}
	return up
}

// order makes an input of a client's request: its ClOrdIDs become numbers.
func (s *Sessions) order(x *session, h *Header, body []byte, in *app.Input) bool {
	clOrdID, orig, template, block, ok := order(body)
	if !ok || len(clOrdID) == 0 || len(clOrdID) > convert.ClOrdIDMaxBytes {
		s.counts[countBad]++
		return false
	}
	s.counts[countOrders]++
	s.current, s.currentAt, s.template = x, h.Session, template
	s.clOrdID, s.orig = clOrdID, orig
	s.inBlock = s.block[:copy(s.block[:], block)]
	e, known := s.ids.find(h.Session, clOrdID)
	if known {
		s.counts[countRepeats]++
	}
	root, about := uint64(0), uint64(0)
	if o, ok := s.ids.find(h.Session, orig); ok && !o.dead {
		root = o.root
	}
	if known {
		about = e.root
	}
	if !known && template != sbe.TemplateOrderStatusRequest {
		if e = s.ids.add(h.Session, clOrdID); e == nil {
			s.counts[countIDsFull]++
			s.refuse(x, sbe.RejectReasonOrderTableFull)
			return false
		}
		s.begin(e, template, root)
	}
	s.number(e, known, template, root, about)
	*in = app.Input{Kind: app.FromClient, TimeNs: s.timeNs, Session: s.cfg.First + uint32(h.Session), SeqNo: h.SeqNo,
		Template: template, Block: s.inBlock}
	return true
}

// begin fills a new entry.
func (s *Sessions) begin(e *entry, template uint16, root uint64) {
	switch template {
	case sbe.TemplateNewOrderSingle:
		m := sbe.AsNewOrderSingle(s.inBlock)
		e.symbol, e.account, e.side = m.SymbolID(), m.Account(), uint8(m.Side())
	default:
		e.root = root
		if o := s.ids.byNumber(root); o != nil && o.pending == 0 {
			o.pending = e.id
		}
	}
}

// number writes the numbers into the block.
func (s *Sessions) number(e *entry, known bool, template uint16, root, about uint64) {
	id := uint64(0)
	if e != nil && (known || template != sbe.TemplateOrderStatusRequest) {
		id = e.id
	}
	switch template {
	case sbe.TemplateNewOrderSingle:
		sbe.AsNewOrderSingle(s.inBlock).SetClOrdID(id)
	case sbe.TemplateOrderCancelRequest:
		m := sbe.AsOrderCancelRequest(s.inBlock)
		m.SetClOrdID(id)
		m.SetOrigClOrdID(root)
	case sbe.TemplateOrderCancelReplaceRequest:
		m := sbe.AsOrderCancelReplaceRequest(s.inBlock)
		m.SetClOrdID(id)
		m.SetOrigClOrdID(root)
	case sbe.TemplateOrderStatusRequest:
		sbe.AsOrderStatusRequest(s.inBlock).SetClOrdID(about)
	}
}

// Applying returns the ClOrdID of the request between Begin and End, as its client wrote
// it; nil: there is none.
func (s *Sessions) Applying() []byte { return s.clOrdID }

// OrderNumber returns the number of the order that the client of a session of the lane
// calls so, by its own ClOrdID or one of a cancel or replace of it; false: it is not
// known, or not any more.
func (s *Sessions) OrderNumber(laneSession uint32, clOrdID []byte) (uint64, bool) {
	if !s.Owns(laneSession) {
		return 0, false
	}
	e, ok := s.ids.find(uint16(laneSession-s.cfg.First), clOrdID)
	if !ok {
		return 0, false
	}
	return e.root, true
}

// ClOrdID returns what its client calls the order, cancel or replace of a number; empty:
// it is not known, or not any more.
func (s *Sessions) ClOrdID(number uint64) string {
	if e := s.ids.byNumber(number); e != nil {
		return string(e.name())
	}
	return ""
}

// End ends what Begin began.
func (s *Sessions) End() { s.current, s.clOrdID, s.orig = nil, nil, nil }

// echo sends a message back, unless the client says that it may have sent it before,
// and it has.
func (s *Sessions) echo(x *session, h *Header, body []byte) {
	clOrdID, rest, ok := text(body)
	msgType, header, fields, good := message(rest)
	if !ok || !good {
		s.counts[countBad]++
		return
	}
	if len(clOrdID) > 0 && len(clOrdID) <= convert.ClOrdIDMaxBytes {
		e, known := s.ids.find(h.Session, clOrdID)
		if known && e.orderID == x.resets && h.Flags&Again != 0 {
			s.counts[countEchoesDropped]++
			return
		}
		if !known {
			e = s.ids.add(h.Session, clOrdID)
			s.ids.finish(e)
		}
		if e != nil {
			e.orderID = x.resets // of an echo: since which reset it is known
		}
	}
	s.send(x, h.Session, h.Cookie, msgType, header, fields)
}

func (s *Sessions) reset(x *session) {
	s.counts[countResets]++
	x.nextIn, x.nextOut, x.oldest = 1, 1, 1
	x.createdNs = s.wallNs()
	x.resets++
}

func (s *Sessions) setOut(x *session, next uint64) {
	if next == 0 || next >= seqNoMax {
		return
	}
	// What is kept behind it would be another message; what is missing before it is not
	// there.
	x.nextOut, x.oldest = next, next
}

// bind gives a place to a session that nobody configured.
func (s *Sessions) bind(x *session, body []byte) {
	if x.cfg.Target != "" {
		s.counts[countBad]++
		return
	}
	id, ok := parseID(body)
	if !ok {
		s.counts[countBad]++
		return
	}
	if id.Version != convert.FIX42 && id.Version != convert.FIX44 {
		s.counts[countBad]++
		return
	}
	x.setID(id)
	s.reset(x)
	x.loggedOn = false
}

func parseID(b []byte) (id ID, ok bool) {
	if len(b) == 0 {
		return id, false
	}
	id.Version = convert.Version(b[0])
	b = b[1:]
	for _, to := range []*string{&id.Sender, &id.SenderSub, &id.Target, &id.TargetSub} {
		var v []byte
		if v, b, ok = text(b); !ok {
			return id, false
		}
		*to = string(v)
	}
	return id, true
}

// AppendID writes the body of a Bind.
func AppendID(b []byte, id ID) []byte {
	b = append(b, byte(id.Version))
	for _, v := range []string{id.Sender, id.SenderSub, id.Target, id.TargetSub} {
		b = AppendText(b, v)
	}
	return b
}

// lost tells the application of a session that was away for too long.
func (s *Sessions) lost(x *session, h *Header, in *app.Input) bool {
	if x.loggedOn || x.lostAtNs == 0 {
		return false
	}
	x.lostAtNs, x.up = 0, false
	*in = app.Input{Kind: app.SessionLost, TimeNs: s.timeNs, Session: s.cfg.First + uint32(h.Session)}
	return true
}
