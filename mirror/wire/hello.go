package wire

import (
	"encoding/binary"

	"onebeat/mirror/lane"
)

// Want is what the sender of a HELLO asks of its peer.
type Want uint8

const (
	WantNothing Want = iota // only tells
	WantJoin                // SYNCING: take me in, send what I lack
	WantSeed                // first start of a lane: may I seed it?
	WantClaim               // both restarted: I hold more, let me write
	WantOut                 // quarantined: my state is not the log's, go on without me
	wantEnd
)

var wantNames = [...]string{"nothing", "join", "seed", "claim", "out"}

func (w Want) String() string { return wantNames[w] }

// Policy flags of a HELLO: what both sides must have configured alike.
const (
	PolicySilencePromotes = 2
	PolicyDegrades        = 4 // where no arbiter keeps the record
	PolicyWitness         = 8 // the arbiter; none of them: pair
	PolicyEtcd            = 16
	PolicyFence           = 32 // pair, and silence promotes once the peer has no power
)

// NoCut says that the peer's log need not be cut.
const NoCut = ^uint64(0)

// Hello is the payload of a HELLO frame, user space to user space.
type Hello struct {
	Incarnation     uint64      // of the sender's ring
	PeerIncarnation uint64      // the peer's, as last heard; 0: never
	Authority       lane.Word   // the sender's
	Record          lane.Record // of the lane, as the sender knows it
	LastEpoch       uint32      // of the last record in the sender's ring
	Tail            uint64      // its end
	Oldest          uint64      // position of its oldest record
	RingBytes       uint64
	// CutAt tells the peer where its log must end before it can go on with the
	// sender's: the start of the first epoch it lacks. NoCut: nowhere. CutFor is
	// the last epoch of the peer's log that this was worked out for.
	CutAt         uint64
	CutFor        uint32
	SchemaVersion uint32 // of the application's messages
	PolicyFlags   uint16
	Want          Want
	First         bool // configured to seed a new lane
	// OrderMAC is where the sender takes frames of the second path; zero: it has none.
	OrderMAC [6]byte
	Release  Release
}

// Release is what a HELLO says of the sender's release policy.
type Release struct {
	Terms    uint32 // digest of the configured terms
	Policies uint32 // digest of the policies its program knows
	Archived uint64 // on its disk
	Changed  bool   // the log's terms are in force, not the configured ones
	Archives bool   // it has an archive that works
}

const (
	releaseChanged  = 1
	releaseArchives = 2
)

// HelloBytes is the encoded length of a Hello, a multiple of StepBytes.
const HelloBytes = 128

const (
	helloLastEpoch = 24 + lane.RecordBytes
	helloSchema    = helloLastEpoch + 4
	helloTail      = helloSchema + 4
	helloPolicy    = helloTail + 32
	helloWant      = helloPolicy + 2
	helloFirst     = helloWant + 1
	helloCutFor    = helloFirst + 1
	helloOrderMAC  = helloCutFor + 4
	helloRelease   = helloOrderMAC + 6
	helloEnd       = helloRelease + 17
)

// Put encodes h into the first HelloBytes of b.
func (h *Hello) Put(b []byte) {
	p := (*[HelloBytes]byte)(b)
	le := binary.LittleEndian
	le.PutUint64(p[0:], h.Incarnation)
	le.PutUint64(p[8:], h.PeerIncarnation)
	le.PutUint64(p[16:], uint64(h.Authority))
	h.Record.Put(p[24:])
	le.PutUint32(p[helloLastEpoch:], h.LastEpoch)
	le.PutUint32(p[helloSchema:], h.SchemaVersion)
	le.PutUint64(p[helloTail:], h.Tail)
	le.PutUint64(p[helloTail+8:], h.Oldest)
	le.PutUint64(p[helloTail+16:], h.RingBytes)
	le.PutUint64(p[helloTail+24:], h.CutAt)
	le.PutUint16(p[helloPolicy:], h.PolicyFlags)
	p[helloWant] = byte(h.Want)
	p[helloFirst] = 0
	if h.First {
		p[helloFirst] = 1
	}
	le.PutUint32(p[helloCutFor:], h.CutFor)
	copy(p[helloOrderMAC:], h.OrderMAC[:])
	h.Release.put(p[helloRelease:])
	clear(p[helloEnd:])
}

// Parse decodes h and reports whether b is exactly one well-formed body.
func (h *Hello) Parse(b []byte) bool {
	if len(b) != HelloBytes {
		return false
	}
	p := (*[HelloBytes]byte)(b)
	le := binary.LittleEndian
	h.Incarnation = le.Uint64(p[0:])
	h.PeerIncarnation = le.Uint64(p[8:])
	h.Authority = lane.Word(le.Uint64(p[16:]))
	if !h.Record.Parse(p[24 : 24+lane.RecordBytes]) {
		return false
	}
	h.LastEpoch = le.Uint32(p[helloLastEpoch:])
	h.SchemaVersion = le.Uint32(p[helloSchema:])
	h.CutFor = le.Uint32(p[helloCutFor:])
	h.OrderMAC = [6]byte(p[helloOrderMAC:])
	h.Release.parse(p[helloRelease:])
	h.Tail = le.Uint64(p[helloTail:])
	h.Oldest = le.Uint64(p[helloTail+8:])
	h.RingBytes = le.Uint64(p[helloTail+16:])
	h.CutAt = le.Uint64(p[helloTail+24:])
	h.PolicyFlags = le.Uint16(p[helloPolicy:])
	h.Want = Want(p[helloWant])
	h.First = p[helloFirst] == 1
	for _, c := range p[helloEnd:] {
		if c != 0 {
			return false
		}
	}
	return p[helloFirst] <= 1 && p[helloEnd-1] <= releaseChanged|releaseArchives && h.Want < wantEnd && h.Incarnation != 0 &&
		int(h.Authority.State()) < lane.StateCount &&
		h.Tail%StepBytes == 0 && h.Oldest%StepBytes == 0 && h.Oldest <= h.Tail &&
		(h.CutAt == NoCut || h.CutAt%StepBytes == 0)
}

func (r *Release) put(b []byte) {
	binary.LittleEndian.PutUint32(b, r.Terms)
	binary.LittleEndian.PutUint32(b[4:], r.Policies)
	binary.LittleEndian.PutUint64(b[8:], r.Archived)
	b[16] = 0
	if r.Changed {
		b[16] |= releaseChanged
	}
	if r.Archives {
		b[16] |= releaseArchives
	}
}

func (r *Release) parse(b []byte) {
	r.Terms, r.Policies, r.Archived = binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint64(b[8:])
	r.Changed, r.Archives = b[16]&releaseChanged != 0, b[16]&releaseArchives != 0
}
