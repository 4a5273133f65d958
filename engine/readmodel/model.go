package readmodel

import (
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// ErrApp means that an application does not show its orders.
var ErrApp = errors.New("no read model")

type orderKey struct {
	session uint32
	clOrdID uint64
}

// tracked is a position and where it stands in the batch being filled.
type tracked struct {
	Position
	at int // -1: not in it
}

// Model stands between a machine and its application. Before Start it is only in
// the way; after it, it fills the batch with what each record changes.
//
//	application, _ := model.Watch(application) // what the machine is made of
//	…                                          // the machine is brought to where the read model stands
//	model.Start(positions)                     // as they are there
//	for each record { model.Begin(rec); machine.Apply(rec, out); model.End() }
type Model struct {
	app.App // what is watched
	orders  app.Orders
	batch   *Batch // nil: not started

	// open are the open orders as the read model has them: what an order traded
	// and reserved is the difference to what it did.
	open      map[orderKey]app.OrderState
	positions map[PositionKey]*tracked
	inBatch   map[orderKey]int

	// of the record being applied
	at      At
	epoch   uint32
	index   int
	in      *app.Input
	touched []orderKey
	fills   map[orderKey]fill
	created orderKey // the new order, if the input was taken as one
	sink    sink
}

// fill is what reports said an order traded.
type fill struct {
	lots  uint64
	value Value
}

// Watch returns a model of an application, which takes its place in the machine.
func Watch(a app.App) (*Model, error) {
	orders, ok := a.(app.Orders)
	if !ok {
		return nil, fmt.Errorf("%w of %T: it must implement app.Orders", ErrApp, a)
	}
	m := &Model{App: a, orders: orders, open: map[orderKey]app.OrderState{}, positions: map[PositionKey]*tracked{},
		inBatch: map[orderKey]int{}, fills: map[orderKey]fill{}}
	m.sink.m = m
	return m, nil
}

// Start begins to fill batch. positions are those of the read model as it stands
// where the machine stands.
func (m *Model) Start(positions []Position, batch *Batch) {
	m.orders.OpenOrders(func(o *app.OrderState) { m.open[orderKey{o.Session, o.ClOrdID}] = *o })
	for _, p := range positions {
		m.positions[p.PositionKey] = &tracked{Position: p, at: -1}
	}
	m.batch = batch
}

// Next goes on with an empty batch.
func (m *Model) Next(batch *Batch) {
	for i := range m.batch.Positions {
		m.positions[m.batch.Positions[i].PositionKey].at = -1
	}
	clear(m.inBatch)
	m.batch = batch
}

// Begin names the record that the machine is given next.
func (m *Model) Begin(rec *app.Record) {
	m.at, m.epoch, m.index = At{rec.Position, rec.TimeNs}, rec.Epoch, 0
}

// End says that the machine has taken it.
func (m *Model) End() { m.batch.Records++ }

// Apply implements app.App.
func (m *Model) Apply(in *app.Input, out app.Sink) {
	if m.batch == nil {
		m.App.Apply(in, out)
		return
	}
	m.in, m.touched, m.created = in, m.touched[:0], orderKey{}
	clear(m.fills)
	m.inputOrders()
	m.sink.out = out
	m.App.Apply(in, &m.sink)
	for _, key := range m.touched {
		m.look(key)
	}
}

// inputOrders notes what orders an input may change, by the names in it. What
// else it changes, the application says.
func (m *Model) inputOrders() {
	b := m.in.Block
	if m.in.Kind == app.FromClient {
		switch m.in.Template {
		case sbe.TemplateNewOrderSingle:
			m.touch(m.in.Session, sbe.AsNewOrderSingle(b).ClOrdID())
		case sbe.TemplateOrderCancelRequest:
			m.touch(m.in.Session, sbe.AsOrderCancelRequest(b).OrigClOrdID())
		case sbe.TemplateOrderCancelReplaceRequest:
			m.touch(m.in.Session, sbe.AsOrderCancelReplaceRequest(b).OrigClOrdID())
		}
		return
	}
	if m.in.Kind != app.FromVenue {
		return
	}
	switch m.in.Template {
	case sbe.TemplateExecutionReport:
		r := sbe.AsExecutionReport(b)
		m.venueOrder(r.ClOrdID())
		m.venueOrder(r.OrigClOrdID())
	case sbe.TemplateReject:
		m.venueOrder(sbe.AsReject(b).ClOrdID())
	}
}

// venueOrder notes the order of a ClOrdID at the venue, or the one that the
// request of that ClOrdID is about.
func (m *Model) venueOrder(venueClOrdID uint64) {
	session, clOrdID, ok := m.orders.VenueOrder(venueClOrdID)
	if !ok || venueClOrdID == 0 {
		return
	}
	m.touch(session, clOrdID)
	if order, ok := m.orders.Requested(session, clOrdID); ok {
		m.touch(session, order)
	}
}

// touch notes an order, once. One input names few; a book's trades name at most
// some hundred.
func (m *Model) touch(session uint32, clOrdID uint64) {
	key := orderKey{session, clOrdID}
	for i := len(m.touched) - 1; i >= 0; i-- {
		if m.touched[i] == key {
			return
		}
	}
	m.touched = append(m.touched, key)
}

// look compares an order with what the read model has of it.
func (m *Model) look(key orderKey) {
	var o app.OrderState
	if !m.orders.Order(key.session, key.clOrdID, &o) {
		return
	}
	before, known := m.open[key]
	isNew := key == m.created
	switch {
	case known && before == o:
		return
	case !known && !isNew && m.in.Kind != app.FromVenue:
		return // finished long ago: only the venue can still change it
	case !known && !isNew:
		before = o // it no longer moves its position
	}
	if o.Open {
		m.open[key] = o
	} else {
		delete(m.open, key)
	}
	m.move(&before, &o, m.fills[key])
	i, ok := m.inBatch[key]
	if !ok {
		i = len(m.batch.Orders)
		m.inBatch[key] = i
		m.batch.Orders = append(m.batch.Orders, Order{New: isNew, Created: m.at})
	}
	row := &m.batch.Orders[i]
	row.OrderState, row.Updated = o, m.at
}

// move moves the position of an order that changed.
func (m *Model) move(before, o *app.OrderState, f fill) {
	tradedLots := int64(o.CumLots) - int64(before.CumLots)
	reserved := o.ReservedLots - before.ReservedLots
	if tradedLots == 0 && reserved == 0 {
		return
	}
	key := PositionKey{o.Session, o.Account, o.SymbolID}
	p := m.positions[key]
	if p == nil {
		p = &tracked{Position: Position{PositionKey: key}, at: -1}
		m.positions[key] = p
	}
	value := &p.BoughtValue
	if o.Side == sbe.SideBuy {
		p.NetLots += tradedLots
		p.BoughtLots += uint64(tradedLots)
		p.OpenBuyLots += reserved
	} else {
		p.NetLots -= tradedLots
		p.SoldLots += uint64(tradedLots)
		p.OpenSellLots += reserved
		value = &p.SoldValue
	}
	if f.lots == uint64(tradedLots) {
		value.add(f.value)
	} else {
		p.UnpricedLots += uint64(tradedLots)
	}
	p.Updated = m.at
	if p.at < 0 {
		p.at = len(m.batch.Positions)
		m.batch.Positions = append(m.batch.Positions, Position{})
	}
	m.batch.Positions[p.at] = p.Position
}
