package client

import (
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
)

// Out takes datagrams. Poll calls Buffer, which returns room for one payload
// of at least Config.MaxDatagramBytes, or nil when nothing can be sent now
// (the client tries again at the next Poll); writes a payload into it; and
// calls Send with its length before it calls Buffer again. The payload goes to
// the lane address.
type Out = fixp.Out

// Handler gets the answers; it is called inside OnDatagram. The message is
// valid only during the call. It may call Send… of the same client.
type Handler interface {
	// OnReport delivers an ExecutionReport.
	OnReport(a *Answer, r *sbe.ExecutionReport)
	// OnReject delivers a refusal of the request r.ClOrdID().
	OnReject(a *Answer, r *sbe.Reject)
}

// Refuser is what a Handler may implement to learn of requests that the server
// does not take, because it cannot have them held as its release policy asks
// (on_timeout = "reject" or "stop"): sbe.SessionCodeStandbyLost or
// sbe.SessionCodeStopped. Nothing was recorded of such a request; it has left the
// window and is not sent again. The server does not take it under its number any
// more; only a copy that was still on its way when the lane moved to the other
// node can become an order, and is then reported like any.
//
// A handler that is no Refuser keeps its requests: they are sent again until the
// server takes them.
type Refuser interface {
	OnRefused(clOrdID uint64, template uint16, code sbe.SessionCode)
}

// DropCopier is what a Handler of a drop copy session implements: it gets a copy of
// every ExecutionReport of the venue, in one recoverable flow, with the session that
// the report went to.
type DropCopier interface {
	OnDropCopy(owner *sbe.UUID, r *sbe.ExecutionReport)
}

// Answer says which request a message belongs to.
type Answer struct {
	// First: this is the first answer to the request, which left the window.
	First bool
	// SentNs is when the request was first handed to Send… (0 unless First).
	SentNs int64
	// Sends counts how often the request was sent (0 unless First).
	Sends uint32
	// SeqNo is the number of this message in the server's flow.
	SeqNo uint64
	// NowNs is the time given to OnDatagram.
	NowNs int64
}

// Order is a new order.
type Order struct {
	ClOrdID     uint64
	PriceTicks  int64
	SymbolID    uint32
	QtyLots     uint32
	Account     uint32
	Side        sbe.Side
	OrdType     sbe.OrdType
	TimeInForce sbe.TimeInForce
	ExecInst    sbe.ExecInst
}

// Cancel asks to cancel OrigClOrdID.
type Cancel struct {
	ClOrdID, OrigClOrdID uint64
	SymbolID, Account    uint32
	Side                 sbe.Side
}

// Replace asks to change price and total quantity of OrigClOrdID.
type Replace struct {
	ClOrdID, OrigClOrdID uint64
	PriceTicks           int64
	SymbolID, QtyLots    uint32
	Account              uint32
	Side                 sbe.Side
}

// Config of a client; zero values mean the defaults in brackets.
type Config struct {
	Session          sbe.UUID
	Key              fixp.Key
	Window           int   // unanswered requests at most; a power of two [8192]
	BatchMessages    int   // requests in one datagram at most [16]
	MaxDatagramBytes int   // [1024]
	ResendNs         int64 // [20 ms]
	KeepAliveNs      int64 // heartbeat period; the server expires after three [500 ms]
	ConnectNs        int64 // first retry of Negotiate and Establish, doubled up to KeepAliveNs [1 ms]
	// UnixNs is the wall clock as the client begins, in nanoseconds: servers take
	// only Negotiate and Establish whose timestamps rise. 0: the time given to Poll;
	// the server then says from where to go on.
	UnixNs uint64
	// Resume makes a new client fetch the whole server flow that the server
	// still holds, instead of starting behind it.
	Resume bool
}

// Stats are counters since New.
type Stats struct {
	Sent         uint64 // requests sent first
	Resent       uint64 // requests sent again, same number
	Renumbered   uint64 // requests sent again under a new number
	Answered     uint64 // requests with a first answer
	Delivered    uint64 // messages given to the handler
	Repeats      uint64 // messages of the server received again
	Gaps         uint64 // RetransmitRequests sent
	Lost         uint64 // messages the server could not send again
	BadDatagrams uint64
	Datagrams    uint64 // received
	Establishes  uint64 // EstablishmentAcks
	Terminates   uint64
	Refusals     uint64 // Refused messages, those that answer heartbeats too
	Refused      uint64 // requests given up for them
}
