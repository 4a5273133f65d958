package app

import "onebeat/engine/operator"

// Verdict is what a machine wants done with one message.
type Verdict uint8

const (
	// Drop: nothing to do; the reason is counted.
	Drop Verdict = iota
	// Commit: append the draft and apply it.
	Commit
	// Answered: an unsequenced reply stands in the outbox, no state changed.
	Answered
)

// Refusal is why a lane refuses what it would else keep waiting.
type Refusal uint8

const (
	NotRefused Refusal = iota
	// RefusedWaiting: until who must hold an order answers again.
	RefusedWaiting
	// RefusedStopped: the same, and an operator was asked to decide.
	RefusedStopped
)

// Datagram is one received UDP payload and where it came from. Payload aliases
// the receive frame.
type Datagram struct {
	Payload []byte
	From    Endpoint
	// LocalPort is the port it was sent to: clients and venues speak to
	// different ports of the lane address.
	LocalPort uint16
	// Relayed: another host than From's let it out, under a MAC address of its own.
	Relayed bool
}

// Machine is the replicated state of a lane: sessions and an application. The
// engine loop drives it on the primary, and Apply alone on a standby.
//
// For each received datagram the loop calls Open, then for every message Admit
// and, on Commit, appends the draft and calls Apply before it admits the next:
//
//	n := m.Open(dg, nowNs)
//	for i := range n {
//		if v, draft := m.Admit(i, nowNs, out); v == Commit { append; m.Apply(rec, out) }
//	}
//
// None of these calls allocates.
type Machine interface {
	// Open splits a datagram into messages and finds its session. It returns
	// the number of messages, 0 for a bad one; the reason is counted.
	Open(dg *Datagram, nowNs int64) int
	// Admit decides about message i of the opened datagram without changing
	// replicated state. Unsequenced replies go to out.
	Admit(i int, nowNs int64, out *Outbox) (Verdict, Draft)
	// Refuse answers the opened datagram, also one without messages, in place of
	// Admit, while the lane takes
	// nothing in for want of those who must hold it: it writes one unsequenced
	// reply to b, which holds MaxDatagramBytes, and returns its length, to whom it
	// goes and from which port; 0: none. No replicated state changes.
	Refuse(why Refusal, b []byte) (payloadBytes int, to Endpoint, localPort uint16)
	// Apply executes one committed record. It is deterministic: of the record
	// and the state alone. Outputs go to out.
	Apply(rec *Record, out *Outbox)
	// Poll runs timers on the primary: heartbeats to out, and at most one
	// draft for an input that time brought about (a session expired); the loop
	// commits it and calls again while the verdict is Commit.
	Poll(nowNs int64, out *Outbox) (Verdict, Draft)
	// Promote is called on the new primary once its epoch record is applied,
	// before it serves: what was local to the old primary starts anew here.
	Promote(nowNs int64, out *Outbox)
	// Warm touches what the next message will need, while nobody waits: tables
	// larger than the caches cost an order more than its arithmetic.
	Warm()
	// Digest returns the hash of the replicated state.
	Digest() uint64
	// Diverged reports that a digest in the log is not this machine's own: its
	// state is not the writer's.
	Diverged() bool
	// Counters calls visit for every counted reason with its name and count.
	Counters(visit func(name string, count uint64))
	// PolicyChange returns the payload of the last record that changed the lane's
	// release policy; empty: none did. Valid until the next Apply.
	PolicyChange() []byte
	// Operated returns what became of the last operator's command applied.
	Operated() operator.Result
	// Save writes the replicated state as of the last record applied. What is
	// local to a primary is not in it: Promote starts that anew.
	Save(w *StateWriter)
	// Load takes a saved state into a fresh machine of the same configuration;
	// its Digest is then the saved one's, and so is everything it does with the
	// records that follow. A machine that refused a state is of no more use.
	Load(r *StateReader) error
}
