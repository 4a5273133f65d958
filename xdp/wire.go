package xdp

import "encoding/binary"

// wire16 is what a register holds after loading two bytes in network order.
func wire16(v uint16) int32 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return int32(binary.NativeEndian.Uint16(b[:]))
}

// wire32 is the same for an address.
func wire32(ip [4]byte) int32 { return int32(binary.NativeEndian.Uint32(ip[:])) }
