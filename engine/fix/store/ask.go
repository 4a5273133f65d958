package store

import (
	"encoding/binary"

	"onebeat/engine/cold"
)

// Questions of the cold side.
const (
	// AskState asks for a session's State.
	AskState uint8 = iota + 1
	// AskMessages asks for kept messages, From to To; at most a few at a time.
	AskMessages
)

// Question is what the cold side asks of the state.
type Question struct {
	Kind     uint8
	Session  uint16
	Cookie   uint32
	From, To uint64
}

// Flags of StateIs.
const (
	FlagLoggedOn uint8 = 1 << iota
	FlagBlocked
)

const (
	questionBytes = 24
	askedMost     = 64       // messages of one answer
	askedBytes    = 64 << 10 // and their bytes, roughly
)

// Append writes a question.
func (q *Question) Append(b []byte) []byte {
	b = append(b, q.Kind, 0)
	b = binary.LittleEndian.AppendUint16(b, q.Session)
	b = binary.LittleEndian.AppendUint32(b, q.Cookie)
	b = binary.LittleEndian.AppendUint64(b, q.From)
	return binary.LittleEndian.AppendUint64(b, q.To)
}

// Ask answers a question by entries to the port.
func (s *Sessions) Ask(b []byte) {
	if len(b) < questionBytes {
		return
	}
	q := Question{Kind: b[0], Session: binary.LittleEndian.Uint16(b[2:]), Cookie: binary.LittleEndian.Uint32(b[4:]),
		From: binary.LittleEndian.Uint64(b[8:]), To: binary.LittleEndian.Uint64(b[16:])}
	if int(q.Session) >= len(s.sessions) {
		return
	}
	x := &s.sessions[q.Session]
	s.aimed = true // only who serves is asked
	switch q.Kind {
	case AskState:
		s.tellState(x, &q)
	case AskMessages:
		s.tellMessages(x, &q)
	}
}

func (s *Sessions) tellState(x *session, q *Question) {
	e := cold.Entry{Kind: StateIs, Session: q.Session, Cookie: q.Cookie, SeqNo: x.nextOut, Arg: x.nextIn, TimeNs: x.createdNs}
	if x.loggedOn {
		e.Flags |= FlagLoggedOn
	}
	if x.blocked {
		e.Flags |= FlagBlocked
	}
	binary.LittleEndian.PutUint64(s.block[:], x.oldest)
	b := AppendID(s.block[:8], x.id)
	e.Payload = b
	s.tell(&e)
}

// tellMessages leaves out what is not kept any more.
func (s *Sessions) tellMessages(x *session, q *Question) {
	from, to := max(q.From, x.oldest), min(q.To, x.nextOut-1)
	for n, sum := 0, 0; from <= to && n < askedMost && sum < askedBytes; n++ {
		first, second := s.Message(int(q.Session), from)
		m := append(append(s.message[:0], first...), second...)
		s.message = m[:0]
		sum += len(m)
		if !s.again(int(q.Session), from) {
			from++
			continue
		}
		s.tell(&cold.Entry{Kind: Kept, Session: q.Session, Cookie: q.Cookie, SeqNo: from,
			TimeNs: x.index[from&uint64(len(x.index)-1)].timeNs, Payload: m})
		from++
	}
	if from > to {
		from = max(from, q.To+1)
	}
	s.tell(&cold.Entry{Kind: Asked, Session: q.Session, Cookie: q.Cookie, SeqNo: from})
}

// ParseState reads a StateIs.
func ParseState(e *cold.Entry) (State, bool) {
	s := State{NextOut: e.SeqNo, NextIn: e.Arg, CreatedNs: e.TimeNs, LoggedOn: e.Flags&FlagLoggedOn != 0, Blocked: e.Flags&FlagBlocked != 0}
	if len(e.Payload) < 8 {
		return s, false
	}
	s.Oldest = binary.LittleEndian.Uint64(e.Payload)
	var ok bool
	s.ID, ok = parseID(e.Payload[8:])
	return s, ok
}
