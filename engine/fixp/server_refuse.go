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
	if s.current < 0 || s.sessions[s.current].state != Established || s.first == 0 {
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
	if end-x.nextIn > uint64(len(x.answers)) && end > from {
		s.Counts.count[CountSequenceTooFar]++
		return 0, app.Endpoint{}
	}
	m := sbe.AsRefused(sbe.Put(b, sbe.TemplateRefused, sbe.RefusedBytes))
	*m = sbe.Refused{}
	m.SetSessionID(&x.id)
	m.SetFromSeqNo(from)
	m.SetCode(code)
	if end > from {
		x.refused = max(x.refused, end-1)
		m.SetCount(uint32(end - from))
		s.Counts.count[CountRefused] += end - from
	}
	return sbe.PrefixBytes + sbe.RefusedBytes, x.peer
}
