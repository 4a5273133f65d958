package fixp

import (
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
}

// ServerConfig configures a Server.
type ServerConfig struct {
	Sessions []SessionConfig
	// RetainMessages is how many messages of each server flow, and how many
	// answers of each client flow, are kept; a power of two, 128 bytes each [16384].
	RetainMessages int
	Port           uint16 // of the lane address
}

const (
	// SessionsMax bounds the sessions of a lane: their index is 16 bits of the
	// venue's ClOrdID.
	SessionsMax = 4096

	keepAliveMinMs  = 10
	keepAliveMaxMs  = 60_000
	silentIntervals = 3         // keep-alive intervals without a frame: expired
	scanNs          = 1_000_000 // how often Poll looks at every session
	tailNs          = 5_000_000 // idle time after which the tail of a flow is announced
	retransmitMax   = 8         // datagrams for one request
	outboxReserve   = 64        // outputs left free by what can wait
)

// Server accepts the sessions of a lane.
type Server struct {
	cfg      ServerConfig
	sessions []session
	index    []uint16 // hash of UUID -> session index + 1
	Counts   Counts

	nowNs      int64
	nextScanNs int64

	// The opened datagram.
	payload  []byte
	from     app.Endpoint
	messages [sbe.MaxMessages]sbe.Message
	first    int    // first message behind the Context
	count    int    // messages from there on
	warmed   uint64 // keeps Warm's loads alive
	current  int    // session it belongs to, -1: the message says itself
	nextSeq  uint64 // number of its next application message

	// The message being built by ToClient, and the answer it belongs to.
	open      uint32
	openBytes int
	building  [keptBytesMax]byte
	applying  *answer
	applyFor  uint32

	scratch [messageBytesMax]byte
}

// NewServer allocates everything a server will ever use.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.RetainMessages == 0 {
		cfg.RetainMessages = 16384
	}
	if n := cfg.RetainMessages; n < 64 || n&(n-1) != 0 {
		return nil, fmt.Errorf("%w: %d messages to retain: give a power of two of at least 64", ErrConfig, n)
	}
	if n := len(cfg.Sessions); n == 0 || n > SessionsMax {
		return nil, fmt.Errorf("%w: %d sessions: give 1 to %d", ErrConfig, n, SessionsMax)
	}
	size := 8
	for size < 4*len(cfg.Sessions) {
		size *= 2
	}
	s := &Server{cfg: cfg, sessions: make([]session, len(cfg.Sessions)), index: make([]uint16, size)}
	for i, c := range cfg.Sessions {
		if _, ok := s.find(&c.ID); ok {
			return nil, fmt.Errorf("%w: session %x is configured twice", ErrConfig, c.ID)
		}
		s.sessions[i] = session{id: c.ID, key: c.Key, windowNs: c.CancelOnDisconnectNs, nextIn: 1, nextOut: 1,
			kept: table.Touched[byte](cfg.RetainMessages * keptBytesMax), answers: table.Touched[answer](cfg.RetainMessages)}
		h := hashUUID(&c.ID)
		for s.index[h&uint64(size-1)] != 0 {
			h++
		}
		s.index[h&uint64(size-1)] = uint16(i + 1)
	}
	return s, nil
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

// Digest folds the replicated session state.
func (s *Server) Digest(digest uint64) uint64 {
	for i := range s.sessions {
		x := &s.sessions[i]
		digest = app.Fold(digest, x.nextIn)
		digest = app.Fold(digest, x.nextOut<<8|uint64(x.state))
		if x.up {
			digest = app.Fold(digest, uint64(x.unboundNs))
		}
		digest = app.Fold(digest, x.timestamp)
	}
	return digest
}

// Promote starts anew what was local to the old primary and announces every
// flow's next number, so that clients notice what was lost with it.
func (s *Server) Promote(nowNs int64, out *app.Outbox) {
	s.nowNs, s.nextScanNs = nowNs, nowNs+scanNs
	for i := range s.sessions {
		x := &s.sessions[i]
		x.peer, x.lastRxNs, x.tail, x.refused = x.home, nowNs, false, 0
		if x.state == Established {
			s.heartbeat(x, out)
		}
	}
}

// Poll sends heartbeats and drafts the expiry of silent sessions.
func (s *Server) Poll(nowNs int64, out *app.Outbox) (app.Verdict, app.Draft) {
	s.nowNs = nowNs
	if nowNs < s.nextScanNs {
		return app.Drop, app.Draft{}
	}
	for i := range s.sessions {
		x := &s.sessions[i]
		if x.awaited() && nowNs-x.lastRxNs > x.windowNs {
			return app.Commit, app.Draft{Type: app.RecordSession,
				Payload: putSession(s.scratch[:], uint32(i), EventLost, x.timestamp, 0, &x.peer, 0)}
		}
		if x.state != Established {
			continue
		}
		if nowNs-x.lastRxNs > silentIntervals*x.keepAliveNs {
			s.Counts.count[CountExpired]++
			return app.Commit, app.Draft{Type: app.RecordSession,
				Payload: putSession(s.scratch[:], uint32(i), EventExpire, x.timestamp, 0, &x.peer, 0)}
		}
		idleNs := nowNs - x.lastTxNs
		if (x.tail && idleNs >= tailNs || idleNs >= x.keepAliveNs) && out.Room() > outboxReserve {
			s.heartbeat(x, out)
		}
	}
	s.nextScanNs = nowNs + scanNs
	return app.Drop, app.Draft{}
}

// heartbeat sends the flow's next number, which also announces its tail.
func (s *Server) heartbeat(x *session, out *app.Outbox) {
	b := out.Open(x.peer, s.cfg.Port, 0)
	out.Close(sbe.PutContext(b, &x.id, x.nextOut), 0)
	x.lastTxNs, x.tail = s.nowNs, false
	s.Counts.count[CountHeartbeats]++
}

// Warm touches where the next message of the session that spoke last, and the
// answer to it, will be kept.
func (s *Server) Warm() {
	if s.current < 0 || s.current >= len(s.sessions) {
		return
	}
	x := &s.sessions[s.current]
	kept := x.keptSlot(x.nextOut)
	s.warmed += uint64(kept[0]) + uint64(kept[keptBytesMax/2]) + x.answerOf(x.nextIn).seqNo
}
