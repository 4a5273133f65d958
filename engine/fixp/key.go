package fixp

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"onebeat/engine/sbe"
)

// Key is a session's credentials key.
type Key [2]uint64

// NewKey derives a key from the configured credentials.
func NewKey(credentials string) Key {
	sum := sha256.Sum256([]byte(credentials))
	return Key{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}

// Sign returns the Credentials field of a Negotiate or Establish.
func (k *Key) Sign(template uint16, session *sbe.UUID, timestamp uint64) uint64 {
	m := [4]uint64{binary.LittleEndian.Uint64(session[:]), binary.LittleEndian.Uint64(session[8:]),
		timestamp, uint64(template)}
	return k.sip(&m)
}

// sip is SipHash-2-4 (Aumasson and Bernstein, 2012) over four whole words.
func (k *Key) sip(m *[4]uint64) uint64 {
	v0, v1 := k[0]^0x736f6d6570736575, k[1]^0x646f72616e646f6d
	v2, v3 := k[0]^0x6c7967656e657261, k[1]^0x7465646279746573
	round := func() {
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
	}
	for _, w := range m {
		v3 ^= w
		round()
		round()
		v0 ^= w
	}
	last := uint64(32) << 56
	v3 ^= last
	round()
	round()
	v0 ^= last
	v2 ^= 0xff
	for range 4 {
		round()
	}
	return v0 ^ v1 ^ v2 ^ v3
}
