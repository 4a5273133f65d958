package mirror

import (
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror/ring"
)

// publishEveryBytes is how far a standby reads before it tells the kernel.
const publishEveryBytes = 64 << 10

// Behind reports whether the log holds what this node's machine has not applied.
func (r *Replica) Behind() bool { return r.ring.Tail() != r.applied }

// NextRecord fills in the next record that this node's machine has not applied,
// and moves on. Its payload stays until Applied is published past it. A record
// that is not what was written stops the node here for good: its state would be
// another one than its log's.
func (r *Replica) NextRecord(rec *app.Record) bool {
	if !r.Behind() {
		return false
	}
	next, state := r.ring.ReadInto(r.applied, rec)
	if state != ring.Found {
		if state != ring.AtTail && !r.broken {
			r.broken = true
			r.event(EventLogBroken, r.applied, uint64(state))
		}
		return false
	}
	r.applied = next
	r.lastTimeNs = rec.TimeNs
	r.records++
	return true
}

// Applied returns the position up to which this node's machine has applied.
func (r *Replica) Applied() uint64 { return r.applied }

// PublishApplied tells the kernel how far the reader is: at once when it has
// read far, else with the next progress. The link program reads that line for
// every frame, and each store here costs it 100 ns.
func (r *Replica) PublishApplied(newRecords int) {
	told := r.table.Engine.Applied
	if newRecords == 0 && r.applied == told {
		return
	}
	r.following = true
	if r.applied-told >= publishEveryBytes {
		atomic.StoreUint64(&r.table.Engine.Applied, r.applied)
	}
}
