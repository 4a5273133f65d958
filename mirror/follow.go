package mirror

import (
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror/ring"
)

// publishEveryBytes is how far a standby reads before it tells the kernel: the
// line is one that XDP reads for every frame.
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
	r.table.Engine.Records++
	return true
}

// Applied returns the position up to which this node's machine has applied.
func (r *Replica) Applied() uint64 { return r.applied }

// PublishApplied tells the kernel how far the reader is, now and then while it
// reads and whenever it has caught up.
func (r *Replica) PublishApplied(newRecords int) {
	told := r.table.Engine.Applied
	if r.applied == told || newRecords == applyBatchFull && r.applied-told < publishEveryBytes {
		return
	}
	atomic.StoreUint64(&r.table.Engine.Applied, r.applied)
}

// applyBatchFull is the number of records after which the loop stops reading
// for a while: less means that the reader is at the tail.
const applyBatchFull = 256
