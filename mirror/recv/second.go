package recv

import (
	"sync/atomic"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// Second decides about one whole Ethernet frame of the second path: the peer's
// link frames on the order NIC (bpf/second.h). For Answer, n is the length of
// the reply, which leaves by that NIC again.
func (x *Receiver) Second(frame []byte, nowNs int64, reply []byte) (v Verdict, n int, reason Reason) {
	cfg := &x.table.Config
	if !x.ours(frame) || cfg.OrderIP == [4]byte{} || [4]byte(frame[offDestination:]) != cfg.OrderIP {
		return Pass, 0, None
	}
	p := passage{b: frame[FrameHeaderBytes:], nowNs: nowNs, frame: frame, reply: reply}
	if reason = x.admitSecond(&p); reason != None {
		return Drop, 0, x.count(reason)
	}
	// An exchange, not a store: user space holds it while it changes the keys.
	if atomic.SwapUint64(&x.table.Second.Busy, 1) != 0 {
		return Drop, 0, x.count(LinkBusy)
	}
	if reason = x.authenticateSecond(&p); reason != None {
		v, reason = Drop, x.count(reason)
	} else {
		v, n, reason = x.dispatchSecond(&p)
	}
	atomic.StoreUint64(&x.table.Second.Busy, 0)
	return v, n, reason
}

// admitSecond makes the checks that need no key.
func (x *Receiver) admitSecond(p *passage) Reason {
	cfg := &x.table.Config
	check := p.h.Parse(p.b)
	switch check {
	case wire.BadTruncated:
		return LinkTruncated
	case wire.BadMagic:
		return LinkMagic
	case wire.BadVersion:
		return LinkVersion
	case wire.BadLane:
		return LinkLane
	}
	switch {
	case p.b[offLane] != x.id || cfg.Used == 0 || cfg.PeerNode == 0:
		return LinkLane
	case p.h.LengthBytes != 0 || p.h.RideBytes != 0:
		return SecondType // a header alone
	case check == wire.BadLength:
		return LinkLength
	case !secondTakes(p.h.Type):
		return SecondType
	case [4]byte(p.frame[offSource:]) != cfg.PeerOrderIP:
		return LinkAddress
	case uint32(p.h.Node) != cfg.PeerNode:
		return LinkNode
	case p.h.Incarnation != cfg.PeerIncarnation:
		return LinkIncarnation
	}
	return None
}

// secondTakes: life, or the question for it, or proof. What moves the log or
// lets something out travels on the link NIC only.
func secondTakes(t wire.Type) bool {
	return t == wire.Mirror || t == wire.Life || t == wire.Probe || t == wire.Fenced
}

// authenticateSecond checks the whole frame and a counter of this NIC.
func (x *Receiver) authenticateSecond(p *passage) Reason {
	if !x.rx.Verify(p.b) {
		return LinkMAC
	}
	if p.h.Path < lane.PathEngineOrder || p.h.Path >= lane.Paths {
		return LinkPath
	}
	if !x.fresh(&p.h) {
		return LinkReplay
	}
	atomic.AddUint64(&x.table.Second.Frames, 1)
	return None
}

func (x *Receiver) dispatchSecond(p *passage) (Verdict, int, Reason) {
	p.word = lane.Load(x.word)
	epoch, state := p.word.Epoch(), p.word.State()
	if p.h.Epoch > epoch {
		// User space sees the word; it needs nothing else of the frame.
		if state != lane.Init && state != lane.Syncing {
			lane.Swap(x.word, p.word, p.word.With(lane.Syncing))
		}
		return Drop, 0, x.count(MirrorNewer)
	}
	switch p.h.Type {
	case wire.Probe:
		p.word = x.probed(&p.h, p.word, p.nowNs)
		return x.answerSecond(p)
	case wire.Fenced:
		if reason := x.toldFenced(&p.h, p.word, p.nowNs); reason != None {
			return Drop, 0, reason
		}
		return Drop, 0, x.count(FencedReceived)
	}
	if p.h.Epoch == epoch {
		atomic.StoreUint64(&x.table.Peer.Authority, uint64(p.h.Authority))
	}
	return Drop, 0, x.count(LifeReceived)
}

// answerSecond turns a PROBE into its answer.
func (x *Receiver) answerSecond(p *passage) (Verdict, int, Reason) {
	out := p.reply[:FrameHeaderBytes+wire.HeaderBytes]
	copy(out, p.frame)
	swapDirection(out)
	out[40], out[41] = 0, 0 // UDP checksum: none, as every sender of link frames leaves it
	h := &p.h
	h.Type, h.Flags, h.Path, h.Output, h.Successor = wire.Life, 0, lane.PathSteerOrder, 0, 0
	if p.word.State() == lane.Fenced {
		h.Type, h.Successor = wire.Fenced, x.table.Config.PeerNode
	}
	h.Node, h.Incarnation = uint8(x.table.Config.Node), x.table.Config.Incarnation
	h.Epoch, h.Authority = p.word.Epoch(), p.word
	h.Tail, h.Applied = x.ring.Tail(), atomic.LoadUint64(&x.table.Engine.Released)
	h.Echo = h.Counter
	h.Counter = atomic.AddUint64(&x.table.Second.Counter, 1)
	h.Put(out[FrameHeaderBytes:])
	x.tx.Seal(out[FrameHeaderBytes:])
	if missing(x.OrderNICGone) {
		return Drop, 0, x.count(NoDevice)
	}
	return Answer, len(out), x.count(ProbeAnswered)
}
