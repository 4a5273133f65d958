package book

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

type counter uint8

const (
	countNew counter = iota
	countCancel
	countReplace
	countStatus
	countTrades
	countPossResend
	countRejects
	countSelfMatches
	countPhases
	countDelayed
	countStreetFills
	countDropCopies
	countMax
)

var counterNames = [countMax]string{"new", "cancel", "replace", "status", "trades", "poss_resend_known", "rejects",
	"self_matches", "phase_changes", "delayed", "street_fills", "drop_copies"}

// Counters implements app.App.
func (b *Book) Counters(visit func(name string, count uint64)) {
	for i, n := range b.counts {
		visit("book_"+counterNames[i], n)
	}
	visit("book_open", uint64(b.open))
}

// report sends an ExecutionReport about o to its owner. clOrdID is that of the
// request; origClOrdID that of the order when they differ.
func (b *Book) report(o *order, exec sbe.ExecType, clOrdID, origClOrdID uint64, lastLots uint32, lastTicks int64, why sbe.RejectReason) {
	b.execID++
	r := sbe.AsExecutionReport(b.out.ToClient(o.session, sbe.TemplateExecutionReport))
	r.SetOrderID(o.orderID)
	r.SetExecID(b.execID)
	r.SetClOrdID(clOrdID)
	r.SetOrigClOrdID(origClOrdID)
	r.SetTransactTimeNs(uint64(b.in.TimeNs))
	r.SetLastPriceTicks(lastTicks)
	r.SetPriceTicks(o.priceTicks)
	r.SetInstrument(b.cfg.Symbols[o.symbol], o.account)
	r.SetLots(o.qtyLots, lastLots, o.leaves(), o.cumLots)
	r.SetCodes(o.side, o.ordType, o.tif, exec, o.status, b.possResend, why)
	if len(b.cfg.DropCopy) > 0 {
		b.copied = *r
	}
	b.out.SendToClient()
	if len(b.cfg.DropCopy) > 0 {
		b.copyReport(o.session, &b.copied)
	}
	d := app.Fold(b.digest, o.key)
	d = app.Fold(d, uint64(o.priceTicks)^uint64(lastTicks)<<32)
	b.digest = app.Fold(d, uint64(o.cumLots)<<32|uint64(o.qtyLots)^uint64(exec)<<24^uint64(o.status)<<16^uint64(why))
}

// reportStatus tells the state of a known order in answer to clOrdID.
func (b *Book) reportStatus(o *order, clOrdID uint64) {
	orig := uint64(0)
	if clOrdID != o.clOrdID {
		orig = o.clOrdID
	}
	b.report(o, sbe.ExecTypeOrderStatus, clOrdID, orig, 0, 0, sbe.RejectReasonNone)
}

// reject refuses the request being applied; value and limit say what broke what.
func (b *Book) reject(clOrdID uint64, why sbe.RejectReason, value, limit int64) {
	b.counts[countRejects]++
	r := sbe.AsReject(b.out.ToClient(b.in.Session, sbe.TemplateReject))
	r.SetClOrdID(clOrdID)
	r.SetRefSeqNo(b.in.SeqNo)
	r.SetValue(value)
	r.SetLimit(limit)
	r.SetReason(why)
	r.SetRefTemplateID(b.in.Template)
	r.SetPossResend(b.possResend)
	b.out.SendToClient()
	b.digest = app.Fold(b.digest, clOrdID^uint64(why)<<56)
}
