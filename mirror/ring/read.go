package ring

import (
	"encoding/binary"

	"onebeat/engine/app"
)

// State is what Read found.
type State uint8

const (
	// Found: a record, its checksum right.
	Found State = iota
	// AtTail: nothing is committed there yet.
	AtTail
	// Overwritten: the ring no longer holds the position.
	Overwritten
	// BadPosition: not a record boundary, beyond the tail, or another record's
	// header.
	BadPosition
	// BadLength: no record can have this length there.
	BadLength
	// BadChecksum: header or payload are not what was written.
	BadChecksum
)

var stateNames = [...]string{"record", "at tail", "overwritten", "bad position", "bad length", "bad checksum"}

func (s State) String() string { return stateNames[s] }

// Corrupt reports whether the bytes are not what a writer left there.
func (s State) Corrupt() bool { return s >= BadPosition }

// Read returns the record at position and the position of the next one,
// skipping padding. Its payload aliases the ring: with a limit set behind this
// reader it stays until the reader moves on; any other reader asks Holds after
// it has used it. When there is no record, next is the position looked at.
func (r *Ring) Read(position uint64) (rec app.Record, next uint64, state State) {
	next, state = r.ReadInto(position, &rec)
	if state != Found {
		rec = app.Record{}
	}
	return rec, next, state
}

// ReadInto is Read into the caller's record, which is undefined unless one was
// found: returning it by value costs a loop that reads often a stall each time.
func (r *Ring) ReadInto(position uint64, rec *app.Record) (next uint64, state State) {
	for {
		end, state := r.read(position, rec)
		if state != Found {
			return position, state
		}
		if rec.Type != app.RecordPadding {
			return end, Found
		}
		position = end
	}
}

// Holds reports whether the ring still holds position: false once a writer may
// have begun to write over it.
func (r *Ring) Holds(position uint64) bool {
	tail := r.Tail()
	// A record in the making may reach this far behind the tail.
	return position <= tail && tail+2*MaxRecordBytes <= position+r.size
}

// read decodes the record at position, padding too.
func (r *Ring) read(position uint64, rec *app.Record) (end uint64, state State) {
	tail := r.Tail()
	switch {
	case position == tail:
		return position, AtTail
	case position > tail || position%AlignBytes != 0:
		return position, BadPosition
	case tail-position > r.size:
		return position, Overwritten
	}
	i := position & r.mask
	end, state = decode(r.mem[i:i+min(tail-position, r.size-i)], position, rec)
	if state != Found && r.Tail()-position > r.size {
		// A writer without regard for this reader was faster.
		return position, Overwritten
	}
	return end, state
}

// decode checks the record at the start of b against the position it should
// have and fills rec. b ends where no record may go on: at the tail, at the
// ring's end, at a frame's end.
func decode(b []byte, position uint64, rec *app.Record) (end uint64, state State) {
	if len(b) < HeaderBytes {
		return position, BadLength
	}
	h := (*[HeaderBytes]byte)(b)
	lengthBytes := int(binary.LittleEndian.Uint32(h[offLength:]))
	if lengthBytes < HeaderBytes || lengthBytes > MaxRecordBytes || padded(lengthBytes) > len(b) {
		return position, BadLength
	}
	if binary.LittleEndian.Uint64(h[offPosition:]) != position {
		return position, BadPosition
	}
	if checksum(b[:lengthBytes]) != binary.LittleEndian.Uint32(h[offCRC:]) {
		return position, BadChecksum
	}
	rec.Position = position
	rec.TimeNs = int64(binary.LittleEndian.Uint64(h[offTime:]))
	rec.Epoch = binary.LittleEndian.Uint32(h[offEpoch:])
	rec.Type = app.RecordType(binary.LittleEndian.Uint16(h[offType:]))
	rec.Payload = b[HeaderBytes:lengthBytes:lengthBytes]
	return position + uint64(padded(lengthBytes)), Found
}

// Decode reads a record that was copied out of a ring: the first of b, which
// must be the one of that position. Padding is a record here.
func Decode(b []byte, position uint64, rec *app.Record) (end uint64, state State) {
	return decode(b, position, rec)
}

// RecordBytes returns the space that the record at the start of b takes; 0 if no
// record can have the length that stands there, or b is shorter.
func RecordBytes(b []byte) int {
	if len(b) < HeaderBytes {
		return 0
	}
	n := lengthAt(b)
	if n < HeaderBytes || n > MaxRecordBytes || padded(int(n)) > len(b) {
		return 0
	}
	return padded(int(n))
}

// CRC returns the checksum that stands in a raw record's header.
func CRC(raw []byte) uint32 { return binary.LittleEndian.Uint32(raw[offCRC:]) }

var zeroCRC [4]byte

// checksum is CRC-32C over a record with its checksum field taken as zero. The
// record is not touched: other threads may be reading it.
func checksum(b []byte) uint32 {
	return update(update(update(0, b[:offCRC]), zeroCRC[:]), b[offPosition:])
}
