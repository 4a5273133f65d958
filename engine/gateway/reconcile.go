package gateway

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// A venue that lost reports may have ended orders without our hearing of it. Then
// every open order there is asked about, a bounded piece with each timer record.
// What is unanswered is not asked about: its own resend does that.
const (
	reconcilePlaces = 256       // looked at in one record
	reconcileAsks   = 16        // and asked about
	reconcileNs     = 1_000_000 // between two records
)

// reconcile is the walk over the orders of one venue.
type reconcile struct {
	active bool
	next   uint32 // place of the next order
	atNs   int64  // of the next step
}

// venueLost begins to ask a venue about every order there.
func (g *Gateway) venueLost(venue uint32, timeNs int64) {
	g.counts[countVenueLost]++
	if venue < uint32(len(g.reconciles)) { // else no symbol goes to it
		g.reconciles[venue] = reconcile{active: true, atNs: timeNs}
	}
}

func (g *Gateway) reconcileDue() int64 {
	due := int64(0)
	for i := range g.reconciles {
		if r := &g.reconciles[i]; r.active && (due == 0 || r.atNs < due) {
			due = r.atNs
		}
	}
	return due
}

func (g *Gateway) reconcileStep() {
	for i := range g.reconciles {
		if r := &g.reconciles[i]; r.active && r.atNs <= g.in.TimeNs {
			g.reconcilePiece(uint32(i), r)
		}
	}
}

func (g *Gateway) reconcilePiece(venue uint32, r *reconcile) {
	r.atNs = g.in.TimeNs + reconcileNs
	asked := 0
	for range reconcilePlaces {
		if int(r.next) >= g.places.Used() {
			*r = reconcile{}
			return
		}
		o := &g.orders[r.next]
		if o.open() && uint32(o.venue) == venue && o.status != sbe.OrdStatusPendingNew {
			if asked == reconcileAsks || !g.askStatus(o) {
				return // the rest in the next step
			}
			asked++
		}
		r.next++
	}
}

// askStatus asks the venue about an order; false: there is no room for it now.
func (g *Gateway) askStatus(o *order) bool {
	block, _ := g.out.ToVenue(uint32(o.venue), sbe.TemplateOrderStatusRequest, o.key)
	if block == nil {
		return false
	}
	p := &g.positions[o.position]
	m := sbe.AsOrderStatusRequest(block)
	m.SetClOrdID(o.key)
	m.SetSymbolID(p.SymbolID)
	m.SetAccount(p.Account)
	m.SetPossResend(1)
	g.counts[countReconciled]++
	g.out.SendToVenue()
	return true
}

// doubt marks an order that the venue does not know though it was sent: it may
// have been executed and forgotten. It stays open with all that it reserves, and
// its client is told. A report that still arrives ends the doubt, or an operator.
func (g *Gateway) doubt(o *order) {
	g.counts[countVenueInDoubt]++
	if o.inDoubt {
		return
	}
	o.inDoubt = true
	g.inDoubt++
	g.report(o, sbe.ExecTypeOrderStatus, o.clOrdID(), 0, sbe.RejectReasonVenueInDoubt)
}

// certain ends a doubt: the venue said something of the order.
func (g *Gateway) certain(o *order) {
	if o.inDoubt {
		o.inDoubt = false
		g.inDoubt--
		g.counts[countDoubtEnded]++
	}
}

// InDoubt returns how many open orders are in doubt.
func (g *Gateway) InDoubt() int { return g.inDoubt }

const reconcileVersion = 1

func (g *Gateway) saveReconciles(w *app.StateWriter) {
	w.Section("reconciliation", reconcileVersion)
	w.Int("venues", len(g.reconciles))
	w.Int("in_doubt", g.inDoubt)
	for i := range g.reconciles {
		r := &g.reconciles[i]
		w.Row(uint64(i))
		w.Bool("active", r.active)
		w.U32("next", r.next)
		w.I64("at_ns", r.atNs)
	}
	w.End()
}

func (g *Gateway) loadReconciles(r *app.StateReader) {
	r.Section("reconciliation", reconcileVersion)
	r.Is("the number of venues that symbols go to", len(g.reconciles))
	g.inDoubt = r.Int("orders in doubt", len(g.orders))
	for i := range g.reconciles {
		x := &g.reconciles[i]
		x.active, x.next, x.atNs = r.Bool(), r.U32(), r.I64()
	}
	r.End()
}
