package policies

import (
	"errors"
	"strconv"

	"onebeat/engine/app"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/mirror/policy"
)

func init() { policy.Register("large-orders", newLargeOrders) }

// stretch is a part of the log that must be on disk before what it leads to
// leaves.
type stretch struct{ start, end uint64 }

// stretches is how many large orders may wait apart from each other; a power of
// two. More wait together.
const stretches = 256

// largeOrders lets what large orders lead to leave when it is archived, all else
// when it is mirrored.
type largeOrders struct {
	lots       uint32
	wait       [stretches]stretch // a ring
	head, tail uint32
}

func newLargeOrders(argument string) (policy.Policy, error) {
	lots, err := strconv.ParseUint(argument, 10, 32)
	if err != nil || lots == 0 {
		return nil, errors.New("give the lots from which on an order is large, as in large-orders:500")
	}
	return &largeOrders{lots: uint32(lots)}, nil
}

// Archives implements policy.Archiver.
func (*largeOrders) Archives() bool { return true }

// Observe implements policy.Observer.
func (l *largeOrders) Observe(rec *app.Record, end uint64) {
	if rec.Type != app.RecordMessage || l.lotsOf(rec) < l.lots {
		return
	}
	if l.tail-l.head == stretches {
		l.wait[(l.tail-1)%stretches].end = end
		return
	}
	l.wait[l.tail%stretches] = stretch{rec.Position, end}
	l.tail++
}

func (l *largeOrders) lotsOf(rec *app.Record) uint32 {
	_, _, template, block, ok := fixp.ParseMessage(rec.Payload)
	switch {
	case !ok:
	case template == sbe.TemplateNewOrderSingle:
		return sbe.AsNewOrderSingle(block).QtyLots()
	case template == sbe.TemplateOrderCancelReplaceRequest:
		return sbe.AsOrderCancelReplaceRequest(block).QtyLots()
	}
	return 0
}

// Releasable implements policy.Policy.
func (l *largeOrders) Releasable(v *policy.View) uint64 {
	mirrored, archived := policy.Mirrored{}.Releasable(v), policy.Archived{}.Releasable(v)
	for l.head != l.tail && l.wait[l.head%stretches].end <= archived {
		l.head++
	}
	if l.head == l.tail {
		return mirrored
	}
	return max(archived, min(mirrored, l.wait[l.head%stretches].start))
}
