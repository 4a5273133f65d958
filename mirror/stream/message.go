package stream

import (
	"encoding/binary"
	"fmt"

	"onebeat/mirror/archive"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// NameMaxBytes bounds a client's name.
const NameMaxBytes = 32

// RecordHead is a record's header as it is in the log: position, epoch, time and
// the checksum of all of it. Two logs that hold the same one are the same up to
// there.
type RecordHead [ring.HeaderBytes]byte

// Position returns where the record is.
func (r *RecordHead) Position() uint64 { return binary.LittleEndian.Uint64(r[16:]) }

// Epoch returns the record's epoch.
func (r *RecordHead) Epoch() uint32 { return binary.LittleEndian.Uint32(r[8:]) }

func (r *RecordHead) timeNs() int64 { return int64(binary.LittleEndian.Uint64(r[24:])) }

// end returns the position behind the record.
func (r *RecordHead) end() uint64 {
	return r.Position() + uint64(ring.PaddedBytes(int(binary.LittleEndian.Uint32(r[:]))-ring.HeaderBytes))
}

// known reports whether there is a record.
func (r *RecordHead) known() bool { return *r != RecordHead{} }

// hello is what a client says first: {version u16, node u8, server u8, name
// length u8, 0 x 3, name}.
type hello struct {
	version uint16
	node    uint8 // of the client, as in its certificate
	server  uint8 // whom it means to speak to
	name    string
}

func (h *hello) put(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, h.version)
	b = append(b, h.node, h.server, byte(len(h.name)), 0, 0, 0)
	return append(b, h.name...)
}

func (h *hello) parse(b []byte) error {
	if len(b) < 8 {
		return malformed(TypeHello, b)
	}
	h.version, h.node, h.server = binary.LittleEndian.Uint16(b), b[2], b[3]
	if h.version != Version {
		return nil // what follows is the other version's
	}
	if n := int(b[4]); n == 0 || n > NameMaxBytes || len(b) != 8+n || b[5]|b[6]|b[7] != 0 {
		return malformed(TypeHello, b)
	}
	for _, c := range b[8:] {
		if c <= ' ' || c > '~' {
			return malformed(TypeHello, b)
		}
	}
	h.name = string(b[8:])
	return nil
}

// welcome is the server's answer: {version u16, node u8, 0, longest chunk u32}.
type welcome struct {
	version    uint16
	node       uint8
	chunkBytes uint32
}

const welcomeBytes = 8

func (w *welcome) put(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, w.version)
	return binary.LittleEndian.AppendUint32(append(b, w.node, 0), w.chunkBytes)
}

func (w *welcome) parse(b []byte) error {
	if len(b) != welcomeBytes {
		return malformed(TypeWelcome, b)
	}
	w.version, w.node, w.chunkBytes = binary.LittleEndian.Uint16(b), b[2], binary.LittleEndian.Uint32(b[4:])
	return nil
}

// LogRequest asks for a part of a lane's log.
type LogRequest struct {
	Lane uint8
	From uint64 // position of the first record that is wanted
	// Last is the header of the record before From, or zero: there is none, or
	// the client has only a snapshot up to From, whose last epoch is Epoch.
	Last  RecordHead
	Epoch uint32
	// Follow: go on for ever; else the answer ends at the end of what is safe.
	Follow bool
	// Compress the chunks with zstd.
	Compress bool
	// Copy: what the client ACKs is listed in Server.Copies.
	Copy bool
	// Salvage asks for the end of a dead engine's log, up to To, also what no
	// other member of the set has ACKed. Only the lane's peer may.
	Salvage bool
	To      uint64
	// RateBytes per second at most; 0: what the server allows.
	RateBytes uint64
	// Identity of the client's log; zero: not known.
	Identity archive.Identity
}

// Flags of a LogRequest.
const (
	logFollow = 1 << iota
	logCompress
	logCopy
	logSalvage
	logFlagsEnd
)

const logBytes = 96

// put encodes {from u64, to u64, rate u64, epoch u32, flags u32, last record's
// header 32, identity 16, 0 x 16}.
func (r *LogRequest) put(b []byte) []byte {
	flags := uint32(0)
	for i, on := range []bool{r.Follow, r.Compress, r.Copy, r.Salvage} {
		if on {
			flags |= 1 << i
		}
	}
	b = binary.LittleEndian.AppendUint64(b, r.From)
	b = binary.LittleEndian.AppendUint64(b, r.To)
	b = binary.LittleEndian.AppendUint64(b, r.RateBytes)
	b = binary.LittleEndian.AppendUint32(b, r.Epoch)
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = append(append(b, r.Last[:]...), r.Identity[:]...)
	return append(b, make([]byte, 16)...)
}

func (r *LogRequest) parse(laneID uint8, b []byte) error {
	if len(b) != logBytes {
		return malformed(TypeLog, b)
	}
	r.Lane = laneID
	r.From, r.To = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	r.RateBytes = binary.LittleEndian.Uint64(b[16:])
	r.Epoch = binary.LittleEndian.Uint32(b[24:])
	flags := binary.LittleEndian.Uint32(b[28:])
	r.Follow, r.Compress = flags&logFollow != 0, flags&logCompress != 0
	r.Copy, r.Salvage = flags&logCopy != 0, flags&logSalvage != 0
	copy(r.Last[:], b[32:])
	copy(r.Identity[:], b[64:])
	if flags >= logFlagsEnd || r.From%ring.AlignBytes != 0 || r.Last.known() && r.Last.end() != r.From ||
		r.Salvage && (r.Follow || r.To < r.From) || !r.Last.known() && r.Epoch == 0 && r.From != 0 {
		return malformed(TypeLog, b)
	}
	if r.Last.known() {
		r.Epoch = r.Last.Epoch()
	}
	return nil
}

