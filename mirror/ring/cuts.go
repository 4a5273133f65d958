package ring

import (
	"sync/atomic"

	"onebeat/mirror/lane"
)

// ShareCuts makes the ring count its cuts in shared memory, where readers in
// other processes see them. It comes first, before any reading or writing.
func (r *Ring) ShareCuts(c *lane.Cuts) { r.cuts = c }

// EndCut ends a cut during which the writing process died: the tail was set
// first, so the log is cut; what lies behind it is zeroed when it is written. It
// belongs to the process that takes the ring over.
func (r *Ring) EndCut() {
	if atomic.LoadUint64(&r.cuts.Count)%2 != 0 {
		r.endCut()
	}
}

// beginCut belongs to the writer, as does endCut.
func (r *Ring) beginCut(position uint64) {
	n := atomic.LoadUint64(&r.cuts.Count)
	if n%2 != 0 {
		n++ // one that failed half way
	}
	atomic.StoreUint64(&r.cuts.Positions[n/2%lane.CutsKept], position)
	atomic.StoreUint64(&r.cuts.Count, n+1)
}

func (r *Ring) endCut() { atomic.AddUint64(&r.cuts.Count, 1) }

// Cuts returns a number that changes with every Cut and Reset. A reader that
// copies records out of the ring asks before and after: the bytes are the log's
// only if the number is even and still the same.
func (r *Ring) Cuts() uint64 { return atomic.LoadUint64(&r.cuts.Count) }

// CutSince returns the lowest position that the log was cut at since Cuts
// returned seen; 0 if that cannot be told any more. It is meaningful while now,
// the number of now, is even.
func (r *Ring) CutSince(seen, now uint64) (position uint64) {
	first, last := seen/2, now/2
	if last-first > lane.CutsKept-1 {
		return 0
	}
	position = ^uint64(0)
	for n := first; n < last; n++ {
		position = min(position, atomic.LoadUint64(&r.cuts.Positions[n%lane.CutsKept])&^isReset)
	}
	return position
}

// isReset marks the position of a Reset: those of records are multiples of
// AlignBytes.
const isReset = 1

// ResetSince returns where the newest Reset since Cuts returned seen began the ring
// anew: the log may be the same, only the ring does not hold what lies before.
func (r *Ring) ResetSince(seen, now uint64) (position uint64, reset bool) {
	last := now / 2
	for n := max(seen/2, last-min(last, lane.CutsKept-1)); n < last; n++ {
		if p := atomic.LoadUint64(&r.cuts.Positions[n%lane.CutsKept]); p&isReset != 0 {
			position, reset = p&^isReset, true
		}
	}
	return position, reset
}
