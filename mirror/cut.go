package mirror

import (
	"sync/atomic"

	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// Cut is the part of a rejoining node's log that the lane went on without. None
// of it was released; it is kept in a file all the same, before it is gone.
type Cut struct {
	From, To uint64
	Epoch    uint32 // of the last record in it
}

const (
	cutIdle uint32 = iota
	cutWanted
	cutKept
	cutFailed
)

// cutRetryNs is how long a node that could not keep its cut waits before it
// tries again: somebody has to make room on the disk.
const cutRetryNs = 200_000_000

// Cuts hands a cut from the loop to the cold side. The loop leaves the ring as it
// is until the cold side has answered.
type Cuts struct {
	state  atomic.Uint32 // pairs the fields below: the loop's while idle, kept or failed, else the cold side's
	cut    Cut
	reason string
	ring   *ring.Ring
}

// Wanted returns the cut that waits to be kept. For the cold side's one thread.
func (c *Cuts) Wanted() (Cut, bool) { return c.cut, c.state.Load() == cutWanted }

// Bytes returns the cut's raw whole records: the second part is empty unless
// they cross the ring's end.
func (c *Cuts) Bytes() (first, second []byte) {
	first = c.ring.Bytes(c.cut.From, c.cut.To)
	return first, c.ring.Bytes(c.cut.From+uint64(len(first)), c.cut.To)
}

// Answer says that the cut is kept, or why not.
func (c *Cuts) Answer(err error) {
	if err != nil {
		c.reason = err.Error()
		c.state.Store(cutFailed)
		return
	}
	c.state.Store(cutKept)
}

// cutter is the loop's end.
type cutter struct {
	cutting bool
	cutAt   uint64
	// prefixOf is the peer's ring of which this node's log is the beginning since
	// it became SYNCING; 0: who knows.
	prefixOf uint64
	retryNs  int64
	refusal  string
	cuts     uint64
	cutSize  uint64
}

// catchUp makes the log a prefix of the writer's and asks for what follows.
func (r *Replica) catchUp(position uint64, nowNs int64) {
	r.prefixOf = 0
	r.cutting = position < r.ring.Tail()
	if r.cutting {
		r.cutAt, r.retryNs = position, 0
		r.stepCut(nowNs)
		return
	}
	r.rewind(position)
}

// stepCut moves a cut on: first the cold side keeps what goes, then it goes. A
// node that does not follow a writer any more keeps its log.
func (r *Replica) stepCut(nowNs int64) {
	if r.word.State() != lane.Syncing || r.broken {
		r.cutting = false
		return
	}
	want := Cut{From: r.cutAt, To: r.ring.Tail(), Epoch: r.ring.LastEpoch()}
	c := &r.Cuts
	switch state := c.state.Load(); {
	case state == cutWanted:
	case state == cutKept && c.cut == want:
		c.state.Store(cutIdle)
		r.cutting, r.refusal = false, ""
		r.cutLog(want)
	case state == cutFailed && c.cut == want && r.retryNs == 0:
		r.retryNs = nowNs + cutRetryNs
		if r.refusal != c.reason {
			r.refusal = c.reason
			r.Events.push(Event{TimeNs: nowNs, Kind: EventRefused,
				Reason: "this node does not rejoin: what its log holds beyond the writer's cannot be kept: " + c.reason})
		}
	case want.To-want.From > uint64(r.ring.SizeBytes()):
		r.cutting = false
		r.cutLog(want) // says that it cannot
	case nowNs >= r.retryNs:
		c.cut, c.ring = want, r.ring
		r.retryNs = 0
		c.state.Store(cutWanted)
	}
}

// cutLog takes the cut off the log's end.
func (r *Replica) cutLog(cut Cut) {
	r.event(EventRebuild, cut.From, r.applied)
	if err := r.ring.Cut(cut.From); err != nil {
		r.broken = true
		r.Events.push(Event{TimeNs: r.progressNs, Kind: EventRefused, Reason: err.Error()})
		return
	}
	r.table.CutCommit(cut.From)
	r.cuts++
	r.cutSize += cut.To - cut.From
	r.event(EventCut, cut.From, cut.To-cut.From)
	r.newest, _ = r.newestRecord()
	r.rewind(cut.From)
}

// rewind ends a cut: the machine starts anew if it has applied what is gone.
func (r *Replica) rewind(position uint64) {
	if position < r.applied {
		if r.ring.Oldest() != 0 {
			// The machine has applied what is gone, and the ring holds no beginning to
			// start another one from.
			r.lackState("the log was cut below what was applied, and the ring no longer holds its beginning", r.progressNs)
			r.lost = true
			return
		}
		r.applied, r.rebuild = 0, true
		r.restartTerms()
	}
	r.prefixOf = r.table.Config.PeerIncarnation
	r.helloDue = true
}
