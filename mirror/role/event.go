package role

import (
	"fmt"

	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// EventKind is what happened.
type EventKind uint8

const (
	// Start: the process begins, with an empty or adopted ring. Word is the
	// authority word as found, Why the kernel's reason for CANDIDATE, Record the
	// newest epoch record in the ring, Tail and LastEpoch where its log ends.
	// Hollow: the beginning of the log is gone, and with it the state.
	Start EventKind = iota
	// PeerHello: an authenticated HELLO. Hello, Tail of this node's log, Echoed.
	PeerHello
	// WordChanged: the kernel changed the authority word. Word, Why.
	WordChanged
	// SwapFailed: the last SetWord found Word instead; the effects behind it were
	// dropped. Word, Why.
	SwapFailed
	// Answered: the arbiter's answer. Answer, Sent.
	Answered
	// CaughtUp: while SYNCING an epoch record came into the log, or the peer's
	// tail was reached. Record is the newest epoch record, Tail and LastEpoch the
	// log's end.
	CaughtUp
	// StandbyReady: the peer, SYNCING, has (nearly) reached this node's tail. It
	// follows the peer's latest HELLO.
	StandbyReady
	// AckTimeout: the policy's wait for the standby is over and says: degrade.
	AckTimeout
	// HandoverRequested: an operator's word. Quit: leave afterwards.
	HandoverRequested
	// Drained: intake was stopped and every output is released.
	Drained
	// PeerTookOver: user space saw a frame of a newer epoch. Epoch.
	PeerTookOver
	// Tick: time passes; due a few times per heartbeat. Silent, Echoed.
	Tick
	// Forced: an operator says that this node shall go on from the log it has.
	// By: who and why.
	Forced
	// StateLost: this node's machine is not what its log says, and no other can be
	// made here. It claims nothing until Restored.
	StateLost
	// Restored: a machine came from elsewhere. Record is the newest epoch record,
	// Tail and LastEpoch the log's end.
	Restored
	eventCount
)

var eventNames = [eventCount]string{"Start", "PeerHello", "WordChanged", "SwapFailed", "Answered", "CaughtUp",
	"StandbyReady", "AckTimeout", "HandoverRequested", "Drained", "PeerTookOver", "Tick", "Forced", "StateLost", "Restored"}

func (k EventKind) String() string { return eventNames[k] }

// Event is one input of the machine; which fields count is said at its kind.
type Event struct {
	Kind      EventKind
	Word      lane.Word
	Why       lane.Why
	Record    lane.Record
	Tail      uint64
	LastEpoch uint32
	Epoch     uint32
	Hello     wire.Hello
	Answer    arbiter.Answer
	Quit      bool
	Hollow    bool
	// Silent: nothing was heard from the peer, on any path, for a whole heartbeat.
	Silent bool
	// Sent is the counter of the last frame this node's engine sent. Echoed is the
	// highest one the peer is known to have heard: of an ACK in this epoch (Tick),
	// or as its HELLO says.
	Sent, Echoed uint64
	By           string
}

// EffectKind is what is to be done.
type EffectKind uint8

const (
	// SetWord: compare-and-swap the authority word From -> To. If it is not From,
	// drop the remaining effects and feed SwapFailed. To leave STANDBY or
	// CANDIDATE for ACTIVE, wait until the link program is not inside.
	SetWord EffectKind = iota
	// Ask: put Request to the arbiter and feed its answer.
	Ask
	// AppendEpoch: append Record as an epoch record in its epoch.
	AppendEpoch
	// StartServing: the machine's Promote, then orders.
	StartServing
	// StopIntake: take no more orders; feed Drained once nothing is unreleased.
	StopIntake
	// StopServing: the lane is not this node's any more; nothing may leave.
	StopServing
	// SendFenced: tell the peer (Successor) FENCED with this node's word.
	SendFenced
	// Announce: gratuitous ARP for the lane address.
	Announce
	// CatchUp: cut the log at From if it reaches beyond, keep what is cut, and
	// fetch what follows from the peer.
	CatchUp
	// AcceptStandby: from the epoch record on nothing is released without the
	// peer's ACK.
	AcceptStandby
	// GoAlone: from the epoch record on no ACK is waited for.
	GoAlone
	// Refuse: what was asked is not done. Reason.
	Refuse
	// Quit: leave the process.
	Quit
	// ResumeIntake: the handover is off, orders are taken again.
	ResumeIntake
	// Read: ask the arbiter what the register holds and feed its answer.
	Read
	// AppendOperator: put the operator's word, Reason, into the log behind the
	// epoch record.
	AppendOperator
	// StandbyOut: the standby is quarantined; it is taken out of the set.
	StandbyOut
	effectCount
)

var effectNames = [effectCount]string{"SetWord", "Ask", "AppendEpoch", "StartServing", "StopIntake", "StopServing",
	"SendFenced", "Announce", "CatchUp", "AcceptStandby", "GoAlone", "Refuse", "Quit", "ResumeIntake", "Read",
	"AppendOperator", "StandbyOut"}

func (k EffectKind) String() string { return effectNames[k] }

// Effect is one output of the machine, to be carried out in order.
type Effect struct {
	Kind      EffectKind
	From, To  lane.Word
	Request   arbiter.Request
	Record    lane.Record
	Successor uint8
	Position  uint64 // CatchUp: where to cut and fetch from
	Reason    string
}

func (e Effect) String() string {
	switch e.Kind {
	case SetWord:
		return fmt.Sprintf("SetWord %v -> %v", e.From, e.To)
	case Ask:
		return fmt.Sprintf("Ask %v by %v", e.Request.Next, e.Request.Proof)
	case AppendEpoch:
		return fmt.Sprintf("AppendEpoch %v", e.Record)
	case SendFenced:
		return fmt.Sprintf("SendFenced to %d", e.Successor)
	case CatchUp:
		return fmt.Sprintf("CatchUp from %d", e.Position)
	case Refuse:
		return "Refuse: " + e.Reason
	case AppendOperator:
		return "AppendOperator " + e.Reason
	}
	return e.Kind.String()
}
