package venue

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// Counters names every counter.
func (f *FIX) Counters(prefix string, visit func(name string, count uint64)) {
	for i, n := range f.counts {
		visit(prefix+fixCounterNames[i], n)
	}
	visit(prefix+"unanswered", uint64(f.count))
}

// Digest folds the replicated state.
func (f *FIX) Digest(d uint64) uint64 {
	d = app.Fold(app.Fold(d, f.head<<20^f.tail), uint64(f.count)<<32^uint64(f.chainOf.Count()))
	flags := uint64(0)
	if f.up {
		flags |= 1
	}
	if f.closed {
		flags |= 2
	}
	return app.Fold(d, f.left<<2^flags^uint64(f.unsent)<<48)
}

const (
	fixVersion    = 2 // 2: whether it is logged on, and what may have left
	fixVersionAll = 1 // of the other sections
)

// Save writes the replicated state.
func (f *FIX) Save(w *app.StateWriter) {
	w.Section("FIX venue", fixVersion)
	w.Int("window", len(f.window))
	w.U64("head", f.head)
	w.U64("tail", f.tail)
	w.Bool("up", f.up)
	w.Bool("closed", f.closed)
	w.U64("left", f.left)
	for i, n := range f.counts {
		w.U64(fixCounterNames[i], n)
	}
	for n := f.head; n < f.tail; n++ {
		x := f.at(n)
		w.Row(n)
		w.U64("cl_ord_id", x.clOrdID)
		w.U64("seq_no", x.seqNo)
		w.I64("at_ns", x.atNs)
		w.U32("symbol", x.symbol)
		w.U32("account", x.account)
		w.U16("template", x.template)
		w.Bool("unsent", x.unsent)
	}
	w.Row(0)
	w.End()
	w.Section("FIX venue requests", fixVersionAll)
	f.byID.Save(w)
	w.End()
	w.Section("FIX venue replaced orders", fixVersionAll)
	f.places.Save(w)
	for i := range f.places.Used() {
		c := &f.chains[i]
		w.Row(uint64(i))
		w.U64("root", c.root)
		w.U64("before", c.before)
		w.U64("current", c.current)
		w.Bool("done", c.done)
	}
	w.Row(0)
	f.chainOf.Save(w)
	w.End()
}

// Load takes a saved state into a fresh one.
func (f *FIX) Load(r *app.StateReader) {
	version := r.Section("FIX venue", fixVersion)
	r.Is("the venue session's window", len(f.window))
	f.head, f.tail = r.U64(), r.U64()
	f.up, f.left = true, f.tail // of version 1: whatever waits may have left
	counts := f.counts[:fixUnsent]
	if version >= 2 {
		f.up, f.closed, f.left = r.Bool(), r.Bool(), r.U64()
		counts = f.counts[:]
	}
	for i := range counts {
		counts[i] = r.U64()
	}
	if r.Err() == nil && (f.head > f.tail || f.tail-f.head > uint64(len(f.window))) {
		r.Fail("requests %d to %d in a window of %d", f.head, f.tail, len(f.window))
	}
	if r.Err() == nil && f.left > f.tail {
		r.Fail("requests up to %d may have left, of %d", f.left, f.tail)
	}
	for n := f.head; n < f.tail && r.Err() == nil; n++ {
		x := f.at(n)
		*x = waiting{clOrdID: r.U64(), seqNo: r.U64(), atNs: r.I64(), symbol: r.U32(), account: r.U32(), template: r.U16()}
		if version >= 2 {
			x.unsent = r.Bool()
		}
		if x.clOrdID == 0 {
			continue
		}
		f.count++
		if x.unsent {
			f.unsent++
		}
		if r.Err() == nil && (x.template < sbe.TemplateNewOrderSingle || x.template > sbe.TemplateOrderStatusRequest) {
			r.Fail("request %d of template %d", n, x.template)
		}
	}
	r.End()
	r.Section("FIX venue requests", fixVersionAll)
	f.byID.Load(r, ^uint32(0))
	f.checkRequests(r)
	r.End()
	r.Section("FIX venue replaced orders", fixVersionAll)
	open := f.places.Load(r)
	for i := range open {
		c := &f.chains[i]
		c.root, c.before, c.current, c.done = r.U64(), r.U64(), r.U64(), r.Bool()
		if r.Err() == nil && c.done == open[i] {
			r.Fail("replaced order %d at place %d has ended or not, and its place says otherwise", c.root, i)
		}
	}
	f.chainOf.Load(r, uint32(len(open)))
	r.End()
}

// checkRequests: what waits is found by its ClOrdID, and nothing else is.
func (f *FIX) checkRequests(r *app.StateReader) {
	if r.Err() == nil && f.byID.Count() != f.count {
		r.Fail("%d requests wait, %d are found by their ClOrdID", f.count, f.byID.Count())
	}
	for n := f.head; n < f.tail && r.Err() == nil; n++ {
		if x := f.at(n); x.clOrdID != 0 {
			if low, ok := f.byID.Get(x.clOrdID); !ok || low != uint32(n) {
				r.Fail("request %d with ClOrdID %d is not found by it", n, x.clOrdID)
			}
		}
	}
}
