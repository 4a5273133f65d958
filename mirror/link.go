package mirror

import (
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// linkHeaderBytes come before the records of a link frame.
const linkHeaderBytes = frame.HeaderBytes + wire.HeaderBytes

// Link builds frames to the peer and hands them to the link port. One thread
// uses it: it owns the counter of lane.PathEngine.
type Link struct {
	port     xdp.Port
	table    *lane.Table
	id       uint8
	local    frame.Endpoint
	remote   frame.Endpoint
	template frame.Template
	header   wire.Header
	tx       wire.Auth // session keys
	base     wire.Auth // of HELLO, sending
	baseRx   wire.Auth // of HELLO, receiving
	// payloadMax bounds records and ride of one frame by the NIC's MTU.
	payloadMax int
	pending    int // frames submitted since the last kick
	full       uint64
}

// reserve returns the buffer of the next frame, nil when the NIC is behind.
func (l *Link) reserve() []byte {
	b := l.port.Reserve()
	if b == nil {
		l.full++
	}
	return b
}

// submit completes the frame in b, whose payloadBytes stand behind the headers
// already, from l.header: sender, counter, MAC and outer headers are added.
func (l *Link) submit(b []byte, payloadBytes int, auth *wire.Auth) (counter uint64) {
	return l.seal(b, payloadBytes, auth, auth.Sum(b[linkHeaderBytes:linkHeaderBytes+payloadBytes]))
}

// submitParts is submit for a payload of records and a ride that stand elsewhere.
func (l *Link) submitParts(b, records, ride []byte) (counter uint64) {
	nh := l.tx.Fill(b[linkHeaderBytes:], records, ride)
	return l.seal(b, len(records)+len(ride), &l.tx, nh)
}

func (l *Link) seal(b []byte, payloadBytes int, auth *wire.Auth, nh uint64) (counter uint64) {
	h := &l.header
	h.Lane = l.id
	h.Node = uint8(l.table.Config.Node)
	h.Incarnation = l.table.Config.Incarnation
	h.Path = lane.PathEngine
	l.table.Engine.TxCounter++
	h.Counter = l.table.Engine.TxCounter
	h.Put(b[frame.HeaderBytes:])
	auth.SealHeader((*[wire.HeaderBytes]byte)(b[frame.HeaderBytes:]), nh)
	l.template.Put(b, &l.local, l.local.Port, &l.remote, wire.HeaderBytes+payloadBytes)
	l.port.Submit(linkHeaderBytes + payloadBytes)
	l.pending++
	return h.Counter
}

// kick sends what was submitted. A lost device shows as silence and is handled
// as such.
func (l *Link) kick() {
	if l.pending > 0 {
		l.pending = 0
		l.port.Kick()
	}
}
