package fixp

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
	"onebeat/engine/table"
)

// ErrConfig is wrapped by every refusal of a configuration.
var ErrConfig = errors.New("session configuration")

// SessionConfig is one session the server knows.
type SessionConfig struct {
	ID  sbe.UUID
	Key Key
	// CancelOnDisconnectNs is how long the session may be away before the
	// application hears app.SessionLost; longer than a failover. 0: it never does.
	CancelOnDisconnectNs int64
	// OrdersPerSecond bounds the requests that are taken of the session in the
	// long run, OrderBurst those at once [a tenth of a second's]; 0: no bound.
	OrdersPerSecond int
	OrderBurst      int
	// RetainMessages is the session's own [ServerConfig's].
	RetainMessages int
}

// ServerConfig configures a Server.
type ServerConfig struct {
	Sessions []SessionConfig
	// RetainMessages is how many messages of each server flow, and how many
	// answers of each client flow, are kept; a power of two, 160 bytes each
	// [retainTotal over the sessions, at most 16384 each].
	RetainMessages int
	Port           uint16 // of the lane address
}

const (
	// SessionsMax bounds the sessions of a lane: their index is 16 bits of the
	// venue's ClOrdID.
	SessionsMax = 65_000

	// What is kept of all sessions together when nothing is configured: many
	// sessions have less each, so that a node's memory stays as it was.
	retainTotal = 1 << 20
	retainMin   = 64
	retainMax   = 16384
	retainSum   = 1 << 26 // 10 GiB

	keepAliveMinMs  = 10
	keepAliveMaxMs  = 60_000
	silentIntervals = 3         // keep-alive intervals without a frame: expired
	tailNs          = 5_000_000 // idle time after which the tail of a flow is announced
	gapHoldNs       = 50_000_000
	timestampMax    = 1 << 62

	// RetransmitCountMax bounds the messages one request may ask for.
	RetransmitCountMax = 4096
	retransmitMax      = 8 // datagrams for one request

	outboxReserve = 64 // outputs left free by what can wait
)

// Rates of what a session may ask for, beside its orders.
var (
	asks  = newRate(2_000, 256) // RetransmitRequests
	binds = newRate(100, 16)    // recorded Establishes
	// takeovers are those of a session whose peer is still heard: two clients of one
	// session do not fill the log by taking turns.
	takeovers = newRate(1, 4)
)

// Server accepts the sessions of a lane.
type Server struct {
	cfg      ServerConfig
	sessions []session
	index    []uint16 // hash of UUID -> session index + 1
	kept     []byte   // server flows: message n of a session at (at + n&mask) * keptBytesMax
	answers  []answer
	links    []link // of the wheel, by session
	Counts   Counts

	nowNs    int64
	wheel    wheel
	live     []uint32 // sessions that time may bring something about for
	promoted uint32   // how often; what is older of a session's turn counts no more
	digest   uint64   // of all sessions
	dirty    []uint32 // those that changed since

	// The opened datagram.
	payload  []byte
	from     app.Endpoint
	messages [sbe.MaxMessages]sbe.Message
	first    int    // first message behind the Context
	count    int    // messages from there on
	at       int    // the one being admitted
	warmed   uint64 // keeps Warm's loads alive
	current  int    // session it belongs to, -1: the message says itself
	nextSeq  uint64 // number of its next application message
	gap      bool   // it is a heartbeat that says so
	toldSeq  uint64 // up to here its messages were refused by one answer

	// The message being built by ToClient, and the answer it belongs to.
	open     uint32
	building sbe.Framed
	applying *answer
	applyFor uint32

	scratch [messageBytesMax]byte
}

