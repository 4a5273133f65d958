package fixp

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// Save writes the replicated state: numbering and what waits for its answer.
func (i *Initiator) Save(w *app.StateWriter) {
	w.Section("venue session", initiatorVersion)
	w.Bytes("id", i.cfg.Session[:])
	w.Int("slots", len(i.slots))
	w.U64("next_out", i.nextOut)
	w.U64("oldest", i.oldest)
	w.U64("expected_in", i.expectedIn)
	w.Int("unanswered", i.unanswered)
	for n := i.oldest; n < i.nextOut; n++ {
		s := i.slot(n)
		w.Row(n)
		w.U8("state", uint8(s.state))
		if s.state == sentFree {
			continue
		}
		w.U64("seq_no", s.seqNo)
		w.U64("cl_ord_id", s.clOrdID)
		w.I64("first_ns", s.firstNs)
		w.U8("length", s.bytes)
		w.Bytes("message", s.raw[:s.bytes])
	}
	w.End()
	w.Section("venue requests", initiatorVersion)
	i.byID.Save(w)
	w.End()
}

// Load takes a saved state into a fresh initiator of the same session.
func (i *Initiator) Load(r *app.StateReader) error {
	r.Section("venue session", initiatorVersion)
	var id sbe.UUID
	r.Bytes(id[:])
	if r.Err() == nil && id != i.cfg.Session {
		r.Fail("the session with the venue is %x there and %x here: give this node the one that it was saved with", id, i.cfg.Session)
	}
	r.Is("twice the venue session's window", len(i.slots))
	i.nextOut, i.oldest, i.expectedIn = r.U64(), r.U64(), r.U64()
	unanswered := r.Int("unanswered messages", len(i.slots))
	if r.Err() == nil && (i.oldest == 0 || i.oldest > i.nextOut || i.nextOut-i.oldest > uint64(len(i.slots)) || i.nextOut > seqNoMax || i.expectedIn > seqNoMax) {
		r.Fail("numbers %d to %d in %d slots, %d expected", i.oldest, i.nextOut, len(i.slots), i.expectedIn)
	}
	for n := i.oldest; n < i.nextOut && r.Err() == nil; n++ {
		i.loadSent(r, n)
	}
	if r.Err() == nil && i.unanswered != unanswered {
		r.Fail("%d messages are unanswered, not %d", i.unanswered, unanswered)
	}
	i.sendNext = i.oldest
	r.End()
	r.Section("venue requests", initiatorVersion)
	i.byID.Load(r, table32)
	if r.Err() == nil {
		i.checkRequests(r)
	}
	r.End()
	return r.Err()
}

// table32 bounds nothing: the values are the low halves of numbers.
const table32 = ^uint32(0)

func (i *Initiator) loadSent(r *app.StateReader, n uint64) {
	s := i.slot(n)
	s.seqNo = n
	switch state := sentState(r.U8()); state {
	case sentFree:
		return
	case sentUnanswered:
		s.state = state
	default:
		r.Fail("message %d in state %d", n, state)
		return
	}
	seqNo := r.U64()
	s.clOrdID, s.firstNs, s.bytes = r.U64(), r.I64(), r.U8()
	if r.Err() == nil && (seqNo != n || s.clOrdID == 0 || int(s.bytes) > sentBytesMax || s.bytes < sbe.PrefixBytes) {
		r.Fail("message %d says %d, ClOrdID %d, %d bytes", n, seqNo, s.clOrdID, s.bytes)
		return
	}
	r.Bytes(s.raw[:s.bytes])
	i.unanswered++
	if r.Err() != nil {
		return
	}
	template, why := sbe.CheckRaw(s.raw[sbe.SOFHBytes:s.bytes])
	if why != sbe.OK || !sbe.IsRequest(template) {
		r.Fail("message %d of template %d with %d bytes is %v", n, templateOf(s), s.bytes, why)
	}
}

// checkRequests: what waits is found by its ClOrdID, and nothing else is.
func (i *Initiator) checkRequests(r *app.StateReader) {
	if i.byID.Count() != i.unanswered {
		r.Fail("%d requests of %d unanswered messages", i.byID.Count(), i.unanswered)
		return
	}
	for n := i.oldest; n < i.nextOut; n++ {
		s := i.slot(n)
		if s.state != sentUnanswered {
			continue
		}
		if low, ok := i.byID.Get(s.clOrdID); !ok || low != uint32(n) {
			r.Fail("message %d with ClOrdID %d is not found by it", n, s.clOrdID)
			return
		}
	}
}
