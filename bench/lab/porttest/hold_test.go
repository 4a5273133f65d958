package porttest

import (
	"net"
	"testing"
)

// A held port is nobody's that asks for any, and its own server's again and again.
func TestHold(t *testing.T) {
	held := Hold(t)
	for range 3 {
		l, err := net.Listen("tcp", held.String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", held.String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		c.Close()
		l.Close()
	}
	for range 500 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if l.Addr().String() == held.String() {
			t.Fatal("given to somebody else")
		}
	}
}
