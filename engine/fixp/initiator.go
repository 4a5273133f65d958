package fixp

import (
	"cmp"
	"encoding/binary"
	"fmt"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
	"onebeat/engine/table"
)

// Out takes datagrams of an Initiator: Buffer returns room for one payload, or
// nil when nothing can be sent now; Send sends what was written into it.
type Out interface {
	Buffer() []byte
	Send(payloadBytes int)
}

// InitiatorConfig configures an Initiator.
type InitiatorConfig struct {
	Session          sbe.UUID
	Key              Key
	Window           int // unanswered messages at most; a power of two
	BatchMessages    int // messages in one datagram at most
	MaxDatagramBytes int
	ResendNs         int64
	KeepAliveNs      int64
	// ConnectNs is the first retry of Negotiate and Establish; it doubles up to
	// ConnectMaxNs [KeepAliveNs]. Each wait is between half of it and all of it, so
	// that sessions which were cut at one moment do not come back at one moment.
	ConnectNs    int64
	ConnectMaxNs int64
	// Adopt: start behind the server's flow instead of asking for it from 1.
	Adopt bool
	// RenumberAfterSends: a message sent this often without an answer goes out
	// under a new number, PossResend; 0: never. It is a local decision, so not
	// for a replicated initiator. It helps when the server lost records and its
	// answers hide behind numbers already used.
	RenumberAfterSends uint32
	// AskOnDuplicate: every ClOrdID is ours alone and sent once, so a refusal as
	// duplicate means that the server knows it; ask for its status, also when
	// the message was not marked PossResend.
	AskOnDuplicate bool
	// Yield: a session that another client took over is left to it, Closed; else it
	// is asked for again.
	Yield bool
	// FirstTimestamp is below which no Negotiate or Establish of this process may be
	// stamped: wall clock, where there is one. A server takes only stamps that rise,
	// and names its last one to who is below it.
	FirstTimestamp uint64
}

// LinkState is the local state of an Initiator.
//
//	Negotiating --response--> Establishing --ack--> Linked
//	Establishing --reject: unnegotiated--> Negotiating
//	Linked --terminate, silence--> Establishing
//	any --Close--> Closed --Begin, Promote--> Establishing
type LinkState uint8

// States of an Initiator.
const (
	Negotiating LinkState = iota
	Establishing
	Linked
	Closed
)

