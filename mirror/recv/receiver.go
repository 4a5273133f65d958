package recv

import (
	"encoding/binary"
	"sync/atomic"

	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/wire"
)

// FrameHeaderBytes come before the link header: Ethernet, IPv4 without options
// and UDP (OB_ETH_IP_UDP).
const FrameHeaderBytes = 42

// ethernetBytes is the least a ride can have: it is a frame.
const ethernetBytes = 14

// Receiver applies the link program's rules to one lane. Step and Tick may run
// in different threads, and the engine beside both: what they share is in the
// lane table and the authority word.
type Receiver struct {
	table *lane.Table
	word  *uint64
	ring  *ring.Ring
	id    uint8
	rx    wire.Auth
	tx    wire.Auth
	// What the programs find beside the lane's memory; nil: always there.
	EngineGone      func() bool // the engine's socket for orders, in the lane's own queue
	OrderSocketGone func() bool // the one of the queue that order frames come in by
	LinkSocketGone  func() bool
	OrderNICGone    func() bool // as a place to send to
	LinkNICGone     func() bool
	// OrderVLAN is the 802.1Q tag that frames of the order network carry; 0: none.
	OrderVLAN uint16
	// TCPPorts are those of the lane address that the kernel's stack serves.
	TCPPorts []uint16

	counts [ReasonCount]uint64 // atomic
}

// New makes the receiver of a lane over its table, authority word and ring. nh
// is the lane's NH key; the SipHash keys are in the table.
func New(id uint8, table *lane.Table, word *uint64, r *ring.Ring, nh *[wire.NHWords]uint32) *Receiver {
	x := &Receiver{table: table, word: word, ring: r, id: id}
	x.Rekey(nh)
	return x
}

// Rekey takes over the keys and flags of the table's config. The lane is in
// INIT or SYNCING, and no Step is under way.
func (x *Receiver) Rekey(nh *[wire.NHWords]uint32) {
	on := x.table.Config.Flags&lane.ConfigAuth != 0
	x.rx = wire.Auth{Enabled: on, Sip: x.table.Config.RxKey, NH: nh}
	x.tx = wire.Auth{Enabled: on, Sip: x.table.Config.TxKey, NH: nh}
}

// Count returns how often a reason was met.
func (x *Receiver) Count(r Reason) uint64 { return atomic.LoadUint64(&x.counts[r]) }

func (x *Receiver) count(r Reason) Reason {
	atomic.AddUint64(&x.counts[r], 1)
	return r
}

// passage is one frame on its way through the rules.
type passage struct {
	h     wire.Header
	b     []byte    // link header, records, ride
	word  lane.Word // authority as read once, under busy
	nowNs int64
	// the answer
	frame, reply []byte
}

// Step decides about one whole Ethernet frame. For Answer, n is the length of
// the reply written to reply, which must be able to hold the frame. For Release
// n is where in frame the ride begins. reason is the last one counted.
func (x *Receiver) Step(frame []byte, nowNs int64, reply []byte) (v Verdict, n int, reason Reason) {
	if !x.ours(frame) {
		return Pass, 0, None
	}
	p := passage{b: frame[FrameHeaderBytes:], nowNs: nowNs, frame: frame, reply: reply}
	if reason = x.admit(&p); reason != None {
		return Drop, 0, x.count(reason)
	}
	if p.h.Type == wire.HelloFrame {
		// It sets up the keys; user space authenticates it.
		return x.toEngine(HelloReceived)
	}
	if p.h.Incarnation != x.table.Config.PeerIncarnation {
		return Drop, 0, x.count(LinkIncarnation)
	}
	// An exchange, not a store: a promoting engine that has changed the word
	// waits for 0 and may then read the tail.
	if atomic.SwapUint64(&x.table.Busy, 1) != 0 {
		return Drop, 0, x.count(LinkBusy)
	}
	p.word = lane.Load(x.word)
	if reason = x.authenticate(&p); reason != None {
		v, reason = Drop, x.count(reason)
	} else {
		v, n, reason = x.dispatch(&p)
	}
	atomic.StoreUint64(&x.table.Busy, 0)
	return v, n, reason
}

// ours reports whether a frame is a whole UDP datagram to the link port.
func (x *Receiver) ours(f []byte) bool {
	return isDatagram(f) && [2]byte(f[36:38]) == x.table.Config.LinkPort
}

// isDatagram: a whole UDP datagram over IPv4 without options.
func isDatagram(f []byte) bool {
	return len(f) >= FrameHeaderBytes && f[12] == 8 && f[13] == 0 && f[14] == 0x45 && f[20]&0x3f == 0 && f[21] == 0 && f[23] == 17
}

// missing asks one of a Receiver's surroundings.
func missing(gone func() bool) bool { return gone != nil && gone() }

// toEngine leaves a link frame to user space, if it is there.
func (x *Receiver) toEngine(reason Reason) (Verdict, int, Reason) {
	if missing(x.LinkSocketGone) {
		return Drop, 0, x.count(LinkNoEngine)
	}
	return ToEngine, 0, x.count(reason)
}

// admit makes the checks that need no key.
func (x *Receiver) admit(p *passage) Reason {
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
	if p.b[offLane] != x.id || cfg.Used == 0 || cfg.PeerNode == 0 {
		return LinkLane
	}
	switch {
	case check == wire.BadLength, p.h.RideBytes != 0 && p.h.RideBytes < ethernetBytes:
		return LinkLength
	case [4]byte(p.frame[offSource:]) != cfg.PeerLinkIP || [4]byte(p.frame[offDestination:]) != cfg.LinkIP:
		return LinkAddress
	case uint32(p.h.Node) != cfg.PeerNode:
		return LinkNode
	}
	return None // an unknown type is refused once it is known to be the peer's
}

