package gateway

import "onebeat/engine/app"

var _ app.Timed = (*Gateway)(nil)

// Due implements app.Timed.
func (g *Gateway) Due() int64 {
	due := g.reconcileDue()
	if s := g.sweep.dueNs; s != 0 && (due == 0 || s < due) {
		return s
	}
	return due
}

// timer does what is due by the input's time; a timer record may be another's.
func (g *Gateway) timer() {
	g.reconcileStep()
	if due := g.sweep.dueNs; due != 0 && g.in.TimeNs >= due {
		g.sweepStep()
	}
}
