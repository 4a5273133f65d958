package fixp

import (
	"crypto/sha256"
	"encoding/binary"

	"onebeat/engine/sbe"
	"onebeat/mirror/wire"
)

// Key is a session's credentials key.
type Key [2]uint64

// NewKey derives a key from the configured credentials.
func NewKey(credentials string) Key {
	sum := sha256.Sum256([]byte(credentials))
	return Key{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}

// Sign returns the Credentials field of a Negotiate or Establish: SipHash-2-4
// over session, timestamp and template, the numbers as little-endian u64.
func (k *Key) Sign(template uint16, session *sbe.UUID, timestamp uint64) uint64 {
	var m [len(session) + 16]byte
	copy(m[:], session[:])
	binary.LittleEndian.PutUint64(m[len(session):], timestamp)
	binary.LittleEndian.PutUint64(m[len(session)+8:], uint64(template))
	return wire.Sip(*k, m[:])
}
