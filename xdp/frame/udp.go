package frame

import "encoding/binary"

const (
	// HeaderBytes is the length of Ethernet, IPv4 (no options) and UDP headers.
	HeaderBytes = ethernetBytes + ipv4Bytes + udpBytes

	ethernetBytes = 14
	ipv4Bytes     = 20
	udpBytes      = 8

	etherTypeIPv4 = 0x0800
	protocolUDP   = 17
	defaultTTL    = 64
)

// Offsets of fields in a frame.
const (
	offEtherDst  = 0
	offEtherSrc  = 6
	offEtherType = 12
	offIP        = 14
	offIPLength  = 16
	offIPFrag    = 20
	offIPProto   = 23
	offIPSum     = 24
	offIPSrc     = 26
	offIPDst     = 30
	offUDPSrc    = 34
	offUDPDst    = 36
	offUDPLength = 38
	offUDPSum    = 40
)

// Endpoint is one side of a UDP exchange on a LAN.
type Endpoint struct {
	MAC  [6]byte
	Port uint16 // host order
	IP   [4]byte
}

// Template builds headers. Its zero value is ready.
type Template struct {
	identification uint16
}

// Put writes the headers of a datagram with payloadBytes of payload into the
// first HeaderBytes of b. The UDP checksum is 0 (none, RFC 768): the Ethernet
// FCS and, on the link, the MAC cover the frame.
func (t *Template) Put(b []byte, src *Endpoint, srcPort uint16, dst *Endpoint, payloadBytes int) {
	_ = b[HeaderBytes-1]
	copy(b[offEtherDst:], dst.MAC[:])
	copy(b[offEtherSrc:], src.MAC[:])
	binary.BigEndian.PutUint16(b[offEtherType:], etherTypeIPv4)
	totalBytes := uint16(ipv4Bytes + udpBytes + payloadBytes)
	t.identification++
	b[offIP] = 0x45
	b[offIP+1] = 0
	binary.BigEndian.PutUint16(b[offIPLength:], totalBytes)
	binary.BigEndian.PutUint16(b[offIPLength+2:], t.identification)
	binary.BigEndian.PutUint16(b[offIPFrag:], 0x4000) // do not fragment
	b[offIPFrag+2] = defaultTTL
	b[offIPProto] = protocolUDP
	binary.BigEndian.PutUint16(b[offIPSum:], 0)
	copy(b[offIPSrc:], src.IP[:])
	copy(b[offIPDst:], dst.IP[:])
	binary.BigEndian.PutUint16(b[offIPSum:], headerSum(b[offIP:offIP+ipv4Bytes]))
	binary.BigEndian.PutUint16(b[offUDPSrc:], srcPort)
	binary.BigEndian.PutUint16(b[offUDPDst:], dst.Port)
	binary.BigEndian.PutUint16(b[offUDPLength:], uint16(udpBytes+payloadBytes))
	binary.BigEndian.PutUint16(b[offUDPSum:], 0)
}

// headerSum is the Internet checksum (RFC 1071) over a header whose checksum
// field is zero.
func headerSum(h []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	return ^uint16(sum)
}

// Parse reads a UDP datagram out of an Ethernet frame: its payload, who sent
// it and the destination port. It is false for anything else, for fragments,
// IPv4 options, and for lengths that do not fit the frame.
func Parse(b []byte, from *Endpoint) (payload []byte, localPort uint16, ok bool) {
	if len(b) < HeaderBytes ||
		binary.BigEndian.Uint16(b[offEtherType:]) != etherTypeIPv4 ||
		b[offIP] != 0x45 || b[offIPProto] != protocolUDP ||
		binary.BigEndian.Uint16(b[offIPFrag:])&0x3fff != 0 {
		return nil, 0, false
	}
	totalBytes := int(binary.BigEndian.Uint16(b[offIPLength:]))
	lengthBytes := int(binary.BigEndian.Uint16(b[offUDPLength:]))
	if lengthBytes < udpBytes || ipv4Bytes+lengthBytes != totalBytes || ethernetBytes+totalBytes > len(b) {
		return nil, 0, false
	}
	copy(from.MAC[:], b[offEtherSrc:])
	copy(from.IP[:], b[offIPSrc:])
	from.Port = binary.BigEndian.Uint16(b[offUDPSrc:])
	return b[HeaderBytes : offUDPSrc+lengthBytes], binary.BigEndian.Uint16(b[offUDPDst:]), true
}
