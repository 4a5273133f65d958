package app

import (
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
)

// InputKind says where an input of an application comes from.
type InputKind uint8

const (
	// FromClient: an application message of a client session.
	FromClient InputKind = iota + 1
	// FromVenue: an application message of a venue (Input.Venue).
	FromVenue
	// NewEpoch: a new epoch began; the writer may have changed.
	NewEpoch
	// SessionUp: Input.Session is there, for the first time or after SessionLost.
	SessionUp
	// SessionLost: Input.Session, one with cancel-on-disconnect, was away longer
	// than its window, which began again if the lane changed hands meanwhile. Its
	// orders are to be cancelled; what is said to it waits for its return.
	SessionLost
	// Timer: the time came that Timed asked for.
	Timer
	// FromOperator: an operator's command of the application's kinds
	// (Input.Command); Input.Result takes what became of it.
	FromOperator
	// VenueLost: reports of a venue (Input.Venue) may be lost for good: it began
	// anew, or no longer had them when they were asked for.
	VenueLost
)

// Input is one recorded input as an application sees it. Block aliases the
// record and is valid only during the call.
type Input struct {
	Kind     InputKind
	TimeNs   int64 // lane time of the record
	Session  uint32
	Venue    uint32 // index
	SeqNo    uint64
	Template uint16
	Block    []byte // at least the template's block length

	Command *operator.Command // of FromOperator; valid during the call
	Result  operator.Result   // an application that does not know the command leaves it
}

// Sink takes what an application says. Messages to a client or the venue are
// numbered and kept by the session layer, so they reach it whatever is lost on
// the way. One message to a client and one to the venue may be open at a time.
type Sink interface {
	// ToClient starts a message of the session and returns its zeroed block;
	// SendToClient ends it.
	ToClient(session uint32, template uint16) []byte
	SendToClient()
	// ToVenue starts a message to a venue, by its index, and returns its zeroed
	// block; SendToVenue must follow. It is nil when the message is refused, and why
	// says what refused it: NoRoute, there is no such venue; VenueUnavailable, too
	// many messages wait for its answer, or one with this ClOrdID, by which the
	// answer is recognised, does; VenueThrottle and VenueCircuitOpen (engine/venue).
	ToVenue(venue uint32, template uint16, clOrdID uint64) (block []byte, why sbe.RejectReason)
	SendToVenue()
	// Withdraw takes a message back that waits for a venue's throttle and was never
	// sent; false: it is not there.
	Withdraw(venue uint32, clOrdID uint64) bool
}

// App is what users implement: deterministic, of the inputs and its own state
// alone, without allocation after its construction.
type App interface {
	Apply(in *Input, out Sink)
	// Digest returns a hash that differs when the decisions made so far differ.
	Digest() uint64
	// Counters calls visit for every counted reason.
	Counters(visit func(name string, count uint64))
	// Save writes the whole state: what Apply and Digest depend on.
	Save(w *StateWriter)
	// Load takes a saved state into a fresh application of the same configuration.
	// It believes nothing: what it refuses leaves the application unusable, not
	// the program. Afterwards it does what the saved one would have done.
	Load(r *StateReader) error
}

// Warmer is what an App may implement: Warm touches what its next input will
// need. It changes nothing.
type Warmer interface{ Warm() }

// WarmMost is how many inputs ahead a Warmer looks at most: those of one full datagram.
const WarmMost = 32

// Timed is what an App may implement that has work for later: Due returns the lane
// time from which on it wants a Timer input, 0 for none. It is asked on the primary
// often, and must be quick; each Timer is a record.
type Timed interface{ Due() int64 }

// Fold continues a digest chain by one word.
func Fold(digest, word uint64) uint64 {
	digest = (digest ^ word) * 0x9e3779b97f4a7c15
	return digest ^ digest>>29
}
