package cold

import (
	"encoding/binary"
	"sync/atomic"
)

const (
	lengthBytes = 8 // before each entry, a multiple of which it is padded to
	skip        = ^uint32(0)
)

// Ring carries entries of bytes from one goroutine to another. An entry is written in
// three steps: Begin and End write it, Publish lets the other side see it.
type Ring struct {
	buf  []byte
	mask uint64

	_    [64]byte
	head atomic.Uint64 // first entry that is not taken; written by the consumer
	_    [64]byte
	tail atomic.Uint64 // behind the last published entry; written by the producer
	_    [64]byte

	// The producer's own.
	end    uint64 // behind the last written entry
	free   uint64 // head as it was last read
	opened uint64 // where the entry being written begins

	// The consumer's own.
	taken uint64 // behind the entry that Next returned
}

// NewRing returns a ring of so many bytes, a power of two.
func NewRing(sizeBytes int) *Ring {
	if sizeBytes < 1024 || sizeBytes&(sizeBytes-1) != 0 {
		panic("cold: a ring's size is a power of two of at least 1024")
	}
	return &Ring{buf: make([]byte, sizeBytes), mask: uint64(sizeBytes - 1)}
}

func padded(n int) uint64 { return uint64(n+lengthBytes+lengthBytes-1) &^ (lengthBytes - 1) }

// EntryMaxBytes is the longest entry.
func (r *Ring) EntryMaxBytes() int { return len(r.buf)/4 - lengthBytes }

// Room returns how many bytes of entries can be written at least.
func (r *Ring) Room() int {
	r.free = r.head.Load()
	return max(0, (len(r.buf)-int(r.end-r.free))/2-2*lengthBytes)
}

// Begin returns room for an entry of at most n bytes, nil while there is none.
func (r *Ring) Begin(n int) []byte {
	if n > r.EntryMaxBytes() {
		return nil
	}
	need := padded(n)
	at := r.end & r.mask
	skipped := uint64(0)
	if rest := uint64(len(r.buf)) - at; rest < need {
		skipped = rest
	}
	if r.end+skipped+need-r.free > uint64(len(r.buf)) {
		r.free = r.head.Load()
		if r.end+skipped+need-r.free > uint64(len(r.buf)) {
			return nil
		}
	}
	if skipped > 0 {
		binary.LittleEndian.PutUint32(r.buf[at:], skip)
	}
	r.opened = r.end + skipped
	at = r.opened & r.mask
	return r.buf[at+lengthBytes : at+lengthBytes+uint64(n) : at+need]
}

// End ends the entry that Begin started, of n bytes.
func (r *Ring) End(n int) {
	binary.LittleEndian.PutUint32(r.buf[r.opened&r.mask:], uint32(n))
	r.end = r.opened + padded(n)
}

// Publish lets the consumer see everything written. The store pairs with the load in
// Next.
func (r *Ring) Publish() { r.tail.Store(r.end) }

// Unpublished reports whether something written waits.
func (r *Ring) Unpublished() bool { return r.end != r.tail.Load() }

// PublishWhile publishes the written entries one by one while allowed says so, and
// returns how many they were.
func (r *Ring) PublishWhile(allowed func(entry []byte) bool) int {
	at, n := r.tail.Load(), 0
	for at != r.end {
		next, entry := r.at(at)
		if entry != nil {
			if !allowed(entry) {
				break
			}
			n++
		}
		at = next
	}
	if n > 0 {
		r.tail.Store(at)
	}
	return n
}

// Drop takes back what was written and not published.
func (r *Ring) Drop() { r.end = r.tail.Load() }

func (r *Ring) at(position uint64) (next uint64, entry []byte) {
	at := position & r.mask
	n := binary.LittleEndian.Uint32(r.buf[at:])
	if n == skip {
		return position + uint64(len(r.buf)) - at, nil
	}
	return position + padded(int(n)), r.buf[at+lengthBytes : at+lengthBytes+uint64(n)]
}

// Next returns the oldest published entry, nil if there is none. It stays valid until
// Done, and Next returns it again until then.
func (r *Ring) Next() []byte {
	for {
		position := r.head.Load()
		if position == r.tail.Load() {
			return nil
		}
		next, entry := r.at(position)
		if entry == nil {
			r.head.Store(next)
			continue
		}
		r.taken = next
		return entry
	}
}

// Done frees the entry that Next returned.
func (r *Ring) Done() { r.head.Store(r.taken) }

// Empty reports whether nothing published waits. Either side may ask.
func (r *Ring) Empty() bool { return r.head.Load() == r.tail.Load() }
