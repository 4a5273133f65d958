package engine

import (
	"onebeat/engine/app"
	"onebeat/engine/operator"
	"onebeat/mirror/policy"
)

// sessionOperated is what takes the commands of the session layer; handled false:
// the session is not one of its own.
type sessionOperated interface {
	Operate(c *operator.Command, timeNs int64, out *app.Outbox) (r operator.Result, handled bool)
}

// applyOperator: an operator's word may change the release policy, which the replica
// does and this state remembers; it may be a command; else it is a note.
func (m *Machine) applyOperator(rec *app.Record) {
	switch {
	case policy.IsChange(rec.Payload) && len(rec.Payload) <= len(m.change):
		m.changeBytes = copy(m.change[:], rec.Payload)
	case operator.IsCommand(rec.Payload):
		m.operated = operator.Result{Outcome: operator.BadArgument}
		if !m.command.Parse(rec.Payload) {
			m.counts[countBadRecord]++
			return
		}
		m.counts[countCommands]++
		if m.operated = m.operate(rec.TimeNs); !m.operated.Outcome.Done() {
			m.counts[countCommandsRefused]++
		}
	}
}

func (m *Machine) operate(timeNs int64) operator.Result {
	c := &m.command
	if c.Kind.OfSessions() && len(m.sessions) > 0 {
		for _, s := range m.sessions {
			if r, handled := s.Operate(c, timeNs, m.out); handled {
				return r
			}
		}
		return operator.Result{Outcome: operator.UnknownSession}
	}
	m.in = app.Input{Kind: app.FromOperator, TimeNs: timeNs, Session: c.Session, Command: c, Result: operator.Result{Outcome: operator.NotSupported}}
	if !c.Kind.OfSessions() {
		m.app.Apply(&m.in, m)
	}
	return m.in.Result
}

// Operated implements app.Machine.
func (m *Machine) Operated() operator.Result { return m.operated }
