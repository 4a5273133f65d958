package store

import (
	"cmp"
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/engine/cold"
	"onebeat/engine/fix/convert"
	"onebeat/engine/sbe"
	"onebeat/engine/table"
)

// ErrConfig is wrapped by every refusal of a configuration.
var ErrConfig = errors.New("FIX session configuration")

// ID is who speaks: we are Sender.
type ID struct {
	Version                              convert.Version
	Sender, SenderSub, Target, TargetSub string
}

// String is the usual way to write it.
func (id ID) String() string {
	s := id.Version.BeginString() + ":" + id.Sender
	if id.SenderSub != "" {
		s += "/" + id.SenderSub
	}
	if s += "->" + id.Target; id.TargetSub != "" {
		s += "/" + id.TargetSub
	}
	return s
}

// SessionConfig is one session. Without a Target it is a place for sessions that
// nobody configured (Bind).
type SessionConfig struct {
	ID
	Names *convert.Names
	// Venue: we log on to it; it is no client of the lane's application. Such sessions
	// stand behind all others.
	Venue bool
	// CancelNs is how long a session may be away before its orders are cancelled; 0:
	// they stay.
	CancelNs int64
}

// Config of Sessions; zero values of sizes mean the defaults in brackets.
type Config struct {
	Sessions []SessionConfig
	// First is the index of the first FIX session among the lane's.
	First uint32
	// RetainMessages and RetainBytes are how much of what each session sent is kept;
	// powers of two [4096, 1 MiB].
	RetainMessages, RetainBytes int
	// OrdersMax is how many ClOrdIDs of all sessions are known together [65536].
	OrdersMax int
	// Waits reports whether message seqNo to a venue, by its place among them, waits for
	// an answer; nil: all do. Only those are sent again.
	Waits func(venue int, seqNo uint64) bool
	// Link hears what became of the connection with a venue, by its place among them; nil:
	// nobody does.
	Link func(venue int, now Link)
	// Port is where messages go to be sent; nil: nowhere.
	Port *cold.Port
}

const (
	// SessionsMax bounds the FIX sessions of a lane.
	SessionsMax = 1024
	// MessageMaxBytes bounds one message sent.
	MessageMaxBytes = 8192

	seqNoMax = 1 << 53
)

// kept says where a message stands among the kept bytes.
type kept struct {
	at     uint64 // absolute; bytes [at, at+bytes)
	bytes  uint32
	timeNs int64
}

type session struct {
	cfg SessionConfig

	// Replicated: changed by Apply only.
	id          ID
	names       *convert.Names
	nextIn      uint64
	nextOut     uint64
	createdNs   int64 // wall clock
	loggedOn    bool
	blocked     bool // by an operator
	up          bool // the application knows it as there
	heartbeatS  uint32
	lostAtNs    int64 // lane time of the loss of a session with CancelNs; 0: not lost
	resets      uint64
	oldest      uint64
	index       []kept
	bytes       []byte
	end         uint64 // behind the newest kept byte
	prefix      []byte // "49=...|" of a message, up to SendingTime
	afterPrefix []byte // and behind it
	beginString []byte

	// Local to the primary.
	left bool // its connection went with the old primary, and nobody has said so yet
}

// Sessions is the state.
type Sessions struct {
	cfg      Config
	sessions []session
	clients  int // sessions that are not with venues
	ids      ids
	offsetNs int64 // wall clock less lane time, as of the last record
	digest   uint64
	refused  uint64 // answers made here
	joined   []byte
	counts   [countMax]uint64

	// The record being applied.
	timeNs    int64
	current   *session
	currentAt uint16
	cookie    uint32
	clOrdID   []byte
	orig      []byte
	inBlock   []byte
	template  uint16
	block     [sbe.MaxMessageBytes]byte

	// The message being built by ToClient.
	open         uint32
	openTemplate uint16
	openBytes    int
	building     [sbe.MaxMessageBytes]byte
	body         []byte
	fields       []byte
	kind         [1]byte
	aimed        bool
	nextScanNs   int64
	draft        [HeaderBytes]byte
	message      []byte
	entryOut     cold.Entry
}

type counter uint8

const (
	countRecords counter = iota
	countBad
	countOutOfStep
	countOrders
	countMessages
	countTooLong
	countIDsFull
	countRepeats
	countResets
	countEchoesDropped
	countNoText
	countMax
)

var counterNames = [countMax]string{"records", "bad_record", "out_of_step", "orders", "messages_out", "message_too_long",
	"clordids_full", "clordid_known", "resets", "echoes_dropped", "clordid_forgotten"}

