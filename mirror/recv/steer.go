package recv

import (
	"encoding/binary"
	"slices"
	"sync/atomic"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// Offsets in an Ethernet frame with IPv4.
const (
	offEtherType   = 12
	offSource      = 26
	offDestination = 30

	vlanBytes = 4
)

// Steer decides about one whole Ethernet frame of the order NIC, for a node
// whose only lane this is (bpf/steer.bpf.c). For Answer and Forward, n is the
// length of what was written to reply.
func (x *Receiver) Steer(frame []byte, nowNs int64, reply []byte) (v Verdict, n int, reason Reason) {
	if x.OrderVLAN == 0 {
		return x.steer(frame, frame, nowNs, reply)
	}
	if len(frame) < ethernetBytes+vlanBytes || frame[offEtherType] != 0x81 || frame[offEtherType+1] != 0 ||
		binary.BigEndian.Uint16(frame[ethernetBytes:])&0xfff != x.OrderVLAN {
		return Pass, 0, None
	}
	plain := append(append([]byte(nil), frame[:offEtherType]...), frame[offEtherType+vlanBytes:]...)
	v, n, reason = x.steer(plain, frame, nowNs, reply)
	if v == Answer { // with the tag that the question had
		n += vlanBytes
		copy(reply[offEtherType+vlanBytes:n], reply[offEtherType:])
		copy(reply[offEtherType:], frame[offEtherType:offEtherType+vlanBytes])
	}
	return v, n, reason
}

// steer decides about a frame without its tag; whole is what is forwarded.
func (x *Receiver) steer(frame, whole []byte, nowNs int64, reply []byte) (v Verdict, n int, reason Reason) {
	if len(frame) < ethernetBytes {
		return Pass, 0, None
	}
	if frame[offEtherType] == 8 && frame[offEtherType+1] == 6 {
		return x.answerARP(frame, reply)
	}
	if frame[offEtherType] == 0x86 && frame[offEtherType+1] == 0xdd {
		if v, n, reason, datagram := x.steer6(frame, nowNs, reply); !datagram {
			return v, n, reason
		}
		return x.steerOrder(whole, nowNs, reply)
	}
	if !isDatagram(frame) {
		return x.steerTCP(frame, nowNs)
	}
	if ip := [4]byte(frame[offDestination:]); ip == [4]byte{} || ip != x.table.Config.LaneIP {
		return x.Second(frame, nowNs, reply)
	}
	return x.steerOrder(whole, nowNs, reply)
}

// steerOrder decides about a datagram for the lane.
func (x *Receiver) steerOrder(whole []byte, nowNs int64, reply []byte) (v Verdict, n int, reason Reason) {
	word := lane.Load(x.word)
	switch word.State() {
	case lane.Active:
		return x.steerActive(whole, word, nowNs, reply)
	case lane.Candidate:
		if missing(x.OrderSocketGone) {
			return Drop, 0, x.count(OrderNoEngine)
		}
		return ToEngine, 0, x.count(OrderWaits)
	case lane.Fenced:
		return x.forward(whole, word, reply)
	}
	return Drop, 0, x.count(OrderNotActive)
}

// steerTCP lets the kernel's stack serve the lane's TCP ports while this node is
// ACTIVE (bpf/tcp.h).
func (x *Receiver) steerTCP(f []byte, nowNs int64) (Verdict, int, Reason) {
	const (
		protocol  = 23
		port      = 36
		fragments = 20
	)
	if len(f) < FrameHeaderBytes || f[offEtherType] != 8 || f[offEtherType+1] != 0 || f[protocol] != 6 ||
		len(x.TCPPorts) == 0 || [4]byte(f[offDestination:]) != x.table.Config.LaneIP {
		return Pass, 0, None
	}
	if f[14] != 0x45 || binary.BigEndian.Uint16(f[fragments:])&0x3fff != 0 || !slices.Contains(x.TCPPorts, binary.BigEndian.Uint16(f[port:])) {
		return Drop, 0, x.count(TCPRefused)
	}
	return x.steerSegment(nowNs)
}

// steerSegment decides about a whole segment to one of the ports.
func (x *Receiver) steerSegment(nowNs int64) (Verdict, int, Reason) {
	word := lane.Load(x.word)
	if word.State() == lane.Active && (x.stuck() || x.gone()) {
		why := lane.WhySlotEmpty
		if x.dead() {
			why = lane.WhyExited
		} else if x.stuck() {
			why = lane.WhyStuck
		}
		if x.fence(word, why, nowNs) {
			x.count(FencedBySteer)
		}
		word = lane.Load(x.word)
	}
	if word.State() != lane.Active {
		return Drop, 0, x.count(TCPNotActive)
	}
	return Pass, 0, x.count(TCPToStack)
}

// steerActive hands an order to the engine, or finds that there is none.
func (x *Receiver) steerActive(frame []byte, word lane.Word, nowNs int64, reply []byte) (Verdict, int, Reason) {
	why := lane.WhyStuck
	if x.dead() {
		why = lane.WhyExited
	}
	if !x.stuck() {
		if !missing(x.OrderSocketGone) {
			return ToEngine, 0, x.count(OrderToEngine)
		}
		// A queue without a socket is a configuration fault, not a death.
		if !x.gone() {
			return Drop, 0, x.count(OrderNoEngine)
		}
		why = lane.WhySlotEmpty
	}
	if x.fence(word, why, nowNs) {
		x.count(FencedBySteer)
	}
	if word = lane.Load(x.word); word.State() == lane.Fenced {
		return x.forward(frame, word, reply)
	}
	// Nobody to hand it to: a hung engine may still wake up and serve it.
	if missing(x.OrderSocketGone) {
		return Drop, 0, x.count(OrderNoEngine)
	}
	return ToEngine, 0, x.count(OrderToEngine)
}

// forward puts the order into a FORWARD to the successor.
func (x *Receiver) forward(frame []byte, word lane.Word, reply []byte) (Verdict, int, Reason) {
	cfg := &x.table.Config
	if len(frame) > wire.PayloadMaxBytes || len(frame)+FrameHeaderBytes+wire.HeaderBytes > int(cfg.LinkFrameMax) {
		return Drop, 0, x.count(OrderTooLong)
	}
	out := reply[:FrameHeaderBytes+wire.HeaderBytes+len(frame)]
	putHeaders(out, cfg)
	h := wire.Header{
		Type: wire.Forward, Lane: x.id, Node: uint8(cfg.Node), Epoch: word.Epoch(), RideBytes: uint16(len(frame)),
		Path: lane.PathSteer, Successor: cfg.PeerNode, Tail: x.ring.Tail(), Applied: atomic.LoadUint64(&x.table.Engine.Released),
		Authority: word, Incarnation: cfg.Incarnation, Counter: atomic.AddUint64(&x.table.SteerCounter, 1),
	}
	h.Put(out[FrameHeaderBytes:])
	copy(out[FrameHeaderBytes+wire.HeaderBytes:], frame)
	x.tx.Seal(out[FrameHeaderBytes:])
	if missing(x.LinkNICGone) {
		return Drop, 0, x.count(NoDevice)
	}
	return Forward, len(out), x.count(OrderForwarded)
}

// putHeaders writes the headers of a frame that the kernel sends of its own accord.
func putHeaders(f []byte, cfg *lane.Config) {
	clear(f[:FrameHeaderBytes])
	copy(f[0:], cfg.PeerLinkMAC[:])
	copy(f[6:], cfg.LinkMAC[:])
	f[offEtherType] = 8
	f[14], f[22], f[23] = 0x45, 64, 17
	copy(f[offSource:], cfg.LinkIP[:])
	copy(f[offDestination:], cfg.PeerLinkIP[:])
	copy(f[34:], cfg.LinkPort[:])
	copy(f[36:], cfg.LinkPort[:])
	setLengths(f, len(f)-FrameHeaderBytes)
}

// answerARP answers for the lane address while this node is ACTIVE.
func (x *Receiver) answerARP(f, reply []byte) (Verdict, int, Reason) {
	const (
		arpBytes  = 42
		operation = 20
		senderMAC = 22
		senderIP  = 28
		targetMAC = 32
		targetIP  = 38
	)
	if len(f) < arpBytes || f[operation] != 0 || f[operation+1] != 1 || f[16] != 8 || f[17] != 0 || f[19] != 4 {
		return Pass, 0, None
	}
	cfg := &x.table.Config
	if ip := [4]byte(f[targetIP:]); ip == [4]byte{} || ip != cfg.LaneIP {
		return Pass, 0, None
	}
	if lane.Load(x.word).State() != lane.Active {
		return Drop, 0, x.count(ARPNotActive)
	}
	if missing(x.OrderNICGone) {
		return Drop, 0, x.count(NoDevice)
	}
	out := reply[:len(f)]
	copy(out, f)
	copy(out[0:6], f[senderMAC:])
	copy(out[6:12], cfg.OrderMAC[:])
	out[operation+1] = 2
	copy(out[targetMAC:], f[senderMAC:senderMAC+10]) // and address
	copy(out[senderMAC:], cfg.OrderMAC[:])
	copy(out[senderIP:], cfg.LaneIP[:])
	return Answer, len(out), x.count(ARPAnswered)
}
