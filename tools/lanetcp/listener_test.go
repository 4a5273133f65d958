package lanetcp

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

type fixture struct {
	*testing.T
	l        *Listener
	active   atomic.Bool
	accepted chan net.Conn
}

func listen(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, accepted: make(chan net.Conn, 16)}
	f.active.Store(true)
	var err error
	if f.l, err = Listen(anyPort, f.active.Load); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := f.l.Accept()
			if err != nil {
				return
			}
			f.accepted <- c
		}
	}()
	t.Cleanup(func() { f.l.Close(); <-done })
	return f
}

// dial is a client that says something, so that both ends know each other.
func (f *fixture) dial() net.Conn {
	f.Helper()
	c, err := net.Dial("tcp", f.l.Addr().String())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Second))
	return c
}

// ends returns what a client reads at the end.
func ends(c net.Conn) error {
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func (f *fixture) counts(want Counts) {
	f.Helper()
	if got := f.l.Counts(); got != want {
		f.Errorf("counted %+v, want %+v", got, want)
	}
}

func TestConnectionsEndWithTheRole(t *testing.T) {
	f := listen(t)
	a, b := f.dial(), f.dial()
	server := <-f.accepted
	<-f.accepted
	if _, err := server.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	f.active.Store(false)
	errs := []error{ends(a), ends(a), ends(b)}
	if errs[0] != nil && errs[1] == nil || !errors.Is(errs[2], syscall.ECONNRESET) {
		t.Errorf("%v", errs)
	}
	// The reset may be there before the client has seen that it is connected.
	c, err := net.Dial("tcp", f.l.Addr().String())
	if err == nil {
		err = ends(c)
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a node that does not serve: %v", err)
	}
	if n := f.l.Open(); n != 0 {
		t.Errorf("%d are open", n)
	}
	if err := server.Close(); err == nil {
		t.Error("the server's connection was open")
	}
	f.active.Store(true)
	c = f.dial()
	again := <-f.accepted
	if _, err := again.Write([]byte{1}); err != nil || ends(c) != nil {
		t.Error("it does not serve again")
	}
	f.counts(Counts{Accepted: 3, NotActive: 1, Aborted: 2})
}

func TestCloseEndsAll(t *testing.T) {
	f := listen(t)
	c := f.dial()
	<-f.accepted
	if err := f.l.Close(); err != nil {
		t.Error(err)
	}
	if err := ends(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v", err)
	}
	if _, err := net.Dial("tcp", f.l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
}
