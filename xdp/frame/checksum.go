package frame

import (
	"encoding/binary"
	"math/bits"
)

// The UDP checksum (RFC 768) is all that stands between a bit flipped in a
// switch's memory and an order with another price: Ethernet's FCS is made anew
// on every hop. It is an Internet checksum (RFC 1071), whose order of bytes does
// not matter as long as it is the same throughout: here little-endian, eight
// bytes at a time.

// udpSum returns the one's complement sum over a datagram, lengthBytes of UDP
// header and payload, and its pseudo header; not complemented, and 0xffff where
// it is all right.
func udpSum(b []byte, lengthBytes int) uint16 {
	// Both addresses stand right before the UDP header.
	data := b[offIPSrc : offUDPSrc+lengthBytes]
	var sum, carry uint64
	for ; len(data) >= 32; data = data[32:] {
		p := (*[32]byte)(data)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(p[0:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(p[8:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(p[16:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(p[24:]), carry)
	}
	for ; len(data) >= 8; data = data[8:] {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(data), carry)
	}
	var rest uint64
	for i, c := range data {
		rest |= uint64(c) << (8 * i)
	}
	sum, carry = bits.Add64(sum, rest, carry)
	sum, carry = bits.Add64(sum, pseudoTail(lengthBytes), carry)
	return fold(sum + carry)
}

// pseudoTail is protocol and length of the pseudo header.
func pseudoTail(lengthBytes int) uint64 {
	return uint64(bits.ReverseBytes16(protocolUDP)) + uint64(bits.ReverseBytes16(uint16(lengthBytes)))
}

func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16&0xffff + sum>>32 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum)
}

// PutSummed is Put with a UDP checksum: the payload stands already behind the
// headers.
func (t *Template) PutSummed(b []byte, src *Endpoint, srcPort uint16, dst *Endpoint, payloadBytes int) {
	t.Put(b, src, srcPort, dst, payloadBytes)
	sum := ^udpSum(b, udpBytes+payloadBytes)
	if sum == 0 {
		sum = 0xffff // 0 means none
	}
	binary.LittleEndian.PutUint16(b[offUDPSum:], sum)
}

// intact is false for a datagram whose checksum is wrong. None is right; and so
// is the bare sum of the pseudo header, which a sender of the same host leaves
// for a NIC to complete (CHECKSUM_PARTIAL) that a veth does not have.
func intact(b []byte, lengthBytes int) bool {
	sum := binary.LittleEndian.Uint16(b[offUDPSum:])
	if sum == 0 || udpSum(b, lengthBytes) == 0xffff {
		return true
	}
	addresses := binary.LittleEndian.Uint64(b[offIPSrc:])
	return sum == fold(addresses>>32+addresses&0xffffffff+pseudoTail(lengthBytes))
}
