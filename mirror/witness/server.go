package witness

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"onebeat/mirror/arbiter"
)

// Idle strategies of the server's loop.
type Idle uint8

const (
	// Backoff looks for a moment and then sleeps until a datagram comes.
	Backoff Idle = iota
	// Yield lets others run whenever there is nothing to do: for a core that is
	// rarely wanted. The first to ask after a pause need not wake it.
	Yield
	// Spin never gives its core away.
	Spin
)

func (i Idle) String() string { return [...]string{"backoff", "yield", "spin"}[i] }

// ServerOptions say where a witness listens and who may ask it.
type ServerOptions struct {
	Listen netip.AddrPort // IPv4; port 0 lets the kernel choose
	Groups []Group
	Idle   Idle
}

// Group is who shares a key with the witness.
type Group struct {
	Name string
	Key  [32]byte
}

// Errors of a server.
var (
	ErrNoGroup = errors.New("no such group")
	ErrSeed    = errors.New("not seeded")
	ErrSameKey = errors.New("two groups share a key")
)

// Server is a witness.
type Server struct {
	socket
	at   netip.AddrPort
	boot uint64
	idle Idle
	stop atomic.Bool

	mu   sync.Mutex // the loop holds it for one datagram
	seat *arbiter.Seat

	changes          chan arbiter.Change
	received, unsent atomic.Uint64
	unlogged         atomic.Uint64
}

// Bounds of the loop: looks without a datagram before it sleeps, how long it
// sleeps at most, changes that may wait to be logged.
const (
	spins       = 100
	sleepMs     = 50
	changeSlots = 256

	serverBufferBytes = 1 << 20
)

// Listen opens a witness that knows nothing, in the calling thread's network
// namespace. Run runs it.
func Listen(o ServerOptions) (*Server, error) {
	if !o.Listen.Addr().Is4() {
		return nil, fmt.Errorf("listen at %v: want an IPv4 address", o.Listen)
	}
	groups := make([]arbiter.Group, len(o.Groups))
	names := map[uint64]string{}
	for i, g := range o.Groups {
		groups[i] = arbiter.Group{Name: g.Name, Keys: arbiter.DeriveKeys(g.Key)}
		if other, ok := names[groups[i].Keys.Group]; ok {
			return nil, fmt.Errorf("%w: %s and %s; make a key for each with `openssl rand -hex 32`", ErrSameKey, other, g.Name)
		}
		names[groups[i].Keys.Group] = g.Name
	}
	s := &Server{boot: nonce(), idle: o.Idle, changes: make(chan arbiter.Change, changeSlots)}
	s.seat = arbiter.NewSeat(s.boot, [2]uint64{nonce(), nonce()}, groups)
	return s, s.open(o.Listen)
}

func (s *Server) open(at netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("witness socket: %w", err)
	}
	s.fd = fd
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, serverBufferBytes); err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()})
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		err = fmt.Errorf("listen at %v: %w; stop what has the port (ss -ulpn), or choose another", at, err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		err = fmt.Errorf("listen at %v: %w; give this host the address, or use one that it has", at, err)
	case err != nil:
		err = fmt.Errorf("listen at %v: %w", at, err)
	}
	if err == nil {
		var name unix.Sockaddr
		if name, err = unix.Getsockname(fd); err == nil {
			s.at = netip.AddrPortFrom(at.Addr(), uint16(name.(*unix.SockaddrInet4).Port))
		}
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// Addr returns where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.at }

// Run answers until ctx ends. It keeps its thread busy: lock it, and pin it
// where the machine has a core for it.
func (s *Server) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { s.stop.Store(true) })()
	var frame [arbiter.AskBytes + 1]byte // one more, so that a longer datagram shows
	var reply [arbiter.AnswerBytes]byte
	poll := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	for empty := 0; !s.stop.Load(); {
		n, errno := s.recv(frame[:])
		switch {
		case errno == 0:
			s.answer(frame[:min(n, len(frame))], reply[:])
			empty = 0
		case s.idle == Backoff && empty >= spins:
			// A signal or an error only shortens the sleep.
			_, _ = unix.Poll(poll, sleepMs)
			empty = 0
		case s.idle == Yield && empty >= spins:
			unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		default:
			empty++
		}
	}
}

// answer serves one datagram, whose sender is in s.name.
func (s *Server) answer(b, reply []byte) {
	s.received.Add(1)
	s.mu.Lock()
	n, change := s.seat.Step(b, reply)
	s.mu.Unlock()
	if n > 0 && s.send(reply[:n]) != 0 {
		s.unsent.Add(1)
	}
	if change == nil {
		return
	}
	select {
	case s.changes <- *change:
	default:
		s.unlogged.Add(1)
	}
}

// Changes are what was asked of the registers, for a log.
func (s *Server) Changes() <-chan arbiter.Change { return s.changes }

// Boot names this life of the witness.
func (s *Server) Boot() uint64 { return s.boot }

// Seed gives a lane that is not known its record: an operator's word.
func (s *Server) Seed(group string, laneID uint8, record arbiter.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	refusal, ok := s.seat.Seed(group, laneID, record)
	if !ok {
		return fmt.Errorf("%w: %q; `onebeat witness status` lists them", ErrNoGroup, group)
	}
	switch refusal {
	case arbiter.NotRefused:
		return nil
	case arbiter.RefusedKnown:
		g, _ := s.seat.Register(group, laneID)
		return fmt.Errorf("%w: lane %d of %s is known: %v; only a lane without a record is seeded", ErrSeed, laneID, group, g.Record)
	}
	return fmt.Errorf("%w: %v: %v", ErrSeed, record, refusal)
}

// Each calls visit for every register that is known or asked for. The loop
// waits meanwhile.
func (s *Server) Each(visit func(group string, laneID uint8, g arbiter.Register)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seat.Each(visit)
}

// Counters calls visit for what the server counted.
func (s *Server) Counters(visit func(name string, count uint64)) {
	s.mu.Lock()
	s.seat.Counters(visit)
	s.mu.Unlock()
	visit("received", s.received.Load())
	visit("unsent", s.unsent.Load())
	visit("unlogged", s.unlogged.Load())
}

// Close closes the socket; Run must have returned.
func (s *Server) Close() error {
	err := unix.Close(s.fd)
	s.fd = -1
	return err
}
