//go:build marks && amd64

package mark

import (
	"sync/atomic"

	"onebeat/xdp/publish"
)

// On reports whether this program stores marks.
const On = true

// A place is passed by one thread, the places by two; a cache line each keeps
// them from waiting for each other.
var marks [Stages]struct {
	ticks uint64
	_     [56]byte
}

// At stores the place an order has come to, when it is there first: what follows
// from it passes the same places.
func At(s Stage) {
	if m := &marks[s].ticks; atomic.LoadUint64(m) == 0 {
		publish.Uint64(m, now())
	}
}

// Read returns the marks of the last order and forgets them; 0 is a place it
// did not pass.
func Read() (ticks [Stages]uint64) {
	for i := range marks {
		ticks[i] = atomic.SwapUint64(&marks[i].ticks, 0)
	}
	return ticks
}

// now reads the time stamp counter.
func now() uint64
