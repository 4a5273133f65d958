package frame

import "encoding/binary"

// IP is an address in network order: an IPv6 one, or an IPv4 one as
// ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2), as netip.Addr.As16 has it.
type IP [16]byte

// IPv4 is an IPv4 address.
func IPv4(a [4]byte) (ip IP) {
	ip.set4(a[:])
	return ip
}

// set4 makes it the IPv4 address at b, in whole words: it is done for each frame
// that is received.
func (ip *IP) set4(b []byte) {
	binary.LittleEndian.PutUint64(ip[:], 0)
	binary.LittleEndian.PutUint64(ip[8:], 0xffff0000|uint64(binary.LittleEndian.Uint32(b))<<32)
}

// Is4 reports whether it is an IPv4 address.
func (ip *IP) Is4() bool {
	return binary.LittleEndian.Uint64(ip[:]) == 0 && binary.LittleEndian.Uint32(ip[8:]) == 0xffff0000
}

// As4 is the IPv4 address; of an IPv6 one, its last four bytes.
func (ip *IP) As4() [4]byte { return [4]byte(ip[12:]) }

// v4 is As4 as a number.
func (ip *IP) v4() uint32 { return binary.BigEndian.Uint32(ip[12:]) }
