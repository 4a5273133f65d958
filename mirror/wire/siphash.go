package wire

import (
	"encoding/binary"
	"math/bits"
)

// SipHash's initial state: the key is mixed into "somepseudorandomlygeneratedbytes".
const (
	sip0 = 0x736f6d6570736575
	sip1 = 0x646f72616e646f6d
	sip2 = 0x6c7967656e657261
	sip3 = 0x7465646279746573
)

// Sip is SipHash-2-4 (Aumasson, Bernstein 2012) over any bytes. The frames'
// MAC has a faster path of its own; both are tested against each other.
func Sip(key [2]uint64, b []byte) uint64 {
	v0, v1, v2, v3 := key[0]^sip0, key[1]^sip1, key[0]^sip2, key[1]^sip3
	last := uint64(len(b)) << 56
	for len(b) >= 8 {
		m := binary.LittleEndian.Uint64(b)
		v3 ^= m
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= m
		b = b[8:]
	}
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	v3 ^= last
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= last
	v2 ^= 0xff
	for range 4 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

func sipRound(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v3
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 += v3
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 += v1
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}

// sipWords is SipHash-2-4 over three words.
func sipWords(key *[2]uint64, a, b, c uint64) uint64 {
	v0, v1, v2, v3 := key[0]^sip0, key[1]^sip1, key[0]^sip2, key[1]^sip3
	for _, m := range [4]uint64{a, b, c, 24 << 56} {
		v3 ^= m
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= m
	}
	v2 ^= 0xff
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	return v0 ^ v1 ^ v2 ^ v3
}
