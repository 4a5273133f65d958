package frame

import "encoding/binary"

// Reflect turns a UDP frame round: MAC addresses, IP addresses and ports
// change places, everything else stays. No checksum changes, since sums do not
// mind the order of their words. It is false, and changes nothing, for a frame
// that Parse would refuse by its headers.
func Reflect(b []byte) bool {
	if len(b) < HeaderBytes ||
		binary.BigEndian.Uint16(b[offEtherType:]) != etherTypeIPv4 ||
		b[offIP] != 0x45 || b[offIPProto] != protocolUDP {
		return false
	}
	var mac [6]byte
	copy(mac[:], b[offEtherDst:offEtherDst+6])
	copy(b[offEtherDst:offEtherDst+6], b[offEtherSrc:offEtherSrc+6])
	copy(b[offEtherSrc:offEtherSrc+6], mac[:])
	srcIP := binary.NativeEndian.Uint32(b[offIPSrc:])
	binary.NativeEndian.PutUint32(b[offIPSrc:], binary.NativeEndian.Uint32(b[offIPDst:]))
	binary.NativeEndian.PutUint32(b[offIPDst:], srcIP)
	srcPort := binary.NativeEndian.Uint16(b[offUDPSrc:])
	binary.NativeEndian.PutUint16(b[offUDPSrc:], binary.NativeEndian.Uint16(b[offUDPDst:]))
	binary.NativeEndian.PutUint16(b[offUDPDst:], srcPort)
	return true
}

// Destination reads where an IPv4/UDP frame of at least HeaderBytes goes and
// which port it leaves from. It does not check the headers: it is for frames
// this process built itself.
func Destination(b []byte) (ip IP, port, srcPort uint16) {
	_ = b[HeaderBytes-1]
	return IPv4([4]byte(b[offIPDst:])), binary.BigEndian.Uint16(b[offUDPDst:]), binary.BigEndian.Uint16(b[offUDPSrc:])
}
