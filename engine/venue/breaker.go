package venue

import (
	"fmt"

	"onebeat/engine/app"
)

// BreakerState is what a circuit breaker lets pass.
//
//	Closed --failures within the window--> Open --time--> HalfOpen
//	HalfOpen --the probe is accepted--> Closed
//	HalfOpen --the probe fails--> Open
type BreakerState uint8

// States of a breaker.
const (
	Closed   BreakerState = iota // everything
	Open                         // no new orders
	HalfOpen                     // one new order, the probe
)

// String returns the state's name.
func (s BreakerState) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// breaker counts failures in a sliding window: the times of the last ones.
type breaker struct {
	windowNs int64
	openNs   int64
	failedNs []int64 // ring of the last failures' times; its length opens it; none: it never opens
	next     uint64  // failures so far
	state    BreakerState
	untilNs  int64  // of Open
	probe    uint64 // ClOrdID on its way in HalfOpen; 0: none yet
}

// lets reports whether a new order may pass, and makes it the probe if one is due.
func (b *breaker) lets(clOrdID uint64, nowNs int64) bool {
	switch b.state {
	case Closed:
		return true
	case Open:
		if nowNs < b.untilNs {
			return false
		}
		b.state, b.probe = HalfOpen, 0
	}
	if b.probe != 0 {
		return false
	}
	b.probe = clOrdID
	return true
}

// failed notes that a new order was refused or not answered in time. It reports
// whether that opened the breaker.
func (b *breaker) failed(clOrdID uint64, nowNs int64) bool {
	if len(b.failedNs) == 0 {
		return false
	}
	switch b.state {
	case Open:
		return false
	case HalfOpen:
		if clOrdID != b.probe {
			return false
		}
		b.open(nowNs)
		return true
	}
	n := uint64(len(b.failedNs))
	b.failedNs[b.next%n] = nowNs
	b.next++
	if b.next < n || nowNs-b.failedNs[b.next%n] > b.windowNs {
		return false
	}
	b.open(nowNs)
	return true
}

func (b *breaker) open(nowNs int64) {
	b.state, b.untilNs, b.probe, b.next = Open, nowNs+b.openNs, 0, 0
}

// accepted notes that the venue took an order, withdrawn that the probe never
// reached it.
func (b *breaker) accepted(clOrdID uint64) bool {
	if b.state != HalfOpen || b.probe != clOrdID {
		return false
	}
	b.state, b.probe, b.next = Closed, 0, 0
	return true
}

func (b *breaker) withdrawn(clOrdID uint64) {
	if b.state == HalfOpen && b.probe == clOrdID {
		b.probe = 0
	}
}

func (b *breaker) digest(d uint64) uint64 {
	return app.Fold(app.Fold(d, b.next<<8^uint64(b.state)^uint64(b.untilNs)<<16), b.probe)
}

func (b *breaker) save(w *app.StateWriter) {
	w.U8("breaker", uint8(b.state))
	w.I64("until_ns", b.untilNs)
	w.U64("probe", b.probe)
	w.U64("failures", b.next)
	w.Int("failures_max", len(b.failedNs))
	for _, ns := range b.failedNs {
		w.I64("failed_ns", ns)
	}
}

func (b *breaker) load(r *app.StateReader) {
	b.state, b.untilNs, b.probe, b.next = BreakerState(r.U8()), r.I64(), r.U64(), r.U64()
	if b.state > HalfOpen {
		r.Fail("a breaker in state %d", b.state)
	}
	r.Is("failures that open the breaker", len(b.failedNs))
	for i := range b.failedNs {
		b.failedNs[i] = r.I64()
	}
}
