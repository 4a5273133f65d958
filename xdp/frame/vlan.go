package frame

import "encoding/binary"

// VLAN is the 802.1Q tag that the frames of a network carry, an identifier from
// 1 to 4094; 0: they carry none. Whether there is one is decided once, for a
// whole network: its methods cost untagged frames one compare.
type VLAN uint16

const (
	// TagBytes is the length of a tag, which stands between the MAC addresses
	// and the type.
	TagBytes = 4

	etherTypeVLAN = 0x8100
	vlanIDMask    = 0x0fff // the rest is priority, which any frame may have
)

// Bytes is how many bytes of tag each frame has.
func (v VLAN) Bytes() int {
	if v == 0 {
		return 0
	}
	return TagBytes
}

// Put makes the frame at b[v.Bytes():] one of the network, which begins at b[0].
func (v VLAN) Put(b []byte) {
	if v == 0 {
		return
	}
	copy(b[:offEtherType], b[TagBytes:TagBytes+offEtherType])
	binary.BigEndian.PutUint16(b[offEtherType:], etherTypeVLAN)
	binary.BigEndian.PutUint16(b[offEtherType+2:], uint16(v))
}

// Tag makes the frame of lengthBytes at b[0] one of the network and returns its
// new length. For frames that are rare: it moves all of it.
func (v VLAN) Tag(b []byte, lengthBytes int) int {
	if v == 0 {
		return lengthBytes
	}
	copy(b[TagBytes:TagBytes+lengthBytes], b[:lengthBytes])
	v.Put(b)
	return lengthBytes + TagBytes
}

// Parse is the package's Parse for a frame of the network. A frame of another
// one, or one with a tag in a network that has none, is refused.
func (v VLAN) Parse(b []byte, from *Endpoint) (payload []byte, localPort uint16, ok bool) {
	if v == 0 {
		return Parse(b, from)
	}
	return v.parseTagged(b, from)
}

func (v VLAN) parseTagged(b []byte, from *Endpoint) (payload []byte, localPort uint16, ok bool) {
	if len(b) < TagBytes+HeaderBytes || binary.BigEndian.Uint16(b[offEtherType:]) != etherTypeVLAN ||
		binary.BigEndian.Uint16(b[offEtherType+2:])&vlanIDMask != uint16(v) {
		return nil, 0, false
	}
	if payload, localPort, ok = Parse(b[TagBytes:], from); ok {
		copy(from.MAC[:], b[offEtherSrc:]) // it stands before the tag
	}
	return payload, localPort, ok
}

// Relayed reports whether a datagram that Parse accepted left its sender's network
// by another hop than its sender: behind a router, or let out by the standby of a
// lane that is a chain, under that one's MAC address.
func (v VLAN) Relayed(b []byte) bool {
	b = b[v.Bytes():]
	if b[offIP]>>4 == 6 {
		return b[offIPv6Hops] < defaultTTL
	}
	return b[offIPTTL] < defaultTTL
}
