package store

import (
	"encoding/binary"

	"onebeat/engine/sbe"
)

// Kind is what a RecordFIX says.
type Kind uint8

// Kinds. The numbers are stored in the log and never change their meaning.
const (
	// Step: a message of the client used up its number, or one is sent, or both.
	Step Kind = iota + 1
	// Order: a request of the client, with its number.
	Order
	// Reset: both numbers begin at 1 again; what was kept is forgotten.
	Reset
	// SetIn: the next number of the client is SeqNo (SequenceReset).
	SetIn
	_ // was: our next number
	_ // was: a message numbered outside
	// Part: the beginning of a body that does not fit into one record.
	Part
	// Bind: a place for sessions nobody configured is that of these CompIDs.
	Bind
	// Echo: a message of the client is sent back to it.
	Echo
	// Lost: a session whose orders shall not outlive it was away for too long.
	Lost
	_ // was: when the session was created
	// Answer: a message of a venue, with its number: template and block, without
	// ClOrdIDs of clients.
	Answer
	kindCount
)

var kindNames = [kindCount]string{"none", "step", "order", "reset", "set_in", "", "", "part", "bind", "echo", "lost", "", "answer"}

// String returns the kind's name.
func (k Kind) String() string {
	if k < kindCount {
		return kindNames[k]
	}
	return "unknown"
}

// Flags of a record.
const (
	// Consume: SeqNo of the client is used up; it must be the next one.
	Consume uint8 = 1 << iota
	// Send: the body is a message to send.
	Send
	// LoggedOn: the session is logged on from here on; Arg is its heartbeat in seconds.
	LoggedOn
	// LoggedOff: it is not any more.
	LoggedOff
	// Joined: the parts before this record are the beginning of its body.
	Joined
	// FirstPart: of a body.
	FirstPart
	// Again: PossResend of an Echo.
	Again
	// Closed: the hours of a venue's session are over.
	Closed
)

// HeaderBytes stand before a record's body.
const HeaderBytes = 32

// Header is the beginning of every RecordFIX.
type Header struct {
	Session uint16 // among the FIX sessions
	Kind    Kind
	Flags   uint8
	Cookie  uint32 // of the connection that drafted it
	SeqNo   uint64
	WallNs  int64 // the drafter's clock
	Arg     uint64
}

// Put writes the header.
func (h *Header) Put(b []byte) {
	binary.LittleEndian.PutUint16(b, h.Session)
	b[2], b[3] = byte(h.Kind), h.Flags
	binary.LittleEndian.PutUint32(b[4:], h.Cookie)
	binary.LittleEndian.PutUint64(b[8:], h.SeqNo)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.WallNs))
	binary.LittleEndian.PutUint64(b[24:], h.Arg)
}

// Parse reads a record's payload.
func Parse(b []byte) (h Header, body []byte, ok bool) {
	if len(b) < HeaderBytes {
		return h, nil, false
	}
	h = Header{Session: binary.LittleEndian.Uint16(b), Kind: Kind(b[2]), Flags: b[3], Cookie: binary.LittleEndian.Uint32(b[4:]),
		SeqNo: binary.LittleEndian.Uint64(b[8:]), WallNs: int64(binary.LittleEndian.Uint64(b[16:])), Arg: binary.LittleEndian.Uint64(b[24:])}
	return h, b[HeaderBytes:], h.Kind > 0 && h.Kind < kindCount && kindNames[h.Kind] != ""
}

// AppendText writes a text of at most 255 bytes with its length before it.
func AppendText[T string | []byte](b []byte, s T) []byte {
	return append(append(b, byte(len(s))), s...)
}

// text takes such a text off b.
func text(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	return b[1 : 1+b[0]], b[1+b[0]:], true
}

// AppendMessage writes the body of a Send: the message's type, the fields of its
// header that are its own (OnBehalfOfCompID and the like; sorted, above 56) and its
// fields.
func AppendMessage[T string | []byte](b []byte, msgType string, header, fields T) []byte {
	b = AppendText(b, msgType)
	b = append(b, byte(len(header)), byte(len(header)>>8))
	return append(append(b, header...), fields...)
}

func message(b []byte) (msgType, header, fields []byte, ok bool) {
	msgType, b, ok = text(b)
	if !ok || len(msgType) == 0 || len(b) < 2 {
		return nil, nil, nil, false
	}
	n := int(b[0]) | int(b[1])<<8
	if b = b[2:]; len(b) < n {
		return nil, nil, nil, false
	}
	return msgType, b[:n], b[n:], true
}

// AppendOrder writes the body of an Order.
func AppendOrder(b []byte, clOrdID, origClOrdID []byte, template uint16, block []byte) []byte {
	b = AppendText(AppendText(b, clOrdID), origClOrdID)
	var h [sbe.HeaderBytes]byte
	sbe.PutHeader(h[:], template, len(block))
	return append(append(b, h[:]...), block...)
}

func order(b []byte) (clOrdID, origClOrdID []byte, template uint16, block []byte, ok bool) {
	if clOrdID, b, ok = text(b); !ok {
		return
	}
	if origClOrdID, b, ok = text(b); !ok {
		return
	}
	template, reason := sbe.CheckRaw(b)
	if reason != sbe.OK {
		return nil, nil, 0, nil, false
	}
	return clOrdID, origClOrdID, template, b[sbe.HeaderBytes:], true
}

// ClOrdIDOf reads which session's request a RecordFIX is, and what its client calls it;
// false: it is none.
func ClOrdIDOf(payload []byte) (session uint16, clOrdID []byte, ok bool) {
	h, body, ok := Parse(payload)
	if !ok || h.Kind != Order {
		return 0, nil, false
	}
	clOrdID, _, _, _, ok = order(body)
	return h.Session, clOrdID, ok
}
