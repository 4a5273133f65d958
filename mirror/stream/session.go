package stream

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"onebeat/pin"
)

// session is one client's connection to the server.
type session struct {
	server *Server
	conn   *tls.Conn
	node   uint8
	name   string
	in     frames
	head   [HeaderBytes + bodySmallBytes]byte
	buffer []byte      // HeaderBytes, head of a chunk, ChunkBytes; made by the first request that needs it
	write  sync.Mutex  // of conn, between a stream and its refusal
	errand *pin.Errand // of the request in work, if that is long; else nil
}

// bodySmallBytes holds the bodies of all but chunks, pieces and statuses.
const bodySmallBytes = 512

func newSession(s *Server, conn *tls.Conn, node uint8) *session {
	return &session{server: s, conn: conn, node: node, in: frames{from: conn}}
}

// run greets the client and answers its requests one by one.
func (s *session) run() {
	err := s.greet()
	for err == nil {
		err = s.request()
	}
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		s.refuse(refused)
	case errors.Is(err, ErrFrame):
		s.refuse(refuse(ReasonFrame, "%v", err))
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.server.note(s.conn, refuse(ReasonSlow, "nothing moved for %v", s.server.o.Timing.Dead))
	}
}

// refuse counts a refusal, tells the client and ends the connection.
func (s *session) refuse(r *Refused) {
	s.server.note(s.conn, r)
	_ = s.send(TypeRefused, 0, r.put(s.body())) // it sees the connection end at least
	_ = s.conn.CloseWrite()
	// What it still sends must be read, or its refusal is thrown away with it.
	_ = s.conn.SetReadDeadline(time.Now().Add(s.server.o.Timing.KeepAlive))
	_, _ = io.CopyN(io.Discard, s.conn, bodyMaxBytes)
}

// body returns an empty body for send.
func (s *session) body() []byte { return s.head[HeaderBytes:HeaderBytes] }

// send writes a frame whose body stands in a buffer of the session's, behind
// HeaderBytes of room.
func (s *session) send(typ Type, lane uint8, body []byte) error {
	b := s.head[:]
	if HeaderBytes+len(body) > len(b) {
		b = make([]byte, HeaderBytes+len(body))
	}
	copy(b[HeaderBytes:], body)
	return s.put(seal(b[:HeaderBytes+len(body)], typ, 0, lane))
}

// put writes a sealed frame.
func (s *session) put(frame []byte) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.server.o.Timing.Dead)); err != nil {
		return err
	}
	n, err := s.conn.Write(frame)
	s.server.wireBytes.Add(uint64(n))
	return err
}

// next reads a frame within the given time.
func (s *session) next(within time.Duration) (header, []byte, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return header{}, nil, err
	}
	return s.in.next()
}

func (s *session) greet() error {
	h, body, err := s.next(s.server.o.Timing.Handshake)
	if err != nil {
		return err
	}
	if h.typ != TypeHello {
		return refuse(ReasonFrame, "%v before HELLO", h.typ)
	}
	var hello hello
	if err := hello.parse(body); err != nil {
		return err
	}
	own := s.server.o.Credentials.Node
	switch {
	case hello.version != Version:
		return refuse(ReasonVersion, "the client speaks version %d, this server version %d: run the same program on both", hello.version, Version)
	case hello.node != s.node:
		return refuse(ReasonName, "the client says it is node %d, its certificate is node %d's", hello.node, s.node)
	case hello.server != own:
		return refuse(ReasonName, "this is node %d, not %d", own, hello.server)
	}
	s.name = hello.name
	w := welcome{version: Version, node: own, chunkBytes: ChunkBytes}
	return s.send(TypeWelcome, 0, w.put(s.body()))
}

// request answers one request. A client that asks nothing for long goes.
func (s *session) request() error {
	h, body, err := s.next(6 * s.server.o.Timing.Dead)
	if err != nil {
		return err
	}
	switch h.typ {
	case TypeStatus:
		return s.status()
	case TypeAck:
		return nil // of a log that ended just now
	case TypeSnapshot, TypeLog, TypeCompare:
	default:
		return refuse(ReasonFrame, "%v is no request", h.typ)
	}
	lane := s.server.lanes[h.lane]
	if lane == nil || !s.server.o.May(s.node, h.lane) {
		return refuse(ReasonLane, "node %d serves no lane %d to node %d", s.server.o.Credentials.Node, h.lane, s.node)
	}
	if s.buffer == nil {
		s.buffer = make([]byte, HeaderBytes+chunkHeadBytes+ChunkBytes)
	}
	// Orders do not wait for any of them.
	s.errand = pin.StartErrand()
	defer func() {
		s.errand.End()
		s.errand = nil
	}()
	switch h.typ {
	case TypeSnapshot:
		return s.snapshot(lane)
	case TypeCompare:
		return s.compare(lane, body)
	}
	var req LogRequest
	if err := req.parse(h.lane, body); err != nil {
		return err
	}
	return s.log(lane, &req)
}

// smallBytes is what is read, summed, encrypted and sent in one go on cores that
// somebody else spins on: some 60 us.
const smallBytes = 32 << 10

// pieceBytes begins a piece of a long request and returns how much it may be.
func (s *session) pieceBytes() uint64 {
	if s.errand.Piece() {
		return smallBytes
	}
	return ChunkBytes
}

func (s *session) status() error {
	var body []byte
	for _, l := range s.server.o.Lanes {
		if s.server.o.May(s.node, l.ID) {
			status := l.status(time.Now().UnixNano())
			body = status.put(body)
		}
	}
	return s.send(TypeLanes, 0, body)
}

// snapshot sends the newest one in pieces.
func (s *session) snapshot(l *Lane) (err error) {
	var snapshot Snapshot
	ok := false
	if l.Newest != nil {
		snapshot, ok = l.Newest()
	}
	if !ok {
		return refuse(ReasonSnapshot, "lane %d has no snapshot here; see [snapshot] in the configuration", l.ID)
	}
	file, err := snapshot.Open()
	if err != nil {
		return refuse(ReasonSnapshot, "lane %d: %v", l.ID, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := s.send(TypeSnapshot, l.ID, snapshot.SnapshotHead.put(s.body())); err != nil {
		return err
	}
	rate := newBucket(s.server.o.RateBytes, s.server.o.NowNs())
	for left := snapshot.Bytes; left > 0; {
		n := int(min(left, s.pieceBytes()))
		s.errand.Left(left)
		b := s.buffer[:HeaderBytes+n]
		if _, err := io.ReadFull(file, b[HeaderBytes:]); err != nil {
			return refuse(ReasonDamage, "snapshot of lane %d at %d: %v", l.ID, snapshot.Position, err)
		}
		if wait := rate.take(n, s.server.o.NowNs()); wait > 0 && !s.server.pause(wait) {
			return refuse(ReasonClosing, "the server ends")
		}
		if err := s.put(seal(b, TypePiece, 0, l.ID)); err != nil {
			return err
		}
		s.server.sentBytes.Add(uint64(n))
		left -= uint64(n)
	}
	return nil
}
