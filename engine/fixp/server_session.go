package fixp

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// What begins and ends a session. Credentials come first: who has not the key
// learns nothing but that.

func (s *Server) admitNegotiate(n *sbe.Negotiate, out *app.Outbox) (app.Verdict, app.Draft) {
	i, ok := s.find(n.SessionID())
	if !ok {
		return s.drop(CountWrongSession)
	}
	x, stamp := &s.sessions[i], n.Timestamp()
	code := sbe.SessionCodeUnspecified
	switch {
	case x.key.Sign(sbe.TemplateNegotiate, &x.id, stamp) != n.Credentials():
		s.Counts.count[CountBadCredentials]++
		code = sbe.SessionCodeCredentials
	case x.blocked:
		s.Counts.count[CountBlocked]++
		code = sbe.SessionCodeBlocked
	case stamp >= timestampMax:
		code = sbe.SessionCodeOutOfRange
	case stamp < x.timestamp:
		s.Counts.count[CountStaleTimestamp]++
		code = sbe.SessionCodeStaleTimestamp
	case n.ClientFlow() != sbe.FlowTypeIdempotent:
		code = sbe.SessionCodeFlowTypeNotSupported
	case x.state != NotNegotiated: // the response was lost, or a new client process
		s.negotiationResponse(x, &s.from, stamp, out)
		return app.Answered, app.Draft{}
	default:
		return s.commit(putSession(s.scratch[:], uint32(i), EventNegotiate, stamp, 0, &s.from, 0))
	}
	return s.negotiationReject(x, stamp, code, out)
}

func (s *Server) admitEstablish(e *sbe.Establish, out *app.Outbox) (app.Verdict, app.Draft) {
	i, ok := s.find(e.SessionID())
	if !ok {
		return s.drop(CountWrongSession)
	}
	x, stamp := &s.sessions[i], e.Timestamp()
	code := sbe.SessionCodeUnspecified
	switch {
	case x.key.Sign(sbe.TemplateEstablish, &x.id, stamp) != e.Credentials():
		s.Counts.count[CountBadCredentials]++
		code = sbe.SessionCodeCredentials
	case x.blocked:
		s.Counts.count[CountBlocked]++
		code = sbe.SessionCodeBlocked
	case x.state == NotNegotiated:
		s.Counts.count[CountWrongState]++
		code = sbe.SessionCodeUnnegotiated
	case stamp >= timestampMax:
		code = sbe.SessionCodeOutOfRange
	case stamp == x.timestamp && x.state == Established && s.fromPeer(x): // the answer was lost
		x.lastRxNs = s.nowNs
		s.establishmentAck(x, &s.from, out)
		return app.Answered, app.Draft{}
	case stamp <= x.timestamp: // recorded once and replayed, or of a clock that runs behind
		s.Counts.count[CountStaleTimestamp]++
		code = sbe.SessionCodeStaleTimestamp
	case e.KeepAliveMs() < keepAliveMinMs || e.KeepAliveMs() > keepAliveMaxMs:
		code = sbe.SessionCodeKeepAliveInterval
	case x.state == Established && !s.mayTakeOver(x):
		s.Counts.count[CountTakeoversRefused]++
		code = sbe.SessionCodeAlreadyEstablished
	case !binds.allow(&s.turnOf(x).bindNs, s.nowNs):
		return s.drop(CountEstablishTooOften) // it asks again
	default:
		return s.commit(putSession(s.scratch[:], uint32(i), EventEstablish, stamp, e.KeepAliveMs(), &s.from, e.NextSeqNo()))
	}
	return s.establishReject(x, stamp, code, out)
}

// mayTakeOver: a session may be taken over by who has its key, from where its
// peer was at once (a client process that was restarted), from elsewhere when the
// peer has been silent for a keep-alive interval.
func (s *Server) mayTakeOver(x *session) bool {
	if s.fromPeer(x) {
		return true
	}
	if s.nowNs-x.lastRxNs > x.keepAliveNs {
		return true
	}
	return s.from.IP == x.peer.IP && takeovers.allow(&s.turnOf(x).takeoverNs, s.nowNs)
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

// admitGap gives up numbers that the client's heartbeats say it has used.
func (s *Server) admitGap() (app.Verdict, app.Draft) {
	x := &s.sessions[s.current]
	if s.nextSeq-x.nextIn > x.retained() {
		return s.drop(CountSequenceTooFar)
	}
	return s.commit(putSession(s.scratch[:], uint32(s.current), EventGap, x.timestamp, 0, &s.from, s.nextSeq))
}

// admitFinishedSending: what the client has sent is here, or is given up.
func (s *Server) admitFinishedSending(f *sbe.FinishedSending, out *app.Outbox) (app.Verdict, app.Draft) {
	i, why := s.findOfPeer(f.SessionID())
	if i < 0 {
		return s.drop(why)
	}
	x, next := &s.sessions[i], f.LastSeqNo()+1
	x.lastRxNs = s.nowNs
	switch {
	case next < x.nextIn || next-x.nextIn > x.retained():
		return s.drop(CountSequenceTooFar)
	case x.finished:
		s.finishedReceiving(x, out)
		return app.Answered, app.Draft{}
	}
	return s.commit(putSession(s.scratch[:], uint32(i), EventFinish, x.timestamp, 0, &s.from, next))
}

// admitFinishedReceiving ends a session that an operator closed.
func (s *Server) admitFinishedReceiving(f *sbe.FinishedReceiving) (app.Verdict, app.Draft) {
	i, why := s.findOfPeer(f.SessionID())
	if i < 0 {
		return s.drop(why)
	}
	x := &s.sessions[i]
	x.lastRxNs = s.nowNs
	if !x.closing {
		return s.drop(CountUnexpectedMessage)
	}
	return s.commit(putSession(s.scratch[:], uint32(i), EventEnd, x.timestamp, 0, &s.from, 0))
}
