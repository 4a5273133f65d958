package fixp

import "onebeat/engine/sbe"

// Counter is one counted reason.
type Counter uint8

// Counters of Server and Initiator.
const (
	CountDatagrams Counter = iota
	CountWrongSession
	CountWrongEndpoint
	CountWrongState
	CountBadCredentials
	CountUnexpectedMessage
	CountReplayedSequence // a used number with other content
	CountSequenceTooFar
	CountRepeat // repeats that got their recorded answer again
	CountRepeatUnanswered
	CountRepeatTooOld
	CountNotApplied // numbers given up
	CountRetransmitRequests
	CountRetransmitRefused
	CountTakeovers
	CountTakeoversRefused
	CountExpired
	CountHeartbeats
	CountBadRecord
	CountGaps
	CountServerRepeats
	CountLostMessages
	CountResent
	CountRenumbered
	CountEstablished
	CountTerminated
	CountStatusRequests
	CountRefused        // numbers refused, or that the server refused
	CountRefusedAgain   // numbers refused before
	CountRefusedSession // what asked for a session meanwhile
	CountLost           // sessions away longer than their cancel-on-disconnect window
	CountStaleTimestamp // Negotiate and Establish that are not newer than what was recorded
	CountBlocked        // the same of sessions that an operator blocked
	CountEstablishTooOften
	CountThrottled       // requests beyond the session's rate
	CountFinishedSession // requests behind FinishedSending
	CounterCount
)

var counterNames = [CounterCount]string{"datagrams", "wrong_session", "wrong_endpoint", "wrong_state",
	"bad_credentials", "unexpected_message", "replayed_sequence", "sequence_too_far", "repeats", "repeats_unanswered",
	"repeats_too_old", "not_applied", "retransmit_requests", "retransmit_refused", "takeovers", "takeovers_refused",
	"expired", "heartbeats", "bad_record", "gaps", "server_repeats", "lost_messages", "resent", "renumbered",
	"established", "terminated", "status_requests", "refused", "refused_again", "refused_session", "lost", "stale_timestamp", "blocked", "establish_too_often", "throttled",
	"finished_session"}

// String returns the name of the counter.
func (c Counter) String() string {
	if c < CounterCount {
		return counterNames[c]
	}
	return "unknown"
}

// Counts are the counters of one side.
type Counts struct {
	count [CounterCount]uint64
	bad   [sbe.ReasonCount]uint64 // datagrams Split refused
}

// Of returns one counter.
func (c *Counts) Of(k Counter) uint64 { return c.count[k] }

// Bad returns how many datagrams Split refused for a reason.
func (c *Counts) Bad(r sbe.Reason) uint64 { return c.bad[r] }

// BadTotal returns how many datagrams Split refused.
func (c *Counts) BadTotal() uint64 {
	sum := uint64(0)
	for _, n := range c.bad {
		sum += n
	}
	return sum
}

// Visit names every counter.
func (c *Counts) Visit(prefix string, visit func(name string, count uint64)) {
	for k := range c.count {
		visit(prefix+counterNames[k], c.count[k])
	}
	for r := sbe.OK + 1; r < sbe.ReasonCount; r++ {
		visit(prefix+r.String(), c.bad[r])
	}
}
