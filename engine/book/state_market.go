package book

import "onebeat/engine/app"

// saveMarkets writes phases, schedule, dice and what is delayed.
func (b *Book) saveMarkets(w *app.StateWriter) {
	w.Section("markets", stateVersion)
	w.I64("start_ns", b.startNs)
	w.Int("scheduled", b.scheduled)
	w.U64("dice", b.dice)
	for i := range b.markets {
		w.Row(uint64(b.cfg.Symbols[i]))
		w.U8("phase", uint8(b.markets[i].phase))
		w.Bool("crossing", b.markets[i].crossing)
	}
	w.Row(0)
	w.End()
	w.Section("delayed requests", stateVersion)
	d := &b.delays
	w.Int("delays", len(d.slots))
	w.U64("head", d.head)
	w.U64("tail", d.tail)
	for n := d.head; n < d.tail; n++ {
		x := d.at(n)
		w.Row(n)
		w.I64("due_ns", x.dueNs)
		w.U64("seq_no", x.seqNo)
		w.U32("session", x.session)
		w.U16("template", x.template)
		w.U8("bytes", x.bytes)
		w.Bytes("block", x.block[:])
	}
	w.End()
}

func (b *Book) loadMarkets(r *app.StateReader) {
	r.Section("markets", stateVersion)
	b.startNs = r.I64()
	b.scheduled = r.Int("entries of the schedule", len(b.cfg.Schedule))
	b.dice = r.U64()
	for i := range b.markets {
		m := &b.markets[i]
		m.phase, m.crossing = Phase(r.U8()), r.Bool()
		if m.phase >= phaseCount {
			r.Fail("symbol %d in phase %d", b.cfg.Symbols[i], m.phase)
			m.phase = Closed
		}
		if m.crossing {
			b.crossings++
		}
	}
	r.End()
	r.Section("delayed requests", stateVersion)
	d := &b.delays
	r.Is("places of delayed requests", len(d.slots))
	d.head, d.tail = r.U64(), r.U64()
	if r.Err() == nil && (d.head > d.tail || d.tail-d.head > uint64(len(d.slots))) {
		r.Fail("delayed requests %d to %d in %d places", d.head, d.tail, len(d.slots))
	}
	for n := d.head; n < d.tail && r.Err() == nil; n++ {
		x := d.at(n)
		x.dueNs, x.seqNo, x.session, x.template, x.bytes = r.I64(), r.U64(), r.U32(), r.U16(), r.U8()
		r.Bytes(x.block[:])
		if r.Err() == nil && !x.known(r.Sessions) {
			r.Fail("delayed request %d of session %d, template %d, with %d bytes", n, x.session, x.template, x.bytes)
		}
	}
	r.End()
}
