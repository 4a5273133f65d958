package wire

import (
	"encoding/binary"
	"fmt"

	"onebeat/mirror/lane"
)

// Sizes and numbers of bpf/onebeat.h.
const (
	HeaderBytes     = 96
	MACBytes        = 8
	PayloadMaxBytes = 1536
	StepBytes       = 32 // records are multiples of it
	Magic           = 0x31544231
	Version         = 1
)

// Type is the type of a link frame (enum ob_type).
type Type uint8

const (
	Mirror     Type = 1 + iota // records, at most one ride; without records a heartbeat
	Ack                        // a MIRROR bounced back, with the receiver's view
	Stale                      // "your epoch is old": proves nothing
	Fenced                     // the writer's own kernel: it cannot release in this epoch again
	Forward                    // FENCED, with an order frame the peer could not serve
	Probe                      // a standby asks for life
	Life                       // the kernel's answer to PROBE
	HelloFrame                 // user space to user space
	typeEnd
)

var typeNames = [...]string{"0", "MIRROR", "ACK", "STALE", "FENCED", "FORWARD", "PROBE", "LIFE", "HELLO"}

func (t Type) String() string {
	if t > 0 && t < typeEnd {
		return typeNames[t]
	}
	return fmt.Sprintf("TYPE(%d)", uint8(t))
}

// Flags of an ACK, and of a MIRROR.
const (
	FlagFull  = 1 // no room before the reader
	FlagGap   = 2 // position was beyond the tail
	FlagCross = 4 // the records would cross the ring's end
	// FlagChain asks the standby in a MIRROR to let the ride out itself, and says in
	// an ACK that it would.
	FlagChain = 8
)

// Header is struct ob_link_hdr without magic, version and MAC.
type Header struct {
	Type        Type
	Lane        uint8
	Node        uint8 // the sender
	Epoch       uint32
	LengthBytes uint16 // of whole records
	RideBytes   uint16
	Path        uint8
	Flags       uint8
	Successor   uint32 // FENCED, FORWARD: the node spoken to; ACK: the receiver's next output, low half
	Position    uint64
	Tail        uint64
	Applied     uint64 // ACK: applied; MIRROR, FENCED, FORWARD: released
	Authority   lane.Word
	Incarnation uint64
	Output      uint64 // lane output number of the ride; ACK without one: archived, or 0
	Echo        uint64 // ACK, LIFE: the counter of the frame it answers; MIRROR: next output
	Counter     uint64
}

// LaneOffset is where the lane's id stands in a link header, for who sorts
// frames by lane.
const LaneOffset = offLane

// Offsets in struct ob_link_hdr.
const (
	offMagic       = 0
	offVersion     = 4
	offType        = 5
	offLane        = 6
	offNode        = 7
	offEpoch       = 8
	offLength      = 12
	offRide        = 14
	offPath        = 16
	offFlags       = 17
	offReserved    = 18
	offSuccessor   = 20
	offPosition    = 24
	offTail        = 32
	offApplied     = 40
	offAuthority   = 48
	offIncarnation = 56
	offOutput      = 64
	offEcho        = 72
	offCounter     = 80
	offMAC         = 88
)

// Put writes the header into the first HeaderBytes of b, its MAC as zero.
func (h *Header) Put(b []byte) {
	p := (*[HeaderBytes]byte)(b)
	le := binary.LittleEndian
	le.PutUint64(p[offMagic:], Magic|Version<<32|uint64(h.Type)<<40|uint64(h.Lane)<<48|uint64(h.Node)<<56)
	le.PutUint64(p[offEpoch:], uint64(h.Epoch)|uint64(h.LengthBytes)<<32|uint64(h.RideBytes)<<48)
	le.PutUint64(p[offPath:], uint64(h.Path)|uint64(h.Flags)<<8|uint64(h.Successor)<<32)
	le.PutUint64(p[offPosition:], h.Position)
	le.PutUint64(p[offTail:], h.Tail)
	le.PutUint64(p[offApplied:], h.Applied)
	le.PutUint64(p[offAuthority:], uint64(h.Authority))
	le.PutUint64(p[offIncarnation:], h.Incarnation)
	le.PutUint64(p[offOutput:], h.Output)
	le.PutUint64(p[offEcho:], h.Echo)
	le.PutUint64(p[offCounter:], h.Counter)
	le.PutUint64(p[offMAC:], 0)
}

// Check is why a frame was refused by Parse, in the order of the checks.
type Check uint8

const (
	OK Check = iota
	BadTruncated
	BadMagic
	BadVersion
	BadLane
	BadLength
	BadType
)

var checkNames = [...]string{"ok", "truncated", "magic", "version", "lane", "length", "type"}

func (c Check) String() string { return checkNames[c] }

// Parse reads a frame's header. b is everything behind the UDP header. Anything
// but OK and BadType leaves h undefined, BadLength all but its two lengths.
func (h *Header) Parse(b []byte) Check {
	if len(b) < HeaderBytes {
		return BadTruncated
	}
	p := (*[HeaderBytes]byte)(b)
	le := binary.LittleEndian
	switch {
	case le.Uint32(p[offMagic:]) != Magic:
		return BadMagic
	case p[offVersion] != Version:
		return BadVersion
	case p[offLane] >= lane.Lanes:
		return BadLane
	}
	h.LengthBytes = le.Uint16(p[offLength:])
	h.RideBytes = le.Uint16(p[offRide:])
	payload := int(h.LengthBytes) + int(h.RideBytes)
	if h.LengthBytes%StepBytes != 0 || payload > PayloadMaxBytes || HeaderBytes+payload != len(b) {
		return BadLength
	}
	h.Type = Type(p[offType])
	h.Lane, h.Node = p[offLane], p[offNode]
	h.Epoch = le.Uint32(p[offEpoch:])
	h.Path, h.Flags = p[offPath], p[offFlags]
	h.Successor = le.Uint32(p[offSuccessor:])
	h.Position = le.Uint64(p[offPosition:])
	h.Tail = le.Uint64(p[offTail:])
	h.Applied = le.Uint64(p[offApplied:])
	h.Authority = lane.Word(le.Uint64(p[offAuthority:]))
	h.Incarnation = le.Uint64(p[offIncarnation:])
	h.Output = le.Uint64(p[offOutput:])
	h.Echo = le.Uint64(p[offEcho:])
	h.Counter = le.Uint64(p[offCounter:])
	if h.Type == 0 || h.Type >= typeEnd {
		return BadType
	}
	return OK
}

// Records returns the record bytes of a parsed frame.
func (h *Header) Records(b []byte) []byte {
	return b[HeaderBytes : HeaderBytes+int(h.LengthBytes)]
}

// Ride returns the ride of a parsed frame.
func (h *Header) Ride(b []byte) []byte { return b[HeaderBytes+int(h.LengthBytes):] }
