package fixp

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// Refuse answers the opened datagram while nothing can be appended: it writes one
// Refused to b and returns its length and where it goes. A number that was
// refused stays refused as long as this node serves: a copy of it that was on its
// way longer must not become an order when its client has given it up. What is
// not an application message of an established session gets no answer; whoever
// wants a session asks again.
func (s *Server) Refuse(code sbe.SessionCode, b []byte) (payloadBytes int, to app.Endpoint) {
	if s.current < 0 || s.sessions[s.current].state != Established || s.first == 0 && !s.gap {
		s.Counts.count[CountRefusedSession]++
		return 0, app.Endpoint{}
	}
	x := &s.sessions[s.current]
	end := s.nextSeq
	for i := range s.count {
		if sbe.IsRequest(s.messages[s.first+i].Template) {
			end++
		}
	}
	from := max(s.nextSeq, x.nextIn)
	if end > s.nextSeq && end <= x.nextIn {
		s.Counts.count[CountRepeatUnanswered]++ // appended; its answer waits
		return 0, app.Endpoint{}
	}
	if end-x.nextIn > x.retained() && end > from {
		s.Counts.count[CountSequenceTooFar]++
		return 0, app.Endpoint{}
	}
	m := s.refusal(b, x, from, code)
	if end > from {
		t := s.turnOf(x)
		t.refused = max(t.refused, end-1)
		m.SetCount(uint32(end - from))
		s.Counts.count[CountRefused] += end - from
	}
	return sbe.PrefixBytes + sbe.RefusedBytes, x.peer
}

func (s *Server) refusal(b []byte, x *session, from uint64, code sbe.SessionCode) *sbe.Refused {
	m := sbe.AsRefused(sbe.Put(b, sbe.TemplateRefused, sbe.RefusedBytes))
	*m = sbe.Refused{}
	m.SetSessionID(&x.id)
	m.SetFromSeqNo(from)
	m.SetCode(code)
	return m
}

// refuseRest refuses the message of this number and all requests behind it in the
// datagram by one answer: for none of them the reason is less true. Nothing of a
// refusal is recorded: who sends too much costs the log and the standby nothing.
func (s *Server) refuseRest(x *session, seqNo uint64, code sbe.SessionCode, why Counter, out *app.Outbox) (app.Verdict, app.Draft) {
	count := uint64(0)
	for k := s.at; k < s.count && s.messages[s.first+k].Template != sbe.TemplateSequence; k++ {
		if sbe.IsRequest(s.messages[s.first+k].Template) {
			count++
		}
	}
	end := min(seqNo+count, x.nextIn+x.retained())
	t := s.turnOf(x)
	t.refused, s.toldSeq = max(t.refused, end-1), end
	s.Counts.count[why] += end - seqNo
	s.refusal(out.Open(x.peer, s.cfg.Port, 0), x, seqNo, code).SetCount(uint32(end - seqNo))
	out.Close(sbe.PrefixBytes+sbe.RefusedBytes, 0)
	return app.Answered, app.Draft{}
}
