package fix

import "sync/atomic"

// Counter is a counted event of the acceptor.
type Counter uint8

// Counters.
const (
	CountConnections Counter = iota
	CountNotServing
	CountTooMany
	CountTooManyPending
	CountTooManyOfAddress
	CountGarbage
	CountLogonTimeout
	CountHandshake
	CountUnknownSession
	CountWrongAddress
	CountWrongCertificate
	CountCredentials
	CountBlocked
	CountOutOfSchedule
	CountLoggedOnAlready
	CountLogons
	CountLogonsRefused
	CountLogouts
	CountMessagesIn
	CountMessagesOut
	CountBytesIn
	CountBytesOut
	CountGarbled
	CountTooLong
	CountRejects
	CountTooLow
	CountTooHigh
	CountResends
	CountResent
	CountGapFills
	CountStashFull
	CountThrottled
	CountSlow
	CountPeerTimeout
	CountSchedulesEnded
	CountLogDropped
	CountDialsFailed
	CountNotUnderstood
	CountRefusing
	counterCount
)

var counterNames = [counterCount]string{"connections", "not_serving", "too_many", "too_many_pending", "too_many_of_address", "garbage",
	"logon_timeout", "handshake_failed", "unknown_session", "wrong_address", "wrong_certificate", "wrong_credentials", "blocked",
	"out_of_schedule", "logged_on_already", "logons", "logons_refused", "logouts", "messages_in", "messages_out", "bytes_in", "bytes_out",
	"garbled", "too_long", "rejects", "seq_too_low", "seq_too_high", "resend_requests", "resent", "gap_fills", "stash_full", "throttled",
	"slow_consumer", "peer_timeout", "schedule_ended", "log_dropped",
	"dials_failed", "not_understood", "refusing"}

// Counts are the acceptor's counters.
type Counts [counterCount]atomic.Uint64

func (c *Counts) add(what Counter) { c[what].Add(1) }

// Of returns one.
func (c *Counts) Of(what Counter) uint64 { return c[what].Load() }

// Visit calls visit for each with its name.
func (c *Counts) Visit(visit func(name string, count uint64)) {
	for i := range c {
		visit("fix_tcp_"+counterNames[i], c[i].Load())
	}
}
