package frame

import (
	"encoding/binary"
	"math/bits"
)

const (
	// IPv6HeaderBytes is HeaderBytes for IPv6 without extension headers.
	IPv6HeaderBytes = ethernetBytes + ipv6Bytes + udpBytes

	ipv6Bytes     = 40
	etherTypeIPv6 = 0x86dd
)

// Offsets of fields in a frame with IPv6 (RFC 8200, section 3).
const (
	offIPv6       = 14
	offIPv6Length = 18
	offIPv6Next   = 20
	offIPv6Hops   = 21
	offIPv6Src    = 22
	offIPv6Dst    = 38
	offIPv6UDP    = 54
)

// HeaderBytes is the length of the headers before a datagram from this address.
func (ip *IP) HeaderBytes() int {
	if ip.Is4() {
		return HeaderBytes
	}
	return IPv6HeaderBytes
}

// put6 is Put between IPv6 addresses; the checksum is left to be completed.
func put6(b []byte, src *Endpoint, srcPort uint16, dst *Endpoint, payloadBytes int) {
	lengthBytes := udpBytes + payloadBytes
	putIPv6(b, src, srcPort, dst, lengthBytes, bits.ReverseBytes16(fold32(pseudo6(src, dst, lengthBytes))))
}

// putSummed6 is PutSummed between IPv6 addresses, where no checksum is no choice
// (RFC 8200, section 8.1).
func putSummed6(b []byte, src *Endpoint, srcPort uint16, dst *Endpoint, payloadBytes int) {
	lengthBytes := udpBytes + payloadBytes
	head := uint64(srcPort) + uint64(dst.Port) + uint64(lengthBytes)
	sum := ^bits.ReverseBytes16(fold32(byteSum(b[IPv6HeaderBytes:IPv6HeaderBytes+payloadBytes]) +
		pseudo6(src, dst, lengthBytes) + uint64(bits.ReverseBytes16(fold32(head)))))
	if sum == 0 {
		sum = 0xffff // 0 means none
	}
	putIPv6(b, src, srcPort, dst, lengthBytes, sum)
}

// pseudo6 is the sum over the pseudo header.
func pseudo6(src, dst *Endpoint, lengthBytes int) uint64 {
	return byteSum(src.IP[:]) + byteSum(dst.IP[:]) + pseudoTail(lengthBytes)
}

func putIPv6(b []byte, src *Endpoint, srcPort uint16, dst *Endpoint, lengthBytes int, sum uint16) {
	p := (*[IPv6HeaderBytes]byte)(b)
	le, be := binary.LittleEndian, binary.BigEndian
	srcMAC := macBits(&src.MAC)
	le.PutUint64(p[offEtherDst:], macBits(&dst.MAC)|srcMAC<<48)
	le.PutUint32(p[offEtherSrc+2:], uint32(srcMAC>>16))
	be.PutUint64(p[offEtherType:], etherTypeIPv6<<48|6<<44|uint64(lengthBytes))
	be.PutUint16(p[offIPv6Next:], protocolUDP<<8|defaultTTL)
	*(*IP)(p[offIPv6Src:]) = src.IP
	*(*IP)(p[offIPv6Dst:]) = dst.IP
	be.PutUint64(p[offIPv6UDP:], uint64(srcPort)<<48|uint64(dst.Port)<<32|uint64(lengthBytes)<<16|uint64(sum))
}

// parse6 is Parse of a frame that says that it is IPv6. Extension headers,
// fragments among them, are refused; so is a datagram without a checksum.
func parse6(b []byte, from *Endpoint) (payload []byte, localPort uint16, ok bool) {
	if len(b) < IPv6HeaderBytes || b[offIPv6]>>4 != 6 || b[offIPv6Next] != protocolUDP {
		return nil, 0, false
	}
	be := binary.BigEndian
	lengthBytes := int(be.Uint16(b[offIPv6UDP+4:]))
	if lengthBytes < udpBytes || int(be.Uint16(b[offIPv6Length:])) != lengthBytes || offIPv6UDP+lengthBytes > len(b) {
		return nil, 0, false
	}
	if !intact6(b, lengthBytes) {
		return nil, 0, false
	}
	copy(from.MAC[:], b[offEtherSrc:])
	from.IP = IP(b[offIPv6Src:offIPv6Dst])
	from.Port = be.Uint16(b[offIPv6UDP:])
	return b[IPv6HeaderBytes : offIPv6UDP+lengthBytes], be.Uint16(b[offIPv6UDP+2:]), true
}

// intact6 is intact for IPv6, but for none, which is wrong.
func intact6(b []byte, lengthBytes int) bool {
	sum := binary.LittleEndian.Uint16(b[offIPv6UDP+6:])
	tail := pseudoTail(lengthBytes)
	// Both addresses stand right before the UDP header.
	return sum != 0 && (fold32(byteSum(b[offIPv6Src:offIPv6UDP+lengthBytes])+tail) == 0xffff ||
		sum == fold32(byteSum(b[offIPv6Src:offIPv6UDP])+tail))
}

// reflect6 is Reflect of a frame that says that it is IPv6.
func reflect6(b []byte) bool {
	if len(b) < IPv6HeaderBytes || b[offIPv6]>>4 != 6 || b[offIPv6Next] != protocolUDP {
		return false
	}
	swapMACs(b)
	src := IP(b[offIPv6Src:offIPv6Dst])
	copy(b[offIPv6Src:offIPv6Dst], b[offIPv6Dst:offIPv6UDP])
	copy(b[offIPv6Dst:offIPv6UDP], src[:])
	swapPorts(b[offIPv6UDP:])
	return true
}
