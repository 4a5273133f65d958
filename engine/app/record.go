package app

import "fmt"

// RecordType says what kind of input a record is. The numbers are stored in
// the ring and never change their meaning.
type RecordType uint16

const (
	// RecordPadding fills the ring up to its end; it has no meaning.
	RecordPadding RecordType = 1
	// RecordEpoch opens an epoch: a promotion, or a change of the in-sync set.
	RecordEpoch RecordType = 2
	// RecordDigest carries the state digest over all records before it.
	RecordDigest RecordType = 3
	// RecordSession is an event of a client session (Negotiate, Establish,
	// Terminate, expiry).
	RecordSession RecordType = 4
	// RecordMessage is one application message of a client, with its sequence
	// number.
	RecordMessage RecordType = 5
	// RecordVenue is one message of a venue session, its index where a message has
	// the client's session.
	RecordVenue RecordType = 6
	// RecordTimer is a moment the state depends on.
	RecordTimer RecordType = 7
	// RecordOperator is an operator's command.
	RecordOperator RecordType = 8
	// RecordFIX is a step of a FIX session: an order, a message of the session
	// itself, a change of its numbers.
	RecordFIX RecordType = 9
)

// String returns the name used by `onebeat ring tail`.
func (t RecordType) String() string {
	switch t {
	case RecordPadding:
		return "padding"
	case RecordEpoch:
		return "epoch"
	case RecordDigest:
		return "digest"
	case RecordSession:
		return "session"
	case RecordMessage:
		return "message"
	case RecordVenue:
		return "venue"
	case RecordTimer:
		return "timer"
	case RecordOperator:
		return "operator"
	case RecordFIX:
		return "fix"
	}
	return fmt.Sprintf("type(%d)", uint16(t))
}

// Record is one committed input as a machine sees it. Payload aliases the ring
// and is valid only during the call.
type Record struct {
	Position uint64 // byte offset of the record in the lane's log
	TimeNs   int64  // lane time: never runs backwards, continues over failovers
	Epoch    uint32
	Type     RecordType
	Payload  []byte
}

// Draft is an input that is not yet in the log: what Admit wants recorded.
// Payload aliases the machine's scratch memory.
type Draft struct {
	Type    RecordType
	Payload []byte
}
