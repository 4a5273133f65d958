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
	second   xdp.Port // the second path's socket; nil: there is none
	rules    *recv.Receiver
	tickNs   int64
	nextTick int64
	clock    func() int64
	taken    []int // frames of the last Recv that are user space's
}

// NewStandIn puts the rules before a link socket, and before that of the second
// path if there is one. clock is CLOCK_MONOTONIC in nanoseconds, tickNs the
// period of what is the kernel's timer elsewhere.
func NewStandIn(link, order, second xdp.Port, rules *recv.Receiver, tickNs int64, clock func() int64) *StandIn {
	return &StandIn{Port: link, order: order, second: second, rules: rules, tickNs: tickNs, clock: clock, taken: make([]int, 0, linkBurst)}
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
	if s.second != nil {
		s.answerSecond(nowNs)
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

// answerSecond applies the rules to what came by the second path: none of it is
// user space's.
func (s *StandIn) answerSecond(nowNs int64) {
	n := s.second.Recv(linkBurst)
	if n == 0 {
		return
	}
	for i := range n {
		reply := s.second.Reserve()
		if reply == nil {
			break // as lost; it is sent again
		}
		if verdict, bytes, _ := s.rules.Second(s.second.Frame(i), nowNs, reply); verdict == recv.Answer {
			s.second.Submit(bytes)
		}
	}
	s.second.Done()
	s.second.Kick()
}
