package ring

import (
	"encoding/binary"
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/xdp/publish"
)

// Offsets in struct ob_record_hdr.
const (
	offLength   = 0
	offType     = 4
	offFlags    = 6
	offEpoch    = 8
	offCRC      = 12
	offPosition = 16
	offTime     = 24
)

func lengthAt(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

// Append writes a record at the tail and publishes it. It returns the record's
// position and the new tail; ok is false, and nothing has changed, when the
// record would pass the limit or its payload exceeds MaxPayloadBytes.
func (r *Ring) Append(typ app.RecordType, epoch uint32, timeNs int64, payload []byte) (position, end uint64, ok bool) {
	if len(payload) > MaxPayloadBytes {
		return 0, 0, false
	}
	tail := atomic.LoadUint64(r.tail)
	need := uint64(PaddedBytes(len(payload)))
	position = tail
	rest := r.size - tail&r.mask
	if need > rest {
		position += rest
	}
	end = position + need
	if end > r.limit {
		return 0, 0, false
	}
	if need > rest {
		r.put(tail, app.RecordPadding, epoch, timeNs, nil, int(rest))
	}
	r.put(position, typ, epoch, timeNs, payload, HeaderBytes+len(payload))
	if r.index.valid && r.index.next == tail {
		if epoch == r.epochFloor {
			r.index.next = end
		} else {
			r.index.note(epoch, tail, end)
		}
	}
	r.epochFloor = epoch
	publish.Uint64(r.tail, end)
	return position, end, true
}

// put writes one record of lengthBytes, its payload zero filled up to there and
// on to the next multiple of AlignBytes: what the ring held before must neither
// reach the peer nor look like a record. The tail's store publishes it.
func (r *Ring) put(position uint64, typ app.RecordType, epoch uint32, timeNs int64, payload []byte, lengthBytes int) {
	i := position & r.mask
	b := r.mem[i : i+uint64(padded(lengthBytes))]
	if len(payload) <= len(b)-HeaderBytes-AlignBytes {
		clear(b[HeaderBytes:]) // padding record
	}
	// The last step first: payload then covers all but the padding.
	last := (*[AlignBytes]byte)(b[len(b)-AlignBytes:])
	*last = [AlignBytes]byte{}
	h, le := &r.header, binary.LittleEndian
	length := uint64(lengthBytes) | uint64(typ)<<32
	le.PutUint64(h[offLength:], length)
	le.PutUint64(h[offEpoch:], uint64(epoch)) // crc32c = 0
	le.PutUint64(h[offPosition:], position)
	le.PutUint64(h[offTime:], uint64(timeNs))
	copy(b[HeaderBytes:], payload)
	// Of the source, not of the ring: a load that spans two stores waits until
	// they have reached a cache line that is nearly always a cold one.
	body := payload
	if len(payload) != lengthBytes-HeaderBytes {
		body = b[HeaderBytes:lengthBytes] // padding record
	}
	crc := update(update(0, h[:]), body)
	to := (*[HeaderBytes]byte)(b)
	le.PutUint64(to[offLength:], length)
	le.PutUint64(to[offEpoch:], uint64(epoch)|uint64(crc)<<32)
	le.PutUint64(to[offPosition:], position)
	le.PutUint64(to[offTime:], uint64(timeNs))
}

// warmBytes is how far ahead Warm touches: an order's record and some.
const warmBytes = 256

// Warm loads a byte of each cache line behind the tail. The ring is larger than
// the caches, so the next record would wait for memory; between two orders
// nobody waits. The result only keeps the loads alive.
func (r *Ring) Warm() (sum byte) {
	i := atomic.LoadUint64(r.tail) & r.mask
	for _, b := range [...]byte{r.mem[i], r.mem[i+64], r.mem[i+128], r.mem[i+192], r.mem[i+warmBytes]} {
		sum ^= b
	}
	return sum
}
