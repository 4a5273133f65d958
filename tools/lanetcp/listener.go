package lanetcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watchEvery is how soon connections end after the lane was given away. Nothing
// hangs on it: the kernel programs have made them silent by then.
const watchEvery = 5 * time.Millisecond

// Counts of a listener since it was opened.
type Counts struct {
	Accepted  uint64 // handed to the server
	NotActive uint64 // closed at once: this node does not serve the lane
	Aborted   uint64 // closed because the lane was given away
}

// Listener is a net.Listener at a lane's address that lives as long as the node.
// It hands out connections only while the node is ACTIVE for the lane, and resets
// all of them when it is no more: a server may go on in Accept across roles.
type Listener struct {
	inner  *net.TCPListener
	active func() bool

	accepted, notActive, aborted atomic.Uint64

	mu       sync.Mutex
	open     map[*conn]struct{}
	watching bool
	closed   bool
	watch    sync.WaitGroup
}

// Listen opens a listener at an address that may not be on an interface yet.
// active is asked often, from several goroutines.
func Listen(at netip.AddrPort, active func() bool) (*Listener, error) {
	c := net.ListenConfig{Control: freebind}
	// A second path of a connection would pass no program of ours, and a listener for such
	// connections takes no filter.
	c.SetMultipathTCP(false)
	inner, err := c.Listen(context.Background(), "tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("TCP at %v: %w", at, err)
	}
	return &Listener{inner: inner.(*net.TCPListener), active: active, open: map[*conn]struct{}{}}, nil
}

func freebind(network, _ string, c syscall.RawConn) error {
	level, option := unix.SOL_IP, unix.IP_FREEBIND
	if network == "tcp6" {
		level, option = unix.SOL_IPV6, unix.IPV6_FREEBIND
	}
	var err error
	return errors.Join(c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), level, option, 1)
	}), err)
}

// Accept waits for a connection to the serving node.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.inner.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if c := l.take(inner); c != nil {
			return c, nil
		}
	}
}

// take makes a connection one of ours, or resets it and returns nil.
func (l *Listener) take(inner *net.TCPConn) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !l.active() {
		l.notActive.Add(1)
		reset(inner)
		return nil
	}
	l.accepted.Add(1)
	c := &conn{TCPConn: inner, of: l}
	l.open[c] = struct{}{}
	if !l.watching {
		l.watching = true
		l.watch.Go(l.watchRole)
	}
	return c
}

// reset closes a connection so that nothing of it stays in the kernel: its other
// end is told by RST, or by the next node.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// watchRole resets the connections once the lane is given away. It ends with the
// last of them.
func (l *Listener) watchRole() {
	for l.watchOnce() {
		time.Sleep(watchEvery)
	}
}

func (l *Listener) watchOnce() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !l.active() {
		l.resetAll()
	}
	l.watching = len(l.open) > 0
	return l.watching
}

// resetAll is called with the lock held.
func (l *Listener) resetAll() {
	for c := range l.open {
		reset(c.TCPConn)
		l.aborted.Add(1)
	}
	clear(l.open)
}

func (l *Listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// Open is how many connections there are.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// Counts returns what became of all connections so far.
func (l *Listener) Counts() Counts {
	return Counts{Accepted: l.accepted.Load(), NotActive: l.notActive.Load(), Aborted: l.aborted.Load()}
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// SyscallConn gives access to the listening socket.
func (l *Listener) SyscallConn() (syscall.RawConn, error) { return l.inner.SyscallConn() }

// Close ends the listener and resets its connections.
func (l *Listener) Close() error {
	err := l.inner.Close()
	l.mu.Lock()
	l.closed = true
	l.resetAll()
	l.mu.Unlock()
	l.watch.Wait()
	return err
}

// conn tells its listener of its end.
type conn struct {
	*net.TCPConn
	of *Listener
}

// Close ends the connection in order.
func (c *conn) Close() error {
	c.of.forget(c)
	return c.TCPConn.Close()
}
