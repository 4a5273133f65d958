package arbiter

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// Frames between a node and a witness: one UDP datagram each, little-endian,
// of fixed length, SipHash-2-4 over all of it but the MAC at its end. A key per
// direction: an answer cannot be passed off as a question.
const (
	AskBytes    = 112
	AnswerBytes = 88

	frameMagic   = 0x41315442
	frameVersion = 1
)

// FrameType is the type of an arbiter's frame.
type FrameType uint8

const (
	FrameRead   FrameType = 1 + iota // what is the register?
	FrameSwap                        // change it
	FrameAnswer                      // to either
)

// Offsets. The first seven fields are in every frame.
const (
	offMagic   = 0
	offVersion = 4
	offType    = 5
	offLane    = 6
	offNode    = 7
	offGroup   = 8
	offNonce   = 16
	offTicket  = 24
	offCounter = 32
	offBoot    = 40
	offProof   = 48 // u8, 7 reserved
	offCurrent = 56
	offNext    = 80
	offAskMAC  = 104

	offVerdict   = 48 // u8
	offRefusal   = 49 // u8
	offUnknown   = 50 // u8, 5 reserved
	offRecord    = 56
	offAnswerMAC = 80
)

// Ask is a READ or SWAP.
type Ask struct {
	Type FrameType
	Lane uint8
	Node uint8
	// Group names the key, so that a witness finds it.
	Group uint64
	// Nonce is the asking process's, Ticket what the witness gave it: together
	// they prove that neither is of an earlier life.
	Nonce, Ticket uint64
	Counter       uint64 // rises with every frame of a nonce
	Request       Request
}

// Verdict is the kind of an answer.
type Verdict uint8

const (
	VerdictRead    Verdict = iota // to READ
	VerdictGranted                // to SWAP
	VerdictRefused                // to SWAP
	// VerdictTicket: a SWAP without a valid ticket; here is one, ask again.
	VerdictTicket
	verdictEnd
)

// Told is what a witness tells a node.
type Told struct {
	Verdict Verdict
	Lane    uint8
	Node    uint8
	Group   uint64
	Nonce   uint64 // of the question
	Ticket  uint64 // for the next one
	Counter uint64 // of the question
	Refusal Refusal
	Unknown bool
	Boot    uint64
	Record  Record
}

// Keys are those of a group: who shares a secret with a witness.
type Keys struct {
	Group        uint64 // name of the key; says nothing about it
	ask, answers [2]uint64
}

const keysInfo = "onebeat arbiter keys v1"

