package fixp

import (
	"testing"
	"unsafe"
)

// TestSessionLayout: what an order touches of a session is in its first three
// cache lines, and no session shares one with another.
func TestSessionLayout(t *testing.T) {
	var x session
	if n := unsafe.Sizeof(x); n%64 != 0 {
		t.Errorf("a session has %d bytes, no multiple of a cache line", n)
	}
	if end := unsafe.Offsetof(x.turn) + unsafe.Offsetof(x.turn.askNs); end > 3*64 {
		t.Errorf("an order touches %d bytes", end)
	}
}
