package fixp

import (
	"encoding/binary"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// Payload of message records: session index u32, flags u32, seqNo u64, then
// SBE header and block.
const (
	MessagePrefixBytes = 16
	messageBytesMax    = MessagePrefixBytes + sbe.MaxMessageBytes - sbe.SOFHBytes
)

// Payload of session records.
const (
	offSession   = 0
	offEvent     = 4
	offTimestamp = 8
	offKeepAlive = 16 // ms
	offPort      = 20
	offMAC       = 22
	offIP        = 28 // IPv4, 0 for another
	offNextSeqNo = 32 // that the client announced
	sessionBytes = 40

	offIPv6          = 40 // follows where the address is none of IPv4
	sessionIPv6Bytes = 56
)

// Event is what happened to a session.
type Event uint32

// Events of sessions.
const (
	EventNegotiate Event = iota + 1
	EventEstablish
	EventTerminate
	EventExpire
	EventLost   // it was away longer than its cancel-on-disconnect window
	EventGap    // numbers of the client did not come and are given up
	EventFinish // the client has said all it will say
	EventEnd    // an operator closed it, and the client has all of it or was waited for long enough
	eventCount
)

// String returns the event's name.
func (e Event) String() string {
	switch e {
	case EventNegotiate:
		return "negotiate"
	case EventEstablish:
		return "establish"
	case EventTerminate:
		return "terminate"
	case EventExpire:
		return "expire"
	case EventLost:
		return "lost"
	case EventGap:
		return "gap"
	case EventFinish:
		return "finish"
	case EventEnd:
		return "end"
	}
	return "unknown"
}

// PutMessage writes the payload of a message record and returns it.
func PutMessage(b []byte, session uint32, seqNo uint64, raw []byte) []byte {
	binary.LittleEndian.PutUint64(b, uint64(session))
	binary.LittleEndian.PutUint64(b[8:], seqNo)
	return b[:MessagePrefixBytes+copy(b[MessagePrefixBytes:], raw)]
}

// ParseMessage reads the payload of a RecordMessage or RecordVenue.
func ParseMessage(payload []byte) (session uint32, seqNo uint64, template uint16, block []byte, ok bool) {
	if len(payload) < MessagePrefixBytes+sbe.HeaderBytes {
		return 0, 0, 0, nil, false
	}
	raw := payload[MessagePrefixBytes:]
	template, reason := sbe.CheckRaw(raw)
	return binary.LittleEndian.Uint32(payload), binary.LittleEndian.Uint64(payload[8:]), template,
		raw[sbe.HeaderBytes:], reason == sbe.OK
}

// ParseSession reads the payload of a RecordSession.
func ParseSession(payload []byte) (session uint32, e Event, ok bool) {
	if len(payload) < sessionBytes {
		return 0, 0, false
	}
	e = Event(binary.LittleEndian.Uint32(payload[offEvent:]))
	return binary.LittleEndian.Uint32(payload[offSession:]), e, e > 0 && e < eventCount
}

func putSession(b []byte, session uint32, e Event, timestamp uint64, keepAliveMs uint32, from *app.Endpoint, nextSeqNo uint64) []byte {
	b = b[:sessionBytes]
	binary.LittleEndian.PutUint32(b[offSession:], session)
	binary.LittleEndian.PutUint32(b[offEvent:], uint32(e))
	binary.LittleEndian.PutUint64(b[offTimestamp:], timestamp)
	binary.LittleEndian.PutUint32(b[offKeepAlive:], keepAliveMs)
	binary.LittleEndian.PutUint16(b[offPort:], from.Port)
	copy(b[offMAC:], from.MAC[:])
	binary.LittleEndian.PutUint64(b[offNextSeqNo:], nextSeqNo)
	if from.IP.Is4() || from.IP == (app.IP{}) {
		copy(b[offIP:], from.IP[12:])
		return b
	}
	clear(b[offIP:offNextSeqNo])
	b = b[:sessionIPv6Bytes]
	copy(b[offIPv6:], from.IP[:])
	return b
}

func endpointOf(b []byte) app.Endpoint {
	e := app.Endpoint{Port: binary.LittleEndian.Uint16(b[offPort:])}
	copy(e.MAC[:], b[offMAC:offMAC+6])
	if len(b) >= sessionIPv6Bytes {
		copy(e.IP[:], b[offIPv6:])
		return e
	}
	e.IP = app.IPv4([4]byte(b[offIP:]))
	return e
}
