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
}

// timer is a session's place in the wheel.
type timer struct {
	next, prev int32 // session + 1 in the same tick; 0: none
	tick       int64 // 0: it has no place
}

// clear takes every session out; what they know of their places counts no more.
func (w *wheel) clear(nowNs int64) { *w = wheel{tick: nowNs / tickNs} }

// schedule has session i looked at at dueNs, or up to two ticks later.
func (s *Server) schedule(i uint32, dueNs int64) {
	s.unschedule(i)
	w, t := &s.wheel, &s.sessions[i].due
	t.tick = min(max((dueNs+tickNs-1)/tickNs, w.tick+1), w.tick+wheelTicks-1)
	slot := &w.first[uint64(t.tick)%wheelTicks]
	t.prev, t.next = 0, *slot
	if *slot != 0 {
		s.sessions[*slot-1].due.prev = int32(i) + 1
	}
	*slot = int32(i) + 1
}

func (s *Server) unschedule(i uint32) {
	t := &s.sessions[i].due
	if t.tick == 0 {
		return
	}
	if t.prev != 0 {
		s.sessions[t.prev-1].due.next = t.next
	} else {
		s.wheel.first[uint64(t.tick)%wheelTicks] = t.next
	}
	if t.next != 0 {
		s.sessions[t.next-1].due.prev = t.prev
	}
	*t = timer{}
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
