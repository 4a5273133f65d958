package store

import (
	"onebeat/engine/app"
	"onebeat/engine/fix/convert"
)

const stateVersion = 1

// Save writes the replicated state; nothing if there are no sessions.
func (s *Sessions) Save(w *app.StateWriter) {
	if len(s.sessions) == 0 {
		return
	}
	w.Section("fix sessions", stateVersion)
	w.Int("sessions", len(s.sessions))
	w.Int("retain_messages", s.cfg.RetainMessages)
	w.Int("retain_bytes", s.cfg.RetainBytes)
	w.I64("offset_ns", s.offsetNs)
	w.U64("digest", s.digest)
	w.U64("refused", s.refused)
	w.Int("joined", len(s.joined))
	w.Bytes("joined bytes", s.joined)
	for i, n := range s.counts {
		w.U64(counterNames[i], n)
	}
	for i := range s.sessions {
		w.Row(uint64(i))
		s.sessions[i].save(w)
	}
	w.End()
	w.Section("fix messages", stateVersion)
	for i := range s.sessions {
		x := &s.sessions[i]
		for n := x.oldest; n < x.nextOut; n++ {
			w.Row(uint64(i)<<48 | n)
			first, second := s.Message(i, n)
			w.U16("length", uint16(len(first)+len(second)))
			w.I64("time_ns", x.index[n&uint64(len(x.index)-1)].timeNs)
			w.Bytes("message", first)
			w.Bytes("message, rest", second)
		}
	}
	w.End()
	s.ids.save(w)
}

func saveText(w *app.StateWriter, name, v string) {
	w.U8(name+" length", uint8(len(v)))
	w.Bytes(name, []byte(v))
}

func loadText(r *app.StateReader) string {
	b := make([]byte, r.U8())
	r.Bytes(b)
	return string(b)
}

func (x *session) save(w *app.StateWriter) {
	w.U8("version", uint8(x.id.Version))
	saveText(w, "sender", x.id.Sender)
	saveText(w, "sender_sub", x.id.SenderSub)
	saveText(w, "target", x.id.Target)
	saveText(w, "target_sub", x.id.TargetSub)
	w.U64("next_in", x.nextIn)
	w.U64("next_out", x.nextOut)
	w.U64("oldest", x.oldest)
	w.I64("created_ns", x.createdNs)
	w.Bool("logged_on", x.loggedOn)
	w.Bool("blocked", x.blocked)
	w.Bool("up", x.up)
	w.U32("heartbeat_s", x.heartbeatS)
	w.I64("lost_at_ns", x.lostAtNs)
	w.U64("resets", x.resets)
}

// Load takes a saved state into fresh sessions of the same configuration.
func (s *Sessions) Load(r *app.StateReader) error {
	if len(s.sessions) == 0 {
		return r.Err()
	}
	r.Section("fix sessions", stateVersion)
	r.Is("the number of FIX sessions", len(s.sessions))
	r.Is("retain_messages of FIX", s.cfg.RetainMessages)
	r.Is("retain_bytes of FIX", s.cfg.RetainBytes)
	s.offsetNs, s.digest, s.refused = r.I64(), r.U64(), r.U64()
	s.joined = s.joined[:r.Int("bytes of a body", cap(s.joined))]
	r.Bytes(s.joined)
	for i := range s.counts {
		s.counts[i] = r.U64()
	}
	for i := range s.sessions {
		s.sessions[i].load(r, i)
	}
	r.End()
	r.Section("fix messages", stateVersion)
	for i := range s.sessions {
		s.sessions[i].loadMessages(r)
	}
	r.End()
	s.ids.load(r, len(s.sessions))
	return r.Err()
}

