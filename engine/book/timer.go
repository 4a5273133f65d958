package book

import "onebeat/engine/app"

var _ app.Timed = (*Book)(nil)

// Due implements app.Timed: the schedule, what waits for its delay, and a book that
// is not uncrossed yet.
func (b *Book) Due() int64 {
	due := int64(0)
	sooner := func(ns int64) {
		if due == 0 || ns < due {
			due = ns
		}
	}
	if b.crossings > 0 {
		sooner(1)
	}
	if d := b.delays.due(); d != 0 {
		sooner(d)
	}
	if b.startNs != 0 && b.scheduled < len(b.cfg.Schedule) {
		sooner(b.startNs + b.cfg.Schedule[b.scheduled].AtNs)
	}
	return due
}

// timer does what is due by the input's time; a timer record may be another's.
func (b *Book) timer() {
	for i := 0; b.crossings > 0 && i < len(b.markets); i++ {
		if b.markets[i].crossing {
			b.uncross(i)
			return // one bounded piece in one record
		}
	}
	if b.scheduled < len(b.cfg.Schedule) && b.startNs+b.cfg.Schedule[b.scheduled].AtNs <= b.in.TimeNs {
		c := &b.cfg.Schedule[b.scheduled]
		b.scheduled++
		b.setPhase(c.SymbolID, c.Phase)
		return
	}
	b.undelay()
}
