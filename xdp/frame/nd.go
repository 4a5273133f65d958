package frame

import (
	"encoding/binary"
	"math/bits"
)

// Neighbour Discovery (RFC 4861) is to IPv6 what ARP is to IPv4.
const (
	// NDBytes is the length of the messages that are built here: Ethernet, IPv6,
	// a solicitation or an advertisement, and one link-layer address.
	NDBytes = offNDOption + ndOptionBytes

	// NDSolicitation asks for a MAC, NDAdvertisement tells one.
	NDSolicitation  = 135
	NDAdvertisement = 136

	protocolICMPv6 = 58
	ndHops         = 255 // what passed a router has less, and is refused
	ndOptionBytes  = 8

	offND         = 54
	offNDSum      = 56
	offNDFlags    = 58
	offNDTarget   = 62
	offNDOption   = 78
	ndHeaderBytes = offNDOption - offND

	ndSolicited = 0x40
	ndOverride  = 0x20

	optionSourceMAC = 1
	optionTargetMAC = 2
)

var (
	allNodes    = IP{0: 0xff, 1: 0x02, 15: 1}
	allNodesMAC = multicastMAC(&allNodes)
)

// ND is what a message of Neighbour Discovery says.
type ND struct {
	Type     uint8
	Source   IP // zero: of somebody who has no address yet (RFC 4862, section 5.4)
	Target   IP
	MAC      [6]byte // of the option that tells one, else of the frame
	FrameMAC [6]byte // the sender's
}

// Claimed is the address that the sender says it has: the one that it advertises,
// or that it asks from; zero: it says nothing of the kind.
func (n *ND) Claimed() IP {
	if n.Type == NDAdvertisement {
		return n.Target
	}
	return n.Source
}

// SolicitedNode is the multicast group that an address is asked for in (RFC 4291,
// section 2.7.1), and its MAC.
func SolicitedNode(ip IP) (group IP, mac [6]byte) {
	group = IP{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: ip[13], 14: ip[14], 15: ip[15]}
	return group, multicastMAC(&group)
}

// multicastMAC is a group's MAC (RFC 2464, section 7).
func multicastMAC(group *IP) [6]byte {
	return [6]byte{0x33, 0x33, group[12], group[13], group[14], group[15]}
}

// LinkLocal is the address that a NIC may speak from without having been given
// one: nobody else's has this MAC in it (RFC 4291, appendix A).
func LinkLocal(mac [6]byte) IP {
	return IP{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]}
}

// PutUnsolicitedNA writes what moves an address to mac in every neighbour table
// and switch that hears it, as a gratuitous ARP does (RFC 4861, section 7.2.6),
// and returns its length. b has at least NDBytes.
func PutUnsolicitedNA(b []byte, mac [6]byte, ip IP) int {
	return putND(b, allNodesMAC, mac, &ip, &allNodes, NDAdvertisement, ndOverride, &ip)
}

// PutAnnouncement writes what moves ip to mac: a gratuitous ARP or an unsolicited
// advertisement. b has at least NDBytes.
func PutAnnouncement(b []byte, mac [6]byte, ip IP) int {
	if ip.Is4() {
		return PutGratuitousARP(b, mac, ip.As4())
	}
	return PutUnsolicitedNA(b, mac, ip)
}

// PutSolicitation writes the question who has target, from an address with mac.
func PutSolicitation(b []byte, mac [6]byte, from, target IP) int {
	group, to := SolicitedNode(target)
	return putND(b, to, mac, &from, &group, NDSolicitation, 0, &target)
}

// PutDADSolicitation writes the question of who is about to take target (RFC 4862,
// section 5.4.2): it comes from no address, and so tells no MAC.
func PutDADSolicitation(b []byte, mac [6]byte, target IP) int {
	group, to := SolicitedNode(target)
	return putND(b, to, mac, &IP{}, &group, NDSolicitation, 0, &target)
}

