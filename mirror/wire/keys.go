package wire

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Keys are the session keys of a lane between two nodes, by node number.
type Keys struct {
	LowToHigh, HighToLow [2]uint64
	NH                   [NHWords]uint32
}

const keysInfo = "onebeat link keys v1"

// DeriveKeys derives a lane's keys from the shared secret with HKDF-SHA-256.
// Fresh incarnations on each side make fresh keys, so that counters may start
// anew and nothing of an earlier boot is accepted again. HELLO, which tells the
// incarnations, is sealed with the keys of incarnations 0 and 0. The node with
// the lower number comes first.
func DeriveKeys(shared [32]byte, laneID uint8, nodeLow, nodeHigh uint8, incLow, incHigh uint64) Keys {
	if nodeLow >= nodeHigh {
		panic(fmt.Sprintf("wire: keys of nodes %d and %d: the lower number comes first", nodeLow, nodeHigh))
	}
	var salt [19]byte
	salt[0], salt[1], salt[2] = laneID, nodeLow, nodeHigh
	binary.LittleEndian.PutUint64(salt[3:], incLow)
	binary.LittleEndian.PutUint64(salt[11:], incHigh)
	b, err := hkdf.Key(sha256.New, shared[:], salt[:], keysInfo, 32+4*NHWords)
	if err != nil {
		panic(err) // the length is fixed and below HKDF's bound
	}
	var k Keys
	for i := range 2 {
		k.LowToHigh[i] = binary.LittleEndian.Uint64(b[8*i:])
		k.HighToLow[i] = binary.LittleEndian.Uint64(b[16+8*i:])
	}
	for i := range k.NH {
		k.NH[i] = binary.LittleEndian.Uint32(b[32+4*i:])
	}
	return k
}

// For returns the keys for what node sends and what it receives; low is the
// lower of the two node numbers.
func (k *Keys) For(node, low uint8) (tx, rx [2]uint64) {
	if node == low {
		return k.LowToHigh, k.HighToLow
	}
	return k.HighToLow, k.LowToHigh
}
