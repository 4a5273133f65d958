package postgres

import (
	"strconv"
	"time"

	"onebeat/engine/readmodel"
	"onebeat/engine/sbe"
)

// rows is a COPY's text: values apart by tabs, rows by newlines. No value needs
// quoting: numbers, times and names of enums.
type rows struct {
	b     []byte
	count int
	begun bool // a row
}

func (r *rows) reset() { r.b, r.count, r.begun = r.b[:0], 0, false }

func (r *rows) next() {
	if r.begun {
		r.b = append(r.b, '\t')
	}
	r.begun = true
}

func (r *rows) end() {
	r.b = append(r.b, '\n')
	r.begun = false
	r.count++
}

func (r *rows) int(v int64) { r.next(); r.b = strconv.AppendInt(r.b, v, 10) }

func (r *rows) uint(v uint64) { r.next(); r.b = strconv.AppendUint(r.b, v, 10) }

func (r *rows) text(v string) { r.next(); r.b = append(r.b, v...) }

func (r *rows) null() { r.next(); r.b = append(r.b, '\\', 'N') }

// id writes a number that is not known while it is 0.
func (r *rows) id(v uint64) {
	if v == 0 {
		r.null()
		return
	}
	r.uint(v)
}

func (r *rows) bool(v bool) {
	r.next()
	if v {
		r.b = append(r.b, 't')
	} else {
		r.b = append(r.b, 'f')
	}
}

func (r *rows) time(ns int64) {
	r.next()
	r.b = time.Unix(0, ns).UTC().AppendFormat(r.b, "2006-01-02 15:04:05.000000+00")
}

const orderColumns = `session, cl_ord_id, order_id, account, symbol, side, ord_type, time_in_force, price_ticks, qty_lots, cum_lots,
	leaves_lots, reserved_lots, status, open, pending, pending_cl_ord_id, created_position, created_at, updated_position, updated_at`

func (r *rows) order(o *readmodel.Order) {
	r.uint(uint64(o.Session))
	r.uint(o.ClOrdID)
	r.id(o.OrderID)
	r.uint(uint64(o.Account))
	r.uint(uint64(o.SymbolID))
	r.text(o.Side.String())
	r.text(o.OrdType.String())
	r.text(o.TimeInForce.String())
	r.int(o.PriceTicks)
	r.uint(uint64(o.QtyLots))
	r.uint(uint64(o.CumLots))
	r.uint(uint64(o.LeavesLots))
	r.int(o.ReservedLots)
	r.text(o.Status.String())
	r.bool(o.Open)
	if o.PendingTemplate == 0 {
		r.null()
		r.null()
	} else {
		r.text(sbe.TemplateName(o.PendingTemplate))
		r.uint(o.PendingClOrdID)
	}
	r.uint(o.Created.Position)
	r.time(o.Created.TimeNs)
	r.uint(o.Updated.Position)
	r.time(o.Updated.TimeNs)
	r.end()
}

const executionColumns = `position, index, time_ns, at, epoch, session, kind, cl_ord_id, orig_cl_ord_id, exec_id, order_id, account, symbol,
	side, status, price_ticks, last_price_ticks, last_lots, qty_lots, cum_lots, leaves_lots, reason, value, value_limit, refused`

func (r *rows) execution(e *readmodel.Execution) {
	r.uint(e.Position)
	r.int(int64(e.Index))
	r.int(e.TimeNs)
	r.time(e.TimeNs)
	r.uint(uint64(e.Epoch))
	r.uint(uint64(e.Session))
	r.text(e.Kind())
	r.uint(e.ClOrdID)
	if e.Refused {
		for range 13 {
			r.null()
		}
		r.text(e.Reason.String())
		r.int(e.Value)
		r.int(e.Limit)
		r.text(sbe.TemplateName(e.Template))
		r.end()
		return
	}
	r.id(e.OrigClOrd)
	r.uint(e.ExecID)
	r.id(e.OrderID)
	r.uint(uint64(e.Account))
	r.uint(uint64(e.SymbolID))
	r.text(e.Side.String())
	r.text(e.Status.String())
	r.int(e.PriceTicks)
	r.int(e.LastTicks)
	r.uint(uint64(e.LastLots))
	r.uint(uint64(e.QtyLots))
	r.uint(uint64(e.CumLots))
	r.uint(uint64(e.LeavesLots))
	if e.Reason == sbe.RejectReasonNone {
		r.null()
	} else {
		r.text(e.Reason.String())
	}
	r.null()
	r.null()
	r.null()
	r.end()
}

const positionColumns = `session, account, symbol, net_lots, bought_lots, sold_lots, open_buy_lots, open_sell_lots, bought_value, sold_value,
	unpriced_lots, updated_position, updated_at`

func (r *rows) position(p *readmodel.Position) {
	r.uint(uint64(p.Session))
	r.uint(uint64(p.Account))
	r.uint(uint64(p.SymbolID))
	r.int(p.NetLots)
	r.uint(p.BoughtLots)
	r.uint(p.SoldLots)
	r.int(p.OpenBuyLots)
	r.int(p.OpenSellLots)
	r.text(p.BoughtValue.String())
	r.text(p.SoldValue.String())
	r.uint(p.UnpricedLots)
	r.uint(p.Updated.Position)
	r.time(p.Updated.TimeNs)
	r.end()
}
