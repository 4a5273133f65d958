package mirror

import (
	"math"
	"sync/atomic"

	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/policy"
)

// lease is what policy none has instead of ACKs: a writer with a standby in its
// set may go on while the standby is known to have heard it within T. The
// standby, which counts the same silence, then cannot have gone on yet. It is
// counted from when an answered frame was sent, not from when its ACK came: of
// two directions one may be cut. It is an eighth shorter than T: clocks drift, and
// what was let out still has to leave.
type lease struct {
	leaseUntilNs int64  // noLease: none needed
	leaseSentNs  int64  // when the frame that is waited for was sent, at the earliest
	leaseCounter uint64 // its counter, or that of a later one
	leaseOut     bool
	leaseArms    bool // policy none is in force with the first answer
}

const noLease = math.MaxInt64

func (r *Replica) leaseNs() int64 { return r.cfg.HeartbeatNs - r.cfg.HeartbeatNs/8 }

// startLease begins with the epoch that takes a standby in: it claims nothing
// before it has heard that epoch's record.
func (r *Replica) startLease(nowNs int64) {
	r.leaseOut, r.leaseUntilNs = false, noLease
	if r.leaseArms && !r.terms.Waits() {
		r.policy = policy.None{} // of a new set, or alone
	}
	r.leaseArms = false
	if !r.terms.Waits() && r.inSync {
		r.leaseUntilNs = nowNs + r.leaseNs()
		r.leaseSentNs, r.leaseCounter = nowNs, r.table.Engine.TxCounter+1
	}
}

// changeLease follows a change of the policy under a standby. To none, nothing
// is let out for want of its ACK before it answered a frame sent from now on: how
// long it has not been heard, ACKs do not say.
func (r *Replica) changeLease(nowNs int64) {
	r.startLease(nowNs)
	if r.leaseUntilNs != noLease {
		r.policy = policy.Mirrored{}
		r.leaseArms = true
	}
}

// renewLease looks for an answer and reports whether the lease lasts.
func (r *Replica) renewLease(nowNs int64) bool {
	if r.leaseUntilNs == noLease {
		return true
	}
	if atomic.LoadUint64(&r.table.Peer.Echo) >= r.leaseCounter {
		if r.leaseArms {
			r.leaseArms, r.policy = false, policy.None{}
		}
		r.leaseUntilNs = r.leaseSentNs + r.leaseNs()
		r.leaseSentNs, r.leaseCounter = nowNs, r.table.Engine.TxCounter+1
	}
	return nowNs < r.leaseUntilNs
}

// keepLease looks after the lease in each cycle: one comparison until it is over.
func (r *Replica) keepLease(nowNs int64) {
	if nowNs < r.leaseUntilNs {
		r.leaseOut = false
		return
	}
	out := !r.renewLease(nowNs) && !mutant.On(mutant.Unleased)
	if out && !r.leaseOut {
		r.event(EventLease, uint64(r.word.Epoch()), 0)
	}
	r.leaseOut = out
}

// leaseLasts looks at the clock: whoever paused this process since the cycle began
// may have let the lease end, and its kernel fences no sooner than it takes the
// engine for hung.
func (r *Replica) leaseLasts() bool {
	return r.leaseUntilNs == noLease || mutant.On(mutant.Unleased) || !r.leaseOut && (r.cfg.NowNs() < r.leaseUntilNs || mutant.On(mutant.LeaseUnwatched))
}

// leavesLease reports whether a writer whose lease is over may ask to go on
// without its standby.
func (r *Replica) leavesLease() bool {
	return r.leaseOut && (r.cfg.Registered || r.terms.Degrades())
}
