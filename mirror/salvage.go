package mirror

import (
	"sync/atomic"

	"onebeat/mirror/lane"
)

// salvage is what a successor does before it becomes ACTIVE under a policy that
// lets outputs go without its ACK: the
// dead writer's FENCED said up to where it had let outputs go, and what this node's
// log lacks of that is still in the dead engine's ring, on a host that lives. The
// wait is bounded; what could not be had is told and counted.
type salvage struct {
	salvaging   bool // a CANDIDATE does not go on yet
	salvageWord lane.Word
	salvageTo   uint64
	salvageFrom uint64
	salvageNs   int64 // when the wait ends
	salvages    uint64
	salvaged    uint64 // bytes
	lostBytes   uint64
}

// holds reports whether a candidate still waits for the rest of the log. The
// kernel appends nothing for a CANDIDATE: user space alone writes its ring.
func (r *Replica) holds(nowNs int64) bool {
	if r.word.State() != lane.Candidate {
		return false
	}
	if r.salvageWord != r.word {
		r.startSalvage(nowNs)
	}
	if r.salvaging {
		r.stepSalvage(nowNs)
	}
	return r.salvaging
}

// startSalvage looks, once for each candidacy, whether anything is missing.
func (r *Replica) startSalvage(nowNs int64) {
	r.salvageWord, r.salvaging = r.word, false
	released := atomic.LoadUint64(&r.table.Peer.Released)
	if r.cfg.Peer == 0 || released == 0 {
		return
	}
	r.untilOutside()
	tail := r.ring.Tail()
	if released <= tail {
		return
	}
	r.salvageFrom, r.salvageTo, r.salvageNs = tail, released, nowNs+r.cfg.SalvageNs
	if r.cfg.SalvageNs == 0 || !r.ask(Lag{From: tail, Epoch: r.ring.LastEpoch(), Salvage: true, To: released}) {
		r.endSalvage()
		return
	}
	r.salvages++
	r.salvaging = true
}

func (r *Replica) stepSalvage(nowNs int64) {
	if r.feeding {
		r.stepFeed(nowNs)
	}
	if r.ring.Tail() >= r.salvageTo || !r.feeding || nowNs >= r.salvageNs {
		r.endSalvage()
	}
}

// endSalvage lets the candidate go on with what it has.
func (r *Replica) endSalvage() {
	r.salvaging = false
	tail := r.ring.Tail()
	r.salvaged += tail - r.salvageFrom
	if tail > r.salvageFrom {
		r.event(EventSalvaged, r.salvageFrom, tail-r.salvageFrom)
	}
	if tail < r.salvageTo {
		r.lostBytes += r.salvageTo - tail
		r.event(EventLost, tail, r.salvageTo-tail)
	}
}
