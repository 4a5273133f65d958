package table

// None is no place.
const None = ^uint32(0)

// Places hands out the indices of a fixed number of orders. A finished order
// keeps its place, so that its state can still be told; the oldest of them
// gives it up when more than retain are finished or no fresh place is left.
type Places struct {
	finished []uint32 // a ring: each place is in it at most once
	head     int      // of the oldest
	count    int
	retain   int
	used     int // places handed out at least once
}

// NewPlaces returns places that remember retain finished orders at least, room
// permitting.
func NewPlaces(places, retain int) Places {
	return Places{finished: Touched[uint32](places), retain: retain}
}

// Take returns a place, None when every one is of an open order. forget: the
// finished order that stands there must be forgotten.
func (p *Places) Take() (i uint32, forget bool) {
	if p.used < len(p.finished) && p.count <= p.retain {
		p.used++
		return uint32(p.used - 1), false
	}
	if p.count == 0 {
		return None, false
	}
	i = p.finished[p.head]
	if p.head++; p.head == len(p.finished) {
		p.head = 0
	}
	p.count--
	return i, true
}

// Next returns the place that Take would return now, None if there is none.
func (p *Places) Next() uint32 {
	switch {
	case p.used < len(p.finished) && p.count <= p.retain:
		return uint32(p.used)
	case p.count == 0:
		return None
	}
	return p.finished[p.head]
}

// Finish says that the order of a place taken is finished.
func (p *Places) Finish(i uint32) {
	tail := p.head + p.count
	if tail >= len(p.finished) {
		tail -= len(p.finished)
	}
	p.finished[tail] = i
	p.count++
}
