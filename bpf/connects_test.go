package bpf

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// An address begins as many connections as it may, over IPv4 and IPv6; what is more is not
// heard, and another address is.
func TestConnectsOfAnAddress(t *testing.T) {
	const burst = 5
	c, err := NewConnects(1, burst)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var single net.ListenConfig
	single.SetMultipathTCP(false)
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := single.Listen(t.Context(), "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		if err := c.Attach(l.(syscall.Conn)); err != nil {
			t.Fatal(err)
		}
		before := c.Dropped()
		for i := range burst {
			nc, err := net.DialTimeout("tcp", l.Addr().String(), 20*time.Second)
			if err != nil {
				t.Fatalf("%s, connection %d: %v", at, i, err)
			}
			defer func() { _ = nc.Close() }()
		}
		// On a busy machine seconds may go by, each with one more.
		for deadline := time.Now().Add(20 * time.Second); c.Dropped() == before; {
			if time.Now().After(deadline) {
				t.Fatalf("%s: nothing is too much", at)
			}
			if nc, err := net.DialTimeout("tcp", l.Addr().String(), 50*time.Millisecond); err == nil {
				defer func() { _ = nc.Close() }()
			}
		}
	}
	l, err := single.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := c.Attach(l.(syscall.Conn)); err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{Timeout: 20 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	nc, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatalf("an address that began none: %v", err)
	}
	go func() {
		if a, err := l.Accept(); err == nil {
			_, _ = a.Write([]byte("hello"))
		}
	}()
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 8)
	if n, err := nc.Read(b); err != nil || string(b[:n]) != "hello" {
		t.Errorf("read %q: %v", b[:n], err)
	}
}
