package store

import (
	"onebeat/engine/app"
	"onebeat/engine/cold"
	"onebeat/engine/operator"
)

// Operate takes an operator's command about one of these sessions.
func (s *Sessions) Operate(c *operator.Command, timeNs int64, _ *app.Outbox) (r operator.Result, handled bool) {
	if !s.Owns(c.Session) {
		return r, false
	}
	at := uint16(c.Session - s.cfg.First)
	x := &s.sessions[at]
	s.timeNs = timeNs
	switch c.Kind {
	case operator.SessionTerminate:
	case operator.SessionBlock:
		x.blocked = true
	case operator.SessionUnblock:
		x.blocked = false
		return operator.Result{Outcome: operator.Applied}, true
	case operator.SessionReset:
		s.reset(x)
		if c.Value > 0 {
			x.nextIn = uint64(c.Value)
			s.setOut(x, uint64(c.Value))
		}
	default:
		return operator.Result{Outcome: operator.NotSupported}, true
	}
	s.tell(&cold.Entry{Kind: Broken, Session: at})
	return operator.Result{Outcome: operator.Applied}, true
}
