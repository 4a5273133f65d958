package recv

import (
	"encoding/binary"
	"slices"

	"onebeat/mirror/lane"
	"onebeat/xdp/frame"
)

// Offsets in an Ethernet frame with IPv6, and what stands there.
const (
	offIPv6Next        = 20
	offIPv6Destination = 38
	offND              = 54
	offNDTarget        = 62
	ndBytes            = 78 // of a solicitation without options
	offPort6           = 56 // of a datagram or segment: where it goes
	datagram6Bytes     = 62

	protocolTCP    = 6
	protocolUDP    = 17
	protocolICMPv6 = 58

	// ndOptionsMaxBytes is what the program looks through at most.
	ndOptionsMaxBytes = 128
)

// steer6 decides about an IPv6 frame; datagram: it is one for the lane, and the
// rest is as for IPv4.
func (x *Receiver) steer6(f []byte, nowNs int64, reply []byte) (v Verdict, n int, reason Reason, datagram bool) {
	if len(f) < offND || f[ethernetBytes]>>4 != 6 {
		return Pass, 0, None, false
	}
	if f[offIPv6Next] == protocolICMPv6 {
		v, n, reason = x.answerND(f, reply)
		return v, n, reason, false
	}
	if !x.isLane6(f[offIPv6Destination:]) {
		return Pass, 0, None, false
	}
	switch f[offIPv6Next] {
	case 0, 43, 44, 50, 51, 60, 135, 139, 140: // extension headers (RFC 7045, section 4)
		return Drop, 0, x.count(OrderExtension), false
	}
	if len(f) < datagram6Bytes {
		return Pass, 0, None, false
	}
	if f[offIPv6Next] == protocolTCP && len(x.TCPPorts) > 0 {
		if !slices.Contains(x.TCPPorts, binary.BigEndian.Uint16(f[offPort6:])) {
			return Drop, 0, x.count(TCPRefused), false
		}
		v, n, reason = x.steerSegment(nowNs)
		return v, n, reason, false
	}
	return Pass, 0, None, f[offIPv6Next] == protocolUDP
}

func (x *Receiver) isLane6(at []byte) bool {
	ip := [16]byte(at)
	return ip != [16]byte{} && ip == x.table.Config.LaneIP6
}

// answerND answers for the lane address while this node is ACTIVE.
func (x *Receiver) answerND(f, reply []byte) (Verdict, int, Reason) {
	if len(f) < ndBytes || f[offND] != frame.NDSolicitation || !x.isLane6(f[offNDTarget:]) {
		return Pass, 0, None
	}
	if lane.Load(x.word).State() != lane.Active {
		return Drop, 0, x.count(NDNotActive)
	}
	var nd frame.ND
	if !frame.ParseND(f, &nd) || int(f[18])<<8+int(f[19]) > ndBytes-offND+ndOptionsMaxBytes {
		return Drop, 0, x.count(NDInvalid)
	}
	if missing(x.OrderNICGone) {
		return Drop, 0, x.count(NoDevice)
	}
	cfg := &x.table.Config
	n := frame.PutAdvertisement(reply, cfg.OrderMAC, cfg.LaneIP6, nd.FrameMAC, nd.Source)
	return Answer, n, x.count(NDAnswered)
}
