package ring

import (
	"encoding/binary"
	"math"
	"slices"
)

// epochStart is where the first record of an epoch lies.
type epochStart struct {
	epoch    uint32
	position uint64
	// before is the epoch of the record before it, 0 at the log's beginning.
	before uint32
}

// index remembers where epochs begin. Append keeps it up to date on the way;
// what the link program or a peer appended is looked through, headers only,
// when it is asked for.
type index struct {
	from   uint64 // what the index knows begins here
	next   uint64 // and ends here
	valid  bool
	epochs []epochStart
}

// note takes in one record that begins where the index ends.
func (x *index) note(epoch uint32, position, end uint64) {
	n := len(x.epochs)
	switch {
	case n == 0 && position == 0:
		x.epochs = append(x.epochs, epochStart{epoch, position, 0})
	case n == 0: // who knows what was there
		x.epochs = append(x.epochs, epochStart{epoch, position, math.MaxUint32})
	case x.epochs[n-1].epoch != epoch:
		x.epochs = append(x.epochs, epochStart{epoch, position, x.epochs[n-1].epoch})
	}
	x.next = end
}

// cut forgets what lies at position and behind it.
func (x *index) cut(position uint64) {
	x.next = min(x.next, position)
	x.epochs = slices.DeleteFunc(x.epochs, func(e epochStart) bool { return e.position >= position })
}

// refresh brings the index up to the tail. It starts anew at the oldest record
// when the ring no longer holds the place where it stopped. It is false when
// the bytes on the way are no records.
func (r *Ring) refresh() bool {
	tail := r.Tail()
	x := &r.index
	if !x.valid || x.next > tail || tail-x.next > r.size {
		oldest := r.Oldest()
		*x = index{from: oldest, next: oldest, valid: true, epochs: x.epochs[:0]}
	}
	for x.next < tail {
		h := r.mem[x.next&r.mask:][:HeaderBytes]
		end := x.next + uint64(padded(int(lengthAt(h))))
		if binary.LittleEndian.Uint64(h[offPosition:]) != x.next || end <= x.next || end > tail {
			return false
		}
		x.note(binary.LittleEndian.Uint32(h[offEpoch:]), x.next, end)
	}
	// Epochs that have left the ring altogether are of no use to anyone.
	for len(x.epochs) > 1 && tail > r.size && x.epochs[1].position <= tail-r.size {
		x.epochs = slices.Delete(x.epochs, 0, 1)
		x.from = x.epochs[0].position
	}
	return true
}

// LastEpoch returns the epoch of the newest record, 0 for an empty log. It
// belongs to the writer's thread, as do FirstAfter and EpochStart.
func (r *Ring) LastEpoch() uint32 {
	if !r.refresh() || len(r.index.epochs) == 0 {
		return 0
	}
	return r.index.epochs[len(r.index.epochs)-1].epoch
}

// FirstAfter returns the position of the first record of a later epoch than
// the given one: where a node whose log ends in that epoch must cut its own, if
// it reaches so far. Without such a record it is the tail and found is false.
// known is false when the place may have been lost: all the ring knows of is
// later, and the log did not begin there.
func (r *Ring) FirstAfter(epoch uint32) (position uint64, found, known bool) {
	if !r.refresh() {
		return r.Tail(), false, false
	}
	for _, e := range r.index.epochs {
		if e.epoch > epoch {
			return e.position, true, e.before <= epoch
		}
	}
	return r.Tail(), false, true
}

// EpochStart returns the position of an epoch's first record, if the ring has
// seen it.
func (r *Ring) EpochStart(epoch uint32) (position uint64, found bool) {
	if !r.refresh() {
		return 0, false
	}
	for _, e := range r.index.epochs {
		if e.epoch == epoch {
			return e.position, true
		}
	}
	return 0, false
}