// DeriveKeys derives a group's keys from its shared secret with HKDF-SHA-256.
func DeriveKeys(shared [32]byte) Keys {
	b, err := hkdf.Key(sha256.New, shared[:], nil, keysInfo, 40)
	if err != nil {
		panic(err) // the length is fixed and below HKDF's bound
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	return Keys{Group: word(0), ask: [2]uint64{word(1), word(2)}, answers: [2]uint64{word(3), word(4)}}
}

// Check is why a frame was refused before it was looked at, in the order of the
// checks.
type Check uint8

const (
	OK Check = iota
	BadLength
	BadMagic
	BadVersion
	BadType
	BadGroup
	BadMAC
	BadBody // authentic, but no such request or answer
	checkEnd
)

var checkNames = [...]string{"ok", "length", "magic", "version", "type", "group", "mac", "body"}

func (c Check) String() string { return checkNames[c] }

// Put encodes and seals a into the first AskBytes of b.
func (a *Ask) Put(b []byte, k *Keys) {
	p := (*[AskBytes]byte)(b)
	r := &a.Request
	putHead(p[:], a.Type, a.Lane, a.Node, a.Group, a.Nonce, a.Ticket, a.Counter, r.Boot)
	binary.LittleEndian.PutUint64(p[offProof:], uint64(r.Proof))
	r.Current.Put(p[offCurrent:])
	r.Next.Put(p[offNext:])
	binary.LittleEndian.PutUint64(p[offAskMAC:], wire.Sip(k.ask, p[:offAskMAC]))
}

// AskGroup looks at a datagram's head: which key is it for?
func AskGroup(b []byte) (group uint64, c Check) {
	if c := checkHead(b, AskBytes); c != OK {
		return 0, c
	}
	if t := FrameType(b[offType]); t != FrameRead && t != FrameSwap {
		return 0, BadType
	}
	return binary.LittleEndian.Uint64(b[offGroup:]), OK
}

// Parse decodes a frame whose AskGroup is k's. Anything but OK leaves a
// undefined.
func (a *Ask) Parse(b []byte, k *Keys) Check {
	group, c := AskGroup(b)
	if c != OK {
		return c
	}
	if group != k.Group {
		return BadGroup
	}
	p := (*[AskBytes]byte)(b)
	le := binary.LittleEndian
	if wire.Sip(k.ask, p[:offAskMAC]) != le.Uint64(p[offAskMAC:]) {
		return BadMAC
	}
	proof := le.Uint64(p[offProof:])
	*a = Ask{
		Type: FrameType(p[offType]), Lane: p[offLane], Node: p[offNode], Group: group,
		Nonce: le.Uint64(p[offNonce:]), Ticket: le.Uint64(p[offTicket:]), Counter: le.Uint64(p[offCounter:]),
		Request: Request{Self: p[offNode], Proof: Proof(proof), Boot: le.Uint64(p[offBoot:])},
	}
	r := &a.Request
	if proof >= uint64(proofEnd) || a.Lane >= lane.Lanes || a.Node == 0 || a.Nonce == 0 || a.Counter == 0 ||
		!r.Current.Parse(p[offCurrent:offNext]) || !r.Next.Parse(p[offNext:offAskMAC]) {
		return BadBody
	}
	if a.Type == FrameRead && (r.Proof != 0 || r.Boot != 0 || r.Current != (Record{}) || r.Next != (Record{})) {
		return BadBody
	}
	return OK
}

// Put encodes and seals t into the first AnswerBytes of b.
func (t *Told) Put(b []byte, k *Keys) {
	p := (*[AnswerBytes]byte)(b)
	putHead(p[:], FrameAnswer, t.Lane, t.Node, t.Group, t.Nonce, t.Ticket, t.Counter, t.Boot)
	rest := uint64(t.Verdict) | uint64(t.Refusal)<<8
	if t.Unknown {
		rest |= 1 << 16
	}
	binary.LittleEndian.PutUint64(p[offVerdict:], rest)
	t.Record.Put(p[offRecord:])
	binary.LittleEndian.PutUint64(p[offAnswerMAC:], wire.Sip(k.answers, p[:offAnswerMAC]))
}

// Parse decodes an answer. Anything but OK leaves t undefined.
func (t *Told) Parse(b []byte, k *Keys) Check {
	if c := checkHead(b, AnswerBytes); c != OK {
		return c
	}
	p := (*[AnswerBytes]byte)(b)
	le := binary.LittleEndian
	if FrameType(p[offType]) != FrameAnswer {
		return BadType
	}
	if le.Uint64(p[offGroup:]) != k.Group {
		return BadGroup
	}
	if wire.Sip(k.answers, p[:offAnswerMAC]) != le.Uint64(p[offAnswerMAC:]) {
		return BadMAC
	}
	*t = Told{
		Verdict: Verdict(p[offVerdict]), Refusal: Refusal(p[offRefusal]), Unknown: p[offUnknown] == 1,
		Lane: p[offLane], Node: p[offNode], Group: k.Group,
		Nonce: le.Uint64(p[offNonce:]), Ticket: le.Uint64(p[offTicket:]), Counter: le.Uint64(p[offCounter:]),
		Boot: le.Uint64(p[offBoot:]),
	}
	reserved := le.Uint64(p[offVerdict:]) >> 17
	if reserved != 0 || t.Verdict >= verdictEnd || t.Refusal >= refusalEnd || t.Lane >= lane.Lanes || t.Ticket == 0 || t.Boot == 0 ||
		(t.Verdict == VerdictRefused) != (t.Refusal != NotRefused) ||
		!t.Record.Parse(p[offRecord:offAnswerMAC]) || t.Unknown != (t.Record == (Record{})) {
		return BadBody
	}
	return OK
}

// Answer is what the one who asked gets to know.
func (t *Told) Answer() Answer {
	return Answer{Granted: t.Verdict == VerdictRead || t.Verdict == VerdictGranted, Unknown: t.Unknown,
		Record: t.Record, Boot: t.Boot, Reason: t.Refusal.String()}
}

func putHead(p []byte, t FrameType, laneID, node uint8, group, nonce, ticket, counter, boot uint64) {
	le := binary.LittleEndian
	le.PutUint64(p[offMagic:], frameMagic|frameVersion<<32|uint64(t)<<40|uint64(laneID)<<48|uint64(node)<<56)
	le.PutUint64(p[offGroup:], group)
	le.PutUint64(p[offNonce:], nonce)
	le.PutUint64(p[offTicket:], ticket)
	le.PutUint64(p[offCounter:], counter)
	le.PutUint64(p[offBoot:], boot)
}

func checkHead(b []byte, lengthBytes int) Check {
	switch {
	case len(b) != lengthBytes:
		return BadLength
	case binary.LittleEndian.Uint32(b[offMagic:]) != frameMagic:
		return BadMagic
	case b[offVersion] != frameVersion:
		return BadVersion
	}
	return OK
}

func (t FrameType) String() string {
	if t >= FrameRead && t <= FrameAnswer {
		return [...]string{"READ", "SWAP", "ANSWER"}[t-FrameRead]
	}
	return fmt.Sprintf("TYPE(%d)", uint8(t))
}