// chunkHead stands before a chunk's records: {position u64, safe u64, wall clock
// i64 ns, bytes of the records u32, 0 u32}.
type chunkHead struct {
	position uint64
	safe     uint64 // end of what the server may give away
	wallNs   int64
	rawBytes uint32
}

const chunkHeadBytes = 32

func (c *chunkHead) put(b []byte) {
	binary.LittleEndian.PutUint64(b, c.position)
	binary.LittleEndian.PutUint64(b[8:], c.safe)
	binary.LittleEndian.PutUint64(b[16:], uint64(c.wallNs))
	binary.LittleEndian.PutUint32(b[24:], c.rawBytes)
	binary.LittleEndian.PutUint32(b[28:], 0)
}

func (c *chunkHead) parse(b []byte) error {
	if len(b) < chunkHeadBytes {
		return malformed(TypeChunk, b)
	}
	c.position, c.safe = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	c.wallNs = int64(binary.LittleEndian.Uint64(b[16:]))
	c.rawBytes = binary.LittleEndian.Uint32(b[24:])
	if c.rawBytes > ChunkBytes || c.rawBytes%ring.AlignBytes != 0 || c.position%ring.AlignBytes != 0 {
		return malformed(TypeChunk, b)
	}
	return nil
}

// place is the body of CAUGHT {position, safe, wall} and, with what it needs of
// it, of CUT {position} and ACK {received, durable}.
type place [3]uint64

const placeBytes = 24

func (p *place) put(b []byte) []byte {
	for _, v := range p {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func (p *place) parse(typ Type, b []byte) error {
	if len(b) != placeBytes {
		return malformed(typ, b)
	}
	for i := range p {
		p[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return nil
}

// LaneStatus is what a server says of a lane.
type LaneStatus struct {
	Lane   uint8
	State  lane.State // of the server's node
	Writer uint8      // of the epoch, as this node knows it; 0: unknown
	Epoch  uint32
	Begin  uint64 // oldest position the server has, in its archive or ring
	Ring   uint64 // oldest position in its ring
	End    uint64 // of its log
	Safe   uint64 // what it may give away
	// Snapshot is the position of its newest one; 0: none.
	Snapshot uint64
	Identity archive.Identity // zero: not known
	WallNs   int64            // of the server when it answered
	TimeNs   int64            // lane time of the last record; 0: not known
}

const laneStatusBytes = 88

func (s *LaneStatus) put(b []byte) []byte {
	b = append(b, s.Lane, byte(s.State), s.Writer, 0)
	b = binary.LittleEndian.AppendUint32(b, s.Epoch)
	for _, v := range []uint64{s.Begin, s.Ring, s.End, s.Safe, s.Snapshot, uint64(s.WallNs), uint64(s.TimeNs)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = append(b, s.Identity[:]...)
	return append(b, make([]byte, laneStatusBytes-80)...)
}

func parseLanes(b []byte) ([]LaneStatus, error) {
	if len(b)%laneStatusBytes != 0 || len(b) > lane.Lanes*laneStatusBytes {
		return nil, malformed(TypeLanes, b)
	}
	var list []LaneStatus
	for ; len(b) > 0; b = b[laneStatusBytes:] {
		s := LaneStatus{Lane: b[0], State: lane.State(b[1]), Writer: b[2], Epoch: binary.LittleEndian.Uint32(b[4:])}
		if int(s.State) >= lane.StateCount {
			return nil, malformed(TypeLanes, b)
		}
		for i, to := range []*uint64{&s.Begin, &s.Ring, &s.End, &s.Safe, &s.Snapshot} {
			*to = binary.LittleEndian.Uint64(b[8+8*i:])
		}
		s.WallNs = int64(binary.LittleEndian.Uint64(b[48:]))
		s.TimeNs = int64(binary.LittleEndian.Uint64(b[56:]))
		copy(s.Identity[:], b[64:])
		list = append(list, s)
	}
	return list, nil
}

// SnapshotHead says which snapshot comes: {position u64, epoch u32, 0 u32, bytes
// u64}.
type SnapshotHead struct {
	Position uint64 // of the log, behind the last record in it
	Epoch    uint32
	Bytes    uint64 // of the file
}

const snapshotHeadBytes = 24

func (s *SnapshotHead) put(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, s.Position)
	b = binary.LittleEndian.AppendUint32(b, s.Epoch)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint64(b, s.Bytes)
}

func (s *SnapshotHead) parse(b []byte) error {
	if len(b) != snapshotHeadBytes {
		return malformed(TypeSnapshot, b)
	}
	s.Position, s.Epoch = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
	s.Bytes = binary.LittleEndian.Uint64(b[16:])
	return nil
}

func malformed(typ Type, b []byte) error {
	return fmt.Errorf("%w: a %v of %d bytes makes no sense", ErrFrame, typ, len(b))
}
