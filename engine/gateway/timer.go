package gateway

import "onebeat/engine/app"

var _ app.Timed = (*Gateway)(nil)

// Due implements app.Timed.
func (g *Gateway) Due() int64 { return g.reconcileDue() }

// timer does what is due by the input's time; a timer record may be another's.
func (g *Gateway) timer() { g.reconcileStep() }