const offLane = 6 // in struct ob_link_hdr

// authenticate checks whole frame and counter: one that was not used before.
func (x *Receiver) authenticate(p *passage) Reason {
	if !x.rx.Verify(p.b) {
		return LinkMAC
	}
	if p.h.Path > lane.PathSteer {
		return LinkPath
	}
	if !x.fresh(&p.h) {
		return LinkReplay
	}
	atomic.AddUint64(&x.table.Peer.Frames, 1)
	return None
}

// fresh makes a frame's counter its path's last one, if it is above that.
func (x *Receiver) fresh(h *wire.Header) bool {
	last := &x.table.RxCounter[h.Path]
	if h.Counter <= atomic.LoadUint64(last) {
		return mutant.On(mutant.OldProof) || mutant.On(mutant.OldAppends) || mutant.On(mutant.OldRides)
	}
	atomic.StoreUint64(last, h.Counter)
	return true
}

// dispatch decides by epoch, type and state.
func (x *Receiver) dispatch(p *passage) (Verdict, int, Reason) {
	epoch, state := p.word.Epoch(), p.word.State()
	if p.h.Epoch > epoch {
		if state != lane.Init && state != lane.Syncing {
			lane.Swap(x.word, p.word, p.word.With(lane.Syncing))
		}
		return x.toEngine(MirrorNewer)
	}
	switch p.h.Type {
	case wire.Mirror:
		if mutant.On(mutant.AcksOn) && p.h.Epoch < epoch && state == lane.Active {
			p.word = lane.MakeWord(p.h.Epoch, lane.Standby)
			return x.answer(p, wire.Ack, 0, MirrorRepeat)
		}
		old := mutant.On(mutant.OldAppends) && state == lane.Standby || mutant.On(mutant.ActiveAppends) && state == lane.Active
		if p.h.Epoch < epoch && !old {
			return x.answer(p, wire.Stale, 0, MirrorStale)
		}
		return x.mirror(p)
	case wire.Ack:
		return x.ack(p)
	case wire.Probe:
		return x.probe(p)
	case wire.Life:
		if p.h.Epoch == epoch {
			atomic.StoreUint64(&x.table.Peer.Authority, uint64(p.h.Authority))
		}
		return Drop, 0, x.count(LifeReceived)
	case wire.Stale:
		return x.toEngine(StaleReceived)
	case wire.Fenced, wire.Forward:
		return x.fenced(p)
	}
	return Drop, 0, x.count(LinkType)
}

// answer turns the frame round in reply. What follows the header is kept only
// if it holds a ride that may go back.
func (x *Receiver) answer(p *passage, typ wire.Type, flags uint8, reason Reason) (Verdict, int, Reason) {
	h, payloadBytes := &p.h, len(p.b)-wire.HeaderBytes
	if typ != wire.Ack || h.RideBytes == 0 {
		payloadBytes = 0
	}
	n := FrameHeaderBytes + wire.HeaderBytes + payloadBytes
	out := p.reply[:n]
	copy(out, p.frame[:n])
	swapDirection(out)
	if payloadBytes == 0 {
		setLengths(out, wire.HeaderBytes)
		// position + length is what an ACK answers, with or without bytes.
		h.Position += uint64(h.LengthBytes)
		h.LengthBytes, h.RideBytes, h.Output = 0, 0, 0
	}
	h.Type, h.Flags, h.Path = typ, flags, lane.PathLink
	h.Node, h.Incarnation = uint8(x.table.Config.Node), x.table.Config.Incarnation
	h.Epoch, h.Authority = p.word.Epoch(), p.word
	h.Successor = 0
	switch typ {
	case wire.Fenced:
		h.Successor = x.table.Config.PeerNode
	case wire.Ack:
		h.Successor = uint32(atomic.LoadUint64(&x.table.NextOutput))
		h.Flags |= uint8(x.table.Config.Flags & lane.ConfigChain)
	}
	h.Tail = x.ring.Tail()
	h.Applied = atomic.LoadUint64(&x.table.Engine.Released)
	if typ == wire.Ack {
		h.Applied = atomic.LoadUint64(&x.table.Engine.Applied)
	}
	h.Echo = h.Counter
	h.Counter = atomic.AddUint64(&x.table.LinkCounter, 1)
	h.Put(out[FrameHeaderBytes:])
	x.tx.Seal(out[FrameHeaderBytes:])
	return Answer, n, x.count(reason)
}

func swapDirection(f []byte) {
	var mac [6]byte
	copy(mac[:], f[6:12])
	copy(f[6:12], f[0:6])
	copy(f[0:6], mac[:])
	ip := [4]byte(f[26:30])
	copy(f[26:30], f[30:34])
	copy(f[30:34], ip[:])
	port := [2]byte(f[34:36])
	copy(f[34:36], f[36:38])
	copy(f[36:38], port[:])
}

func setLengths(f []byte, payloadBytes int) {
	binary.BigEndian.PutUint16(f[16:], uint16(28+payloadBytes))
	binary.BigEndian.PutUint16(f[38:], uint16(8+payloadBytes))
	f[24], f[25] = 0, 0
	sum := uint32(0)
	for i := 14; i < 34; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(f[i:]))
	}
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(f[24:], ^uint16(sum))
}
