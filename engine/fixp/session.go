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
//	Established --terminate, expire--> Terminated --establish--> Established
//	                                   Terminated --lost--> Terminated
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

const illegal State = 255

// transitions is the whole state machine; Admit offers nothing else to the log.
var transitions = [stateCount][eventCount]State{
	NotNegotiated: {EventNegotiate: Negotiated, EventEstablish: illegal, EventTerminate: illegal, EventExpire: illegal, EventLost: illegal},
	Negotiated:    {EventNegotiate: Negotiated, EventEstablish: Established, EventTerminate: illegal, EventExpire: illegal, EventLost: illegal},
	Established:   {EventNegotiate: Established, EventEstablish: Established, EventTerminate: Terminated, EventExpire: Terminated, EventLost: illegal},
	Terminated:    {EventNegotiate: Terminated, EventEstablish: Established, EventTerminate: illegal, EventExpire: illegal, EventLost: Terminated},
}

func (s State) next(e Event) State {
	if n := transitions[s][e]; n != illegal {
		return n
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

type session struct {
	// Replicated: changed by Apply only.
	id          sbe.UUID
	key         Key
	state       State
	nextIn      uint64 // next number of the client
	nextOut     uint64 // next number of the server
	home        app.Endpoint
	timestamp   uint64 // of the Establish in force
	keepAliveNs int64
	unboundNs   int64  // lane time when it was last terminated or expired
	windowNs    int64  // cancel-on-disconnect; 0: none. Of the configuration
	up          bool   // the application was told so, and nothing else since
	kept        []byte // server flow: message n at (n & mask) * keptBytesMax
	answers     []answer

	// Local to the primary: started anew by Promote.
	peer     app.Endpoint
	lastRxNs int64 // while it is away with a window: when that began
	lastTxNs int64
	tail     bool   // something sequenced was sent since the last heartbeat
	refused  uint64 // greatest number of the client that was refused; it stays so
}

// oldest is the first number of the server flow that is still kept.
func (s *session) oldest() uint64 {
	if n := uint64(len(s.answers)); s.nextOut > n {
		return s.nextOut - n
	}
	return 1
}

func (s *session) keptSlot(seqNo uint64) []byte {
	at := (seqNo & uint64(len(s.answers)-1)) * keptBytesMax
	return s.kept[at : at+keptBytesMax : at+keptBytesMax]
}

// keptMessage returns message seqNo as it stands on the wire.
func (s *session) keptMessage(seqNo uint64) []byte {
	b := s.keptSlot(seqNo)
	return b[:keptLength(b)]
}

// keptLength reads a message's length off its framing.
func keptLength(b []byte) int { return int(b[3]) | int(b[2])<<8 }

func (s *session) answerOf(seqNo uint64) *answer {
	return &s.answers[seqNo&uint64(len(s.answers)-1)]
}

// awaited: it is away, and the application does not know yet.
func (s *session) awaited() bool { return s.windowNs > 0 && s.up && s.state == Terminated }
