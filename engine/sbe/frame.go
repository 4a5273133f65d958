package sbe

import (
	"encoding/binary"
	"math/bits"
)

// UUID identifies a session.
type UUID [16]byte

const (
	// SOFHBytes is the Simple Open Framing Header.
	SOFHBytes = 6
	// HeaderBytes is the SBE message header.
	HeaderBytes = 8
	// PrefixBytes stand before every block.
	PrefixBytes = SOFHBytes + HeaderBytes
	// EncodingSBE is SBE 1.0 little-endian in the SOFH.
	EncodingSBE = 0xEB50
	// MaxMessageBytes bounds one message, framing included, so that its record
	// stays far below the longest record and its copy in the server flow fits.
	MaxMessageBytes = 256
	// MaxDatagramBytes bounds a payload that Split accepts: 32 orders, which take
	// an MTU of 1538; below Ethernet's 1500 there is room for 31.
	MaxDatagramBytes = 1532
	// MaxMessages bounds the messages of one datagram.
	MaxMessages = 64
)

// Reason says why a datagram is bad.
type Reason uint8

// Reasons of Split.
const (
	OK Reason = iota
	Truncated
	Oversized
	BadEncoding
	WrongSchema
	WrongVersion
	UnknownTemplate
	BadBlockLength
	TooManyMessages
	ReasonCount
)

var reasonNames = [ReasonCount]string{"ok", "truncated", "oversized", "bad_encoding", "wrong_schema",
	"wrong_version", "unknown_template", "bad_block_length", "too_many_messages"}

// String returns the reason as counters name it.
func (r Reason) String() string {
	if r < ReasonCount {
		return reasonNames[r]
	}
	return "unknown"
}

// TemplateName returns the message name of a template id.
func TemplateName(template uint16) string {
	if int(template) < len(templateNames) && templateNames[template] != "" {
		return templateNames[template]
	}
	return "unknown"
}

// Message locates one message in a datagram.
type Message struct {
	Template uint16
	Offset   uint16 // of the SBE header
	End      uint16
}

// Raw returns header and block.
func (m *Message) Raw(payload []byte) []byte { return payload[m.Offset:m.End] }

// Block returns the block alone.
func (m *Message) Block(payload []byte) []byte { return payload[m.Offset+HeaderBytes : m.End] }

// Split finds the messages of a datagram. It is strict: one bad message makes
// the whole datagram bad, and then it returns 0 messages and the reason. A
// newer minor version may have longer blocks than ours, never shorter ones.
func Split(payload []byte, messages *[MaxMessages]Message) (int, Reason) {
	if len(payload) > MaxDatagramBytes {
		return 0, Oversized
	}
	n := 0
	for at := 0; at < len(payload); {
		rest := payload[at:]
		if len(rest) < PrefixBytes {
			return 0, Truncated
		}
		prefix := binary.BigEndian.Uint64(rest) // length, encoding, and the block's
		if uint16(prefix>>16) != EncodingSBE {
			return 0, BadEncoding
		}
		length := uint(prefix >> 32)
		if length > MaxMessageBytes {
			return 0, Oversized
		}
		if length < PrefixBytes || length > uint(len(rest)) {
			return 0, Truncated
		}
		template, reason := checkHeader(binary.LittleEndian.Uint64(rest[SOFHBytes:]), int(length)-PrefixBytes)
		if reason != OK {
			return 0, reason
		}
		if n == MaxMessages {
			return 0, TooManyMessages
		}
		m := &messages[n]
		m.Template, m.Offset, m.End = template, uint16(at+SOFHBytes), uint16(at+int(length))
		n++
		at += int(length)
	}
	if n == 0 {
		return 0, Truncated
	}
	return n, OK
}

// CheckRaw validates header and block of a message outside a datagram, as
// records carry it.
func CheckRaw(raw []byte) (template uint16, reason Reason) {
	if len(raw) < HeaderBytes {
		return 0, Truncated
	}
	return checkHeader(binary.LittleEndian.Uint64(raw), len(raw)-HeaderBytes)
}

// full and short are the headers that this program itself writes, by template: of its
// own version, and where a later version added fields, of the one before.
var full, short [len(blockBytes)]uint64

func init() {
	for t, bytes := range blockBytes {
		if bytes < 0 {
			continue
		}
		full[t] = header(uint16(t), uint16(bytes), SchemaVersion)
		if o := older[t]; o.since != 0 {
			short[t] = header(uint16(t), o.bytes, o.since-1)
		}
	}
}

func header(template, block, version uint16) uint64 {
	return uint64(block) | uint64(template)<<16 | uint64(SchemaID)<<32 | uint64(version)<<48
}

// checkHeader checks the header of a message whose block has so many bytes.
func checkHeader(h uint64, bytes int) (template uint16, reason Reason) {
	template = uint16(h >> 16)
	if int(template) < len(full) && (h == full[template] || h == short[template]) && h != 0 && int(uint16(h)) == bytes {
		return template, OK
	}
	return checkOther(h, bytes)
}

