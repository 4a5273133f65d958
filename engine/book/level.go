package book

// level is all orders of one price, oldest first.
type level struct {
	priceTicks int64 // negated for asks, so that the best level is the greatest
	head, tail uint32
}

// side is the levels of one side of one symbol, ascending: the best is last, so
// that the common changes move few entries.
type side struct {
	levels []level
	count  int
}

// search returns the index of the first level at or above rank.
func (s *side) search(rank int64) int {
	// Most orders are for one of the best levels.
	for k := s.count; k > 0 && s.count-k < 8; k-- {
		if s.levels[k-1].priceTicks < rank {
			return k
		}
	}
	low, high := 0, s.count
	for low < high {
		mid := int(uint(low+high) / 2)
		if s.levels[mid].priceTicks < rank {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// room reports whether an order of this rank could rest.
func (s *side) room(rank int64) bool {
	if s.count < len(s.levels) {
		return true
	}
	k := s.search(rank)
	return k < s.count && s.levels[k].priceTicks == rank
}

// push adds an order at the end of its level; room has been checked.
func (b *Book) push(s *side, rank int64, i uint32) {
	k := s.search(rank)
	if k == s.count || s.levels[k].priceTicks != rank {
		copy(s.levels[k+1:s.count+1], s.levels[k:s.count])
		s.levels[k] = level{priceTicks: rank, head: none, tail: none}
		s.count++
	}
	l, o := &s.levels[k], &b.orders[i]
	o.prev, o.next = l.tail, none
	if l.tail == none {
		l.head = i
	} else {
		b.orders[l.tail].next = i
	}
	l.tail = i
}

// pushFirst adds an order before all others of its level: it stood there, and keeps
// its place.
func (b *Book) pushFirst(s *side, rank int64, i uint32) {
	k := s.search(rank)
	if k == s.count || s.levels[k].priceTicks != rank {
		b.push(s, rank, i)
		return
	}
	l, o := &s.levels[k], &b.orders[i]
	o.prev, o.next = none, l.head
	b.orders[l.head].prev = i
	l.head = i
}

// remove takes an order out of its level, and an empty level out of the side.
func (b *Book) remove(s *side, rank int64, i uint32) {
	k := s.search(rank)
	l, o := &s.levels[k], &b.orders[i]
	if o.prev == none {
		l.head = o.next
	} else {
		b.orders[o.prev].next = o.next
	}
	if o.next == none {
		l.tail = o.prev
	} else {
		b.orders[o.next].prev = o.prev
	}
	if l.head == none {
		copy(s.levels[k:s.count-1], s.levels[k+1:s.count])
		s.count--
	}
}
