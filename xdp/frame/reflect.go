package frame

import "encoding/binary"

// Reflect turns a UDP frame round: MAC addresses, IP addresses and ports
// change places, everything else stays. No checksum changes, since sums do not
// mind the order of their words. It is false, and changes nothing, for a frame
// that Parse would refuse by its headers.
func Reflect(b []byte) bool {
	if len(b) < HeaderBytes {
		return false
	}
	if kind := binary.BigEndian.Uint16(b[offEtherType:]); kind != etherTypeIPv4 {
		return kind == etherTypeIPv6 && reflect6(b)
	}
	if b[offIP] != 0x45 || b[offIPProto] != protocolUDP {
		return false
	}
	swapMACs(b)
	srcIP := binary.NativeEndian.Uint32(b[offIPSrc:])
	binary.NativeEndian.PutUint32(b[offIPSrc:], binary.NativeEndian.Uint32(b[offIPDst:]))
	binary.NativeEndian.PutUint32(b[offIPDst:], srcIP)
	swapPorts(b[offUDPSrc:])
	return true
}

func swapMACs(b []byte) {
	var mac [6]byte
	copy(mac[:], b[offEtherDst:offEtherDst+6])
	copy(b[offEtherDst:offEtherDst+6], b[offEtherSrc:offEtherSrc+6])
	copy(b[offEtherSrc:offEtherSrc+6], mac[:])
}

// swapPorts turns a UDP header round.
func swapPorts(udp []byte) {
	src := binary.NativeEndian.Uint16(udp)
	binary.NativeEndian.PutUint16(udp, binary.NativeEndian.Uint16(udp[2:]))
	binary.NativeEndian.PutUint16(udp[2:], src)
}

// Destination reads where a UDP frame of at least its headers goes and which
// port it leaves from. It does not check the headers: it is for frames this
// process built itself. One that is too short for IPv6 goes nowhere.
func Destination(b []byte) (ip IP, port, srcPort uint16) {
	_ = b[HeaderBytes-1]
	if binary.BigEndian.Uint16(b[offEtherType:]) == etherTypeIPv6 {
		if len(b) < IPv6HeaderBytes {
			return ip, 0, 0
		}
		udp := b[offIPv6UDP:IPv6HeaderBytes]
		return IP(b[offIPv6Dst:offIPv6UDP]), binary.BigEndian.Uint16(udp[2:]), binary.BigEndian.Uint16(udp)
	}
	return IPv4([4]byte(b[offIPDst:])), binary.BigEndian.Uint16(b[offUDPDst:]), binary.BigEndian.Uint16(b[offUDPSrc:])
}
