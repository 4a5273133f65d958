package fixp

const (
	tickNs     = 1_000_000
	wheelTicks = 1024 // what is due later is looked at again meanwhile
)

// wheel holds the sessions by the tick at which they are to be looked at, so that
// Poll's work depends on what is due, not on how many sessions there are. Nothing
// moves a session back when its client speaks: it is found not yet due and put
// where it then belongs.
type wheel struct {
	first [wheelTicks]int32 // session + 1; 0: none
	tick  int64             // the next to be looked at
	dueNs int64             // and when
}

// link joins the sessions of one tick, apart from the sessions themselves: they
// are touched for others' sake.
type link struct{ next, prev int32 } // session + 1; 0: none

// clear takes every session out; what they know of their places counts no more.
func (w *wheel) clear(nowNs int64) { *w = wheel{tick: nowNs / tickNs, dueNs: nowNs} }

// schedule has session i looked at at dueNs, or up to two ticks later.
func (s *Server) schedule(i uint32, dueNs int64) {
	s.unschedule(i)
	w, x := &s.wheel, &s.sessions[i]
	tick := min(max((dueNs+tickNs-1)/tickNs, w.tick+1), w.tick+wheelTicks-1)
	x.dueNs = tick * tickNs
	first := &w.first[uint64(tick)%wheelTicks]
	s.links[i] = link{next: *first}
	if *first != 0 {
		s.links[*first-1].prev = int32(i) + 1
	}
	*first = int32(i) + 1
}

func (s *Server) unschedule(i uint32) {
	x, l := &s.sessions[i], s.links[i]
	if x.dueNs == 0 {
		return
	}
	if l.prev != 0 {
		s.links[l.prev-1].next = l.next
	} else {
		s.wheel.first[uint64(x.dueNs/tickNs)%wheelTicks] = l.next
	}
	if l.next != 0 {
		s.links[l.next-1].prev = l.prev
	}
	x.dueNs = 0
}

// list keeps the session among those that time may bring something about for, or
// takes it out.
func (s *Server) list(i uint32) {
	x := &s.sessions[i]
	switch {
	case x.timed() && x.live == 0:
		s.live = append(s.live, i)
		x.live = int32(len(s.live))
	case !x.timed() && x.live != 0:
		last := s.live[len(s.live)-1]
		s.live[x.live-1], s.sessions[last].live = last, x.live
		s.live, x.live = s.live[:len(s.live)-1], 0
	}
	if x.timed() {
		s.schedule(i, s.dueNs(x))
	} else {
		s.unschedule(i)
	}
}
