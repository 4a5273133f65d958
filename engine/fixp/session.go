package fixp

import (
	"fmt"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// State of a session at the server.
//
//	NotNegotiated --negotiate--> Negotiated --establish--> Established
//	                                          ^  establish again (new address)
//	Established --terminate, expire, end--> Terminated --establish--> Established
//	Established --gap, finish--> Established
//	Terminated --lost--> Terminated
//
// An operator may terminate it too, and, while it is not Established, reset it to
// NotNegotiated.
type State uint8

// States of a session.
const (
	NotNegotiated State = iota
	Negotiated
	Established
	Terminated
	stateCount
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case NotNegotiated:
		return "not negotiated"
	case Negotiated:
		return "negotiated"
	case Established:
		return "established"
	case Terminated:
		return "terminated"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// transitions is the whole state machine; Admit offers nothing else to the log.
// What is not named is illegal.
var transitions = [stateCount][eventCount]State{
	NotNegotiated: {EventNegotiate: Negotiated + 1},
	Negotiated:    {EventNegotiate: Negotiated + 1, EventEstablish: Established + 1},
	Established: {EventNegotiate: Established + 1, EventEstablish: Established + 1, EventTerminate: Terminated + 1,
		EventExpire: Terminated + 1, EventEnd: Terminated + 1, EventGap: Established + 1, EventFinish: Established + 1},
	Terminated: {EventNegotiate: Terminated + 1, EventEstablish: Established + 1, EventLost: Terminated + 1},
}

// legal reports whether an event may happen in a state.
func (s State) legal(e Event) bool { return transitions[s][e] != 0 }

func (s State) next(e Event) State {
	if s.legal(e) {
		return transitions[s][e] - 1
	}
	panic(fmt.Sprintf("fixp: event %v in state %v", e, s))
}

// answer is what became of one number of the client.
type answer struct {
	seqNo    uint64
	clOrdID  uint64
	first    uint64 // number of the first message it caused in the session's flow
	count    uint16 // of such messages
	template uint16 // 0: not applied
}

const (
	keptBytesMax = 128 // one kept message, framing included
)

// session is laid out by how often its fields are used: an order touches the
// first three cache lines only, of thousands of sessions as of one.
type session struct {
	// Replicated, changed by Apply only: what an order needs.
	id       sbe.UUID
	nextIn   uint64 // next number of the client
	nextOut  uint64 // next number of the server
	at       uint32 // its first place in Server.kept and Server.answers
	mask     uint32 // and how many they are, a power of two, less one
	state    State
	up       bool // the application was told so, and nothing else since
	blocked  bool // by an operator
	finished bool // the client has said all; until it establishes again
	closing  bool // an operator ends the session: we have said all
	// Local to the primary: started anew by Promote.
	tail  bool  // something sequenced was sent since the last heartbeat
	dirty bool  // hash is of before
	dueNs int64 // when it is looked at; 0: it is not

	peer     app.Endpoint
	lastRxNs int64 // while it is away with a window: when that began
	lastTxNs int64
	orders   rate // of the configuration, which is every node's
	turn     turn

	// Replicated.
	key         Key
	home        app.Endpoint
	timestamp   uint64 // of the newest Negotiate or Establish that was recorded
	keepAliveNs int64
	unboundNs   int64 // lane time when it was last terminated or expired
	windowNs    int64 // cancel-on-disconnect; 0: none. Of the configuration

	hash uint64 // what the session is in the server's digest
	live int32  // its place in Server.live + 1; 0: none
	_    [44]byte
}

// turn is what a primary remembers of a session as long as it serves.
type turn struct {
	number  uint32 // of the promotion this is of
	refused uint64 // greatest number of the client that was refused; it stays so
	// When the next order, question, Establish and takeover would be in time.
	orderNs                   int64
	askNs, bindNs, takeoverNs int64
	// The client's flow stood at gapFrom when it was first seen to be ahead, at gapNs.
	gapFrom uint64
	gapNs   int64
	closeNs int64 // when the first FinishedSending of ours was sent
}

// retained is how many messages and answers of it are kept.
func (s *session) retained() uint64 { return uint64(s.mask) + 1 }

// oldest is the first number of the server flow that is still kept.
func (s *session) oldest() uint64 {
	if n := s.retained(); s.nextOut > n {
		return s.nextOut - n
	}
	return 1
}

func (s *Server) keptSlot(x *session, seqNo uint64) []byte {
	at := (uint64(x.at) + seqNo&uint64(x.mask)) * keptBytesMax
	return s.kept[at : at+keptBytesMax : at+keptBytesMax]
}

// keptMessage returns message seqNo as it stands on the wire.
func (s *Server) keptMessage(x *session, seqNo uint64) []byte {
	b := s.keptSlot(x, seqNo)
	return b[:keptLength(b)]
}

// keptLength reads a message's length off its framing.
func keptLength(b []byte) int { return int(b[3]) | int(b[2])<<8 }

func (s *Server) answerOf(x *session, seqNo uint64) *answer {
	return &s.answers[uint64(x.at)+seqNo&uint64(x.mask)]
}

// awaited: it is away, and the application does not know yet.
func (s *session) awaited() bool { return s.windowNs > 0 && s.up && s.state == Terminated }

// timed: time may bring something about.
func (s *session) timed() bool { return s.state == Established || s.awaited() }

// digest is the session's part of the digest; that of one nobody used is 0.
func (s *session) digest(i uint32) uint64 {
	flags := uint64(s.state)
	for _, f := range [...]bool{s.up, s.blocked, s.finished, s.closing} {
		flags <<= 1
		if f {
			flags |= 1
		}
	}
	if flags == 0 && s.nextIn == 1 && s.nextOut == 1 && s.timestamp == 0 {
		return 0
	}
	d := app.Fold(uint64(i)+1, s.nextIn)
	d = app.Fold(d, s.nextOut<<8|flags)
	d = app.Fold(d, s.timestamp)
	return app.Fold(d, uint64(s.unboundNs))
}
