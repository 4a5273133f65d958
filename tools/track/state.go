package track

// state counts results in a row. A check begins up: a node that has just started
// gives nothing away because nothing was looked at yet.
//
//	UP ──fall bad results in a row──► DOWN
//	 ▲                                  │
//	 └────rise good results in a row────┘
type state struct {
	rise, fall int
	down       bool
	against    int // results in a row that speak against the present state
}

// result takes one result and reports whether the state changed.
func (s *state) result(good bool) bool {
	if good != s.down {
		s.against = 0
		return false
	}
	s.against++
	need := s.fall
	if s.down {
		need = s.rise
	}
	if s.against < max(1, need) {
		return false
	}
	s.down, s.against = !s.down, 0
	return true
}
