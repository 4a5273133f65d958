package readmodel

import (
	"fmt"
	"math/big"
	"math/bits"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// At is a record: where it begins in the log, and its lane time.
type At struct {
	Position uint64
	TimeNs   int64
}

// Order is one order's row.
type Order struct {
	app.OrderState
	// New: the row appears with this batch, at Created. Else it is there already,
	// with its Created.
	New     bool
	Created At
	Updated At // the last record that changed it
}

// Execution is one message of the application to a client. Fields that a Reject
// does not have are 0.
type Execution struct {
	At
	Index      int // of the messages behind one record, from 0
	Epoch      uint32
	Session    uint32
	Refused    bool // a Reject; else an ExecutionReport
	ExecID     uint64
	OrderID    uint64
	ClOrdID    uint64
	OrigClOrd  uint64 // of the order, when ClOrdID is that of a cancel or replace
	Account    uint32
	SymbolID   uint32
	Side       sbe.Side
	ExecType   sbe.ExecType
	Status     sbe.OrdStatus
	PriceTicks int64
	LastTicks  int64
	LastLots   uint32
	QtyLots    uint32
	CumLots    uint32
	LeavesLots uint32
	Reason     sbe.RejectReason
	Value      int64  // of a Reject: what was refused
	Limit      int64  // of a Reject: the limit it broke
	Template   uint16 // of a Reject: the refused message's
}

// Kind names what the execution is: the report's ExecType, or Refused.
func (e *Execution) Kind() string {
	if e.Refused {
		return "Refused"
	}
	return e.ExecType.String()
}

// PositionKey names a position.
type PositionKey struct{ Session, Account, SymbolID uint32 }

// Position is what one session's orders have done to one account in one symbol.
type Position struct {
	PositionKey
	NetLots      int64 // bought less sold
	BoughtLots   uint64
	SoldLots     uint64
	OpenBuyLots  int64 // what open orders may still buy, replaces under way included
	OpenSellLots int64
	BoughtValue  Value // of the lots whose price was told
	SoldValue    Value
	UnpricedLots uint64 // traded, but no report told the price
	Updated      At     // the last record that changed it
}

// Value is price ticks times lots, summed: 128 bits do not overflow.
type Value struct{ High, Low uint64 }

// Add adds lots at a price that is not negative.
func (v *Value) Add(priceTicks int64, lots uint32) {
	high, low := bits.Mul64(uint64(priceTicks), uint64(lots))
	var carry uint64
	v.Low, carry = bits.Add64(v.Low, low, 0)
	v.High += high + carry
}

// String writes it in decimal.
func (v Value) String() string {
	if v.High == 0 {
		return fmt.Sprint(v.Low)
	}
	n := new(big.Int).SetUint64(v.High)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(v.Low)).String()
}

// ParseValue reads what String wrote.
func ParseValue(text string) (v Value, err error) {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || n.Sign() < 0 || n.BitLen() > 128 {
		return v, fmt.Errorf("%q is not a value", text)
	}
	v.Low = new(big.Int).And(n, new(big.Int).SetUint64(^uint64(0))).Uint64()
	v.High = n.Rsh(n, 64).Uint64()
	return v, nil
}

// Batch is what some records changed.
type Batch struct {
	Records    int
	Orders     []Order
	Executions []Execution
	Positions  []Position
}

// Reset empties it and keeps its memory.
func (b *Batch) Reset() {
	b.Records, b.Orders, b.Executions, b.Positions = 0, b.Orders[:0], b.Executions[:0], b.Positions[:0]
}

func (v *Value) add(w Value) {
	var carry uint64
	v.Low, carry = bits.Add64(v.Low, w.Low, 0)
	v.High += w.High + carry
}
