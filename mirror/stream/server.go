package stream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ServerOptions say what is served to whom. Zero values mean the defaults in
// brackets.
type ServerOptions struct {
	Credentials *Credentials
	Lanes       []*Lane
	// May reports whether a node may ask for a lane's log. [any with a certificate]
	May func(node, lane uint8) bool
	// RateBytes bounds what one client gets in a second. [no bound]
	RateBytes uint64
	// ConnectionsMax bounds connections, NodeConnectionsMax those of one node.
	ConnectionsMax, NodeConnectionsMax int // [64, 16]
	// NowNs is any monotonic clock, for Copies. [time since the server began]
	NowNs func() int64
	// Note hears, once each, of clients that came, went or were refused. [nobody]
	Note func(string)
	// Timing; tests make it short.
	Timing Timing
}

// Timing of a connection.
type Timing struct {
	Handshake time.Duration // for TLS and HELLO [5 s]
	KeepAlive time.Duration // silence after which each side shows life [1 s]
	Dead      time.Duration // silence, or a write that does not end, that means: dead [10 s]
	Poll      time.Duration // how often a client that has all is looked after [1 ms]
}

func (t *Timing) fill() {
	t.Handshake = cmp.Or(t.Handshake, 5*time.Second)
	t.KeepAlive = cmp.Or(t.KeepAlive, time.Second)
	t.Dead = cmp.Or(t.Dead, 10*time.Second)
	t.Poll = cmp.Or(t.Poll, time.Millisecond)
}

// Server gives logs and snapshots to other hosts.
type Server struct {
	o        ServerOptions
	lanes    map[uint8]*Lane
	listener net.Listener
	tls      *tls.Config
	ctx      context.Context
	stop     context.CancelFunc
	running  sync.WaitGroup
	copies   copies

	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	perNode map[uint8]int

	refused   [reasonEnd]atomic.Uint64
	accepted  atomic.Uint64
	sentBytes atomic.Uint64 // raw, of records and snapshots
	wireBytes atomic.Uint64
	acks      atomic.Uint64
}

// Serve answers on a listener until Close.
func Serve(l net.Listener, o ServerOptions) *Server {
	o.ConnectionsMax = cmp.Or(o.ConnectionsMax, 64)
	o.NodeConnectionsMax = cmp.Or(o.NodeConnectionsMax, 16)
	o.Timing.fill()
	if o.May == nil {
		o.May = func(uint8, uint8) bool { return true }
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	if o.NowNs == nil {
		began := time.Now()
		o.NowNs = func() int64 { return int64(time.Since(began)) }
	}
	s := &Server{o: o, lanes: map[uint8]*Lane{}, listener: l, tls: o.Credentials.server(),
		conns: map[net.Conn]struct{}{}, perNode: map[uint8]int{}}
	for _, lane := range o.Lanes {
		s.lanes[lane.ID] = lane
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.running.Go(s.accept)
	return s
}

// Addr returns where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close ends all connections and returns once nothing runs any more.
func (s *Server) Close() error {
	s.stop()
	err := s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close() // its goroutine ends by it
	}
	s.mu.Unlock()
	s.running.Wait()
	return err
}

// acceptRetry is how long the server waits when accept fails: no descriptors.
const acceptRetry = 100 * time.Millisecond

func (s *Server) accept() {
	for s.ctx.Err() == nil {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.pause(acceptRetry)
			continue
		}
		if !s.enter(c) {
			s.refused[ReasonBusy].Add(1)
			_ = c.Close() // before it cost a handshake
			continue
		}
		s.accepted.Add(1)
		s.running.Go(func() {
			s.serve(c)
			s.leave(c)
		})
	}
}

func (s *Server) enter(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= s.o.ConnectionsMax || s.ctx.Err() != nil {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) leave(c net.Conn) {
	_ = c.Close() // most are closed already
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// enterNode counts a node's connections.
func (s *Server) enterNode(node uint8) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.perNode[node] >= s.o.NodeConnectionsMax {
		return false
	}
	s.perNode[node]++
	return true
}

func (s *Server) leaveNode(node uint8) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.perNode[node]--
}

// pause waits, or until the server ends.
func (s *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// serve is one connection, from handshake to end.
func (s *Server) serve(c net.Conn) {
	conn := tls.Server(c, s.tls)
	ctx, cancel := context.WithTimeout(s.ctx, s.o.Timing.Handshake)
	err := conn.HandshakeContext(ctx)
	cancel()
	if err == nil && conn.ConnectionState().NegotiatedProtocol != protocol {
		err = fmt.Errorf("it does not speak %q", protocol)
	}
	if err != nil {
		s.note(c, refuse(ReasonTLS, "%v", err))
		return
	}
	node, err := nodeOf(conn.ConnectionState().PeerCertificates[0])
	if err != nil {
		s.note(c, refuse(ReasonName, "%v", err))
		return
	}
	session := newSession(s, conn, node)
	if !s.enterNode(node) {
		session.refuse(refuse(ReasonBusy, "%d connections of node %d are enough", s.o.NodeConnectionsMax, node))
		return
	}
	defer s.leaveNode(node)
	session.run()
}

// note counts a refusal and tells of it.
func (s *Server) note(c net.Conn, r *Refused) {
	s.refused[r.Reason].Add(1)
	s.o.Note(fmt.Sprintf("stream: %v %v", c.RemoteAddr(), r))
}

// Counters calls visit for what the server counted.
func (s *Server) Counters(visit func(name string, count uint64)) {
	visit("stream_connections", s.accepted.Load())
	visit("stream_bytes", s.sentBytes.Load())
	visit("stream_wire_bytes", s.wireBytes.Load())
	visit("stream_acks", s.acks.Load())
	for r := Reason(1); r < reasonEnd; r++ {
		if n := s.refused[r].Load(); n > 0 {
			visit("stream_refused_"+r.String(), n)
		}
	}
}
