package recv

import (
	"sync/atomic"

	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
)

// dead reports whether the engine's thread has ended.
func (x *Receiver) dead() bool { return atomic.LoadUint64(&x.table.Watch.DeadNs) != 0 }

// stuck reports whether the engine makes no progress: counted in on-time ticks,
// so one look at a machine that froze accuses nobody, and not moved since the
// last of them.
func (x *Receiver) stuck() bool {
	w := &x.table.Watch
	return x.dead() || atomic.LoadUint32(&w.StuckTicks) >= x.table.Config.HangTicks &&
		atomic.LoadUint64(&x.table.Engine.ProgressNs) == atomic.LoadUint64(&w.LastProgressNs)
}

func (x *Receiver) gone() bool { return missing(x.EngineGone) }

// successorReady reports whether the peer could take over now: it said STANDBY
// in our epoch, and was heard within T.
func (x *Receiver) successorReady(epoch uint32) bool {
	return x.table.Config.PeerNode != 0 &&
		atomic.LoadUint64(&x.table.Peer.Authority) == uint64(lane.MakeWord(epoch, lane.Standby)) &&
		atomic.LoadUint32(&x.table.Watch.SilentTicks) < x.table.Config.SilenceTicks
}

// fence takes the lane from this node's engine, for good in this epoch. Only
// toward a successor that is ready: else it is better to wait for the engine.
func (x *Receiver) fence(word lane.Word, why lane.Why, nowNs int64) bool {
	if word.State() != lane.Active || !x.successorReady(word.Epoch()) && !mutant.On(mutant.FencesAnyway) ||
		!lane.Swap(x.word, word, word.With(lane.Fenced)) {
		return false
	}
	w := &x.table.Watch
	atomic.StoreUint64(&w.FencedNs, uint64(nowNs))
	atomic.StoreUint64(&w.FencedWord, uint64(word))
	atomic.StoreUint64(&w.CandidateWhy, uint64(why))
	return true
}

// becomeCandidate takes STANDBY to CANDIDATE: from here on order frames wait in
// this node's socket and mirror frames are no longer ACKed. Its own engine is
// checked first.
func (x *Receiver) becomeCandidate(word lane.Word, why lane.Why, nowNs int64) bool {
	if word.State() != lane.Standby || x.stuck() && !mutant.On(mutant.DeadAccuses) {
		x.count(CandidateRefused)
		return false
	}
	// Before the swap: an engine that sees CANDIDATE asks why at once.
	w := &x.table.Watch
	atomic.StoreUint64(&w.CandidateNs, uint64(nowNs))
	atomic.StoreUint64(&w.CandidateWhy, uint64(why))
	if !lane.Swap(x.word, word, word.With(lane.Candidate)) {
		x.count(CandidateRefused)
		return false
	}
	x.count(Candidate)
	return true
}

// Tick is the lane's timer, due every TickNs. It looks at two things that must
// move, the engine's progress and the peer's frames on either NIC, and counts
// ticks without movement. A tick that is itself late resets both counts: who
// froze may accuse nobody. It reports whether this tick made the lane a candidate.
func (x *Receiver) Tick(nowNs int64) bool {
	cfg, w, now := &x.table.Config, &x.table.Watch, uint64(nowNs)
	if cfg.Used == 0 || cfg.TickNs == 0 {
		return false
	}
	late := w.LastTickNs != 0 && now-w.LastTickNs > cfg.TickNs+cfg.TickNs/2
	if late {
		atomic.AddUint64(&w.LateTicks, 1)
	}
	w.LastTickNs = now
	late = late && !mutant.On(mutant.FrozenAccuses)
	x.watchEngine(late)
	x.watchPeer(late, now)
	return x.judgeSilence(nowNs)
}

// judgeSilence: silence on every path, where it is configured to promote. Who
// accuses must be well itself: its engine has moved since the last tick.
func (x *Receiver) judgeSilence(nowNs int64) bool {
	cfg, w := &x.table.Config, &x.table.Watch
	word := lane.Load(x.word)
	if cfg.Flags&lane.ConfigSilencePromotes == 0 || word.State() != lane.Standby ||
		atomic.LoadUint32(&w.SilentTicks) < cfg.SilenceTicks {
		return false
	}
	if atomic.LoadUint32(&w.StuckTicks) != 0 && !mutant.On(mutant.DeadAccuses) {
		x.count(CandidateRefused)
		return false
	}
	return x.becomeCandidate(word, lane.WhySilent, nowNs)
}

func (x *Receiver) watchEngine(late bool) {
	w := &x.table.Watch
	progress := atomic.LoadUint64(&x.table.Engine.ProgressNs)
	switch n := atomic.LoadUint32(&w.StuckTicks); {
	case late || progress != atomic.LoadUint64(&w.LastProgressNs):
		atomic.StoreUint32(&w.StuckTicks, 0)
	case n < x.table.Config.HangTicks:
		atomic.StoreUint32(&w.StuckTicks, n+1)
	}
	atomic.StoreUint64(&w.LastProgressNs, progress)
}

func (x *Receiver) watchPeer(late bool, now uint64) {
	w := &x.table.Watch
	frames, second := atomic.LoadUint64(&x.table.Peer.Frames), atomic.LoadUint64(&x.table.Second.Frames)
	if frames != w.LastFrames {
		atomic.StoreUint64(&w.LastHeardNs, now)
	}
	if second != w.LastSecondFrames {
		atomic.StoreUint64(&w.LastSecondHeardNs, now)
	}
	switch n := atomic.LoadUint32(&w.SilentTicks); {
	case late, frames != w.LastFrames, second != w.LastSecondFrames:
		atomic.StoreUint32(&w.SilentTicks, 0)
	case n < x.table.Config.SilenceTicks:
		atomic.StoreUint32(&w.SilentTicks, n+1)
	}
	w.LastFrames, w.LastSecondFrames = frames, second
}
