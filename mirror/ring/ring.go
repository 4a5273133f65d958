package ring

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"sync/atomic"

	"onebeat/mirror/lane"
)

const (
	// HeaderBytes is the length of a record's header, struct ob_record_hdr.
	HeaderBytes = 32
	// MaxRecordBytes bounds header and payload.
	MaxRecordBytes = 1024
	// MaxPayloadBytes bounds a record's payload.
	MaxPayloadBytes = MaxRecordBytes - HeaderBytes
	// AlignBytes: every record starts and ends on a multiple of it.
	AlignBytes = 32
	// SlackBytes must follow the ring in memory: what the link program's
	// bounded copy may touch behind the last byte it writes.
	SlackBytes = 2048
	// MinSizeBytes keeps every padding record shorter than the ring.
	MinSizeBytes = 4096
)

// NoLimit lets Append run without regard to readers.
const NoLimit = math.MaxUint64

var (
	// ErrSize means that the ring's memory or size cannot hold a ring.
	ErrSize = errors.New("ring size")
	// ErrPosition means that a position is not where the log can go on.
	ErrPosition = errors.New("ring position")
	// ErrRecord means that bytes are not whole, unharmed records.
	ErrRecord = errors.New("ring record")
	// ErrFull means that a write would overrun the limit set for readers.
	ErrFull = errors.New("ring full")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Ring is one process's view of a lane's log. Methods that write (Append,
// WriteRaw, Cut, Reset, SetLimit) belong to the one writer; all others may run
// in any thread.
type Ring struct {
	mem  []byte // size + SlackBytes
	size uint64
	mask uint64
	tail *uint64 // in the lane table; atomic
	// limit is the position a write must not pass: the slowest reader's applied
	// position plus the ring's size.
	limit uint64
	// epochFloor is the epoch of the newest record this view wrote: none may be
	// older behind it.
	epochFloor uint32
	start      uint64 // nothing lies before it: where Reset began the log
	cuts       *lane.Cuts
	index      index
	header     [HeaderBytes]byte // of the record being appended; as a local variable it would escape
}

// New makes a ring of sizeBytes, a power of two, over mem, which holds at least
// sizeBytes+SlackBytes. tail points to the published end of the log in shared
// memory. Nothing is changed: an adopted ring goes on where it stopped.
func New(mem []byte, sizeBytes int, tail *uint64) (*Ring, error) {
	switch {
	case sizeBytes < MinSizeBytes || sizeBytes&(sizeBytes-1) != 0:
		return nil, fmt.Errorf("%w: %d bytes is not a power of two from %d on; set ring_size", ErrSize, sizeBytes, MinSizeBytes)
	case len(mem) < sizeBytes+SlackBytes:
		return nil, fmt.Errorf("%w: %d bytes of memory for a ring of %d, which needs %d", ErrSize, len(mem), sizeBytes, sizeBytes+SlackBytes)
	case tail == nil:
		return nil, fmt.Errorf("%w: no tail to publish to", ErrSize)
	}
	if t := atomic.LoadUint64(tail); t%AlignBytes != 0 {
		return nil, fmt.Errorf("%w: tail %d is not a multiple of %d: not a ring of this version; start the lane with an empty one", ErrPosition, t, AlignBytes)
	}
	return &Ring{
		mem:  mem[: sizeBytes+SlackBytes : sizeBytes+SlackBytes],
		size: uint64(sizeBytes), mask: uint64(sizeBytes) - 1,
		tail: tail, limit: NoLimit, cuts: &lane.Cuts{},
	}, nil
}

// SizeBytes returns the ring's size.
func (r *Ring) SizeBytes() int { return int(r.size) }

// Tail returns the published end of the log. It pairs with the store in Append
// and with the link program's.
func (r *Ring) Tail() uint64 { return atomic.LoadUint64(r.tail) }

// SetLimit sets the position that writes must not pass: the slowest reader's
// applied position plus SizeBytes.
func (r *Ring) SetLimit(position uint64) { r.limit = position }

// Limit returns what SetLimit set.
func (r *Ring) Limit() uint64 { return r.limit }

// Room returns how many bytes fit before the limit.
func (r *Ring) Room() uint64 {
	if tail := r.Tail(); tail < r.limit {
		return r.limit - tail
	}
	return 0
}

// PaddedBytes returns the space a record with payloadBytes takes in the ring.
func PaddedBytes(payloadBytes int) int { return padded(HeaderBytes + payloadBytes) }

func padded(lengthBytes int) int { return (lengthBytes + AlignBytes - 1) &^ (AlignBytes - 1) }

// Bytes returns the log from one position up to another, or up to the ring's
// end if that comes first. The caller has checked that the ring holds it.
func (r *Ring) Bytes(from, to uint64) []byte {
	i := from & r.mask
	n := min(to-from, r.size-i)
	return r.mem[i : i+n : i+n]
}

// Batch returns the whole records from position on that fit into maxBytes and
// do not cross the ring's end, and the position behind them. The view is empty
// at the tail, when the next record is longer than maxBytes, and when the bytes
// there are no records.
func (r *Ring) Batch(from uint64, maxBytes int) (view []byte, next uint64) {
	tail := r.Tail()
	if from >= tail || tail-from > r.size || from%AlignBytes != 0 {
		return nil, from
	}
	i := from & r.mask
	room := min(tail-from, r.size-i)
	if room <= uint64(maxBytes) {
		return r.mem[i : i+room : i+room], from + room
	}
	n := uint64(0)
	for n < room {
		step := uint64(padded(int(lengthAt(r.mem[i+n:]))))
		if step == 0 || step > MaxRecordBytes || n+step > uint64(maxBytes) {
			break
		}
		n += step
	}
	return r.mem[i : i+n : i+n], from + n
}