func (x *session) load(r *app.StateReader, i int) {
	id := ID{Version: convert.Version(r.U8())}
	id.Sender, id.SenderSub, id.Target, id.TargetSub = loadText(r), loadText(r), loadText(r), loadText(r)
	if r.Err() == nil && x.cfg.Target != "" && id != x.cfg.ID {
		r.Fail("FIX session %d is %v there and %v here: give this node the sessions that it was saved with", i, id, x.cfg.ID)
	}
	x.nextIn, x.nextOut, x.oldest = r.U64(), r.U64(), r.U64()
	x.createdNs, x.loggedOn, x.blocked, x.up = r.I64(), r.Bool(), r.Bool(), r.Bool()
	x.heartbeatS, x.lostAtNs = r.U32(), r.I64()
	x.resets = r.U64()
	if r.Err() != nil {
		return
	}
	if x.nextIn == 0 || x.nextOut == 0 || x.nextIn > seqNoMax || x.nextOut > seqNoMax || x.oldest == 0 || x.oldest > x.nextOut ||
		x.nextOut-x.oldest > uint64(len(x.index)) {
		r.Fail("FIX session %d has numbers %d and %d, and messages from %d on", i, x.nextIn, x.nextOut, x.oldest)
		return
	}
	x.setID(id)
}

func (x *session) loadMessages(r *app.StateReader) {
	var b [MessageMaxBytes]byte
	oldest := x.oldest
	for n := oldest; n < x.nextOut && r.Err() == nil; n++ {
		length := int(r.U16())
		timeNs := r.I64()
		if length > MessageMaxBytes || x.end+uint64(length) > uint64(len(x.bytes)) {
			r.Fail("message %d has %d bytes: there is no room for it", n, length)
			return
		}
		r.Bytes(b[:length])
		x.keep(n, b[:length], timeNs)
		x.oldest = oldest
	}
}

func (t *ids) save(w *app.StateWriter) {
	w.Section("fix ClOrdIDs", stateVersion)
	w.U64("next", t.next)
	t.places.Save(w)
	for i := range t.places.Used() {
		e := &t.entries[i]
		w.Row(e.id)
		for _, v := range []struct {
			name string
			v    uint64
		}{{"id", e.id}, {"root", e.root}, {"current", e.current}, {"pending", e.pending}, {"order_id", e.orderID}, {"sum", uint64(e.sum)}} {
			w.U64(v.name, v.v)
		}
		w.U32("symbol", e.symbol)
		w.U32("account", e.account)
		w.U16("session", e.session)
		w.U8("length", e.length)
		w.Bool("finished", e.finished)
		w.Bool("dead", e.dead)
		w.U8("status", e.status)
		w.U8("side", e.side)
		w.Bytes("text", e.name())
	}
	w.Row(0)
	w.End()
	w.Section("fix ClOrdIDs by text", stateVersion)
	t.byText.Save(w)
	w.End()
	w.Section("fix ClOrdIDs by number", stateVersion)
	t.byID.Save(w)
	w.End()
}

func (t *ids) load(r *app.StateReader, sessions int) {
	r.Section("fix ClOrdIDs", stateVersion)
	t.next = r.U64()
	open := t.places.Load(r)
	for i := range open {
		e := &t.entries[i]
		e.id, e.root, e.current, e.pending, e.orderID = r.U64(), r.U64(), r.U64(), r.U64(), r.U64()
		e.sum = r.I64()
		e.symbol, e.account, e.session, e.length = r.U32(), r.U32(), r.U16(), r.U8()
		e.finished, e.dead, e.status, e.side = r.Bool(), r.Bool(), r.U8(), r.U8()
		if r.Err() == nil && (int(e.length) > len(e.text) || int(e.session) >= sessions || e.id >= t.next && e.id != 0) {
			r.Fail("ClOrdID %d of session %d has %d characters", e.id, e.session, e.length)
		}
		if r.Err() != nil {
			return
		}
		r.Bytes(e.text[:e.length])
	}
	r.End()
	used := uint32(len(open))
	r.Section("fix ClOrdIDs by text", stateVersion)
	t.byText.Load(r, used)
	r.End()
	r.Section("fix ClOrdIDs by number", stateVersion)
	t.byID.Load(r, used)
	r.End()
}
