package recv

import (
	"encoding/binary"
	"sync/atomic"

	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// mirror is the standby's half. Position, not content, decides: a repeat is
// bounced again so that a lost ACK costs one resend, a gap is answered so that
// the sender goes back.
func (x *Receiver) mirror(p *passage) (Verdict, int, Reason) {
	switch p.word.State() {
	case lane.Syncing:
		return x.toEngine(MirrorToEngine)
	case lane.Standby:
	case lane.Active:
		if !mutant.On(mutant.ActiveAppends) {
			return Drop, 0, x.count(MirrorState)
		}
	default:
		return Drop, 0, x.count(MirrorState)
	}
	peer := &x.table.Peer
	atomic.StoreUint64(&peer.Authority, uint64(p.h.Authority))
	atomic.StoreUint64(&peer.Released, p.h.Applied)

	raise(&x.table.NextOutput, p.h.Echo) // the writer let the ones before out itself
	position, length := p.h.Position, uint64(p.h.LengthBytes)
	tail, size := x.ring.Tail(), uint64(x.ring.SizeBytes())
	switch {
	case length == 0 && position == tail:
		return x.mirrored(p, MirrorHeartbeat)
	case position+length <= tail:
		return x.answer(p, wire.Ack, 0, MirrorRepeat)
	case position != tail && mutant.On(mutant.ChainsUncovered):
		return x.mirrored(p, MirrorGap)
	case position != tail:
		return x.answer(p, wire.Ack, wire.FlagGap, MirrorGap)
	case tail+length-atomic.LoadUint64(&x.table.Engine.Applied) > size && !mutant.On(mutant.NoReader):
		return x.answer(p, wire.Ack, wire.FlagFull, MirrorFull)
	case position&(size-1)+length > size:
		return x.answer(p, wire.Ack, wire.FlagCross, MirrorCross)
	}
	if x.ring.CopyIn(position, p.h.Records(p.b)) != nil {
		return Drop, 0, x.count(LinkLength)
	}
	return x.mirrored(p, MirrorAppended)
}

// mirrored: the log holds what the frame brought. Both members have it, so its
// ride may leave from here, one hop earlier than from the writer: if the writer
// wants that, and it is the next output. Else it is bounced, and leaves there.
func (x *Receiver) mirrored(p *passage, reason Reason) (Verdict, int, Reason) {
	h, next := &p.h, &x.table.NextOutput
	if h.RideBytes == 0 || uint32(h.Flags)&x.table.Config.Flags&lane.ConfigChain == 0 ||
		h.Output != atomic.LoadUint64(next) && !mutant.On(mutant.ChainsAnyOutput) || missing(x.OrderNICGone) {
		return x.answer(p, wire.Ack, 0, reason)
	}
	atomic.StoreUint64(next, h.Output+1)
	x.count(reason)
	n := FrameHeaderBytes + wire.HeaderBytes + int(p.h.LengthBytes)
	x.relay(p.frame[n:])
	return Release, n, x.count(RideChained)
}

// relay makes a frame of the writer's one of this node's, as a router does: a
// switch learns from each frame where an address is, and who receives it can tell
// from the TTL.
func (x *Receiver) relay(f []byte) {
	const ipBytes, offTTL, offCheck, offHops = 20, 8, 10, 7
	at := ethernetBytes
	if x.OrderVLAN != 0 {
		at += vlanBytes
	}
	if len(f) < at+ipBytes {
		return
	}
	copy(f[6:12], x.table.Config.OrderMAC[:])
	if f[at-2] == 0x86 && f[at-1] == 0xdd {
		f[at+offHops]--
		return
	}
	check := uint32(binary.LittleEndian.Uint16(f[at+offCheck:])) + 1
	if check >= 0xffff {
		check++
	}
	binary.LittleEndian.PutUint16(f[at+offCheck:], uint16(check))
	f[at+offTTL]--
}

// ack is the primary's half. The output number is taken before the ACK is
// published: user space, which sees the ACK, then never takes an output that
// this frame is about to release.
func (x *Receiver) ack(p *passage) (Verdict, int, Reason) {
	h, peer := &p.h, &x.table.Peer
	if p.word.State() != lane.Active || (h.Epoch != p.word.Epoch() ||
		h.Authority != lane.MakeWord(h.Epoch, lane.Standby)) && !mutant.On(mutant.OldRides) {
		if h.RideBytes != 0 {
			x.count(RideFenced)
		}
		return Drop, 0, x.count(AckStale)
	}
	release := false
	x.noteChained(h)
	if h.RideBytes != 0 {
		switch {
		case h.Tail < h.Position+uint64(h.LengthBytes) && !mutant.On(mutant.RidesUncovered):
			x.count(RideUncovered)
		case !atomic.CompareAndSwapUint64(&x.table.NextOutput, h.Output, h.Output+1) && !mutant.On(mutant.RidesTwice):
			x.count(RideOrder)
		default:
			release = true
		}
	}
	atomic.StoreUint64(&peer.Authority, uint64(h.Authority))
	// The flags are the link program's; the engine's own ACKs, which say what it
	// has applied and archived, come by another path and may overtake its.
	if h.Path == lane.PathLink {
		atomic.StoreUint64(&peer.Flags, uint64(h.Flags))
	}
	raise(&peer.Tail, h.Tail)
	raise(&peer.Applied, h.Applied)
	if h.RideBytes == 0 {
		raise(&peer.Archived, h.Output)
	}
	raise(&peer.Echo, h.Echo)
	if !release {
		return Drop, 0, x.count(Ack)
	}
	if missing(x.OrderNICGone) {
		return Drop, 0, x.count(NoDevice)
	}
	return Release, FrameHeaderBytes + wire.HeaderBytes + int(h.LengthBytes), x.count(RideReleased)
}

// noteChained: the standby let out what it says it did: user space, which sees the
// ACK afterwards, leaves that alone.
func (x *Receiver) noteChained(h *wire.Header) {
	next := atomic.LoadUint64(&x.table.NextOutput)
	if ahead := h.Successor - uint32(next); ahead != 0 && ahead <= lane.OutputsMax && !mutant.On(mutant.ChainedTwice) {
		atomic.CompareAndSwapUint64(&x.table.NextOutput, next, next+uint64(ahead))
	}
}

// raise publishes v if it is above what is there; its writers hold busy.
func raise(p *uint64, v uint64) {
	if v > atomic.LoadUint64(p) {
		atomic.StoreUint64(p, v)
	}
}

// probe: a standby asks for life; the link speaks for itself and for its engine.
func (x *Receiver) probe(p *passage) (Verdict, int, Reason) {
	p.word = x.probed(&p.h, p.word, p.nowNs)
	typ := wire.Life
	if mutant.On(mutant.FencedUnfenced) && p.word.State() == lane.Active && (x.stuck() || x.gone()) {
		p.word = p.word.With(lane.Fenced)
	}
	if p.word.State() == lane.Fenced {
		typ = wire.Fenced
	}
	return x.answer(p, typ, 0, ProbeAnswered)
}

func (x *Receiver) fenced(p *passage) (Verdict, int, Reason) {
	reason := FencedReceived
	if p.h.Type == wire.Forward {
		reason = ForwardReceived
	}
	if why := x.toldFenced(&p.h, p.word, p.nowNs); why != None {
		return Drop, 0, why
	}
	// Also when ACTIVE already: orders go on arriving at the old address.
	return x.toEngine(reason)
}
