package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

const (
	// Version of the file format.
	Version = 1
	// HeaderBytes is the length of the header.
	HeaderBytes = 256
	// BlockBytes of the state stand between two checksums; the last block may be
	// shorter.
	BlockBytes = 65536
	// MaxStateBytes bounds a state: larger ones are not believed.
	MaxStateBytes = 64 << 30

	crcBytes    = 4
	digestBytes = 32
	nameBytes   = 32
	suffix      = ".snap"
)

var (
	magic      = [8]byte{'O', 'B', 'S', 'N', 'A', 'P', 'S', 'H'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// ErrFormat means that bytes are not what this version writes.
var ErrFormat = errors.New("snapshot format")

// ErrDamaged is what every Damage is.
var ErrDamaged = errors.New("snapshot damaged")

// Header says what the state is of.
type Header struct {
	Lane, Node uint8
	Schema     uint32           // version of the application's messages
	Identity   archive.Identity // of the lane's life; zero: unknown
	Position   uint64           // behind the last record applied
	Last       uint64           // position of that record
	LastHash   uint64           // HashRecord of it
	Epoch      uint32           // of it
	TimeNs     int64            // its lane time
	WallNs     int64            // when the state was saved
	Records    uint64           // applied since the log's beginning, without padding
	Digest     uint64           // of the state
	// Chain is the archive's hash chain up to ChainAt, the beginning of the segment
	// that Last is in.
	ChainAt uint64
	Chain   archive.Hash
	// Record is the newest record of the lane in the log up to Position.
	Record     lane.Record
	App        string
	StateBytes uint64
}

const (
	offSchema   = 12
	offPosition = 16
	offLast     = 24
	offLastHash = 32
	offTime     = 40
	offWall     = 48
	offRecords  = 56
	offDigest   = 64
	offEpoch    = 72
	offIdentity = 80
	offChainAt  = 96
	offChain    = 104
	offState    = 136
	offApp      = 144
	offRecord   = offApp + nameBytes
	offEnd      = offRecord + lane.RecordBytes
	offCRC      = HeaderBytes - 4
)

// HashRecord tells a record from any other.
func HashRecord(rec *app.Record) uint64 {
	f := app.Field{Value: rec.Position, Bytes: rec.Payload}
	d := app.Fold(f.Hash(), uint64(rec.TimeNs))
	return app.Fold(d, uint64(rec.Epoch)<<16|uint64(rec.Type))
}

// Put encodes h into HeaderBytes.
func (h *Header) Put(b []byte) {
	clear(b[:HeaderBytes])
	le := binary.LittleEndian
	copy(b, magic[:])
	le.PutUint16(b[8:], Version)
	b[10], b[11] = h.Lane, h.Node
	le.PutUint32(b[offSchema:], h.Schema)
	le.PutUint64(b[offPosition:], h.Position)
	le.PutUint64(b[offLast:], h.Last)
	le.PutUint64(b[offLastHash:], h.LastHash)
	le.PutUint64(b[offTime:], uint64(h.TimeNs))
	le.PutUint64(b[offWall:], uint64(h.WallNs))
	le.PutUint64(b[offRecords:], h.Records)
	le.PutUint64(b[offDigest:], h.Digest)
	le.PutUint32(b[offEpoch:], h.Epoch)
	copy(b[offIdentity:], h.Identity[:])
	le.PutUint64(b[offChainAt:], h.ChainAt)
	copy(b[offChain:], h.Chain[:])
	le.PutUint64(b[offState:], h.StateBytes)
	copy(b[offApp:offApp+nameBytes], h.App)
	h.Record.Put(b[offRecord:])
	le.PutUint32(b[offCRC:], crc32.Checksum(b[:offCRC], castagnoli))
}

// Parse decodes a header and checks what it says against itself.
func (h *Header) Parse(b []byte) error {
	le := binary.LittleEndian
	switch {
	case len(b) < HeaderBytes || [8]byte(b) != magic:
		return fmt.Errorf("%w: no header", ErrFormat)
	case crc32.Checksum(b[:offCRC], castagnoli) != le.Uint32(b[offCRC:]):
		return fmt.Errorf("%w: the header's checksum is wrong", ErrFormat)
	case le.Uint16(b[8:]) != Version:
		return fmt.Errorf("%w: version %d, this program reads %d", ErrFormat, le.Uint16(b[8:]), Version)
	}
	h.Lane, h.Node, h.Schema = b[10], b[11], le.Uint32(b[offSchema:])
	h.Position, h.Last, h.LastHash = le.Uint64(b[offPosition:]), le.Uint64(b[offLast:]), le.Uint64(b[offLastHash:])
	h.TimeNs, h.WallNs = int64(le.Uint64(b[offTime:])), int64(le.Uint64(b[offWall:]))
	h.Records, h.Digest, h.Epoch = le.Uint64(b[offRecords:]), le.Uint64(b[offDigest:]), le.Uint32(b[offEpoch:])
	copy(h.Identity[:], b[offIdentity:])
	h.ChainAt = le.Uint64(b[offChainAt:])
	copy(h.Chain[:], b[offChain:])
	h.StateBytes = le.Uint64(b[offState:])
	h.App = strings.TrimRight(string(b[offApp:offApp+nameBytes]), "\x00")
	switch {
	case !h.Record.Parse(b[offRecord:offEnd]):
		return fmt.Errorf("%w: no record of a lane", ErrFormat)
	case h.Position%ring.AlignBytes != 0 || h.Last%ring.AlignBytes != 0 || h.Last >= h.Position ||
		h.Position-h.Last > ring.MaxRecordBytes || h.StateBytes > MaxStateBytes || h.ChainAt > h.Last:
		return fmt.Errorf("%w: a state of %d bytes behind the record from %d to %d, chain at %d", ErrFormat, h.StateBytes, h.Last, h.Position, h.ChainAt)
	}
	return nil
}

// fileBytes returns the length of the whole file.
func (h *Header) fileBytes() int64 {
	blocks := (h.StateBytes + BlockBytes - 1) / BlockBytes
	return int64(HeaderBytes + h.StateBytes + crcBytes*blocks + digestBytes)
}

func fileName(position uint64) string { return fmt.Sprintf("%020d%s", position, suffix) }

// parseName returns the position in a file's name.
func parseName(name string) (position uint64, ok bool) {
	digits, found := strings.CutSuffix(name, suffix)
	if !found || len(digits) != 20 {
		return 0, false
	}
	position, err := strconv.ParseUint(digits, 10, 64)
	return position, err == nil
}

// Damage is a place in a file that does not hold what was written there.
type Damage struct {
	File     string // path
	Offset   int64
	Position uint64 // in the log, as the file's name has it
	Problem  string
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%s: offset %d, position %d: %s", d.File, d.Offset, d.Position, d.Problem)
}

// Is makes errors.Is find ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }
