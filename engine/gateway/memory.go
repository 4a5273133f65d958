package gateway

import (
	"onebeat/engine/sbe"
)

// alloc finds a place for an order; none: there is no room for it.
func (g *Gateway) alloc(key uint64) uint32 {
	g.lastKey = key
	i, forget := g.places.Take()
	if i == none {
		return none
	}
	if o := &g.orders[i]; forget {
		g.byKey.Delete(o.key)
		if o.pending != 0 {
			g.requests.Delete(VenueClOrdID(o.session(), o.pendingID))
		}
	}
	if !g.byKey.Put(key, i) {
		// The table is crowded around this key: the place stays available.
		g.orders[i] = order{status: sbe.OrdStatusRejected}
		g.places.Finish(i)
		return none
	}
	return i
}

// close ends an open order; it stays known for a while. A request about it
// that is still at the venue keeps waiting for its own answer.
func (g *Gateway) close(o *order, status sbe.OrdStatus) {
	g.certain(o)
	g.addOpen(o, -o.exposure())
	o.status = status
	g.open--
	i, _ := g.byKey.Get(o.key)
	g.places.Finish(i)
}

// Warm implements app.Warmer: the place of the next order, what is forgotten
// for it, and where its key will stand if ClOrdIDs rise.
func (g *Gateway) Warm() {
	i := g.places.Next()
	if i == none {
		return
	}
	o := &g.orders[i]
	g.warmed += g.byKey.Warm(o.key) + g.byKey.Warm(g.lastKey+1) + uint64(o.status)
}