// String returns the state's name.
func (s LinkState) String() string {
	switch s {
	case Negotiating:
		return "negotiating"
	case Establishing:
		return "establishing"
	case Linked:
		return "linked"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

const (
	sentBytesMax  = 56        // header and block of a request, framing added when sent
	askMessages   = 64        // numbers asked for in one RetransmitRequest
	askRetryNs    = 1_000_000 // and how long its answer is waited for
	resendPassMax = 128       // messages sent again in one pass
	resendMaxSent = 8         // datagrams of resends in one Poll
	sendMaxSent   = 16        // datagrams of new messages in one Poll
	behindMax     = 3         // heartbeats below expectedIn that mean: the server lost records
)

type sentState uint8

const (
	sentFree sentState = iota // answered, or sent again under another number
	sentUnanswered
)

// sent is one message of our flow, kept until its first answer.
type sent struct {
	seqNo   uint64
	clOrdID uint64
	firstNs int64 // local: first and last time it was handed over or sent
	lastNs  int64
	sends   uint32
	bytes   uint8 // of raw, framing included
	state   sentState
	raw     [sentBytesMax]byte
}

// Initiator is the client side of one session. Its numbering, the unanswered
// messages and the expected number of the server change only in Begin/Commit
// and Accept, so a machine that drives those by records replicates it; all
// else is local and starts anew with Promote.
type Initiator struct {
	cfg    InitiatorConfig
	Counts Counts

	// Replicated.
	nextOut    uint64 // next number of ours
	oldest     uint64 // no unanswered message is below it
	expectedIn uint64 // next number of the server; 0: adopt what it says
	unanswered int
	slots      []sent // by number; twice the window, so that renumbering finds room
	byID       *table.U64

	// Local.
	state       LinkState
	nowNs       int64
	timestamp   uint64 // of the last Negotiate or Establish
	retryNs     int64
	retryAtNs   int64
	dice        uint64 // of the retries' jitter
	overdueHint uint64 // no unanswered message is between what Overdue was asked for and this
	lastRxNs    int64
	lastTxNs    int64
	sendNext    uint64 // first number not yet sent in this connection
	resendNext  uint64 // where the running pass of resends stands; 0: none
	nextScanNs  int64
	passResent  uint64 // messages the running pass sent
	gapTo       uint64 // the server has numbers up to here, exclusively
	askedTo     uint64
	askedAtNs   int64
	closeWanted bool
	behind      int // heartbeats in a row that name a number below expectedIn

	// The opened datagram.
	payload  []byte
	messages [sbe.MaxMessages]sbe.Message
	first    int
	count    int
	nextSeq  uint64

	building uint64 // number of the message Begin started

	terms        Terms
	endCode      sbe.SessionCode
	finishing    bool
	finishAtNs   int64
	finishedTo   uint64 // the server has no more numbers from here on
	finishedOwed bool   // and wants to hear when all of it is here

	refusal Refusal // of the opened datagram
	refused bool
}

// NewInitiator allocates everything an initiator will ever use.
func NewInitiator(cfg InitiatorConfig) (*Initiator, error) {
	if cfg.Window < 16 || cfg.Window&(cfg.Window-1) != 0 {
		return nil, fmt.Errorf("%w: window of %d messages: give a power of two of at least 16", ErrConfig, cfg.Window)
	}
	if cfg.BatchMessages < 1 || cfg.MaxDatagramBytes < 256 || cfg.MaxDatagramBytes > sbe.MaxDatagramBytes {
		return nil, fmt.Errorf("%w: %d messages in datagrams of %d bytes: give at least 1 and 256 to %d",
			ErrConfig, cfg.BatchMessages, cfg.MaxDatagramBytes, sbe.MaxDatagramBytes)
	}
	if cfg.ResendNs <= 0 || cfg.ConnectNs <= 0 || cfg.KeepAliveNs < keepAliveMinMs*1_000_000 {
		return nil, fmt.Errorf("%w: resend, connect and keep-alive times must be positive, keep-alive at least %d ms", ErrConfig, keepAliveMinMs)
	}
	cfg.ConnectMaxNs = max(cmp.Or(cfg.ConnectMaxNs, cfg.KeepAliveNs), cfg.ConnectNs)
	i := &Initiator{cfg: cfg, nextOut: 1, oldest: 1, expectedIn: 1, sendNext: 1,
		slots: table.Touched[sent](2 * cfg.Window), byID: table.NewU64(2 * cfg.Window), retryNs: cfg.ConnectNs,
		dice: binary.LittleEndian.Uint64(cfg.Session[:]) ^ binary.LittleEndian.Uint64(cfg.Session[8:])}
	if cfg.Adopt {
		i.expectedIn = 0
	}
	return i, nil
}

func (i *Initiator) slot(seqNo uint64) *sent { return &i.slots[seqNo&uint64(len(i.slots)-1)] }

// State returns the local state.
func (i *Initiator) State() LinkState { return i.state }

// Established reports whether messages may be sent.
func (i *Initiator) Established() bool { return i.state == Linked }

// Room returns how many more messages fit into the window.
func (i *Initiator) Room() int {
	if i.finishing {
		return 0
	}
	return max(0, i.cfg.Window-int(i.nextOut-i.oldest))
}

// Unanswered returns how many messages wait for their first answer.
func (i *Initiator) Unanswered() int { return i.unanswered }

// NextOut returns the next number of our flow, ExpectedIn that of the server's.
func (i *Initiator) NextOut() uint64 { return i.nextOut }

// ExpectedIn returns the next number expected from the server.
func (i *Initiator) ExpectedIn() uint64 { return i.expectedIn }

// Waiting reports whether a message with this ClOrdID is unanswered.
func (i *Initiator) Waiting(clOrdID uint64) bool {
	_, ok := i.byID.Get(clOrdID)
	return ok
}

// Digest folds the replicated state.
func (i *Initiator) Digest(digest uint64) uint64 {
	digest = app.Fold(digest, i.nextOut)
	digest = app.Fold(digest, i.expectedIn)
	return app.Fold(digest, i.oldest<<16^uint64(i.unanswered))
}

// Begin starts a message and returns its zeroed block, or nil when the window
// is full, or clOrdID is 0 or waits in it already. Commit must follow.
func (i *Initiator) Begin(template uint16, clOrdID uint64) []byte {
	if i.Room() == 0 || i.Waiting(clOrdID) || !i.byID.Put(clOrdID, uint32(i.nextOut)) {
		return nil
	}
	return i.place(template, clOrdID)
}

func (i *Initiator) place(template uint16, clOrdID uint64) []byte {
	s, blockBytes := i.slot(i.nextOut), sbe.BlockBytes(template)
	s.seqNo, s.clOrdID, s.sends, s.lastNs = i.nextOut, clOrdID, 0, 0
	s.bytes = uint8(sbe.PrefixBytes + blockBytes)
	block := sbe.Put(s.raw[:], template, blockBytes)
	clear(block)
	i.building = i.nextOut
	return block
}

// Commit numbers the message of Begin, which must follow; Poll or SendNow
// sends it.
func (i *Initiator) Commit(nowNs int64) {
	s := i.slot(i.building)
	s.bytes = uint8(sbe.Shorten(s.raw[:s.bytes]))
	s.state, s.firstNs = sentUnanswered, nowNs
	i.unanswered++
	i.nextOut++
}

// Closed implements venue.Session: a FIXP session keeps no hours.
func (i *Initiator) Closed() bool { return false }

// Overdue calls visit for messages handed over before beforeNs that have had no
// answer, from number from on, and returns the number to go on at and when the
// message of that number was handed over; 0: there is none. Who passes no visit
// only asks when the first of them was.
func (i *Initiator) Overdue(from uint64, beforeNs int64, visit func(clOrdID uint64, template uint16)) (next uint64, atNs int64) {
	n := max(from, i.oldest)
	if n > i.nextOut { // the server renumbered everything
		n = i.oldest
	}
	if hint := i.overdueHint; hint > n && hint <= i.nextOut && visit == nil {
		n = hint
	}
	for ; n < i.nextOut; n++ {
		s := i.slot(n)
		if s.state != sentUnanswered {
			continue
		}
		if visit == nil || s.firstNs >= beforeNs {
			if visit == nil {
				i.overdueHint = n
			}
			return n, s.firstNs
		}
		visit(s.clOrdID, templateOf(s))
	}
	if visit == nil {
		i.overdueHint = n
	}
	return n, 0
}

// answered marks the message with this ClOrdID answered.
func (i *Initiator) answered(clOrdID uint64) *sent {
	low, ok := i.byID.Get(clOrdID)
	if !ok {
		return nil
	}
	s := i.slot(uint64(low))
	if s.state != sentUnanswered || s.clOrdID != clOrdID {
		panic(fmt.Sprintf("fixp: ClOrdID %d leads to number %d with ClOrdID %d in state %d", clOrdID, s.seqNo, s.clOrdID, s.state))
	}
	i.byID.Delete(clOrdID)
	i.free(s)
	return s
}

func (i *Initiator) free(s *sent) {
	s.state = sentFree
	i.unanswered--
	for i.oldest < i.nextOut && i.slot(i.oldest).state == sentFree {
		i.oldest++
	}
}
