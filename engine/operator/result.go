package operator

import "fmt"

// Outcome is what became of a command.
type Outcome uint16

// Outcomes.
const (
	Applied Outcome = iota
	// Unchanged: it was so already.
	Unchanged
	NotSupported   // nobody in this lane knows the command
	UnknownSession // no such session
	UnknownAccount
	UnknownSymbol
	UnknownOrder
	OrderNotOpen
	OrderNotInDoubt
	RequestPending // a cancel or replace of the order is at the venue
	BadArgument
	TableFull
	VenueUnavailable
	SessionInUse
	outcomeCount
)

var outcomeTexts = [outcomeCount]string{"applied", "it was so already", "this lane's application knows no such command",
	"no such session: `onebeat session list` shows them", "no such account: it has not traded, and no limit of its own",
	"no such symbol: the configuration names them", "no such order: it was never taken, or is forgotten since it ended",
	"the order is not open", "the order is not in doubt: what the venue says of it counts",
	"a cancel or replace of the order is at the venue: wait for its answer", "an argument is missing or out of range",
	"the table for it is full", "the venue takes nothing now: ask again",
	"a client has the session: terminate or block it first"}

// String says it to a person.
func (o Outcome) String() string {
	if o < outcomeCount {
		return outcomeTexts[o]
	}
	return fmt.Sprintf("outcome %d", uint16(o))
}

// Done reports whether things are as the command wants them.
func (o Outcome) Done() bool { return o == Applied || o == Unchanged }

// Result is what became of a command, with a count that its kind explains: how many
// orders a Kill will cancel at most, the revision that a RiskSet made.
type Result struct {
	Outcome Outcome
	Count   int64
}
