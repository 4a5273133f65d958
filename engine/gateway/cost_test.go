package gateway

import (
	"slices"
	"testing"
	"time"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// costDesk is a gateway in the middle of a day: sessions, accounts and symbols, some
// with limits of their own, and resting orders on both sides.
type costDesk struct {
	desk
	order  sbe.NewOrderSingle
	report sbe.ExecutionReport
	n      uint64
}

const (
	costSessions = 16
	costAccounts = 64
	costSymbols  = 32
	costOps      = 64 // orders of one sample
)

func newCostDesk(tb testing.TB, unchecked bool) *costDesk {
	all := NoLimits()
	all[LimitQty], all[LimitNotional], all[LimitCollar], all[LimitPosition] = 1000, 1<<40, 20, 1<<40
	all[LimitGross], all[LimitOpenOrders], all[LimitOpenNotional], all[LimitCredit] = 1<<40, 1<<20, 1<<50, 1<<50
	all[LimitOrderRate], all[LimitRepeats], all[LimitRepeatWindow] = 1<<30, 1<<30, 1000
	all[LimitDuplicateWindow], all[LimitSelfMatch] = 1, SelfMatchRefuse
	own := NoLimits()
	own[LimitQty], own[LimitCredit] = 900, 1<<49
	cfg := Config{Sessions: costSessions, Limits: &all, SessionLimits: map[uint32]*Limits{3: &own}, AccountLimits: map[uint32]*Limits{5: &own}}
	for i := range uint32(costSymbols) {
		cfg.Symbols = append(cfg.Symbols, Symbol{ID: i + 1, ReferencePriceTicks: 10_000})
	}
	g, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	g.unchecked = unchecked
	d := &costDesk{desk: desk{g: g, room: 1 << 62}}
	d.in.TimeNs = 1_700_000_000_000_000_000
	for range 4 * costAccounts * costSymbols { // resting, far from each other
		d.take(tb, 8000+int64(d.n%1000), sbe.SideBuy)
		d.take(tb, 11_000+int64(d.n%900), sbe.SideSell)
	}
	return d
}

// take sends one order and returns its ClOrdID and session.
func (d *costDesk) take(tb testing.TB, price int64, side sbe.Side) {
	d.n++
	m := &d.order
	m.SetClOrdID(d.n)
	m.SetPriceTicks(price)
	m.SetQtyLots(uint32(1 + d.n%100))
	m.SetAccount(uint32(d.n % costAccounts))
	m.SetSymbolID(uint32(1 + d.n/costAccounts%costSymbols))
	m.SetSide(side)
	m.SetOrdType(sbe.OrdTypeLimit)
	d.in = app.Input{Kind: app.FromClient, TimeNs: d.in.TimeNs + 2000, Session: uint32(d.n % costSessions), SeqNo: d.n,
		Template: sbe.TemplateNewOrderSingle, Block: m[:]}
	open := d.g.Open()
	d.g.Apply(&d.in, &d.desk)
	if d.g.Open() != open+1 {
		tb.Fatalf("order %d was refused: %v", d.n, sbe.AsReject(d.client.block[:]).Reason())
	}
}

// sample is a number of orders that are taken and filled; it returns ns for each.
func (d *costDesk) sample(tb testing.TB) int64 {
	from := time.Now()
	for range costOps {
		d.take(tb, 9990+int64(d.n%10), sbe.SideBuy)
		r := &d.report
		r.SetClOrdID(VenueClOrdID(uint32(d.n%costSessions), d.n))
		r.SetExecType(sbe.ExecTypeTrade)
		r.SetLastQtyLots(uint32(1 + d.n%100))
		r.SetLastPriceTicks(10_000)
		d.in = app.Input{Kind: app.FromVenue, TimeNs: d.in.TimeNs + 2000, Template: sbe.TemplateExecutionReport, Block: r[:]}
		d.g.Apply(&d.in, &d.desk)
	}
	return time.Since(from).Nanoseconds() / costOps
}

// BenchmarkRiskCost measures an order and its fill with the full set of checks and
// without any, sample by sample beside each other:
//
//	go test ./engine/gateway -run '^$' -bench RiskCost -benchtime 20000x
func BenchmarkRiskCost(b *testing.B) {
	with, without := newCostDesk(b, false), newCostDesk(b, true)
	var checked, unchecked []int64
	for b.Loop() {
		checked = append(checked, with.sample(b))
		unchecked = append(unchecked, without.sample(b))
	}
	slices.Sort(checked)
	slices.Sort(unchecked)
	p := func(s []int64, percent int) float64 { return float64(s[len(s)*percent/100]) }
	b.ReportMetric(p(checked, 50), "with-p50-ns")
	b.ReportMetric(p(unchecked, 50), "without-p50-ns")
	b.ReportMetric(p(checked, 50)-p(unchecked, 50), "cost-p50-ns")
	b.ReportMetric(p(checked, 99)-p(unchecked, 99), "cost-p99-ns")
}
