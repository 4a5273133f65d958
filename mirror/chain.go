package mirror

import (
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror/wire"
)

// A lane that is a chain: the standby's kernel lets rides out itself, and sends no
// ACK for them. What it holds and what left is learnt from the next ACK, which any
// frame without such a ride brings; if none is sent anyway, one is sent to ask.
const (
	// askEveryNs is how long the writer goes without an ACK.
	askEveryNs = 100_000
	// askFrames is for how many frames.
	askFrames = 32
)

// chains reports whether the standby shall let an output out itself, which says
// that it would. Not what goes to the venue: who answers to the address that a
// frame came from would not find the writer there.
func (r *Replica) chains(slot *app.Slot) bool {
	return slot.LocalPort == r.cfg.ChainPort && atomic.LoadUint64(&r.table.Peer.Flags)&wire.FlagChain != 0
}

// note keeps account of the mirror frame just submitted: of those that an ACK
// comes for in any case, and of those that none may come for.
func (r *Replica) note(counter uint64, nowNs int64) {
	s := &r.sender
	if r.link.header.Flags&wire.FlagChain == 0 {
		if r.unasked() {
			s.waitNs = nowNs
		}
		s.asked, s.unaskedCount, s.unaskedNs = counter, 0, nowNs
		return
	}
	if s.unaskedCount == 0 {
		s.unaskedNs = nowNs
	}
	s.chained = counter
	s.unaskedCount++
}

// unasked reports whether nothing is to come back: what is not ACKed was not
// asked for.
func (r *Replica) unasked() bool {
	s := &r.sender
	echo := atomic.LoadUint64(&r.table.Peer.Echo)
	return s.chained > echo && echo >= s.asked
}

// asks reports whether it is time to ask, for the first time or again.
func (r *Replica) asks(nowNs int64) bool {
	s := &r.sender
	if s.chained == 0 || s.chained <= atomic.LoadUint64(&r.table.Peer.Echo) {
		return false
	}
	return s.unaskedCount >= askFrames || nowNs-s.unaskedNs >= askEveryNs
}
