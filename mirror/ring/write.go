package ring

import (
	"fmt"
	"math"
	"sync/atomic"

	"onebeat/engine/app"
)

// WriteRaw appends records another node wrote, at the positions they have
// there. It takes whole, unharmed records that continue the log, do not cross
// the ring's end, do not pass the limit and whose epochs never fall; nothing
// is written otherwise.
func (r *Ring) WriteRaw(position uint64, records []byte) error {
	epoch, err := r.check(position, records)
	if err != nil {
		return err
	}
	tail := r.Tail()
	if position != tail {
		return fmt.Errorf("%w: records at %d do not continue the log at %d", ErrPosition, position, tail)
	}
	if position+uint64(len(records)) > r.limit {
		return fmt.Errorf("%w: records up to %d pass the limit %d", ErrFull, position+uint64(len(records)), r.limit)
	}
	r.epochFloor = epoch
	return r.CopyIn(position, records)
}

// CopyIn appends records that were checked elsewhere (the link program's way:
// the frame's MAC vouches for them): only alignment, place and the ring's end
// are checked.
func (r *Ring) CopyIn(position uint64, records []byte) error {
	i := position & r.mask
	n := uint64(len(records))
	if position != r.Tail() || position%AlignBytes != 0 || n%AlignBytes != 0 || n > r.size-i {
		return fmt.Errorf("%w: %d bytes at %d", ErrPosition, n, position)
	}
	copy(r.mem[i:i+n], records)
	atomic.StoreUint64(r.tail, position+n)
	return nil
}

// Check validates records meant for position without writing them.
func (r *Ring) Check(position uint64, records []byte) error {
	_, err := r.check(position, records)
	return err
}

// check returns the epoch of the last record.
func (r *Ring) check(position uint64, records []byte) (uint32, error) {
	if position%AlignBytes != 0 {
		return 0, fmt.Errorf("%w: %d is not a multiple of %d", ErrPosition, position, AlignBytes)
	}
	if rest := r.size - position&r.mask; uint64(len(records)) > rest {
		return 0, fmt.Errorf("%w: %d bytes at %d cross the ring's end", ErrPosition, len(records), position)
	}
	epoch := r.epochFloor
	for n := 0; n < len(records); {
		var rec app.Record
		at := position + uint64(n)
		end, state := decode(records[n:], at, &rec)
		if state != Found {
			return 0, fmt.Errorf("%w at %d: %s", ErrRecord, at, state)
		}
		if rec.Epoch < epoch {
			return 0, fmt.Errorf("%w at %d: epoch %d after %d", ErrRecord, at, rec.Epoch, epoch)
		}
		epoch = rec.Epoch
		n += int(end - at)
	}
	return epoch, nil
}

// Reset makes the ring an empty log that goes on at position, a multiple of
// AlignBytes, behind a record of the given epoch, 0: at the log's beginning: where
// a state that came from elsewhere ends.
func (r *Ring) Reset(position uint64, epoch uint32) {
	if position%AlignBytes != 0 {
		panic(fmt.Sprintf("ring reset to %d, not a multiple of %d", position, AlignBytes))
	}
	r.beginCut(position | isReset)
	clear(r.mem)
	r.epochFloor, r.start = epoch, position
	r.index = index{}
	if epoch != 0 {
		// Where that epoch began is not known: a log that ends before it cannot be
		// told where to cut.
		r.index = index{from: position, next: position, valid: true,
			epochs: []epochStart{{epoch, position, math.MaxUint32}}}
	}
	atomic.StoreUint64(r.tail, position)
	r.endCut()
}

// Cut ends the log at position, a record's start in what the ring holds. The
// caller has kept the bytes from there to the tail, if anyone wants them.
func (r *Ring) Cut(position uint64) error {
	var rec app.Record
	switch _, state := r.read(position, &rec); state {
	case AtTail:
		return nil
	case Found:
	default:
		return fmt.Errorf("%w: cannot cut the log at %d: %s", ErrPosition, position, state)
	}
	tail := r.Tail()
	r.beginCut(position)
	atomic.StoreUint64(r.tail, position)
	for from := position; from < tail; {
		b := r.Bytes(from, tail)
		clear(b)
		from += uint64(len(b))
	}
	r.endCut()
	r.epochFloor = 0
	r.index.cut(position)
	return nil
}
