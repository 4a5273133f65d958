package frame

import "encoding/binary"

// ARPBytes is the length of an ARP frame for IPv4 over Ethernet (RFC 826).
const ARPBytes = ethernetBytes + 28

const (
	etherTypeARP = 0x0806

	// ARPRequest asks for a MAC, ARPReply tells one.
	ARPRequest = 1
	ARPReply   = 2

	arpHardwareEthernet = 1

	offARPHardware  = 14
	offARPProtocol  = 16
	offARPSizes     = 18
	offARPOperation = 20
	offARPSrcMAC    = 22
	offARPSrcIP     = 28
	offARPDstMAC    = 32
	offARPDstIP     = 38
)

var broadcastMAC = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// ARP is what an ARP frame says.
type ARP struct {
	Operation uint16
	SenderMAC [6]byte
	SenderIP  [4]byte
	TargetMAC [6]byte
	TargetIP  [4]byte
}

// PutGratuitousARP writes a broadcast that moves ip to mac in every neighbour
// table and switch that hears it, and returns its length. It is a request for
// the own address (RFC 5227 section 3: hosts accept it more widely than an
// unasked reply). b has at least ARPBytes.
func PutGratuitousARP(b []byte, mac [6]byte, ip [4]byte) int {
	return putARP(b, broadcastMAC, &ARP{Operation: ARPRequest, SenderMAC: mac, SenderIP: ip, TargetIP: ip})
}

// PutARPRequest writes a broadcast that asks who has target.
func PutARPRequest(b []byte, mac [6]byte, ip, target [4]byte) int {
	return putARP(b, broadcastMAC, &ARP{Operation: ARPRequest, SenderMAC: mac, SenderIP: ip, TargetIP: target})
}

// PutARPReply writes the answer to a request: ip is at mac.
func PutARPReply(b []byte, mac [6]byte, ip [4]byte, toMAC [6]byte, toIP [4]byte) int {
	return putARP(b, toMAC, &ARP{Operation: ARPReply, SenderMAC: mac, SenderIP: ip, TargetMAC: toMAC, TargetIP: toIP})
}

func putARP(b []byte, dst [6]byte, a *ARP) int {
	_ = b[ARPBytes-1]
	copy(b[offEtherDst:], dst[:])
	copy(b[offEtherSrc:], a.SenderMAC[:])
	binary.BigEndian.PutUint16(b[offEtherType:], etherTypeARP)
	binary.BigEndian.PutUint16(b[offARPHardware:], arpHardwareEthernet)
	binary.BigEndian.PutUint16(b[offARPProtocol:], etherTypeIPv4)
	b[offARPSizes], b[offARPSizes+1] = 6, 4
	binary.BigEndian.PutUint16(b[offARPOperation:], a.Operation)
	copy(b[offARPSrcMAC:], a.SenderMAC[:])
	copy(b[offARPSrcIP:], a.SenderIP[:])
	copy(b[offARPDstMAC:], a.TargetMAC[:])
	copy(b[offARPDstIP:], a.TargetIP[:])
	return ARPBytes
}

// ParseARP reads an ARP frame. It is false for anything else, for other
// address families and for operations other than request and reply.
func ParseARP(b []byte, a *ARP) bool {
	if len(b) < ARPBytes ||
		binary.BigEndian.Uint16(b[offEtherType:]) != etherTypeARP ||
		binary.BigEndian.Uint16(b[offARPHardware:]) != arpHardwareEthernet ||
		binary.BigEndian.Uint16(b[offARPProtocol:]) != etherTypeIPv4 ||
		b[offARPSizes] != 6 || b[offARPSizes+1] != 4 {
		return false
	}
	operation := binary.BigEndian.Uint16(b[offARPOperation:])
	if operation != ARPRequest && operation != ARPReply {
		return false
	}
	a.Operation = operation
	copy(a.SenderMAC[:], b[offARPSrcMAC:])
	copy(a.SenderIP[:], b[offARPSrcIP:])
	copy(a.TargetMAC[:], b[offARPDstMAC:])
	copy(a.TargetIP[:], b[offARPDstIP:])
	return true
}
