package archive

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"

	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// Version of the formats. A reader refuses others.
const Version = 1

const (
	// HeaderBytes and SealBytes are a page each, so that records and both ends
	// can be written by direct I/O.
	HeaderBytes = disk.PageBytes
	SealBytes   = disk.PageBytes
	// BlockBytes bounds a block: the records one index entry and one link of
	// the chain cover.
	BlockBytes = 64 << 10
	// MinSegmentBytes and MaxSegmentBytes bound a segment file.
	MinSegmentBytes = 64 << 10
	MaxSegmentBytes = 4 << 30

	pageCRC = disk.PageBytes - 4
)

var (
	headerMagic = [8]byte{'O', 'B', 'A', 'R', 'C', 'S', 'E', 'G'}
	sealMagic   = [8]byte{'O', 'B', 'A', 'R', 'C', 'E', 'N', 'D'}

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// ErrFormat means that bytes are not what this version writes.
var ErrFormat = errors.New("archive format")

// Hash is a BLAKE3 digest.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Identity names a lane's life: the first 16 bytes of the BLAKE3 digest of its
// first record. Zero: the archive began later.
type Identity [16]byte

func (i Identity) String() string { return hex.EncodeToString(i[:]) }

// ParseIdentity reads what String wrote.
func ParseIdentity(text string) (i Identity, err error) {
	if len(text) != hex.EncodedLen(len(i)) {
		return i, fmt.Errorf("%q is no identity of a log", text)
	}
	_, err = hex.Decode(i[:], []byte(text))
	return i, err
}

// Header is the first page of a segment.
type Header struct {
	Lane, Node uint8
	First      uint64 // position of the first record
	// PreviousEnd is where the segment before ends: less than First when
	// records are missing between them.
	PreviousEnd uint64
	DataBytes   uint64 // room for records
	FirstNs     int64  // lane time of the first record
	FirstEpoch  uint32 // and its epoch
	Identity    Identity
	Incarnation uint64 // of the ring the first record was read from
	CreatedNs   int64  // wall clock
	Chain       Hash   // over everything before
}

// Put encodes h into a page.
func (h *Header) Put(b []byte) {
	clear(b[:HeaderBytes])
	copy(b, headerMagic[:])
	binary.LittleEndian.PutUint16(b[8:], Version)
	b[10], b[11] = h.Lane, h.Node
	binary.LittleEndian.PutUint32(b[12:], BlockBytes)
	binary.LittleEndian.PutUint64(b[16:], h.First)
	binary.LittleEndian.PutUint64(b[24:], h.PreviousEnd)
	binary.LittleEndian.PutUint64(b[32:], h.DataBytes)
	binary.LittleEndian.PutUint64(b[40:], uint64(h.FirstNs))
	binary.LittleEndian.PutUint32(b[48:], h.FirstEpoch)
	copy(b[56:], h.Identity[:])
	binary.LittleEndian.PutUint64(b[72:], h.Incarnation)
	binary.LittleEndian.PutUint64(b[80:], uint64(h.CreatedNs))
	copy(b[96:], h.Chain[:])
	putPageCRC(b)
}

// Parse decodes a page and checks what it says against itself.
func (h *Header) Parse(b []byte) error {
	if err := checkPage(b, headerMagic, "header"); err != nil {
		return err
	}
	if n := binary.LittleEndian.Uint32(b[12:]); n != BlockBytes {
		return fmt.Errorf("%w: blocks of %d bytes, this version's are of %d", ErrFormat, n, BlockBytes)
	}
	h.Lane, h.Node = b[10], b[11]
	h.First = binary.LittleEndian.Uint64(b[16:])
	h.PreviousEnd = binary.LittleEndian.Uint64(b[24:])
	h.DataBytes = binary.LittleEndian.Uint64(b[32:])
	h.FirstNs = int64(binary.LittleEndian.Uint64(b[40:]))
	h.FirstEpoch = binary.LittleEndian.Uint32(b[48:])
	copy(h.Identity[:], b[56:])
	h.Incarnation = binary.LittleEndian.Uint64(b[72:])
	h.CreatedNs = int64(binary.LittleEndian.Uint64(b[80:]))
	copy(h.Chain[:], b[96:])
	if h.First%ring.AlignBytes != 0 || h.First < h.PreviousEnd || h.First+h.DataBytes < h.First ||
		h.DataBytes%disk.PageBytes != 0 || h.DataBytes < MinSegmentBytes-HeaderBytes-SealBytes || h.DataBytes > MaxSegmentBytes {
		return fmt.Errorf("%w: header of %d data bytes from %d, behind %d", ErrFormat, h.DataBytes, h.First, h.PreviousEnd)
	}
	return nil
}

// Seal is the last page of a closed segment.
type Seal struct {
	Lane      uint8
	First     uint64
	End       uint64 // position behind the last record
	Records   uint64 // without padding
	LastNs    int64
	LastEpoch uint32
	Chain     Hash // over everything up to End
}

// Put encodes s into a page.
func (s *Seal) Put(b []byte) {
	clear(b[:SealBytes])
	copy(b, sealMagic[:])
	binary.LittleEndian.PutUint16(b[8:], Version)
	b[10] = s.Lane
	binary.LittleEndian.PutUint64(b[16:], s.First)
	binary.LittleEndian.PutUint64(b[24:], s.End)
	binary.LittleEndian.PutUint64(b[32:], s.Records)
	binary.LittleEndian.PutUint64(b[40:], uint64(s.LastNs))
	binary.LittleEndian.PutUint32(b[48:], s.LastEpoch)
	copy(b[96:], s.Chain[:])
	putPageCRC(b)
}

// Parse decodes a page.
func (s *Seal) Parse(b []byte) error {
	if err := checkPage(b, sealMagic, "seal"); err != nil {
		return err
	}
	s.Lane = b[10]
	s.First = binary.LittleEndian.Uint64(b[16:])
	s.End = binary.LittleEndian.Uint64(b[24:])
	s.Records = binary.LittleEndian.Uint64(b[32:])
	s.LastNs = int64(binary.LittleEndian.Uint64(b[40:]))
	s.LastEpoch = binary.LittleEndian.Uint32(b[48:])
	copy(s.Chain[:], b[96:])
	if s.End < s.First || s.End%ring.AlignBytes != 0 {
		return fmt.Errorf("%w: seal from %d to %d", ErrFormat, s.First, s.End)
	}
	return nil
}

func putPageCRC(b []byte) {
	binary.LittleEndian.PutUint32(b[pageCRC:], crc32.Checksum(b[:pageCRC], castagnoli))
}

func checkPage(b []byte, magic [8]byte, what string) error {
	if len(b) < disk.PageBytes || [8]byte(b) != magic {
		return fmt.Errorf("%w: no %s", ErrFormat, what)
	}
	if crc32.Checksum(b[:pageCRC], castagnoli) != binary.LittleEndian.Uint32(b[pageCRC:]) {
		return fmt.Errorf("%w: the %s's checksum is wrong", ErrFormat, what)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != Version {
		return fmt.Errorf("%w: the %s is of version %d, this program reads %d", ErrFormat, what, v, Version)
	}
	return nil
}

// Suffixes of files.
const (
	segmentSuffix    = ".seg"
	compressedSuffix = ".seg.zst"
	indexSuffix      = ".idx"
)

func fileName(first uint64, suffix string) string { return fmt.Sprintf("%020d%s", first, suffix) }

// parseName returns the first position in a file's name, and the rest of it.
func parseName(name string) (first uint64, suffix string, ok bool) {
	if len(name) < 21 {
		return 0, "", false
	}
	first, err := strconv.ParseUint(name[:20], 10, 64)
	return first, name[20:], err == nil && strings.HasPrefix(name[20:], ".")
}

// LaneDir returns where a node keeps a lane's archive under a common directory.
func LaneDir(dir, node string, lane int) string {
	return filepath.Join(dir, fmt.Sprintf("%s-lane%d", node, lane))
}

// Damage is a place in a file that does not hold what was written there.
type Damage struct {
	File     string // path
	Offset   int64  // in the file; of a compressed one, in what it holds
	Position uint64 // in the log
	Problem  string
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%s: offset %d, position %d: %s", d.File, d.Offset, d.Position, d.Problem)
}

// ErrDamaged is what every Damage is.
var ErrDamaged = errors.New("archive damaged")

// Is makes errors.Is find ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }
