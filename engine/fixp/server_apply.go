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
	x.state = x.state.next(e)
	switch e {
	case EventNegotiate:
		s.negotiationResponse(x, &from, timestamp, out)
	case EventEstablish:
		x.home, x.peer, x.lastRxNs = from, from, s.nowNs
		x.timestamp = timestamp
		x.keepAliveNs = int64(binary.LittleEndian.Uint32(p[offKeepAlive:])) * 1_000_000
		s.Counts.count[CountEstablished]++
		s.establishmentAck(x, &from, out)
		if !x.up {
			x.up, kind = true, app.SessionUp
		}
	case EventTerminate:
		s.Counts.count[CountTerminated]++
		s.unbind(x, rec.TimeNs)
		s.terminate(x, &from, sbe.SessionCodeFinished, out)
	case EventExpire:
		s.unbind(x, rec.TimeNs)
		s.terminate(x, &from, sbe.SessionCodeExpired, out)
	case EventLost:
		s.Counts.count[CountLost]++
		if x.up {
			x.up, kind = false, app.SessionLost
		}
	}
	return kind, i
}

// unbind begins the window of cancel-on-disconnect.
func (s *Server) unbind(x *session, timeNs int64) { x.unboundNs, x.lastRxNs = timeNs, timeNs }

// BeginMessage takes a RecordMessage into the client's flow and fills in what
// the application sees; false: the record is not one of ours. EndMessage ends it.
func (s *Server) BeginMessage(rec *app.Record, in *app.Input, out *app.Outbox) bool {
	i, seqNo, template, block, ok := ParseMessage(rec.Payload)
	if !ok || int(i) >= len(s.sessions) || !sbe.IsRequest(template) {
		s.Counts.count[CountBadRecord]++
		return false
	}
	x := &s.sessions[i]
	if seqNo < x.nextIn || seqNo-x.nextIn >= uint64(len(x.answers)) {
		s.Counts.count[CountBadRecord]++
		return false
	}
	if seqNo > x.nextIn {
		s.notApplied(i, seqNo, out)
	}
	x.nextIn = seqNo + 1
	a := x.answerOf(seqNo)
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
		*x.answerOf(n) = answer{seqNo: n, first: x.nextOut, count: 1}
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
	blockBytes := sbe.BlockBytes(template)
	block := sbe.Put(s.building[:], template, blockBytes)
	clear(block)
	s.open, s.openBytes = i, sbe.PrefixBytes+blockBytes
	return block
}

// SendToClient numbers the message ToClient started and sends it.
func (s *Server) SendToClient(out *app.Outbox) {
	x, seqNo := &s.sessions[s.open], uint64(0)
	seqNo, x.nextOut = x.nextOut, x.nextOut+1
	if s.applying != nil && s.applyFor == s.open {
		s.applying.count++
	}
	message := s.building[:s.openBytes]
	copy(x.keptSlot(seqNo), message)
	if x.state != Established {
		return // kept; the client asks for it when it comes back
	}
	x.lastTxNs, x.tail = s.nowNs, true
	flow := uint64(s.open) + 1
	if b := out.Grow(flow, seqNo); len(b) >= len(message) {
		out.Grown(copy(b, message), seqNo+1)
		return
	}
	b := out.Open(x.peer, s.cfg.Port, flow)
	n := sbe.PutContext(b, &x.id, seqNo)
	out.Close(n+copy(b[n:], message), seqNo+1)
}
