package readmodel_test

import (
	"maps"
	"math/rand/v2"
	"testing"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/fixp"
	"onebeat/engine/gateway"
	"onebeat/engine/readmodel"
	"onebeat/engine/readmodel/flow"
	"onebeat/engine/sbe"
)

// machine is a lane's state that nobody is answered by.
type machine struct {
	*engine.Machine
	out *app.Outbox
}

func (m *machine) Apply(rec *app.Record) { m.Machine.Apply(rec, m.out) }

func shapeOf(seed uint64, gateway bool) flow.Shape {
	return flow.Shape{Seed: seed, Sessions: 3, Symbols: []uint32{7, 8}, Accounts: 3, Gateway: gateway, Epochs: true, Operators: gateway, PriceTicks: 1000}
}

func newMachine(t *testing.T, s flow.Shape, watch ...func(app.App) (app.App, error)) *machine {
	t.Helper()
	var a app.App
	var err error
	cfg := engine.MachineConfig{Port: 1, RetainMessages: 1024}
	if s.Gateway {
		c := gateway.Config{Sessions: s.Sessions, OrdersMax: 4096, FinishedRetain: 64, PositionsMax: 64,
			Limits: limits(28, 1<<40, 50, 1<<30)}
		for _, id := range s.Symbols {
			c.Symbols = append(c.Symbols, gateway.Symbol{ID: id, ReferencePriceTicks: s.PriceTicks})
		}
		cfg.Venues = []engine.VenueConfig{{LocalPort: 2}}
		a, err = gateway.New(c)
	} else {
		a, err = book.New(book.Config{Symbols: s.Symbols, OrdersMax: 4096, FinishedRetain: 64, FlowsMax: s.Sessions + 1})
	}
	for _, w := range watch {
		if err == nil {
			a, err = w(a)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg.App = a
	for i := range s.Sessions {
		cfg.Sessions = append(cfg.Sessions, fixp.SessionConfig{ID: sbe.UUID{byte(i + 1)}})
	}
	m, err := engine.NewMachine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	out := app.NewOutbox(app.Endpoint{}, 0)
	out.Muted = true
	return &machine{m, out}
}

// log is a lane's log in memory.
func makeLog(t *testing.T, s flow.Shape, records int) []app.Record {
	t.Helper()
	f, err := flow.New(s)
	if err != nil {
		t.Fatal(err)
	}
	f.Use(newMachine(t, s, f.Watch))
	var log []app.Record
	for at := uint64(0); len(log) < records; at += 256 {
		rec := f.Next()
		rec.Position, rec.Payload = at, append([]byte(nil), rec.Payload...)
		log = append(log, rec)
	}
	return log
}

type orderKey struct {
	session uint32
	clOrdID uint64
}

// tables is a read model in memory.
type tables struct {
	t          *testing.T
	orders     map[orderKey]readmodel.Order
	executions []readmodel.Execution
	positions  map[readmodel.PositionKey]readmodel.Position
}

func newTables(t *testing.T) *tables {
	return &tables{t: t, orders: map[orderKey]readmodel.Order{}, positions: map[readmodel.PositionKey]readmodel.Position{}}
}

func (x *tables) store(b *readmodel.Batch) {
	for _, o := range b.Orders {
		key := orderKey{o.Session, o.ClOrdID}
		before, there := x.orders[key]
		if there == o.New {
			x.t.Fatalf("order %+v: new %v, there %v", key, o.New, there)
		}
		if there {
			o.Created = before.Created
		}
		o.New = false
		x.orders[key] = o
	}
	x.executions = append(x.executions, b.Executions...)
	for _, p := range b.Positions {
		x.positions[p.PositionKey] = p
	}
}

func (x *tables) stored() (list []readmodel.Position) {
	for _, p := range x.positions {
		list = append(list, p)
	}
	return list
}

// project continues tables that stand at record from, in batches of random size,
// with a new machine that first catches up.
func project(t *testing.T, s flow.Shape, log []app.Record, from, to int, x *tables, r *rand.Rand) *machine {
	t.Helper()
	var model *readmodel.Model
	m := newMachine(t, s, func(a app.App) (app.App, error) {
		var err error
		model, err = readmodel.Watch(a)
		return model, err
	})
	for i := range log[:from] {
		m.Apply(&log[i])
	}
	batch := &readmodel.Batch{}
	model.Start(x.stored(), batch)
	left := 1 + r.IntN(200)
	for i := range log[from:to] {
		rec := &log[from+i]
		model.Begin(rec)
		m.Apply(rec)
		model.End()
		if left--; left == 0 {
			x.store(batch)
			batch = &readmodel.Batch{}
			model.Next(batch)
			left = 1 + r.IntN(200)
		}
	}
	x.store(batch)
	if m.Diverged() {
		t.Fatal("the machine is not the one that made the log")
	}
	return m
}

func TestRowsAreWhatTheApplicationDecided(t *testing.T) {
	for _, gatewayShape := range []bool{true, false} {
		for seed := range uint64(4) {
			s := shapeOf(seed, gatewayShape)
			log := makeLog(t, s, 20_000)
			r := rand.New(rand.NewPCG(seed, 3))
			x := newTables(t)
			m := project(t, s, log, 0, len(log), x, r)
			checkExecutions(t, x)
			checkPositions(t, x)
			if m.Digest() == 0 || len(x.orders) < 1000 || len(x.executions) < 10_000 {
				t.Errorf("%d orders, %d executions: the flow is too thin", len(x.orders), len(x.executions))
			}
		}
	}
}

// checkExecutions: named once each, in order; trades are those of the orders.
func checkExecutions(t *testing.T, x *tables) {
	t.Helper()
	cum, unpriced := map[orderKey]uint32{}, map[orderKey]bool{}
	for i := range x.executions {
		e := &x.executions[i]
		if i > 0 {
			if b := &x.executions[i-1]; e.Position < b.Position || e.Position == b.Position && e.Index != b.Index+1 || e.Position > b.Position && e.Index != 0 {
				t.Fatalf("execution %d of %d follows %d of %d", e.Index, e.Position, b.Index, b.Position)
			}
		}
		if e.Refused || e.ExecType != sbe.ExecTypeTrade {
			continue
		}
		key := orderKey{e.Session, e.ClOrdID}
		if e.OrigClOrd != 0 {
			key.clOrdID = e.OrigClOrd
		}
		cum[key] += e.LastLots
		unpriced[key] = unpriced[key] || e.LastTicks == 0
	}
	for key, o := range x.orders {
		if !unpriced[key] && cum[key] != o.CumLots {
			t.Errorf("order %+v has traded %d, its executions %d", key, o.CumLots, cum[key])
		}
		if o.Open != (o.LeavesLots > 0) || o.Updated.Position < o.Created.Position {
			t.Errorf("order %+v", o)
		}
	}
}

// checkPositions: they are the sums over the orders.
func checkPositions(t *testing.T, x *tables) {
	t.Helper()
	sums := map[readmodel.PositionKey]readmodel.Position{}
	for _, o := range x.orders {
		key := readmodel.PositionKey{Session: o.Session, Account: o.Account, SymbolID: o.SymbolID}
		p := sums[key]
		p.PositionKey = key
		if o.Side == sbe.SideBuy {
			p.NetLots += int64(o.CumLots)
			p.BoughtLots += uint64(o.CumLots)
			p.OpenBuyLots += o.ReservedLots
		} else {
			p.NetLots -= int64(o.CumLots)
			p.SoldLots += uint64(o.CumLots)
			p.OpenSellLots += o.ReservedLots
		}
		sums[key] = p
	}
	unpriced := uint64(0)
	for key, p := range x.positions {
		want := sums[key]
		unpriced += p.UnpricedLots
		want.BoughtValue, want.SoldValue, want.UnpricedLots, want.Updated = p.BoughtValue, p.SoldValue, p.UnpricedLots, p.Updated
		if p != want {
			t.Errorf("position\n%+v, the orders say\n%+v", p, want)
		}
	}
	if len(x.positions) == 0 {
		t.Error("no positions")
	}
}

func TestPositionsAreTheGateways(t *testing.T) {
	s := shapeOf(5, true)
	log := makeLog(t, s, 20_000)
	x := newTables(t)
	var g *gateway.Gateway
	m := newMachine(t, s, func(a app.App) (app.App, error) { g = a.(*gateway.Gateway); return a, nil })
	for i := range log {
		m.Apply(&log[i])
	}
	project(t, s, log, 0, len(log), x, rand.New(rand.NewPCG(1, 1)))
	type pair struct{ account, symbol uint32 }
	got, want, unpriced := map[pair][3]int64{}, map[pair][3]int64{}, uint64(0)
	for _, p := range x.positions {
		sum := got[pair{p.Account, p.SymbolID}]
		got[pair{p.Account, p.SymbolID}] = [3]int64{sum[0] + p.NetLots, sum[1] + p.OpenBuyLots, sum[2] + p.OpenSellLots}
		unpriced += p.UnpricedLots
	}
	g.Positions(func(p *gateway.Position) {
		want[pair{p.Account, p.SymbolID}] = [3]int64{p.NetLots, p.OpenBuyLots, p.OpenSellLots}
	})
	if !maps.Equal(got, want) {
		t.Errorf("read model %v\ngateway    %v", got, want)
	}
	if unpriced == 0 {
		t.Error("no fill was told late: the flow is too thin")
	}
	g.OpenOrders(func(o *app.OrderState) {
		if row := x.orders[orderKey{o.Session, o.ClOrdID}]; row.OrderState != *o {
			t.Errorf("row\n%+v, the gateway has\n%+v", row.OrderState, *o)
		}
	})
}

// TestResumedIsTheSame: rows made in pieces, by machines that start again, are
// those made in one go.
func TestResumedIsTheSame(t *testing.T) {
	for _, gatewayShape := range []bool{true, false} {
		s := shapeOf(9, gatewayShape)
		log := makeLog(t, s, 12_000)
		r := rand.New(rand.NewPCG(2, 2))
		whole, pieces := newTables(t), newTables(t)
		project(t, s, log, 0, len(log), whole, r)
		for at := 0; at < len(log); {
			to := min(len(log), at+1+r.IntN(2500))
			project(t, s, log, at, to, pieces, r)
			at = to
		}
		if !maps.Equal(whole.orders, pieces.orders) || !maps.Equal(whole.positions, pieces.positions) || len(whole.executions) != len(pieces.executions) {
			t.Fatal("orders or positions differ")
		}
		for i := range whole.executions {
			if whole.executions[i] != pieces.executions[i] {
				t.Fatalf("execution %d: %+v, in one go %+v", i, pieces.executions[i], whole.executions[i])
			}
		}
	}
}

func TestValue(t *testing.T) {
	var v readmodel.Value
	for range 40 {
		v.Add(1<<62, 1<<31)
	}
	if got := v.String(); got != "396140812571321687967719751680" {
		t.Error(got)
	}
	if w, err := readmodel.ParseValue(v.String()); err != nil || w != v {
		t.Error(w, err)
	}
	for _, bad := range []string{"", "-1", "x", "340282366920938463463374607431768211456"} {
		if _, err := readmodel.ParseValue(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// limits are the four that every lane has.
func limits(qty, notional, collar, position int64) *gateway.Limits {
	l := gateway.NoLimits()
	l[gateway.LimitQty], l[gateway.LimitNotional], l[gateway.LimitCollar], l[gateway.LimitPosition] = qty, notional, collar, position
	return &l
}
