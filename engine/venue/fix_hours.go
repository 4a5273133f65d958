package venue

import "onebeat/engine/sbe"

// Up takes that the session is logged on: what waits may be sent from here on. Nothing
// leaves before this is in the log.
func (f *FIX) Up() {
	f.up, f.closed, f.left = true, false, f.tail
}

// Down takes that the connection is gone, with its node or without.
func (f *FIX) Down() {
	f.up = false
	if f.closed {
		f.giveUp()
	}
}

// Close takes that the session's hours are over: until it is logged on again it takes no
// orders, for its numbers begin anew then.
func (f *FIX) Close() {
	f.closed = true
	if !f.up {
		f.giveUp()
	}
}

// Closed implements Session.
func (f *FIX) Closed() bool { return f.closed }

// giveUp marks what waits and cannot have left as never to be sent. Questions stay: they
// are asked again.
func (f *FIX) giveUp() {
	for n := max(f.head, f.left); n < f.tail; n++ {
		if w := f.at(n); w.clOrdID != 0 && !w.unsent && w.template != sbe.TemplateOrderStatusRequest {
			w.unsent = true
			f.unsent++
		}
	}
}

// Unsent returns how many requests wait to be refused.
func (f *FIX) Unsent() int { return f.unsent }

// Refuse takes the oldest request that never left off the session and returns its
// refusal, as if the venue had said it; nil: there is none.
func (f *FIX) Refuse() []byte {
	if f.unsent == 0 {
		return nil
	}
	for n := f.head; n < f.tail; n++ {
		if w := *f.at(n); w.unsent && w.clOrdID != 0 {
			f.answered(w.clOrdID)
			f.counts[fixUnsent]++
			clear(f.answer[:])
			r := sbe.AsReject(f.answer[:sbe.RejectBytes])
			r.SetClOrdID(w.clOrdID)
			r.SetReason(sbe.RejectReasonVenueUnavailable)
			r.SetRefTemplateID(w.template)
			return f.answer[:sbe.RejectBytes]
		}
	}
	return nil
}