// PutAdvertisement writes the answer to a solicitation; to a sender without an
// address it goes to everybody.
func PutAdvertisement(b []byte, mac [6]byte, ip IP, toMAC [6]byte, to IP) int {
	if to == (IP{}) {
		return putND(b, allNodesMAC, mac, &ip, &allNodes, NDAdvertisement, ndOverride, &ip)
	}
	return putND(b, toMAC, mac, &ip, &to, NDAdvertisement, ndSolicited|ndOverride, &ip)
}

func putND(b []byte, to, mac [6]byte, src, dst *IP, kind, flags uint8, target *IP) int {
	n, option := NDBytes, byte(optionTargetMAC)
	if kind == NDSolicitation {
		option = optionSourceMAC
		if *src == (IP{}) {
			n = offNDOption
		}
	}
	clear(b[:n])
	copy(b[offEtherDst:], to[:])
	copy(b[offEtherSrc:], mac[:])
	binary.BigEndian.PutUint16(b[offEtherType:], etherTypeIPv6)
	b[offIPv6] = 6 << 4
	binary.BigEndian.PutUint16(b[offIPv6Length:], uint16(n-offND))
	b[offIPv6Next], b[offIPv6Hops] = protocolICMPv6, ndHops
	copy(b[offIPv6Src:], src[:])
	copy(b[offIPv6Dst:], dst[:])
	b[offND], b[offNDFlags] = kind, flags
	copy(b[offNDTarget:], target[:])
	if n > offNDOption {
		b[offNDOption], b[offNDOption+1] = option, 1
		copy(b[offNDOption+2:], mac[:])
	}
	binary.LittleEndian.PutUint16(b[offNDSum:], ^icmpSum(b[:n]))
	return n
}

// icmpSum is the sum over an ICMPv6 message and its pseudo header, 0xffff where it
// is all right.
func icmpSum(b []byte) uint16 {
	length := uint16(len(b) - offND)
	return fold32(byteSum(b[offIPv6Src:]) + uint64(bits.ReverseBytes16(protocolICMPv6)) + uint64(bits.ReverseBytes16(length)))
}

// ParseND reads a solicitation or an advertisement. It is false for anything else
// and for what a host must not believe (RFC 4861, section 7.1).
func ParseND(b []byte, n *ND) bool {
	if len(b) < offNDOption || binary.BigEndian.Uint16(b[offEtherType:]) != etherTypeIPv6 ||
		b[offIPv6]>>4 != 6 || b[offIPv6Next] != protocolICMPv6 || b[offIPv6Hops] != ndHops {
		return false
	}
	kind := b[offND]
	length := int(binary.BigEndian.Uint16(b[offIPv6Length:]))
	if kind != NDSolicitation && kind != NDAdvertisement || b[offND+1] != 0 || length < ndHeaderBytes || offND+length > len(b) {
		return false
	}
	b = b[:offND+length]
	if icmpSum(b) != 0xffff || b[offNDTarget] == 0xff {
		return false
	}
	n.Type, n.Source, n.Target = kind, IP(b[offIPv6Src:offIPv6Dst]), IP(b[offNDTarget:offNDOption])
	n.FrameMAC = [6]byte(b[offEtherSrc:])
	n.MAC = n.FrameMAC
	unspecified := n.Source == IP{}
	if unspecified {
		if group, _ := SolicitedNode(n.Target); kind == NDAdvertisement || IP(b[offIPv6Dst:offND]) != group {
			return false
		}
	}
	if kind == NDAdvertisement && b[offIPv6Dst] == 0xff && b[offNDFlags]&ndSolicited != 0 {
		return false
	}
	return n.options(b[offNDOption:], unspecified)
}

// options reads what follows; false where it is not whole.
func (n *ND) options(b []byte, unspecified bool) bool {
	for len(b) > 0 {
		if len(b) < ndOptionBytes || b[1] == 0 || int(b[1])*ndOptionBytes > len(b) {
			return false
		}
		switch {
		case n.Type == NDSolicitation && b[0] == optionSourceMAC && unspecified:
			return false
		case n.Type == NDSolicitation && b[0] == optionSourceMAC, n.Type == NDAdvertisement && b[0] == optionTargetMAC:
			n.MAC = [6]byte(b[2:])
		}
		b = b[int(b[1])*ndOptionBytes:]
	}
	return true
}