// New allocates everything the sessions will ever use.
func New(cfg Config) (*Sessions, error) {
	cfg.RetainMessages = cmp.Or(cfg.RetainMessages, 4096)
	cfg.RetainBytes = cmp.Or(cfg.RetainBytes, 1<<20)
	cfg.OrdersMax = cmp.Or(cfg.OrdersMax, 65536)
	power := func(n int) bool { return n&(n-1) == 0 }
	switch {
	case len(cfg.Sessions) > SessionsMax:
		return nil, fmt.Errorf("%w: %d sessions: give at most %d", ErrConfig, len(cfg.Sessions), SessionsMax)
	case cfg.RetainMessages < 64 || !power(cfg.RetainMessages) || cfg.RetainBytes < 2*MessageMaxBytes || !power(cfg.RetainBytes):
		return nil, fmt.Errorf("%w: %d messages and %d bytes to retain: give powers of two of at least 64 and %d", ErrConfig,
			cfg.RetainMessages, cfg.RetainBytes, 2*MessageMaxBytes)
	case cfg.OrdersMax < 64:
		return nil, fmt.Errorf("%w: %d ClOrdIDs: give at least 64", ErrConfig, cfg.OrdersMax)
	}
	s := &Sessions{cfg: cfg, sessions: make([]session, len(cfg.Sessions)), ids: newIDs(cfg.OrdersMax),
		joined: make([]byte, 0, MessageMaxBytes), body: make([]byte, 0, MessageMaxBytes), message: make([]byte, 0, MessageMaxBytes+256),
		fields: make([]byte, 0, 2048)}
	for i, c := range cfg.Sessions {
		if !c.Venue && s.clients < i {
			return nil, fmt.Errorf("%w: session %v stands behind those with venues", ErrConfig, c.ID)
		}
		if !c.Venue {
			s.clients++
		}
		for _, other := range cfg.Sessions[:i] {
			if c.Target != "" && other.ID == c.ID {
				return nil, fmt.Errorf("%w: session %v is configured twice", ErrConfig, c.ID)
			}
		}
		x := &s.sessions[i]
		*x = session{cfg: c, id: c.ID, names: c.Names, nextIn: 1, nextOut: 1, oldest: 1,
			index: table.Touched[kept](cfg.RetainMessages), bytes: table.Touched[byte](cfg.RetainBytes)}
		x.setID(c.ID)
	}
	return s, nil
}

func (x *session) setID(id ID) {
	x.id = id
	if x.names != nil && x.names.Version != id.Version {
		names := *x.names // of a place that sessions of either version may get
		names.Version = id.Version
		x.names = &names
	}
	x.beginString = convert.AppendField(x.beginString[:0], 8, id.Version.BeginString())
	x.prefix = convert.AppendField(x.prefix[:0], 49, id.Sender)
	if id.SenderSub != "" {
		x.prefix = convert.AppendField(x.prefix, 50, id.SenderSub)
	}
	x.afterPrefix = convert.AppendField(x.afterPrefix[:0], 56, id.Target)
	if id.TargetSub != "" {
		x.afterPrefix = convert.AppendField(x.afterPrefix, 57, id.TargetSub)
	}
}

// Len returns the number of sessions.
func (s *Sessions) Len() int { return len(s.sessions) }

// Clients returns the number of sessions that are clients of the lane's application.
func (s *Sessions) Clients() int { return s.clients }

// Owns reports whether a session of the lane is one of these.
func (s *Sessions) Owns(laneSession uint32) bool {
	return laneSession >= s.cfg.First && laneSession-s.cfg.First < uint32(s.clients)
}

// State is what the cold side may ask of a session.
type State struct {
	ID              ID
	NextIn, NextOut uint64
	Oldest          uint64 // kept message
	CreatedNs       int64  // wall clock; 0: never used
	LoggedOn        bool
	Blocked         bool
	HeartbeatS      uint32
}

// State returns a session's state.
func (s *Sessions) State(i int) State {
	x := &s.sessions[i]
	return State{ID: x.id, NextIn: x.nextIn, NextOut: x.nextOut, Oldest: x.oldest, CreatedNs: x.createdNs, LoggedOn: x.loggedOn, Blocked: x.blocked, HeartbeatS: x.heartbeatS}
}

// Message returns message seqNo as it was sent and its lane time; nil: it is not kept.
func (s *Sessions) Message(i int, seqNo uint64) (first, second []byte) {
	x := &s.sessions[i]
	if seqNo < x.oldest || seqNo >= x.nextOut {
		return nil, nil
	}
	k := &x.index[seqNo&uint64(len(x.index)-1)]
	at := k.at & uint64(len(x.bytes)-1)
	if n := uint64(len(x.bytes)) - at; uint64(k.bytes) > n {
		return x.bytes[at:], x.bytes[:uint64(k.bytes)-n]
	}
	return x.bytes[at : at+uint64(k.bytes)], nil
}

// keep stores message seqNo; the oldest ones make room.
func (x *session) keep(seqNo uint64, message []byte, timeNs int64) {
	n := uint64(len(message))
	mask := uint64(len(x.index) - 1)
	for x.oldest < seqNo && (seqNo-x.oldest >= uint64(len(x.index)) || x.end+n-x.index[x.oldest&mask].at > uint64(len(x.bytes))) {
		x.oldest++
	}
	x.index[seqNo&mask] = kept{at: x.end, bytes: uint32(n), timeNs: timeNs}
	at := x.end & uint64(len(x.bytes)-1)
	m := copy(x.bytes[at:], message)
	copy(x.bytes, message[m:])
	x.end += n
}

// Counters calls visit for every counted reason.
func (s *Sessions) Counters(visit func(name string, count uint64)) {
	if len(s.sessions) == 0 {
		return
	}
	for i, n := range s.counts {
		visit("fix_"+counterNames[i], n)
	}
	visit("fix_clordids_open", uint64(s.ids.places.Open()))
	visit("fix_logged_on", s.logged())
}

func (s *Sessions) logged() (n uint64) {
	for i := range s.sessions {
		if s.sessions[i].loggedOn {
			n++
		}
	}
	return n
}

// Digest folds the replicated state.
func (s *Sessions) Digest(d uint64) uint64 {
	if len(s.sessions) == 0 {
		return d
	}
	d = app.Fold(d, s.digest)
	d = app.Fold(d, uint64(s.offsetNs))
	d = app.Fold(d, s.ids.next)
	for i := range s.sessions {
		x := &s.sessions[i]
		on := uint64(0)
		if x.loggedOn {
			on = 1
		}
		if x.blocked {
			d = app.Fold(d, uint64(i)+1)
		}
		d = app.Fold(app.Fold(d, x.nextIn<<1|on), x.nextOut)
		d = app.Fold(d, uint64(x.createdNs)^uint64(x.lostAtNs))
	}
	return d
}
