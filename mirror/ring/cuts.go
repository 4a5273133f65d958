package ring

import "sync/atomic"

// cutsKept is how many cuts a reader may miss and still learn each one's
// position.
const cutsKept = 8

// cuts tells readers in other threads that the log lost its end: Tail alone
// does not when it has grown again before they look. count is odd while bytes
// are being taken off.
type cuts struct {
	count     atomic.Uint64
	positions [cutsKept]atomic.Uint64
}

// begin belongs to the writer, as does end.
func (c *cuts) begin(position uint64) {
	n := c.count.Load()
	c.positions[n/2%cutsKept].Store(position)
	c.count.Store(n + 1)
}

func (c *cuts) end() { c.count.Add(1) }

// Cuts returns a number that changes with every Cut and Reset. A reader that
// copies records out of the ring asks before and after: the bytes are the log's
// only if the number is even and still the same.
func (r *Ring) Cuts() uint64 { return r.cuts.count.Load() }

// CutSince returns the lowest position that the log was cut at since Cuts
// returned seen; 0 if that cannot be told any more. It is meaningful while now,
// the number of now, is even.
func (r *Ring) CutSince(seen, now uint64) (position uint64) {
	first, last := seen/2, now/2
	if last-first > cutsKept-1 {
		return 0
	}
	position = ^uint64(0)
	for n := first; n < last; n++ {
		position = min(position, r.cuts.positions[n%cutsKept].Load())
	}
	return position
}
