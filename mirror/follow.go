package mirror

import (
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/wire"
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
		if state != ring.AtTail {
			r.unreadable(state)
		}
		return false
	}
	r.applied = next
	r.lastTimeNs = rec.TimeNs
	r.records++
	if rec.Type == app.RecordOperator {
		r.noteChange(rec)
	}
	if r.observer != nil {
		r.observer.Observe(rec, next)
	}
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
	if r.applied-told >= publishEveryBytes || r.more {
		atomic.StoreUint64(&r.table.Engine.Applied, r.applied)
	}
}

// holding is what a standby's engine last told the writer by an ACK of its own.
type holding struct {
	applied, archived uint64
	tellNs            int64 // when it says the same again: a frame may be lost
}

// TellHeld makes a standby say at once how far its engine has applied and its
// archive reaches, where the lane's policy waits for that. The link program's
// ACKs leave before either.
func (r *Replica) TellHeld(nowNs int64) {
	if !r.more || r.word.State() != lane.Standby || r.link == nil {
		return
	}
	tail, archived := r.ring.Tail(), uint64(0)
	if r.archive != nil {
		archived, _ = r.archive.Held(r.ring.Cuts())
		archived = min(archived, tail)
	}
	h := &r.holding
	if h.applied == r.applied && h.archived == archived && nowNs < h.tellNs {
		return
	}
	b := r.link.reserve()
	if b == nil {
		return
	}
	h.applied, h.archived, h.tellNs = r.applied, archived, nowNs+r.lifeNs
	r.link.header = wire.Header{Type: wire.Ack, Epoch: r.word.Epoch(), Authority: r.word,
		Position: tail, Tail: tail, Applied: r.applied, Output: archived}
	r.link.submit(b, 0, &r.link.tx)
	r.link.kick()
}
