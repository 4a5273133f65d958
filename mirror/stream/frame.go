package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Version of the protocol. Another one is refused.
const Version = 1

// Type of a frame.
type Type uint8

const (
	_            Type = iota
	TypeHello         // client: who it is
	TypeWelcome       // server: who it is
	TypeRefused       // server: the request, or the client, is refused
	TypeStatus        // client: asks for the lanes' status
	TypeLanes         // server: the answer
	TypeSnapshot      // client: asks for the newest snapshot; server: which one comes
	TypePiece         // server: a part of the snapshot
	TypeLog           // client: asks for the log
	TypeChunk         // server: records
	TypeCaught        // server: there is nothing more, or not yet
	TypeCut           // server: the client's log is no beginning of this one
	TypeAck           // client: what it has
	TypeCompare       // client: digests of a part of its log
	TypeSame          // server: how far its own has the same
	typeEnd
)

var typeNames = [...]string{"", "HELLO", "WELCOME", "REFUSED", "STATUS", "LANES", "SNAPSHOT", "PIECE", "LOG", "CHUNK", "CAUGHT", "CUT", "ACK", "COMPARE", "SAME"}

func (t Type) String() string {
	if t > 0 && t < typeEnd {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// FlagZstd: what follows a chunk's or a piece's head is compressed.
const FlagZstd = 1

const (
	// HeaderBytes is the length of a frame's header.
	HeaderBytes = 16
	// ChunkBytes bounds the records of one chunk and the bytes of one piece.
	ChunkBytes = 256 << 10
	// bodyMaxBytes bounds a body: a chunk that zstd made longer is sent plain.
	bodyMaxBytes = ChunkBytes + 64

	magic = 0x5453424F // "OBST"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrFrame means that bytes are no frame of this protocol, or a harmed one.
var ErrFrame = errors.New("stream frame")

// header of a frame: {magic u32, type u8, flags u8, lane u8, 0 u8, body length
// u32, CRC-32C u32 of the 12 bytes before and the body}, little-endian.
type header struct {
	typ   Type
	flags uint8
	lane  uint8
	bytes int // of the body
	crc   uint32
}

// parse decodes b[:HeaderBytes].
func (h *header) parse(b []byte) error {
	if m := binary.LittleEndian.Uint32(b); m != magic {
		return fmt.Errorf("%w: begins with %08x", ErrFrame, m)
	}
	h.typ, h.flags, h.lane = Type(b[4]), b[5], b[6]
	n := binary.LittleEndian.Uint32(b[8:])
	h.crc = binary.LittleEndian.Uint32(b[12:])
	switch {
	case h.typ == 0 || h.typ >= typeEnd:
		return fmt.Errorf("%w: %v", ErrFrame, h.typ)
	case h.flags&^FlagZstd != 0 || h.flags != 0 && h.typ != TypeChunk && h.typ != TypePiece || b[7] != 0:
		return fmt.Errorf("%w: %v with flags %x", ErrFrame, h.typ, h.flags)
	case n > bodyMaxBytes:
		return fmt.Errorf("%w: %v of %d bytes, at most %d", ErrFrame, h.typ, n, bodyMaxBytes)
	}
	h.bytes = int(n)
	return nil
}

// seal writes the header before the body that stands in b from HeaderBytes on.
func seal(b []byte, typ Type, flags, lane uint8) []byte {
	binary.LittleEndian.PutUint32(b, magic)
	b[4], b[5], b[6], b[7] = byte(typ), flags, lane, 0
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-HeaderBytes))
	binary.LittleEndian.PutUint32(b[12:], sum(b[:12], b[HeaderBytes:]))
	return b
}

func sum(head, body []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, head), castagnoli, body)
}

// frames reads frames into one buffer.
type frames struct {
	from   io.Reader
	head   [HeaderBytes]byte
	buffer []byte // grows to what was needed, at most bodyMaxBytes
}

// next reads a frame. Its body is valid until the next call.
func (f *frames) next() (h header, body []byte, err error) {
	if _, err = io.ReadFull(f.from, f.head[:]); err != nil {
		return h, nil, err
	}
	if err = h.parse(f.head[:]); err != nil {
		return h, nil, err
	}
	if h.bytes > cap(f.buffer) {
		f.buffer = make([]byte, max(h.bytes, 512))
	}
	body = f.buffer[:h.bytes]
	if _, err = io.ReadFull(f.from, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return h, nil, err
	}
	if sum(f.head[:12], body) != h.crc {
		return h, nil, fmt.Errorf("%w: the checksum of a %v is wrong%s", ErrFrame, h.typ, where(h.typ, body))
	}
	return h, body, nil
}

// where names the place in the log that a harmed frame says it is about.
func where(typ Type, body []byte) string {
	if typ == TypeChunk && len(body) >= 8 {
		return fmt.Sprintf(", position %d", binary.LittleEndian.Uint64(body))
	}
	return ""
}
