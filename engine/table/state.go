package table

import "onebeat/engine/app"

// Save writes the table's content slot by slot, so that the loaded one refuses
// what this one would.
func (t *U64) Save(w *app.StateWriter) {
	w.Int("slots", len(t.slots))
	w.Int("entries", t.count)
	for i := range t.slots {
		s := &t.slots[i]
		if s.key == 0 {
			continue
		}
		w.Row(s.key)
		w.U32("slot", uint32(i))
		w.U64("key", s.key)
		w.U32("value", s.value)
	}
	w.Row(0)
}

// Load fills an empty table of the same size; values must be below bound.
func (t *U64) Load(r *app.StateReader, bound uint32) {
	r.Is("size of a table", len(t.slots))
	count := r.Int("entries of a table", t.max)
	next := uint32(0)
	for range count {
		i, key, value := r.U32(), r.U64(), r.U32()
		if r.Err() != nil {
			return
		}
		if i < next || uint64(i) > t.mask || key == 0 || value >= bound {
			r.Fail("entry %d of key %d in slot %d behind slot %d of a table with values below %d", value, key, i, next, bound)
			return
		}
		t.slots[i] = slot{key, value}
		next = i + 1
	}
	t.count = count
	t.check(r)
}

// check: every key must be found from its home on, and only once.
func (t *U64) check(r *app.StateReader) {
	if t.count == len(t.slots) {
		r.Fail("a table without a free slot")
		return
	}
	for i := range t.slots {
		s := &t.slots[i]
		if s.key == 0 {
			continue
		}
		home := t.home(s.key)
		if (uint64(i)-home)&t.mask >= probeMax {
			r.Fail("key %d in slot %d is too far from its home %d", s.key, i, home)
			return
		}
		for j := home; j != uint64(i); j = (j + 1) & t.mask {
			if k := t.slots[j].key; k == 0 || k == s.key {
				r.Fail("key %d in slot %d of a table where nobody would look for it", s.key, i)
				return
			}
		}
	}
}

// Save writes which numbers were used.
func (x *Window) Save(w *app.StateWriter) {
	w.Int("size", int(x.size))
	w.U64("top", x.top)
	var b [512]byte
	for at := 0; at < len(x.bits); at += len(b) / 8 {
		words := x.bits[at:min(at+len(b)/8, len(x.bits))]
		for i, word := range words {
			for k := range 8 {
				b[8*i+k] = byte(word >> (8 * k))
			}
		}
		w.Bytes("bits", b[:8*len(words)])
	}
}

// Load fills a window of the same size.
func (x *Window) Load(r *app.StateReader) {
	r.Is("the ClOrdID window", int(x.size))
	x.top = r.U64()
	for i := range x.bits {
		x.bits[i] = r.U64()
	}
}

// Save writes which places are taken and which of them are finished, oldest
// first.
func (p *Places) Save(w *app.StateWriter) {
	w.Int("places", len(p.finished))
	w.Int("retain", p.retain)
	w.Int("used", p.used)
	w.Int("finished", p.count)
	for k := range p.count {
		at := p.head + k
		if at >= len(p.finished) {
			at -= len(p.finished)
		}
		w.Row(uint64(k))
		w.U32("place", p.finished[at])
	}
	w.Row(0)
}

// Load fills fresh places. It returns which places are of open orders.
func (p *Places) Load(r *app.StateReader) (open []bool) {
	r.Is("places of orders", len(p.finished))
	r.Is("finished orders to retain", p.retain)
	p.used = r.Int("places used", len(p.finished))
	p.count = r.Int("finished orders", p.used)
	open = make([]bool, p.used)
	for i := range open {
		open[i] = true
	}
	for k := range p.count {
		i := r.U32()
		if r.Err() != nil {
			return open
		}
		if int(i) >= p.used || !open[i] {
			r.Fail("place %d is finished twice, or was never taken", i)
			return open
		}
		open[i] = false
		p.finished[k] = i
	}
	return open
}

// Used returns how many places were ever taken: those from 0 on.
func (p *Places) Used() int { return p.used }

// Open returns how many places are of orders that are not finished.
func (p *Places) Open() int { return p.used - p.count }
