package fixp

import (
	"slices"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// pollMax bounds the sessions of one Poll, and of Promote: what else is due comes
// in the next, between orders.
const pollMax = 16

// Promote starts anew what was local to the old primary and announces every
// flow's next number, so that clients notice what was lost with it. The first
// are told at once, the others by the next Polls.
func (s *Server) Promote(nowNs int64, out *app.Outbox) {
	s.nowNs = nowNs
	s.promoted++
	s.wheel.clear(nowNs)
	slices.Sort(s.live) // else in the order of what happened, which a loaded state does not know
	for n, i := range s.live {
		x := &s.sessions[i]
		x.live = int32(n) + 1
		x.peer, x.lastRxNs, x.tail, x.dueNs = x.home, nowNs, true, 0
		x.lastTxNs = nowNs - tailNs
		if n < pollMax && x.state == Established {
			s.heartbeat(x, out)
		}
		s.schedule(i, s.dueNs(x))
	}
}

// turnOf returns what this primary remembers of a session.
func (s *Server) turnOf(x *session) *turn {
	if x.turn.number != s.promoted {
		x.turn = turn{number: s.promoted}
	}
	return &x.turn
}

// Poll sends heartbeats and drafts what time brought about.
func (s *Server) Poll(nowNs int64, out *app.Outbox) (app.Verdict, app.Draft) {
	s.nowNs = nowNs
	w := &s.wheel
	if nowNs < w.dueNs {
		return app.Drop, app.Draft{}
	}
	nowTick := nowNs / tickNs
	w.tick = max(w.tick, nowTick-wheelTicks+1) // after a long silence every tick's place once
	for looked := 0; w.tick <= nowTick; w.tick++ {
		slot := &w.first[uint64(w.tick)%wheelTicks]
		for *slot != 0 {
			if looked++; looked > pollMax {
				return app.Drop, app.Draft{}
			}
			i := uint32(*slot - 1)
			if e := s.look(i, out); e != 0 {
				return s.drafted(i, e)
			}
		}
	}
	w.dueNs = w.tick * tickNs
	return app.Drop, app.Draft{}
}

// look does what is due for a session, or returns the event it is due for, and
// puts it where it is to be looked at next.
func (s *Server) look(i uint32, out *app.Outbox) Event {
	x := &s.sessions[i]
	e := Event(0)
	silentNs := s.nowNs - x.lastRxNs
	switch {
	case x.awaited():
		if silentNs > x.windowNs {
			e = EventLost
		}
	case x.state != Established:
	case silentNs > silentIntervals*x.keepAliveNs:
		e = EventExpire
	case x.closing && s.turnOf(x).closeNs != 0 && s.nowNs-x.turn.closeNs > silentIntervals*x.keepAliveNs:
		e = EventEnd
	case s.nowNs >= s.announceNs(x) && out.Room() > outboxReserve:
		s.heartbeat(x, out)
	}
	due := s.dueNs(x)
	if e != 0 {
		due = s.nowNs // should it find no room in the log
	}
	s.schedule(i, due)
	return e
}

func (s *Server) drafted(i uint32, e Event) (app.Verdict, app.Draft) {
	x := &s.sessions[i]
	if e == EventExpire {
		s.Counts.count[CountExpired]++
	}
	return app.Commit, app.Draft{Type: app.RecordSession, Payload: putSession(s.scratch[:], i, e, x.timestamp, 0, &x.peer, 0)}
}

// announceNs is when the next number of an established session's flow is to be
// said.
func (s *Server) announceNs(x *session) int64 {
	if x.tail {
		return x.lastTxNs + min(tailNs, x.keepAliveNs)
	}
	return x.lastTxNs + x.keepAliveNs
}

// dueNs is when a session is to be looked at.
func (s *Server) dueNs(x *session) int64 {
	if x.state != Established {
		return x.lastRxNs + x.windowNs + 1
	}
	return min(s.announceNs(x), x.lastRxNs+silentIntervals*x.keepAliveNs+1)
}

// heartbeat sends the flow's next number, which also announces its tail.
func (s *Server) heartbeat(x *session, out *app.Outbox) {
	b := out.Open(x.peer, s.cfg.Port, 0)
	if x.closing {
		out.Close(s.finishedSending(b, x), 0)
		if t := s.turnOf(x); t.closeNs == 0 {
			t.closeNs = s.nowNs
		}
	} else {
		out.Close(sbe.PutContext(b, &x.id, x.nextOut), 0)
	}
	x.lastTxNs, x.tail = s.nowNs, false
	s.Counts.count[CountHeartbeats]++
}
