package gateway

import (
	"onebeat/engine/app"
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
			g.requests.Delete(o.pendingKey())
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

// opened takes what an order that was taken adds to everything.
func (g *Gateway) opened(i uint32) {
	o, n := &g.orders[i], &g.nodes[i]
	g.taken++
	*n = node{number: g.taken}
	g.open++
	g.sessions[o.session()].open++
	g.accounts[g.positions[o.position].account].open++
	g.rebook(o, reserved{})
	g.rest(i)
}

// close ends an open order; it stays known for a while. A request about it
// that is still at the venue keeps waiting for its own answer.
func (g *Gateway) close(o *order, status sbe.OrdStatus) {
	g.certain(o)
	i, _ := g.byKey.Get(o.key)
	g.unrest(i)
	before := o.reserved()
	o.status = status
	g.rebook(o, before)
	g.open--
	g.sessions[o.session()].open--
	g.accounts[g.positions[o.position].account].open--
	g.places.Finish(i)
}

// Warm implements app.Warmer: the place of the next order, what is forgotten for it,
// and where its key will stand if ClOrdIDs rise; of as many orders as came since the
// last call, whose loads wait at once.
func (g *Gateway) Warm() {
	n := min(max(g.counts[countNew]-g.warmedNew, 1), app.WarmMost)
	g.warmedNew = g.counts[countNew]
	for k := range n {
		i := g.places.Ahead(int(k))
		if i == none {
			return
		}
		o := &g.orders[i]
		g.warmed += g.byKey.Warm(o.key) + g.byKey.Warm(g.lastKey+1+k) + uint64(o.status) + g.nodes[i].number
	}
}
