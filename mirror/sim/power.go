package sim

import "onebeat/mirror/fence"

// shooter is a process's fence agents: they take the other host's power, and
// hang, fail and lie meanwhile. What it believes of them is fence.Trial's.
type shooter struct {
	h       *host
	gen     uint64
	delayNs int64 // before the first off: of two that shoot each other one waits

	wanted, off uint64
	wantedNs    int64 // when the last wish was made
	waiting     int
	working     bool
	sent        bool
	backoffNs   int64
}

var _ fence.Switch = (*shooter)(nil)

// Node implements fence.Switch.
func (s *shooter) Node() uint8 { return uint8(2 - s.h.i) }

// Want implements fence.Switch.
func (s *shooter) Want() uint64 {
	s.waiting++
	s.wanted++
	s.wantedNs = s.h.w.nowNs
	if !s.working {
		s.working, s.backoffNs = true, firstBackoffNs
		s.later(s.delayNs, s.try)
	}
	return s.wanted
}

// Covered implements fence.Switch.
func (s *shooter) Covered(wish uint64) bool { return s.off >= wish }

// Leave implements fence.Switch.
func (s *shooter) Leave() { s.waiting-- }

// Sent implements fence.Switch.
func (s *shooter) Sent() bool { return s.sent }

// Times of the simulated devices: real ones take a thousand times longer.
const (
	firstBackoffNs = 1 * ms
	maxBackoffNs   = 8 * ms
	agentLimitNs   = 12 * ms
	settleForNs    = 6 * ms
	statusEveryNs  = 250 * us
)

// later goes on after a while, if the process still lives: its agents die with it.
func (s *shooter) later(afterNs int64, what func()) {
	w := s.h.w
	w.undo(afterNs, func() {
		if s.h.p != nil && s.h.p.gen == s.gen {
			what()
		}
	})
}

// try is one attempt for what was wished until now.
func (s *shooter) try() {
	w, victim := s.h.w, s.h.w.hosts[1-s.h.i]
	if s.waiting == 0 || s.wanted == s.off {
		s.working = false
		return
	}
	wish := s.wanted
	s.sent = true
	n := w.dice.IntN(10)
	if w.peace {
		n = 9
	}
	w.tell("host %d takes the power of host %d: attempt %d", s.h.i, victim.i, n)
	wishedNs := s.wantedNs
	off := func() { victim.losePower(wishedNs) }
	switch takesNs := w.between(100*us, 3*ms); n {
	case 0: // hangs, for nothing
		s.later(agentLimitNs, func() { s.ended(wish, false) })
	case 1: // hangs, after it has done it
		s.later(takesNs, off)
		s.later(agentLimitNs, func() { s.ended(wish, false) })
	case 2: // fails
		s.later(takesNs, func() { s.ended(wish, false) })
	case 3: // says that it failed, and has done it
		s.later(takesNs, func() {
			off()
			s.ended(wish, false)
		})
	case 4, 5: // lies
		s.later(takesNs, func() { s.believe(wish, new(fence.Trial)) })
	case 6, 7: // does it later than it says
		s.later(takesNs, func() { s.believe(wish, new(fence.Trial)) })
		s.later(takesNs+w.between(0, settleForNs), off)
	default:
		s.later(takesNs, func() {
			off()
			s.believe(wish, new(fence.Trial))
		})
	}
}

// believe asks the device what the host's power is, once an off succeeded. A
// status lies now and then, but not twice.
func (s *shooter) believe(wish uint64, trial *fence.Trial) {
	endNs := s.h.w.nowNs + settleForNs
	if trial.Off() {
		s.ended(wish, true)
		return
	}
	lied := false
	var ask func()
	ask = func() {
		w, power := s.h.w, fence.PowerOn
		if s.h.w.hosts[1-s.h.i].off {
			power = fence.PowerOff
		} else if !lied && !w.peace && w.chance(8) {
			lied, power = true, fence.PowerOff
		}
		switch {
		case trial.Status(power):
			s.ended(wish, true)
		case w.nowNs >= endNs:
			s.ended(wish, false)
		default:
			s.later(statusEveryNs, ask)
		}
	}
	ask()
}

// ended is the end of an attempt.
func (s *shooter) ended(wish uint64, off bool) {
	s.sent = false
	if off {
		s.off = wish
		s.h.w.tell("host %d believes that host %d has no power", s.h.i, 1-s.h.i)
		s.try()
		return
	}
	s.later(s.backoffNs, s.try)
	s.backoffNs = min(2*s.backoffNs, maxBackoffNs)
}

// losePower takes all that is in a host's memory, for what the other wished at
// wishedNs. Somebody gives it back later.
func (h *host) losePower(wishedNs int64) {
	w := h.w
	if h.tookNs > wishedNs && w.cfg.Mode.Degrades {
		w.judge.shotAlone(h)
	}
	w.tell("host %d has no power", h.i)
	w.result.Shots++
	w.fragile, w.settled = true, false
	h.p = nil
	h.boot()
	if h.off {
		return
	}
	h.off = true
	w.undo(w.between(1*ms, 30*ms), func() {
		h.off = false
		h.revive()
	})
}
