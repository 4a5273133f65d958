package readmodel

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// sink hears what the application says to clients.
type sink struct {
	m        *Model
	out      app.Sink
	session  uint32
	template uint16
	block    []byte
}

// ToClient implements app.Sink.
func (s *sink) ToClient(session uint32, template uint16) []byte {
	s.session, s.template, s.block = session, template, s.out.ToClient(session, template)
	return s.block
}

// SendToClient implements app.Sink.
func (s *sink) SendToClient() {
	switch s.template {
	case sbe.TemplateExecutionReport:
		s.m.reported(s.session, sbe.AsExecutionReport(s.block))
	case sbe.TemplateReject:
		s.m.refused(s.session, sbe.AsReject(s.block))
	}
	s.out.SendToClient()
}

// ToVenue implements app.Sink.
func (s *sink) ToVenue(venue uint32, template uint16, clOrdID uint64) ([]byte, sbe.RejectReason) {
	return s.out.ToVenue(venue, template, clOrdID)
}

// SendToVenue implements app.Sink.
func (s *sink) SendToVenue() { s.out.SendToVenue() }

// Withdraw implements app.Sink.
func (s *sink) Withdraw(venue uint32, clOrdID uint64) bool { return s.out.Withdraw(venue, clOrdID) }

// reported takes an ExecutionReport.
func (m *Model) reported(session uint32, r *sbe.ExecutionReport) {
	clOrdID, order := r.ClOrdID(), r.OrigClOrdID()
	if order == 0 {
		order = clOrdID
	}
	m.touch(session, order)
	key, exec := orderKey{session, order}, r.ExecType()
	if m.in.Kind == app.FromClient && m.in.Template == sbe.TemplateNewOrderSingle && session == m.in.Session &&
		sbe.AsNewOrderSingle(m.in.Block).ClOrdID() == order && (exec == sbe.ExecTypeNew || exec == sbe.ExecTypePendingNew) {
		m.created = key
	}
	if lots, ticks := r.LastQtyLots(), r.LastPriceTicks(); exec == sbe.ExecTypeTrade && ticks > 0 {
		f := m.fills[key]
		f.lots += uint64(lots)
		f.value.Add(ticks, lots)
		m.fills[key] = f
	}
	m.batch.Executions = append(m.batch.Executions, Execution{At: m.at, Index: m.index, Epoch: m.epoch, Session: session,
		ExecID: r.ExecID(), OrderID: r.OrderID(), ClOrdID: clOrdID, OrigClOrd: r.OrigClOrdID(), Account: r.Account(), SymbolID: r.SymbolID(),
		Side: r.Side(), ExecType: exec, Status: r.OrdStatus(), PriceTicks: r.PriceTicks(), LastTicks: r.LastPriceTicks(), LastLots: r.LastQtyLots(),
		QtyLots: r.OrderQtyLots(), CumLots: r.CumQtyLots(), LeavesLots: r.LeavesQtyLots(), Reason: r.Reason()})
	m.index++
}

// refused takes a Reject.
func (m *Model) refused(session uint32, r *sbe.Reject) {
	m.batch.Executions = append(m.batch.Executions, Execution{At: m.at, Index: m.index, Epoch: m.epoch, Session: session, Refused: true,
		ClOrdID: r.ClOrdID(), Reason: r.Reason(), Value: r.Value(), Limit: r.Limit(), Template: r.RefTemplateID()})
	m.index++
}
