package mirror

import (
	"sync/atomic"

	"onebeat/mirror/lane"
)

// successor is what the writer knows of who would follow it. The peer's kernel
// ACKs as STANDBY also when its engine is dead, so a planned handover asks for
// more than the kernel does: frames that only an engine sends.
type successor struct {
	engineCount   uint64 // counters of the peer's engine, both paths
	engineHeardNs int64
	ready         atomic.Bool
}

// watchSuccessor looks, at each tick, whether the peer's engine was heard.
func (r *Replica) watchSuccessor(nowNs int64) {
	t := r.table
	count := atomic.LoadUint64(&t.RxCounter[lane.PathEngine]) + atomic.LoadUint64(&t.RxCounter[lane.PathEngineOrder])
	if count != r.successor.engineCount {
		r.successor.engineCount, r.successor.engineHeardNs = count, nowNs
	}
	r.successor.ready.Store(r.successorReady(nowNs))
}

// successorReady is the kernel's rule for fencing, that the peer is STANDBY in
// this epoch and was heard within a heartbeat, asked of its engine too.
func (r *Replica) successorReady(nowNs int64) bool {
	t := r.table
	return lane.Word(atomic.LoadUint64(&t.Peer.Authority)) == r.word.With(lane.Standby) &&
		atomic.LoadUint32(&t.Watch.SilentTicks) < t.Config.SilenceTicks &&
		nowNs-r.successor.engineHeardNs < r.cfg.HeartbeatNs
}

// SuccessorReady reports whether, as of the last tick, the lane could be handed
// over. Any thread may ask.
func (r *Replica) SuccessorReady() bool { return r.successor.ready.Load() }
