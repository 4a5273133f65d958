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
		before, heard := c.Dropped(), 0
		for range burst + 3 {
			nc, err := net.DialTimeout("tcp", l.Addr().String(), 100*time.Millisecond)
			if err != nil {
				continue
			}
			heard++
			defer func() { _ = nc.Close() }()
		}
		// A second or more may have gone by on a busy machine.
		if heard < burst || heard == burst+3 || c.Dropped()-before < 1 {
			t.Errorf("%s: %d of %d connections, %d not heard", at, heard, burst+3, c.Dropped()-before)
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
	d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
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
