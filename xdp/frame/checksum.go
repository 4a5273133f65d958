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
	return fold32(byteSum(b[offIPSrc:offUDPSrc+lengthBytes]) + pseudoTail(lengthBytes))
}

// byteSum returns the sum over data, below 1<<35. Words of 64 bits do as well as
// those of 16: modulo 65535 a carry out of either is 1.
func byteSum(data []byte) uint64 {
	le := binary.LittleEndian
	var sum, carry, carries uint64
	rest := data
	// Always a byte is left: a slice that may end where its memory does costs more.
	for len(rest) > 32 {
		p := (*[32]byte)(rest)
		sum, carry = bits.Add64(sum, le.Uint64(p[0:]), 0)
		sum, carry = bits.Add64(sum, le.Uint64(p[8:]), carry)
		sum, carry = bits.Add64(sum, le.Uint64(p[16:]), carry)
		sum, carry = bits.Add64(sum, le.Uint64(p[24:]), carry)
		carries += carry
		rest = rest[32:]
	}
	for len(rest) > 8 {
		sum, carry = bits.Add64(sum, le.Uint64(rest), 0)
		carries += carry
		rest = rest[8:]
	}
	if len(data) >= 8 {
		// The one to eight last bytes, as the low ones of a word.
		word := le.Uint64(data[len(data)-8:]) >> (8 * (8 - uint(len(rest))) & 63)
		return fold(sum) + fold(word) + carries
	}
	var word uint64
	for i, c := range data {
		word |= uint64(c) << (8 * i)
	}
	return fold(word)
}

// fold folds a word to 33 bits.
func fold(word uint64) uint64 { return word>>32 + word&0xffffffff }

// pseudoTail is protocol and length of the pseudo header.
func pseudoTail(lengthBytes int) uint64 {
	return uint64(bits.ReverseBytes16(protocolUDP)) + uint64(bits.ReverseBytes16(uint16(lengthBytes)))
}

// fold32 folds a sum below 1<<48 to 16 bits.
func fold32(sum uint64) uint16 {
	sum = sum>>32 + sum>>16&0xffff + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum)
}

// PutSummed is Put with a UDP checksum: the payload stands already behind the
// headers.
func (t *Template) PutSummed(b []byte, src *Endpoint, srcPort uint16, dst *Endpoint, payloadBytes int) {
	if !src.IP.Is4() {
		putSummed6(b, src, srcPort, dst, payloadBytes)
		return
	}
	t.PutSum(b, src, srcPort, dst, payloadBytes, byteSum(b[HeaderBytes:HeaderBytes+payloadBytes]))
}

// PutSum is PutSummed for a payload whose 16-bit little-endian words were summed up
// before, modulo 65535 and below 1<<47: what was written a moment ago is not
// read again.
func (t *Template) PutSum(b []byte, src *Endpoint, srcPort uint16, dst *Endpoint, payloadBytes int, payloadSum uint64) {
	if !src.IP.Is4() {
		putSummed6(b, src, srcPort, dst, payloadBytes)
		return
	}
	t.put4(b, src, srcPort, dst, payloadBytes)
	// The headers' part from what they were made of: they have just been written.
	lengthBytes := uint64(udpBytes + payloadBytes)
	head := uint64(src.IP.v4()) + uint64(dst.IP.v4()) +
		uint64(srcPort) + uint64(dst.Port) + protocolUDP + 2*lengthBytes
	sum := ^fold32(payloadSum + uint64(bits.ReverseBytes16(fold32(head))))
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
	return sum == fold32(addresses>>32+addresses&0xffffffff+pseudoTail(lengthBytes))
}
