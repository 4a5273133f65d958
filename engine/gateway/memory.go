package gateway

import (
	"onebeat/engine/sbe"
)

// alloc finds a place for an order: forgetting the oldest finished one beyond
// those to be remembered, then a fresh place, then any finished one.
func (g *Gateway) alloc(key uint64) uint32 {
	i := none
	switch {
	case g.finished.count > g.cfg.FinishedRetain:
		i = g.forget()
	case int(g.used) < len(g.orders):
		i = g.used
		g.used++
	case g.finished.count > 0:
		i = g.forget()
	default:
		return none
	}
	if !g.byKey.Put(key, i) {
		// The table is crowded around this key: the place stays available.
		g.orders[i] = order{status: sbe.OrdStatusRejected}
		g.remember(i)
		return none
	}
	return i
}

func (g *Gateway) forget() uint32 {
	i := g.finished.head
	o := &g.orders[i]
	g.finished.head = o.next
	if o.next == none {
		g.finished.tail = none
	}
	g.finished.count--
	g.byKey.Delete(o.key)
	if o.pending != 0 {
		g.requests.Delete(VenueClOrdID(o.session(), o.pendingID))
	}
	return i
}

func (g *Gateway) remember(i uint32) {
	g.orders[i].next = none
	if g.finished.tail == none {
		g.finished.head = i
	} else {
		g.orders[g.finished.tail].next = i
	}
	g.finished.tail = i
	g.finished.count++
}

// close ends an open order; it stays known for a while. A request about it
// that is still at the venue keeps waiting for its own answer.
func (g *Gateway) close(o *order, status sbe.OrdStatus) {
	g.addOpen(o, -o.exposure())
	o.status = status
	g.open--
	i, _ := g.byKey.Get(o.key)
	g.remember(i)
}
