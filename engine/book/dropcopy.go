package book

import "onebeat/engine/sbe"

// copyReport gives every drop copy session the report that was just written, behind
// the id of the session it goes to. They get it as they get everything: numbered,
// kept, and again when they ask.
func (b *Book) copyReport(owner uint32, report *sbe.ExecutionReport) {
	for _, session := range b.cfg.DropCopy {
		block := b.out.ToClient(session, sbe.TemplateDropCopy)
		m := sbe.AsDropCopy(block)
		if int(owner) < len(b.cfg.SessionIDs) {
			m.SetSessionID(&b.cfg.SessionIDs[owner])
		}
		copy(m[sessionIDBytes:], report[:])
		b.out.SendToClient()
		b.counts[countDropCopies]++
	}
}

const sessionIDBytes = 16

// copiesOnly reports whether a session may only listen.
func (b *Book) copiesOnly(session uint32) bool {
	for _, s := range b.cfg.DropCopy {
		if s == session {
			return true
		}
	}
	return false
}
