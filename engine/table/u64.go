package table

import "math/bits"

// probeMax bounds how far an entry may stand from its home slot, and with it
// the worst case of every call; Put refuses what would stand farther.
const probeMax = 128

type slot struct {
	key   uint64 // 0: free
	value uint32
}

// U64 maps keys other than 0 to u32 values: open addressing, linear probing,
// deletion by backward shift, so that it never degrades and never grows.
type U64 struct {
	slots []slot
	mask  uint64
	shift uint8 // leaves as many bits of a hash as there are groups of four
	count int
	max   int
}

// NewU64 returns a table for at least entries entries.
func NewU64(entries int) *U64 {
	size := 8
	for size < 2*entries {
		size *= 2
	}
	return &U64{slots: Touched[slot](size), mask: uint64(size - 1), shift: uint8(64 - bits.Len(uint(size/4-1))), max: entries}
}

// home keeps four neighbouring keys in one cache line (ClOrdIDs rise) and
// spreads the groups (Knuth's multiplicative hash). Only the upper bits of the
// product depend on all of the key: on the session above the ClOrdID too.
func (t *U64) home(key uint64) uint64 {
	h := (key >> 2) * 0x9e3779b97f4a7c15
	return h>>(t.shift&63)<<2 | key&3
}

// Clear removes all entries.
func (t *U64) Clear() {
	clear(t.slots)
	t.count = 0
}

// Count returns the number of entries.
func (t *U64) Count() int { return t.count }

// Get returns the value of key.
func (t *U64) Get(key uint64) (uint32, bool) {
	for i := t.home(key); ; i = (i + 1) & t.mask {
		s := &t.slots[i]
		if s.key == key {
			return s.value, key != 0
		}
		if s.key == 0 {
			return 0, false
		}
	}
}

// Warm brings the line where key stands, or would, close to this core. The
// result only keeps the load alive.
func (t *U64) Warm(key uint64) uint64 { return t.slots[t.home(key)].key }

// Put sets the value of key; false: the table is full, or full around key.
func (t *U64) Put(key uint64, value uint32) bool {
	if key == 0 {
		return false
	}
	i := t.home(key)
	for range probeMax {
		s := &t.slots[i]
		if s.key == key {
			s.value = value
			return true
		}
		if s.key == 0 {
			if t.count >= t.max {
				return false
			}
			s.key, s.value = key, value
			t.count++
			return true
		}
		i = (i + 1) & t.mask
	}
	return false
}

// Delete removes key; false: it was not there.
func (t *U64) Delete(key uint64) bool {
	if key == 0 {
		return false
	}
	i := t.home(key)
	for t.slots[i].key != key {
		if t.slots[i].key == 0 {
			return false
		}
		i = (i + 1) & t.mask
	}
	t.count--
	// Close the gap: an entry behind it moves up unless its home lies behind the gap.
	for j := (i + 1) & t.mask; t.slots[j].key != 0; j = (j + 1) & t.mask {
		if h := t.home(t.slots[j].key); (j-h)&t.mask >= (j-i)&t.mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot{}
	return true
}
