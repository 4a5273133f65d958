package flow

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// tap stands before a gateway and takes what it says to the venue there.
type tap struct {
	app.App
	f    *Flow
	out  app.Sink
	sent uint16
	what []byte
}

// Apply implements app.App.
func (t *tap) Apply(in *app.Input, out app.Sink) {
	t.out = out
	t.App.Apply(in, t)
}

func (t *tap) ToClient(session uint32, template uint16) []byte {
	return t.out.ToClient(session, template)
}
func (t *tap) SendToClient() { t.out.SendToClient() }

func (t *tap) ToVenue(venue uint32, template uint16, clOrdID uint64) ([]byte, sbe.RejectReason) {
	block, why := t.out.ToVenue(venue, template, clOrdID)
	t.sent, t.what = template, block
	return block, why
}

func (t *tap) Withdraw(venue uint32, clOrdID uint64) bool { return t.out.Withdraw(venue, clOrdID) }

func (t *tap) SendToVenue() {
	f := t.f
	f.in = app.Input{Kind: app.FromClient, TimeNs: f.timeNs, Template: t.sent, Block: append([]byte(nil), t.what...)}
	t.out.SendToVenue()
	f.venue.Apply(&f.in, &f.reports)
}

// reports are what the venue said and the gateway has not heard yet.
type reports struct {
	f        *Flow
	waiting  []said
	template uint16
	block    []byte
}

type said struct {
	template uint16
	block    []byte
}

func (r *reports) ToClient(_ uint32, template uint16) []byte {
	r.template, r.block = template, make([]byte, sbe.BlockBytes(template))
	return r.block
}

func (r *reports) SendToClient() { r.waiting = append(r.waiting, said{r.template, r.block}) }

func (r *reports) ToVenue(uint32, uint16, uint64) ([]byte, sbe.RejectReason) {
	return nil, sbe.RejectReasonNoRoute
}
func (r *reports) SendToVenue()                 {}
func (r *reports) Withdraw(uint32, uint64) bool { return false }

// report takes the oldest of them. Now and then a fill is not told, and a status
// report tells its sum.
func (f *Flow) report() []byte {
	s := f.reports.waiting[0]
	f.reports.waiting = f.reports.waiting[1:]
	copy(f.message(s.template), s.block)
	if r := sbe.PrefixBytes; s.template == sbe.TemplateExecutionReport {
		report := sbe.AsExecutionReport(f.raw[r:])
		if report.ExecType() == sbe.ExecTypeTrade && f.r.IntN(100) == 0 {
			report.SetExecType(sbe.ExecTypeOrderStatus)
			report.SetLastQtyLots(0)
			report.SetLastPriceTicks(0)
		}
	}
	f.venueSeq++
	return f.sealed(0, f.venueSeq)
}
