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
	s.current = -1
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
	case sbe.TemplateNegotiate, sbe.TemplateEstablish, sbe.TemplateTerminate, sbe.TemplateRetransmitRequest:
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
	s.current, s.first, s.nextSeq = i, 1, c.NextSeqNo()
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
	return n - 1
}

// fromPeer: an established session speaks from one address and port; its MAC
// may change (a client behind a bond or a router).
func (s *Server) fromPeer(x *session) bool {
	return s.from.IP == x.peer.IP && s.from.Port == x.peer.Port
}

// Admit decides about message i of the opened datagram.
func (s *Server) Admit(i int, out *app.Outbox) (app.Verdict, app.Draft) {
	m := &s.messages[s.first+i]
	raw := m.Raw(s.payload)
	block := raw[sbe.HeaderBytes:]
	if sbe.IsRequest(m.Template) {
		return s.admitMessage(m.Template, raw, out)
	}
	switch m.Template {
	case sbe.TemplateSequence, sbe.TemplateUnsequencedHeartbeat:
		return app.Drop, app.Draft{} // Open has noted the sign of life
	case sbe.TemplateContext:
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
	if seqNo <= x.refused {
		// The client was told so and may have told others. One that still wants it
		// uses another number.
		s.Counts.count[CountRefusedAgain]++
		s.retransmitReject(x, seqNo, sbe.SessionCodeTooOld, out)
		return app.Answered, app.Draft{}
	}
	if seqNo-x.nextIn >= uint64(len(x.answers)) {
		return s.drop(CountSequenceTooFar)
	}
	return app.Commit, app.Draft{Type: app.RecordMessage,
		Payload: PutMessage(s.scratch[:], uint32(s.current), seqNo, raw)}
}

// admitRepeat sends the recorded answer of a number again.
func (s *Server) admitRepeat(x *session, seqNo uint64, template uint16, block []byte, out *app.Outbox) (app.Verdict, app.Draft) {
	a := x.answerOf(seqNo)
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
	s.terminate(&s.sessions[s.current], &s.from, sbe.SessionCodeNotEstablished, out)
	return app.Answered, app.Draft{}
}

func (s *Server) admitNegotiate(n *sbe.Negotiate, out *app.Outbox) (app.Verdict, app.Draft) {
	i, ok := s.find(n.SessionID())
	if !ok {
		return s.drop(CountWrongSession)
	}
	x := &s.sessions[i]
	if x.key.Sign(sbe.TemplateNegotiate, &x.id, n.Timestamp()) != n.Credentials() {
		s.Counts.count[CountBadCredentials]++
		return s.negotiationReject(x, n.Timestamp(), sbe.SessionCodeCredentials, out)
	}
	if n.ClientFlow() != sbe.FlowTypeIdempotent {
		return s.negotiationReject(x, n.Timestamp(), sbe.SessionCodeFlowTypeNotSupported, out)
	}
	if x.state != NotNegotiated { // the response was lost, or a new client process
		s.negotiationResponse(x, &s.from, n.Timestamp(), out)
		return app.Answered, app.Draft{}
	}
	return s.commit(putSession(s.scratch[:], uint32(i), EventNegotiate, n.Timestamp(), 0, &s.from, 0))
}

func (s *Server) admitEstablish(e *sbe.Establish, out *app.Outbox) (app.Verdict, app.Draft) {
	i, ok := s.find(e.SessionID())
	if !ok {
		return s.drop(CountWrongSession)
	}
	x := &s.sessions[i]
	if x.key.Sign(sbe.TemplateEstablish, &x.id, e.Timestamp()) != e.Credentials() {
		s.Counts.count[CountBadCredentials]++
		return s.establishReject(x, e.Timestamp(), sbe.SessionCodeCredentials, out)
	}
	if x.state == NotNegotiated {
		s.Counts.count[CountWrongState]++
		return s.establishReject(x, e.Timestamp(), sbe.SessionCodeUnnegotiated, out)
	}
	if e.KeepAliveMs() < keepAliveMinMs || e.KeepAliveMs() > keepAliveMaxMs {
		return s.establishReject(x, e.Timestamp(), sbe.SessionCodeKeepAliveInterval, out)
	}
	if x.state == Established {
		if s.fromPeer(x) && e.Timestamp() == x.timestamp {
			x.lastRxNs = s.nowNs
			s.establishmentAck(x, &s.from, out)
			return app.Answered, app.Draft{}
		}
		if s.from.IP != x.peer.IP && s.nowNs-x.lastRxNs <= x.keepAliveNs {
			s.Counts.count[CountTakeoversRefused]++
			return s.establishReject(x, e.Timestamp(), sbe.SessionCodeAlreadyEstablished, out)
		}
		if !s.fromPeer(x) {
			s.Counts.count[CountTakeovers]++
		}
	}
	return s.commit(putSession(s.scratch[:], uint32(i), EventEstablish, e.Timestamp(), e.KeepAliveMs(), &s.from, e.NextSeqNo()))
}

// findOfPeer returns the index of an established session when the datagram is
// of its peer; below 0: it is not, and why.
func (s *Server) findOfPeer(id *sbe.UUID) (int, Counter) {
	i, ok := s.find(id)
	switch {
	case !ok:
		return -1, CountWrongSession
	case s.sessions[i].state != Established:
		return -1, CountWrongState
	case !s.fromPeer(&s.sessions[i]):
		return -1, CountWrongEndpoint
	}
	return i, 0
}

func (s *Server) admitTerminate(t *sbe.Terminate) (app.Verdict, app.Draft) {
	i, why := s.findOfPeer(t.SessionID())
	if i < 0 {
		return s.drop(why)
	}
	return s.commit(putSession(s.scratch[:], uint32(i), EventTerminate, s.sessions[i].timestamp, 0, &s.from, 0))
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
	case from == 0 || from >= x.nextOut || count == 0:
		s.retransmitReject(x, r.Timestamp(), sbe.SessionCodeOutOfRange, out)
	case from < x.oldest():
		s.retransmitReject(x, r.Timestamp(), sbe.SessionCodeTooOld, out)
	default:
		s.retransmit(x, from, min(count, x.nextOut-from), r.Timestamp(), retransmitMax, out)
	}
	return app.Answered, app.Draft{}
}
