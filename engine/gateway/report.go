package gateway

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

type counter uint8

const (
	countNew counter = iota
	countCancel
	countReplace
	countDuplicates
	countPossResend
	countRejects
	countVenueReports
	countVenueRejects
	countVenueStatus
	countVenueDuplicates
	countVenueMissedFills
	countVenueUnknown
	countVenueInDoubt
	countNoRoute
	countThrottled
	countCircuitOpen
	countWithdrawn
	countVenueForeign
	countDoubtEnded
	countReconciled
	countVenueLost
	countOwnCancels
	countOwnCancelsRefused
	countSessionsLost
	countRepeatsStopped
	countContentForgotten
	countMax
)

var counterNames = [countMax]string{"new", "cancel", "replace", "duplicates", "poss_resend_known", "rejects",
	"venue_reports", "venue_rejects", "venue_status", "venue_duplicates", "venue_missed_fills", "venue_unknown", "venue_in_doubt",
	"no_route", "venue_throttled", "venue_circuit_open", "withdrawn", "venue_foreign", "venue_doubt_ended", "venue_reconciled", "venue_lost",
	"own_cancels", "own_cancels_refused", "sessions_lost", "repeats_stopped", "contents_forgotten"}

// Counters implements app.App.
func (g *Gateway) Counters(visit func(name string, count uint64)) {
	for i, n := range g.counts {
		visit("gateway_"+counterNames[i], n)
	}
	visit("gateway_open", uint64(g.open))
	visit("gateway_in_doubt", uint64(g.inDoubt))
	stops := g.Stops()
	visit("gateway_everybody_killed", uint64(one(stops.Everybody)))
	visit("gateway_sessions_killed", uint64(stops.Sessions))
	visit("gateway_accounts_killed", uint64(stops.Accounts))
	visit("gateway_scopes_restricted", uint64(stops.Restricted))
	visit("gateway_positions_stopped", uint64(stops.Positions))
}

// clientRef names a client's request in a Reject.
type clientRef struct {
	session  uint32
	template uint16
	clOrdID  uint64
	seqNo    uint64
}

// ref names the request being applied.
func (g *Gateway) ref(clOrdID uint64) clientRef {
	return clientRef{session: g.in.Session, template: g.in.Template, clOrdID: clOrdID, seqNo: g.in.SeqNo}
}

// reject refuses a request; value and limit say what broke what.
func (g *Gateway) reject(ref clientRef, why sbe.RejectReason, value, limit int64) {
	g.counts[countRejects]++
	r := sbe.AsReject(g.out.ToClient(ref.session, sbe.TemplateReject))
	r.SetClOrdID(ref.clOrdID)
	r.SetRefSeqNo(ref.seqNo)
	r.SetValue(value)
	r.SetLimit(limit)
	r.SetReason(why)
	r.SetRefTemplateID(ref.template)
	r.SetPossResend(g.possResend)
	g.out.SendToClient()
	g.digest = app.Fold(app.Fold(g.digest, uint64(ref.session)), ref.clOrdID^uint64(why)<<48)
}

// report sends an ExecutionReport of our own about o.
func (g *Gateway) report(o *order, exec sbe.ExecType, clOrdID uint64, lastLots uint32, why sbe.RejectReason) {
	g.execID++
	if o.inDoubt && exec == sbe.ExecTypeOrderStatus {
		why = sbe.RejectReasonVenueInDoubt
	}
	p := &g.positions[o.position]
	r := sbe.AsExecutionReport(g.out.ToClient(o.session(), sbe.TemplateExecutionReport))
	r.SetOrderID(o.orderID)
	r.SetExecID(g.execID)
	r.SetClOrdID(clOrdID)
	if clOrdID != o.clOrdID() {
		r.SetOrigClOrdID(o.clOrdID())
	}
	r.SetTransactTimeNs(uint64(g.in.TimeNs))
	r.SetLastPriceTicks(g.lastTicks)
	r.SetPriceTicks(o.priceTicks)
	r.SetInstrument(p.SymbolID, p.Account)
	r.SetLots(o.qtyLots, lastLots, o.leaves(), o.cumLots)
	r.SetCodes(o.side, o.ordType, o.tif, exec, o.shown(), g.possResend, why)
	g.out.SendToClient()
	g.fold(o, exec)
}

// pass sends the venue's report on, under the client's ClOrdIDs.
func (g *Gateway) pass(o *order, r *sbe.ExecutionReport, exec sbe.ExecType, clOrdID uint64) {
	g.execID++
	c := sbe.AsExecutionReport(g.out.ToClient(o.session(), sbe.TemplateExecutionReport))
	*c = *r
	c.SetExecID(g.execID)
	c.SetClOrdID(clOrdID)
	c.SetOrigClOrdID(0)
	if clOrdID != o.clOrdID() {
		c.SetOrigClOrdID(o.clOrdID())
	}
	c.SetTransactTimeNs(uint64(g.in.TimeNs))
	c.SetExecType(exec)
	c.SetOrdStatus(o.shown())
	c.SetPossResend(0)
	if exec == sbe.ExecTypeCancelled {
		i, _ := g.byKey.Get(o.key)
		c.SetReason(g.nodes[i].why)
	}
	g.out.SendToClient()
	g.fold(o, exec)
}

func (g *Gateway) fold(o *order, exec sbe.ExecType) {
	p := &g.positions[o.position]
	d := app.Fold(g.digest, o.key)
	d = app.Fold(d, uint64(o.priceTicks)^uint64(p.NetLots)<<32)
	d = app.Fold(d, uint64(o.cumLots)<<32|uint64(o.qtyLots)^uint64(exec)<<24^uint64(o.status)<<16)
	g.digest = app.Fold(d, uint64(p.OpenBuyLots)<<32^uint64(p.OpenSellLots))
}

// shown is the status the client sees: a request at the venue shows through.
func (o *order) shown() sbe.OrdStatus {
	if o.open() {
		switch o.pending {
		case sbe.TemplateOrderCancelRequest:
			return sbe.OrdStatusPendingCancel
		case sbe.TemplateOrderCancelReplaceRequest:
			return sbe.OrdStatusPendingReplace
		}
	}
	return o.status
}

func (o *order) leaves() uint32 {
	if o.open() && o.qtyLots > o.cumLots {
		return o.qtyLots - o.cumLots
	}
	return 0
}
