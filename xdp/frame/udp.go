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
	offIPTTL     = 22
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
	IP   IP
}

// Template builds headers. Its zero value is ready.
type Template struct {
	identification uint16
}

// Put writes the headers of a datagram with payloadBytes of payload into the
// first bytes of b: HeaderBytes, or IPv6HeaderBytes where src has an IPv6 address.
// The UDP checksum is 0 (none, RFC 768): for frames that a MAC covers, like those
// of the link. Over IPv6 it is what a sender leaves for its NIC to complete.
func (t *Template) Put(b []byte, src *Endpoint, srcPort uint16, dst *Endpoint, payloadBytes int) {
	if !src.IP.Is4() {
		put6(b, src, srcPort, dst, payloadBytes)
		return
	}
	t.put4(b, src, srcPort, dst, payloadBytes)
}

func (t *Template) put4(b []byte, src *Endpoint, srcPort uint16, dst *Endpoint, payloadBytes int) {
	p := (*[HeaderBytes]byte)(b)
	le, be := binary.LittleEndian, binary.BigEndian
	t.identification++
	ipBytes := uint64(ipv4Bytes + udpBytes + payloadBytes)
	identification := uint64(t.identification)
	const versionAndTOS, dontFragment, ttlAndProtocol = 0x4500, 0x4000, defaultTTL<<8 | protocolUDP
	srcIP, dstIP := uint64(src.IP.v4()), uint64(dst.IP.v4())
	sum := versionAndTOS + ipBytes + identification + dontFragment + ttlAndProtocol +
		srcIP>>16 + srcIP&0xffff + dstIP>>16 + dstIP&0xffff
	sum = sum&0xffff + sum>>16
	sum = ^(sum + sum>>16) & 0xffff
	// Whole words: a header is written for each output, and twice if it rides.
	srcMAC := macBits(&src.MAC)
	le.PutUint64(p[offEtherDst:], macBits(&dst.MAC)|srcMAC<<48)
	le.PutUint32(p[offEtherSrc+2:], uint32(srcMAC>>16))
	be.PutUint32(p[offEtherType:], etherTypeIPv4<<16|versionAndTOS)
	be.PutUint64(p[offIPLength:], ipBytes<<48|identification<<32|dontFragment<<16|ttlAndProtocol)
	be.PutUint64(p[offIPSum:], sum<<48|srcIP<<16|dstIP>>16)
	be.PutUint64(p[offIPDst+2:], dstIP<<48|uint64(srcPort)<<32|uint64(dst.Port)<<16|uint64(udpBytes+payloadBytes))
	be.PutUint16(p[offUDPSum:], 0)
}

// macBits returns the address as the low 48 bits of a little-endian word.
func macBits(mac *[6]byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(mac[:4])) | uint64(binary.LittleEndian.Uint16(mac[4:]))<<32
}

// Parse reads a UDP datagram out of an Ethernet frame: its payload, who sent
// it and the destination port. It is false for anything else, for fragments,
// IPv4 options, IPv6 extension headers, for lengths that do not fit the frame and for a UDP checksum
// that does not fit the datagram.
func Parse(b []byte, from *Endpoint) (payload []byte, localPort uint16, ok bool) {
	if len(b) < HeaderBytes {
		return nil, 0, false
	}
	if kind := binary.BigEndian.Uint16(b[offEtherType:]); kind != etherTypeIPv4 {
		if kind == etherTypeIPv6 {
			return parse6(b, from)
		}
		return nil, 0, false
	}
	if b[offIP] != 0x45 || b[offIPProto] != protocolUDP ||
		binary.BigEndian.Uint16(b[offIPFrag:])&0x3fff != 0 {
		return nil, 0, false
	}
	totalBytes := int(binary.BigEndian.Uint16(b[offIPLength:]))
	lengthBytes := int(binary.BigEndian.Uint16(b[offUDPLength:]))
	if lengthBytes < udpBytes || ipv4Bytes+lengthBytes != totalBytes || ethernetBytes+totalBytes > len(b) {
		return nil, 0, false
	}
	if !intact(b, lengthBytes) {
		return nil, 0, false
	}
	from.MAC = [6]byte(b[offEtherSrc:])
	from.IP.set4(b[offIPSrc:])
	from.Port = binary.BigEndian.Uint16(b[offUDPSrc:])
	return b[HeaderBytes : offUDPSrc+lengthBytes], binary.BigEndian.Uint16(b[offUDPDst:]), true
}
