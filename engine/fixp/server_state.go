package fixp

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

const (
	sessionsVersion  = 2
	initiatorVersion = 1
)

// Save writes the replicated state of all sessions: numbering, recorded answers
// and the messages that are kept.
func (s *Server) Save(w *app.StateWriter) {
	w.Section("sessions", sessionsVersion)
	w.Int("sessions", len(s.sessions))
	for i := range s.sessions {
		w.Row(uint64(i))
		s.sessions[i].save(w)
	}
	w.End()
	w.Section("answers", sessionsVersion)
	for i := range s.sessions {
		x := &s.sessions[i]
		for n := x.oldestAnswer(); n < x.nextIn; n++ {
			w.Row(uint64(i)<<48 | n)
			s.answerOf(x, n).save(w)
		}
	}
	w.End()
	w.Section("kept messages", sessionsVersion)
	for i := range s.sessions {
		x := &s.sessions[i]
		for n := x.oldest(); n < x.nextOut; n++ {
			w.Row(uint64(i)<<48 | n)
			message := s.keptMessage(x, n)
			w.U16("length", uint16(len(message)))
			w.Bytes("message", message)
		}
	}
	w.End()
}

func (x *session) save(w *app.StateWriter) {
	w.Bytes("id", x.id[:])
	w.U8("state", uint8(x.state))
	w.U64("next_in", x.nextIn)
	w.U64("next_out", x.nextOut)
	w.U64("timestamp", x.timestamp)
	w.I64("keep_alive_ns", x.keepAliveNs)
	w.I64("unbound_ns", x.unboundNs)
	w.Bool("up", x.up)
	w.Bool("blocked", x.blocked)
	w.Bool("finished", x.finished)
	w.Bool("closing", x.closing)
	w.Int("retain_messages", int(x.retained()))
	w.Bytes("home_mac", x.home.MAC[:])
	w.Bytes("home_ip", x.home.IP[:])
	w.U16("home_port", x.home.Port)
}

// oldestAnswer is the first number of the client whose answer is recorded.
func (x *session) oldestAnswer() uint64 {
	if n := x.retained(); x.nextIn > n {
		return x.nextIn - n
	}
	return 1
}

func (a *answer) save(w *app.StateWriter) {
	w.U64("seq_no", a.seqNo)
	w.U64("cl_ord_id", a.clOrdID)
	w.U64("first", a.first)
	w.U16("count", a.count)
	w.U16("template", a.template)
}

// Load takes a saved state into a fresh server of the same sessions.
func (s *Server) Load(r *app.StateReader) error {
	if version := r.Section("sessions", sessionsVersion); r.Err() == nil && version < sessionsVersion {
		r.Fail("sessions of format %d, saved by an older program: let the archive be replayed", version)
	}
	r.Is("the number of sessions", len(s.sessions))
	for i := range s.sessions {
		s.sessions[i].load(r, i)
		s.changed(&s.sessions[i], uint32(i))
		s.list(uint32(i))
	}
	r.End()
	r.Section("answers", sessionsVersion)
	for i := range s.sessions {
		x := &s.sessions[i]
		for n := x.oldestAnswer(); n < x.nextIn && r.Err() == nil; n++ {
			s.answerOf(x, n).load(r, x, n)
		}
	}
	r.End()
	r.Section("kept messages", sessionsVersion)
	for i := range s.sessions {
		x := &s.sessions[i]
		for n := x.oldest(); n < x.nextOut && r.Err() == nil; n++ {
			s.loadKept(r, x, n)
		}
	}
	r.End()
	return r.Err()
}

func (x *session) load(r *app.StateReader, i int) {
	var id sbe.UUID
	r.Bytes(id[:])
	if r.Err() == nil && id != x.id {
		r.Fail("session %d is %x there and %x here: give this node the sessions that it was saved with", i, id, x.id)
	}
	state := r.U8()
	if state >= uint8(stateCount) {
		r.Fail("session %d in state %d", i, state)
		return
	}
	x.state = State(state)
	x.nextIn, x.nextOut = r.U64(), r.U64()
	x.timestamp, x.keepAliveNs = r.U64(), r.I64()
	x.unboundNs, x.up = r.I64(), r.Bool()
	x.blocked, x.finished, x.closing = r.Bool(), r.Bool(), r.Bool()
	r.Is("retain_messages", int(x.retained()))
	r.Bytes(x.home.MAC[:])
	r.Bytes(x.home.IP[:])
	x.home.Port = r.U16()
	if r.Err() == nil && (x.nextIn == 0 || x.nextOut == 0 || x.nextIn > seqNoMax || x.nextOut > seqNoMax || x.keepAliveNs < 0) {
		r.Fail("session %d has numbers %d and %d, keep-alive %d", i, x.nextIn, x.nextOut, x.keepAliveNs)
	}
	x.peer = x.home
}

// seqNoMax is beyond what any session counts to: sums of numbers do not overflow.
const seqNoMax = 1 << 62

func (a *answer) load(r *app.StateReader, x *session, n uint64) {
	a.seqNo, a.clOrdID, a.first = r.U64(), r.U64(), r.U64()
	a.count, a.template = r.U16(), r.U16()
	if r.Err() == nil && (a.seqNo != n || a.first > x.nextOut || uint64(a.count) > x.nextOut-a.first) {
		r.Fail("the answer to number %d says %d, messages %d and %d more of %d", n, a.seqNo, a.first, a.count, x.nextOut)
	}
}

func (s *Server) loadKept(r *app.StateReader, x *session, n uint64) {
	length := int(r.U16())
	if r.Err() == nil && (length < sbe.PrefixBytes || length > keptBytesMax) {
		r.Fail("message %d has %d bytes", n, length)
		return
	}
	b := s.keptSlot(x, n)
	r.Bytes(b[:length])
	if said := keptLength(b); r.Err() == nil && said != length {
		r.Fail("message %d says that it has %d bytes, not %d", n, said, length)
	}
}
