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

// Ahead returns the place that Take would return after k others if no order finished
// meanwhile, None if there is none.
func (p *Places) Ahead(k int) uint32 {
	// Finished ones beyond those retained come first, then the fresh, then the others.
	if first := max(p.count-p.retain, 0); k >= first {
		fresh := len(p.finished) - p.used
		if k-first < fresh {
			return uint32(p.used + k - first)
		}
		k -= fresh
	}
	if k >= p.count {
		return None
	}
	at := p.head + k
	if at >= len(p.finished) {
		at -= len(p.finished)
	}
	return p.finished[at]
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
