package redis

import (
	"encoding/json"
	"fmt"

	"onebeat/engine/readmodel"
	"onebeat/engine/sbe"
)

// orderFields are a hash's. Names are those of the SQL columns.
func orderFields(o *readmodel.Order) []any {
	pending := ""
	if o.PendingTemplate != 0 {
		pending = sbe.TemplateName(o.PendingTemplate)
	}
	f := make([]any, 0, 38)
	f = append(f, "order_id", o.OrderID, "price_ticks", o.PriceTicks, "qty_lots", o.QtyLots, "cum_lots", o.CumLots,
		"leaves_lots", o.LeavesLots, "reserved_lots", o.ReservedLots, "status", o.Status.String(), "open", o.Open,
		"pending", pending, "pending_cl_ord_id", o.PendingClOrdID, "updated_position", o.Updated.Position, "updated_ns", o.Updated.TimeNs)
	if o.New {
		f = append(f, "account", o.Account, "symbol", o.SymbolID, "side", o.Side.String(), "ord_type", o.OrdType.String(),
			"time_in_force", o.TimeInForce.String(), "created_position", o.Created.Position, "created_ns", o.Created.TimeNs)
	}
	return f
}

// executionFields are a stream entry's; those that a report or a Reject does not
// have are left out.
func executionFields(e *readmodel.Execution) []any {
	f := make([]any, 0, 40)
	f = append(f, "kind", e.Kind(), "time_ns", e.TimeNs, "epoch", e.Epoch, "session", e.Session, "cl_ord_id", e.ClOrdID)
	if e.Refused {
		return append(f, "reason", e.Reason.String(), "value", e.Value, "value_limit", e.Limit, "refused", sbe.TemplateName(e.Template))
	}
	if e.OrigClOrd != 0 {
		f = append(f, "orig_cl_ord_id", e.OrigClOrd)
	}
	f = append(f, "exec_id", e.ExecID, "order_id", e.OrderID, "account", e.Account, "symbol", e.SymbolID, "side", e.Side.String(),
		"status", e.Status.String(), "price_ticks", e.PriceTicks, "last_price_ticks", e.LastTicks, "last_lots", e.LastLots,
		"qty_lots", e.QtyLots, "cum_lots", e.CumLots, "leaves_lots", e.LeavesLots)
	if e.Reason != sbe.RejectReasonNone {
		f = append(f, "reason", e.Reason.String())
	}
	return f
}

// position is a position's JSON.
type position struct {
	NetLots         int64  `json:"net_lots"`
	BoughtLots      uint64 `json:"bought_lots"`
	SoldLots        uint64 `json:"sold_lots"`
	OpenBuyLots     int64  `json:"open_buy_lots"`
	OpenSellLots    int64  `json:"open_sell_lots"`
	BoughtValue     string `json:"bought_value"` // a decimal of up to 128 bits
	SoldValue       string `json:"sold_value"`
	UnpricedLots    uint64 `json:"unpriced_lots"`
	UpdatedPosition uint64 `json:"updated_position"`
	UpdatedNs       int64  `json:"updated_ns"`
}

func positionName(k readmodel.PositionKey) string {
	return fmt.Sprintf("%d:%d:%d", k.Session, k.Account, k.SymbolID)
}

func positionJSON(p *readmodel.Position) []byte {
	b, err := json.Marshal(position{p.NetLots, p.BoughtLots, p.SoldLots, p.OpenBuyLots, p.OpenSellLots, p.BoughtValue.String(), p.SoldValue.String(),
		p.UnpricedLots, p.Updated.Position, p.Updated.TimeNs})
	if err != nil {
		panic(fmt.Sprintf("redis: position: %v", err)) // numbers and digits
	}
	return b
}

func parsePosition(name, text string) (p readmodel.Position, err error) {
	if _, err = fmt.Sscanf(name, "%d:%d:%d", &p.Session, &p.Account, &p.SymbolID); err != nil {
		return p, err
	}
	var j position
	if err = json.Unmarshal([]byte(text), &j); err != nil {
		return p, err
	}
	if p.BoughtValue, err = readmodel.ParseValue(j.BoughtValue); err != nil {
		return p, err
	}
	if p.SoldValue, err = readmodel.ParseValue(j.SoldValue); err != nil {
		return p, err
	}
	p.NetLots, p.BoughtLots, p.SoldLots, p.OpenBuyLots, p.OpenSellLots = j.NetLots, j.BoughtLots, j.SoldLots, j.OpenBuyLots, j.OpenSellLots
	p.UnpricedLots, p.Updated = j.UnpricedLots, readmodel.At{Position: j.UpdatedPosition, TimeNs: j.UpdatedNs}
	return p, nil
}
