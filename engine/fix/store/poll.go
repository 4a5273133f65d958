package store

import (
	"onebeat/engine/app"
)

// Promote starts anew what was local to the old primary: its connections are gone.
func (s *Sessions) Promote() {
	for i := range s.sessions {
		s.sessions[i].left = s.sessions[i].loggedOn
	}
	s.nextScanNs = 0
}

// scanNs is how often Poll looks at every session.
const scanNs = 5_000_000

// Poll drafts what time brings about: that a session's connection went with its node,
// that a session was away for too long.
func (s *Sessions) Poll(nowNs int64) (app.Verdict, app.Draft) {
	if nowNs < s.nextScanNs {
		return app.Drop, app.Draft{}
	}
	for i := range s.sessions {
		x := &s.sessions[i]
		h := Header{Session: uint16(i)}
		switch {
		case x.left && x.loggedOn:
			h.Kind, h.Flags = Step, LoggedOff
		case x.lostAtNs > 0 && nowNs-x.lostAtNs > x.cfg.CancelNs:
			h.Kind = Lost
		default:
			continue
		}
		h.Put(s.draft[:])
		return app.Commit, app.Draft{Type: app.RecordFIX, Payload: s.draft[:]}
	}
	s.nextScanNs = nowNs + scanNs
	return app.Drop, app.Draft{}
}