// NewServer allocates everything a server will ever use.
func NewServer(cfg ServerConfig) (*Server, error) {
	if n := len(cfg.Sessions); n == 0 || n > SessionsMax {
		return nil, fmt.Errorf("%w: %d sessions: give 1 to %d", ErrConfig, n, SessionsMax)
	}
	if cfg.RetainMessages == 0 {
		cfg.RetainMessages = RetainDefault(len(cfg.Sessions))
	}
	size, total := 8, 0
	for size < 4*len(cfg.Sessions) {
		size *= 2
	}
	s := &Server{cfg: cfg, sessions: make([]session, len(cfg.Sessions)), index: make([]uint16, size),
		links: make([]link, len(cfg.Sessions)), live: make([]uint32, 0, len(cfg.Sessions)), dirty: make([]uint32, 0, len(cfg.Sessions))}
	for i := range cfg.Sessions {
		c := &cfg.Sessions[i]
		if err := s.configure(c); err != nil {
			return nil, err
		}
		s.sessions[i] = session{id: c.ID, key: c.Key, at: uint32(total), mask: uint32(c.RetainMessages - 1), windowNs: c.CancelOnDisconnectNs, nextIn: 1, nextOut: 1,
			orders: newRate(c.OrdersPerSecond, c.OrderBurst)}
		if total += c.RetainMessages; total > retainSum {
			return nil, fmt.Errorf("%w: %d messages retained with session %d: %d are the most of all sessions", ErrConfig, total, i, retainSum)
		}
		h := hashUUID(&c.ID)
		for s.index[h&uint64(size-1)] != 0 {
			h++
		}
		s.index[h&uint64(size-1)] = uint16(i + 1)
	}
	s.kept, s.answers = table.Touched[byte](total*keptBytesMax), table.Touched[answer](total)
	return s, nil
}

// RetainDefault is how many messages of each of so many sessions are kept when
// nothing is configured.
func RetainDefault(sessions int) int {
	n := retainMax
	for n > retainMin && n*sessions > retainTotal {
		n /= 2
	}
	return n
}

// configure checks one session and fills in what is not configured.
func (s *Server) configure(c *SessionConfig) error {
	c.RetainMessages = cmp.Or(c.RetainMessages, s.cfg.RetainMessages)
	if n := c.RetainMessages; n < retainMin || n > 1<<20 || n&(n-1) != 0 {
		return fmt.Errorf("%w: %d messages to retain: give a power of two of at least %d", ErrConfig, n, retainMin)
	}
	if _, ok := s.find(&c.ID); ok {
		return fmt.Errorf("%w: session %x is configured twice", ErrConfig, c.ID)
	}
	if c.OrdersPerSecond < 0 || c.OrdersPerSecond > RateMax || c.OrderBurst < 0 || c.OrderBurst > RateMax {
		return fmt.Errorf("%w: %d orders a second, %d at once: give 0 (no bound) to %d", ErrConfig, c.OrdersPerSecond, c.OrderBurst, RateMax)
	}
	if c.OrdersPerSecond > 0 {
		c.OrderBurst = cmp.Or(c.OrderBurst, max(1, c.OrdersPerSecond/10))
	}
	return nil
}

func hashUUID(id *sbe.UUID) uint64 {
	a, b := binary.LittleEndian.Uint64(id[:]), binary.LittleEndian.Uint64(id[8:])
	return ((a ^ b*0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93) >> 32
}

func (s *Server) find(id *sbe.UUID) (int, bool) {
	mask := uint64(len(s.index) - 1)
	for h := hashUUID(id); ; h++ {
		i := s.index[h&mask]
		if i == 0 {
			return 0, false
		}
		if s.sessions[i-1].id == *id {
			return int(i - 1), true
		}
	}
}

// Sessions returns the number of configured sessions.
func (s *Server) Sessions() int { return len(s.sessions) }

// SessionState returns the state, the next number of the client and the next
// number of the server.
func (s *Server) SessionState(i int) (state State, nextIn, nextOut uint64) {
	x := &s.sessions[i]
	return x.state, x.nextIn, x.nextOut
}

// Blocked reports whether an operator keeps a session out.
func (s *Server) Blocked(i int) bool { return s.sessions[i].blocked }

// Digest folds the replicated session state. Only what changed since the last
// call is looked at.
func (s *Server) Digest(digest uint64) uint64 {
	for _, i := range s.dirty {
		x := &s.sessions[i]
		s.digest ^= x.hash
		x.hash, x.dirty = x.digest(i), false
		s.digest ^= x.hash
	}
	s.dirty = s.dirty[:0]
	return app.Fold(digest, s.digest)
}

// changed notes that a session's part of the digest did.
func (s *Server) changed(x *session, i uint32) {
	if !x.dirty {
		x.dirty = true
		s.dirty = append(s.dirty, i)
	}
}

// Warm touches where the next message of the session that spoke last, and the
// answer to it, will be kept.
func (s *Server) Warm() {
	if s.current < 0 || s.current >= len(s.sessions) {
		return
	}
	x := &s.sessions[s.current]
	kept := s.keptSlot(x, x.nextOut)
	s.warmed += uint64(kept[0]) + uint64(kept[keptBytesMax/2]) + s.answerOf(x, x.nextIn).seqNo
}
