package fixp

import (
	"onebeat/engine/app"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
)

// Operate executes an operator's command about a session; handled false: it is
// none of these sessions.
func (s *Server) Operate(c *operator.Command, timeNs int64, out *app.Outbox) (r operator.Result, handled bool) {
	if int(c.Session) >= len(s.sessions) {
		return operator.Result{}, false
	}
	i, x := c.Session, &s.sessions[c.Session]
	s.changed(x, i)
	r.Outcome = operator.Unchanged
	switch c.Kind {
	case operator.SessionTerminate:
		if x.state == Established {
			s.cut(x, timeNs, sbe.SessionCodeOperator, out)
			r.Outcome = operator.Applied
		}
	case operator.SessionFinish:
		if x.state == Established && !x.closing {
			x.closing, r.Outcome = true, operator.Applied
			s.turnOf(x).closeNs = 0
			x.lastTxNs = s.nowNs - x.keepAliveNs // said at the next look
		}
	case operator.SessionBlock:
		if !x.blocked {
			x.blocked, r.Outcome = true, operator.Applied
		}
		if x.state == Established {
			s.cut(x, timeNs, sbe.SessionCodeBlocked, out)
		}
	case operator.SessionUnblock:
		if x.blocked {
			x.blocked, r.Outcome = false, operator.Applied
		}
	case operator.SessionReset:
		r.Outcome = s.reset(x, c.Value)
	default:
		r.Outcome = operator.NotSupported
	}
	s.list(i)
	return r, true
}

// cut ends an established session from here.
func (s *Server) cut(x *session, timeNs int64, code sbe.SessionCode, out *app.Outbox) {
	x.state = Terminated
	peer := x.peer
	s.unbind(x, timeNs, &peer, code, out)
}

// reset begins a session's numbers anew, with nothing kept of the old ones. It is
// for a session that nobody has: its client would take new messages for old ones.
func (s *Server) reset(x *session, value int64) operator.Outcome {
	switch {
	case value != 0 && value != 1:
		return operator.BadArgument // both flows of FIXP begin at 1
	case x.state == Established:
		return operator.SessionInUse
	case x.nextIn == 1 && x.nextOut == 1 && x.timestamp == 0 && x.state == NotNegotiated:
		return operator.Unchanged
	}
	x.nextIn, x.nextOut, x.timestamp = 1, 1, 0
	if !x.awaited() {
		x.state = NotNegotiated // else once its orders are cancelled: a new client negotiates either way
	}
	clear(s.answers[x.at : uint64(x.at)+x.retained()])
	x.turn = turn{}
	return operator.Applied
}
