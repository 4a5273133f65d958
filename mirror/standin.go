package mirror

import (
	"onebeat/mirror/recv"
	"onebeat/xdp"
)

// StandIn is the link port of a node without kernel programs: a UDP socket
// whose frames first pass the link program's rules in Go. What they answer
// leaves at once, a ride they release leaves by the order port, and only what
// the kernel would leave to user space is received.
//
// The rules run on the engine's thread, so a dead engine's host says nothing:
// its death is noticed by silence, where that is configured to promote.
type StandIn struct {
	xdp.Port // the link socket
	order    xdp.Port
	rules    *recv.Receiver
	tickNs   int64
	nextTick int64
	clock    func() int64
	taken    []int // frames of the last Recv that are user space's
}

// NewStandIn puts the rules before a link socket. clock is CLOCK_MONOTONIC in
// nanoseconds, tickNs the period of what is the kernel's timer elsewhere.
func NewStandIn(link, order xdp.Port, rules *recv.Receiver, tickNs int64, clock func() int64) *StandIn {
	return &StandIn{Port: link, order: order, rules: rules, tickNs: tickNs, clock: clock, taken: make([]int, 0, linkBurst)}
}

// linkBurst bounds the frames of one Recv.
const linkBurst = 256

// Recv implements xdp.Port.
func (s *StandIn) Recv(max int) int {
	nowNs := s.clock()
	if nowNs >= s.nextTick {
		s.nextTick = nowNs + s.tickNs
		s.rules.Tick(nowNs)
	}
	s.taken = s.taken[:0]
	n := s.Port.Recv(min(max, linkBurst))
	for i := range n {
		if s.pass(s.Port.Frame(i), nowNs) {
			s.taken = append(s.taken, i)
		}
	}
	if n > 0 {
		s.Port.Kick()
		s.order.Kick()
	}
	if n > 0 && len(s.taken) == 0 {
		s.Port.Done()
	}
	return len(s.taken)
}

// pass applies the rules to one frame and reports whether user space gets it.
func (s *StandIn) pass(b []byte, nowNs int64) bool {
	reply := s.Port.Reserve()
	if reply == nil {
		return false // as lost; it is sent again
	}
	verdict, n, _ := s.rules.Step(b, nowNs, reply)
	switch verdict {
	case recv.Answer:
		s.Port.Submit(n)
	case recv.Release:
		if out := s.order.Reserve(); out != nil {
			s.order.Submit(copy(out, b[n:]))
		}
	case recv.ToEngine:
		return true
	}
	return false
}

// Frame implements xdp.Port.
func (s *StandIn) Frame(i int) []byte { return s.Port.Frame(s.taken[i]) }
