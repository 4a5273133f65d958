package recv

import (
	"sync/atomic"

	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// probed: a standby asks for life. It fences an engine that is dead or hung,
// and returns the authority to answer with (bpf/proof.h).
func (x *Receiver) probed(h *wire.Header, word lane.Word, nowNs int64) lane.Word {
	atomic.StoreUint64(&x.table.Peer.Authority, uint64(h.Authority))
	stuck := x.stuck()
	if word.State() != lane.Active || !stuck && !x.gone() {
		return word
	}
	why := lane.WhyStuck
	if x.dead() {
		why = lane.WhyExited
	}
	if !stuck {
		why = lane.WhySlotEmpty
	}
	if x.fence(word, why, nowNs) {
		x.count(FencedByProbe)
	}
	return lane.Load(x.word)
}

// toldFenced takes FENCED and FORWARD for the proof they are: the writer's
// kernel says that its engine is through. It returns None if that stands, else
// why not, counted.
func (x *Receiver) toldFenced(h *wire.Header, word lane.Word, nowNs int64) Reason {
	switch {
	case h.Successor != x.table.Config.Node:
		return x.count(LinkNode)
	case h.Authority != lane.MakeWord(h.Epoch, lane.Fenced):
		return x.count(LinkType)
	case word.State() != lane.Standby || h.Epoch != word.Epoch() && !mutant.On(mutant.OldProof):
		return None
	}
	atomic.StoreUint64(&x.table.Peer.Authority, uint64(h.Authority))
	atomic.StoreUint64(&x.table.Peer.Released, h.Applied)
	if x.gone() {
		return x.count(CandidateRefused)
	}
	if !x.becomeCandidate(word, lane.WhyFenced, nowNs) {
		return CandidateRefused // counted there
	}
	return None
}
