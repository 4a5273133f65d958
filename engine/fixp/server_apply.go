package fixp

import (
	"encoding/binary"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// ApplySession executes a RecordSession. It returns what the application must
// hear, SessionUp or SessionLost of that session; 0: nothing.
func (s *Server) ApplySession(rec *app.Record, out *app.Outbox) (kind app.InputKind, session uint32) {
	p := rec.Payload
	if len(p) < sessionBytes {
		s.Counts.count[CountBadRecord]++
		return 0, 0
	}
	i, e := binary.LittleEndian.Uint32(p[offSession:]), Event(binary.LittleEndian.Uint32(p[offEvent:]))
	if int(i) >= len(s.sessions) || e == 0 || e >= eventCount {
		s.Counts.count[CountBadRecord]++
		return 0, 0
	}
	x, from := &s.sessions[i], endpointOf(p)
	timestamp := binary.LittleEndian.Uint64(p[offTimestamp:])
	before := x.state
	if !before.legal(e) {
		s.Counts.count[CountBadRecord]++ // of a log that goes on otherwise than this state
		return 0, 0
	}
	x.state = before.next(e)
	s.changed(x, i)
	switch e {
	case EventNegotiate:
		x.timestamp = max(x.timestamp, timestamp)
		s.negotiationResponse(x, &from, timestamp, out)
	case EventEstablish:
		if before == Established && !samePlace(&from, &x.home) {
			s.Counts.count[CountTakeovers]++
			s.terminate(x, &x.peer, sbe.SessionCodeTakenOver, out)
		}
		kind = s.bind(x, &from, p)
		s.establishmentAck(x, &from, out)
	case EventTerminate:
		s.unbind(x, rec.TimeNs, &from, sbe.SessionCodeFinished, out)
	case EventExpire:
		s.unbind(x, rec.TimeNs, &from, sbe.SessionCodeExpired, out)
	case EventEnd:
		s.unbind(x, rec.TimeNs, &from, sbe.SessionCodeOperator, out)
	case EventLost:
		s.Counts.count[CountLost]++
		if x.up {
			x.up, kind = false, app.SessionLost
		}
	case EventGap, EventFinish:
		s.giveUp(x, i, binary.LittleEndian.Uint64(p[offNextSeqNo:]), out)
		if e == EventFinish {
			x.finished = true
			s.finishedReceiving(x, out)
		}
	}
	s.list(i)
	return kind, i
}

// samePlace: a peer is an address and a port; its MAC may change.
func samePlace(a, b *app.Endpoint) bool { return a.IP == b.IP && a.Port == b.Port }

// bind gives the session to who established it.
func (s *Server) bind(x *session, from *app.Endpoint, p []byte) (kind app.InputKind) {
	x.home, x.peer, x.lastRxNs = *from, *from, s.nowNs
	x.timestamp = binary.LittleEndian.Uint64(p[offTimestamp:])
	x.keepAliveNs = int64(binary.LittleEndian.Uint32(p[offKeepAlive:])) * 1_000_000
	x.finished, x.closing = false, false
	t := s.turnOf(x)
	t.gapFrom, t.closeNs = 0, 0
	s.Counts.count[CountEstablished]++
	if !x.up {
		x.up, kind = true, app.SessionUp
	}
	return kind
}

// unbind ends the binding, says so, and begins the window of cancel-on-disconnect.
func (s *Server) unbind(x *session, timeNs int64, to *app.Endpoint, code sbe.SessionCode, out *app.Outbox) {
	s.Counts.count[CountTerminated]++
	x.unboundNs, x.lastRxNs = timeNs, timeNs
	x.closing = false
	s.terminate(x, to, code, out)
}

// giveUp gives up the client's numbers before next, if they are few enough to be
// answered.
func (s *Server) giveUp(x *session, i uint32, next uint64, out *app.Outbox) {
	if next <= x.nextIn || next-x.nextIn > x.retained() {
		return
	}
	s.notApplied(i, next, out)
	x.nextIn = next
}

// BeginMessage takes a RecordMessage into the client's flow and fills in what
// the application sees; false: the record is not one of ours. EndMessage ends it.
func (s *Server) BeginMessage(rec *app.Record, in *app.Input, out *app.Outbox) bool {
	i, seqNo, template, block, ok := ParseMessage(rec.Payload)
	if !ok || int(i) >= len(s.sessions) || !sbe.IsRequest(template) {
		s.Counts.count[CountBadRecord]++
		return false
	}
	x := &s.sessions[i]
	if seqNo < x.nextIn || seqNo-x.nextIn >= x.retained() {
		s.Counts.count[CountBadRecord]++
		return false
	}
	if seqNo > x.nextIn {
		s.notApplied(i, seqNo, out)
	}
	x.nextIn = seqNo + 1
	s.changed(x, i)
	a := s.answerOf(x, seqNo)
	*a = answer{seqNo: seqNo, clOrdID: clOrdIDOf(block), first: x.nextOut, template: template}
	s.applying, s.applyFor = a, i
	// Field by field: copying a literal loads in one what was stored in pieces.
	in.Kind, in.TimeNs, in.Session, in.SeqNo, in.Template, in.Block = app.FromClient, rec.TimeNs, i, seqNo, template, block
	return true
}

// EndMessage ends what BeginMessage began.
func (s *Server) EndMessage() { s.applying = nil }

// notApplied gives up the numbers before seqNo and tells the client, in its
// flow, so that it sends their content again under new ones.
func (s *Server) notApplied(i uint32, seqNo uint64, out *app.Outbox) {
	x := &s.sessions[i]
	from := x.nextIn
	for n := from; n < seqNo; n++ {
		*s.answerOf(x, n) = answer{seqNo: n, first: x.nextOut, count: 1}
	}
	s.Counts.count[CountNotApplied] += seqNo - from
	m := sbe.AsNotApplied(s.ToClient(i, sbe.TemplateNotApplied))
	m.SetFromSeqNo(from)
	m.SetCount(uint32(seqNo - from))
	s.SendToClient(out)
}

// ToClient starts the next message of a session's flow and returns its zeroed
// block. It is built in memory that is always in the cache: the place where it
// is kept was last touched thousands of messages ago.
func (s *Server) ToClient(i uint32, template uint16) []byte {
	s.open = i
	return s.building.Begin(template)
}

// SendToClient numbers the message ToClient started and sends it.
func (s *Server) SendToClient(out *app.Outbox) {
	x, seqNo := &s.sessions[s.open], uint64(0)
	seqNo, x.nextOut = x.nextOut, x.nextOut+1
	s.changed(x, s.open)
	if s.applying != nil && s.applyFor == s.open {
		s.applying.count++
	}
	message, kept := &s.building, s.keptSlot(x, seqNo)
	if x.state != Established || x.closing {
		message.Put(kept, kept) // the client asks for it when it comes back
		return
	}
	x.lastTxNs, x.tail = s.nowNs, true
	if x.dueNs > s.nowNs+tailNs+tickNs {
		s.schedule(s.open, s.dueNs(x))
	}
	flow := uint64(s.open) + 1
	if b := out.Grow(flow, seqNo); len(b) >= message.Len() {
		out.Grown(message.Len(), seqNo+1, message.Put(kept, b))
		return
	}
	b := out.Open(x.peer, s.cfg.Port, flow)
	n, contextSum := sbe.PutContextSummed(b, &x.id, seqNo)
	sum := contextSum + message.Put(kept, b[n:])
	out.CloseSummed(n+message.Len(), seqNo+1, sum)
}
