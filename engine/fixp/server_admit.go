package fixp

import (
	"encoding/binary"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// Open splits a datagram and finds its session; it returns the number of
// messages for Admit.
func (s *Server) Open(dg *app.Datagram, nowNs int64) int {
	s.nowNs = nowNs
	s.Counts.count[CountDatagrams]++
	s.current, s.gap = -1, false
	n, reason := sbe.Split(dg.Payload, &s.messages)
	if reason != sbe.OK {
		s.Counts.bad[reason]++
		return 0
	}
	s.payload, s.from, s.count = dg.Payload, dg.From, n
	m := &s.messages[0]
	switch m.Template {
	case sbe.TemplateContext:
		return s.openContext(sbe.AsContext(m.Block(dg.Payload)), n)
	case sbe.TemplateNegotiate, sbe.TemplateEstablish, sbe.TemplateTerminate, sbe.TemplateRetransmitRequest,
		sbe.TemplateFinishedSending, sbe.TemplateFinishedReceiving:
		if n == 1 {
			s.current, s.first = -1, 0
			return 1
		}
	}
	s.Counts.count[CountUnexpectedMessage]++
	return 0
}

func (s *Server) openContext(c *sbe.Context, n int) int {
	i, ok := s.find(c.SessionID())
	if !ok {
		s.Counts.count[CountWrongSession]++
		return 0
	}
	x := &s.sessions[i]
	s.current, s.first, s.nextSeq, s.toldSeq = i, 1, c.NextSeqNo(), 0
	if x.state != Established {
		// Admit answers it: the Context itself is the message.
		s.first = 0
		return 1
	}
	if !s.fromPeer(x) {
		s.Counts.count[CountWrongEndpoint]++
		s.current = -1
		return 0
	}
	x.peer, x.lastRxNs, s.count = s.from, s.nowNs, n-1
	if n == 1 && s.nextSeq > x.nextIn && s.gapStays(x) {
		s.first, s.count, s.gap = 0, 1, true // Admit gives the numbers up
	}
	return s.count
}

// gapStays reports whether the client's flow has been ahead of what came for long
// enough: what was only overtaken is here by then, and a client that sends again
// by itself has done so.
func (s *Server) gapStays(x *session) bool {
	t := s.turnOf(x)
	if t.gapFrom != x.nextIn {
		t.gapFrom, t.gapNs = x.nextIn, s.nowNs
		return false
	}
	return s.nowNs-t.gapNs >= gapHoldNs
}

// fromPeer: an established session speaks from one address and port; its MAC
// may change (a client behind a bond or a router).
func (s *Server) fromPeer(x *session) bool {
	return s.from.IP == x.peer.IP && s.from.Port == x.peer.Port
}

// Admit decides about message i of the opened datagram.
func (s *Server) Admit(i int, out *app.Outbox) (app.Verdict, app.Draft) {
	s.at = i
	m := &s.messages[s.first+i]
	raw := m.Raw(s.payload)
	block := raw[sbe.HeaderBytes:]
	if sbe.IsRequest(m.Template) {
		return s.admitMessage(m.Template, raw, out)
	}
	switch m.Template {
	case sbe.TemplateUnsequencedHeartbeat:
		return app.Drop, app.Draft{} // Open has noted the sign of life
	case sbe.TemplateSequence:
		if s.current >= 0 { // the next message of this datagram has this number
			s.nextSeq = sbe.AsSequence(block).NextSeqNo()
			return app.Drop, app.Draft{}
		}
	case sbe.TemplateContext:
		if s.gap {
			return s.admitGap()
		}
		if s.first == 0 {
			return s.admitStray(out)
		}
	case sbe.TemplateRetransmitRequest:
		return s.admitRetransmit(sbe.AsRetransmitRequest(block), out)
	case sbe.TemplateNegotiate:
		if s.current < 0 {
			return s.admitNegotiate(sbe.AsNegotiate(block), out)
		}
	case sbe.TemplateEstablish:
		if s.current < 0 {
			return s.admitEstablish(sbe.AsEstablish(block), out)
		}
	case sbe.TemplateTerminate:
		return s.admitTerminate(sbe.AsTerminate(block))
	case sbe.TemplateFinishedSending:
		return s.admitFinishedSending(sbe.AsFinishedSending(block), out)
	case sbe.TemplateFinishedReceiving:
		return s.admitFinishedReceiving(sbe.AsFinishedReceiving(block))
	}
	return s.drop(CountUnexpectedMessage)
}

func (s *Server) drop(why Counter) (app.Verdict, app.Draft) {
	s.Counts.count[why]++
	return app.Drop, app.Draft{}
}

func (s *Server) commit(d []byte) (app.Verdict, app.Draft) {
	return app.Commit, app.Draft{Type: app.RecordSession, Payload: d}
}

// admitMessage applies the rules of the idempotent client flow.
func (s *Server) admitMessage(template uint16, raw []byte, out *app.Outbox) (app.Verdict, app.Draft) {
	if s.current < 0 {
		return s.drop(CountUnexpectedMessage)
	}
	x, seqNo := &s.sessions[s.current], s.nextSeq
	s.nextSeq++
	if x.state != Established { // ended by an earlier message of this datagram
		return s.drop(CountWrongState)
	}
	if seqNo < x.nextIn {
		return s.admitRepeat(x, seqNo, template, raw[sbe.HeaderBytes:], out)
	}
	if seqNo < s.toldSeq {
		return app.Drop, app.Draft{} // with the one before it
	}
	t := s.turnOf(x)
	if seqNo <= t.refused {
		// The client was told so and may have told others. One that still wants it
		// uses another number.
		s.Counts.count[CountRefusedAgain]++
		s.retransmitReject(x, seqNo, sbe.SessionCodeTooOld, out)
		return app.Answered, app.Draft{}
	}
	if seqNo-x.nextIn >= x.retained() {
		return s.drop(CountSequenceTooFar)
	}
	if x.finished {
		return s.refuseRest(x, seqNo, sbe.SessionCodeFinished, CountFinishedSession, out)
	}
	if !x.orders.allow(&t.orderNs, s.nowNs) {
		return s.refuseRest(x, seqNo, sbe.SessionCodeThrottled, CountThrottled, out)
	}
	return app.Commit, app.Draft{Type: app.RecordMessage,
		Payload: PutMessage(s.scratch[:], uint32(s.current), seqNo, raw)}
}

// admitRepeat sends the recorded answer of a number again.
func (s *Server) admitRepeat(x *session, seqNo uint64, template uint16, block []byte, out *app.Outbox) (app.Verdict, app.Draft) {
	a := s.answerOf(x, seqNo)
	if a.seqNo != seqNo || (a.count > 0 && a.first < x.oldest()) {
		s.Counts.count[CountRepeatTooOld]++
		s.retransmitReject(x, seqNo, sbe.SessionCodeTooOld, out)
		return app.Answered, app.Draft{}
	}
	if a.template != 0 && (a.template != template || a.clOrdID != clOrdIDOf(block)) {
		// Refused; the client, or its successor after lost records, learns that
		// this number is taken and uses another.
		s.Counts.count[CountReplayedSequence]++
		s.retransmitReject(x, seqNo, sbe.SessionCodeTooOld, out)
		return app.Answered, app.Draft{}
	}
	if a.count == 0 {
		return s.drop(CountRepeatUnanswered)
	}
	s.Counts.count[CountRepeat]++
	s.retransmit(x, a.first, uint64(a.count), seqNo, 1, out)
	return app.Answered, app.Draft{}
}

// clOrdIDOf reads the ClOrdID, the first field of every application request.
func clOrdIDOf(block []byte) uint64 {
	return binary.LittleEndian.Uint64(block)
}

// admitStray tells a peer that is not established so.
func (s *Server) admitStray(out *app.Outbox) (app.Verdict, app.Draft) {
	s.Counts.count[CountWrongState]++
	x, code := &s.sessions[s.current], sbe.SessionCodeNotEstablished
	if x.blocked {
		code = sbe.SessionCodeBlocked
	}
	s.terminate(x, &s.from, code, out)
	return app.Answered, app.Draft{}
}

// admitRetransmit serves the server flow again from the kept messages.
func (s *Server) admitRetransmit(r *sbe.RetransmitRequest, out *app.Outbox) (app.Verdict, app.Draft) {
	i, why := s.findOfPeer(r.SessionID())
	if i < 0 {
		return s.drop(why)
	}
	x := &s.sessions[i]
	x.lastRxNs = s.nowNs
	s.Counts.count[CountRetransmitRequests]++
	from, count := r.FromSeqNo(), uint64(r.Count())
	switch {
	case !asks.allow(&s.turnOf(x).askNs, s.nowNs):
		s.retransmitReject(x, r.Timestamp(), sbe.SessionCodeThrottled, out)
	case count > RetransmitCountMax:
		s.retransmitReject(x, r.Timestamp(), sbe.SessionCodeRequestLimit, out)
	case from == 0 || from >= x.nextOut || count == 0:
		s.retransmitReject(x, r.Timestamp(), sbe.SessionCodeOutOfRange, out)
	case from < x.oldest():
		s.retransmitReject(x, r.Timestamp(), sbe.SessionCodeTooOld, out)
	default:
		s.retransmit(x, from, min(count, x.nextOut-from), r.Timestamp(), retransmitMax, out)
	}
	return app.Answered, app.Draft{}
}