// checkOther is checkHeader for what is wrong, or of another version.
func checkOther(h uint64, bytes int) (uint16, Reason) {
	block, template := uint16(h), uint16(h>>16)
	schema, version := uint16(h>>32), uint16(h>>48)
	if schema != SchemaID {
		return 0, WrongSchema
	}
	if version>>8 != SchemaVersion>>8 {
		return 0, WrongVersion
	}
	if int(template) >= len(blockBytes) || blockBytes[template] < 0 {
		return 0, UnknownTemplate
	}
	if int(block) != bytes || (block != uint16(blockBytes[template]) || version < older[template].since) && !otherLength(template, block, version) {
		return 0, BadBlockLength
	}
	return template, OK
}

// olderBlock is the length of a block before the version that added fields.
type olderBlock struct{ bytes, since uint16 }

// otherLength reports whether a block that is not ours has the right length for
// its version: that of an older version, or more of a newer one.
func otherLength(template, block, version uint16) bool {
	if version > SchemaVersion {
		return block > uint16(blockBytes[template])
	}
	return version < older[template].since && block == older[template].bytes
}

// Fits reports whether a block of this length is a whole one of a known template, in
// our version or the one before.
func Fits(template uint16, length int) bool {
	o := older[template]
	return length == BlockBytes(template) || o.since != 0 && length == int(o.bytes)
}

// Shorten leaves out what a later version added to a message, if all of that is
// zero: then it is a whole message of the version before, and no longer than it
// used to be. b is one framed message; its new length is returned.
func Shorten(b []byte) int {
	h := binary.LittleEndian.Uint64(b[SOFHBytes:])
	template := uint16(h >> 16)
	o := older[template]
	if o.since == 0 || len(b) <= PrefixBytes+int(o.bytes) {
		return len(b)
	}
	for _, c := range b[PrefixBytes+int(o.bytes):] {
		if c != 0 {
			return len(b)
		}
	}
	length := PrefixBytes + int(o.bytes)
	binary.BigEndian.PutUint32(b, uint32(length))
	binary.LittleEndian.PutUint64(b[SOFHBytes:], uint64(o.bytes)|uint64(template)<<16|uint64(SchemaID)<<32|uint64(o.since-1)<<48)
	return length
}

// IsRequest reports whether a client sends messages of this template to the
// application: they are numbered, and their blocks begin with a ClOrdID.
func IsRequest(template uint16) bool {
	return template >= TemplateNewOrderSingle && template <= TemplateOrderStatusRequest
}

// IsAnswer reports whether the application answers a request by messages of this
// template.
func IsAnswer(template uint16) bool {
	return template == TemplateExecutionReport || template == TemplateReject
}

// Put writes the framing of a message of the schema's own version at the start
// of b and returns its block. The block keeps what b held.
func Put(b []byte, template uint16, blockBytes int) []byte {
	_ = b[PrefixBytes+blockBytes-1]
	binary.BigEndian.PutUint32(b, uint32(PrefixBytes+blockBytes))
	binary.BigEndian.PutUint16(b[4:], EncodingSBE)
	PutHeader(b[SOFHBytes:], template, blockBytes)
	return b[PrefixBytes : PrefixBytes+blockBytes]
}

// PutHeader writes the SBE header alone, as records carry it.
func PutHeader(b []byte, template uint16, blockBytes int) {
	binary.LittleEndian.PutUint64(b, header(template, uint16(blockBytes), SchemaVersion))
}

// BlockBytes returns the block length of a known template; a shortened message
// of it has less.
func BlockBytes(template uint16) int { return int(blockBytes[template]) }

// contextPrefix is the framing of a Context message, its last two bytes missing, as
// two little-endian words.
const (
	contextPrefix0 = uint64(PrefixBytes+ContextBytes)<<24 | uint64(EncodingSBE>>8)<<32 | uint64(EncodingSBE&0xff)<<40 | uint64(ContextBytes)<<48
	contextPrefix1 = uint64(TemplateContext) | uint64(SchemaID)<<16 | uint64(SchemaVersion)<<32
)

// PutContext writes a whole Context message and returns its length. In whole words,
// because whoever sums the datagram up afterwards reads words: a load that spans two
// stores waits until they have left the store buffer.
func PutContext(b []byte, session *UUID, nextSeqNo uint64) int {
	n, _ := PutContextSummed(b, session, nextSeqNo)
	return n
}

// PutContextSummed is PutContext; sum is as Framed.Put's.
func PutContextSummed(b []byte, session *UUID, nextSeqNo uint64) (n int, sum uint64) {
	const end = PrefixBytes + ContextBytes
	le, p := binary.LittleEndian, (*[end]byte)(b)
	low, high := le.Uint64(session[:8]), le.Uint64(session[8:])
	w1, w2, w3 := contextPrefix1|low<<48, low>>16|high<<48, high>>16|nextSeqNo<<48
	le.PutUint64(p[0:], contextPrefix0)
	le.PutUint64(p[8:], w1)
	le.PutUint64(p[16:], w2)
	le.PutUint64(p[24:], w3)
	le.PutUint32(p[32:], uint32(nextSeqNo>>16))
	le.PutUint16(p[36:], uint16(nextSeqNo>>48))
	sum, c1 := bits.Add64(w1, w2, 0)
	sum, c2 := bits.Add64(sum, w3, c1)
	// What is left of nextSeqNo has 48 bits, and contextPrefix0 a few of its own.
	rest := nextSeqNo>>16 + contextPrefix0>>32 + contextPrefix0&0xffffffff
	return end, sum>>32 + sum&0xffffffff + c2 + rest>>32 + rest&0xffffffff
}
