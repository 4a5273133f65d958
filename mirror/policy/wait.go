package policy

import "fmt"

// OnTimeout is what happens when the wait is over.
type OnTimeout uint8

const (
	Degrade OnTimeout = iota // go on alone, if the arbiter grants it
	Reject                   // refuse new orders until the standby ACKs again
	Stop                     // the same, and say so: the operator decides
	onTimeoutCount
)

var onTimeoutNames = [onTimeoutCount]string{"degrade", "reject", "stop"}

func (o OnTimeout) String() string { return onTimeoutNames[o] }

// ParseOnTimeout reads a configuration's word.
func ParseOnTimeout(s string) (OnTimeout, error) {
	for i, n := range onTimeoutNames {
		if n == s {
			return OnTimeout(i), nil
		}
	}
	return 0, fmt.Errorf("on_timeout %q: use degrade, reject or stop", s)
}

// WaitState is how long the standby has owed an ACK.
//
//	Flowing ──owed──► Waiting ──wait over──► Expired
//	   ▲                 │                      │
//	   └─────ACK─────────┴──────── ACK ─────────┘
type WaitState uint8

const (
	Flowing WaitState = iota // nothing owed, or the ACKs come
	Waiting                  // something owed; orders still come in
	Expired                  // for too long
	waitStateCount
)

var waitStateNames = [waitStateCount]string{"flowing", "waiting", "expired"}

func (s WaitState) String() string { return waitStateNames[s] }

// Wait watches that what must be waited for moves. Orders are refused before they are
// appended, never after: an appended order keeps waiting.
type Wait struct {
	waitNs   int64
	on       OnTimeout
	state    WaitState
	acked    uint64 // releasable position at the last step
	sinceNs  int64  // when it last moved, or the debt began
	timeouts uint64
}

// NewWait returns a Wait; waitNs of Forever never expires.
func NewWait(waitNs int64, on OnTimeout) *Wait {
	if waitNs <= 0 || on >= onTimeoutCount {
		panic(fmt.Sprintf("policy: wait of %d ns, then %d", waitNs, on))
	}
	return &Wait{waitNs: waitNs, on: on}
}

// Step takes the releasable position and the tail. It returns true once, when
// the wait expires.
func (w *Wait) Step(releasable, tail uint64, nowNs int64) (expired bool) {
	if releasable >= tail || releasable != w.acked {
		w.acked, w.sinceNs, w.state = releasable, nowNs, Flowing
		if releasable < tail {
			w.state = Waiting
		}
		return false
	}
	if w.state == Flowing {
		w.state, w.sinceNs = Waiting, nowNs
	}
	if w.state == Waiting && nowNs-w.sinceNs >= w.waitNs {
		w.state = Expired
		w.timeouts++
		return true
	}
	return false
}

// Releasable returns the position that was releasable at the last step: where an
// expired wait is stuck.
func (w *Wait) Releasable() uint64 { return w.acked }

// State returns where the wait stands.
func (w *Wait) State() WaitState { return w.state }

// Timeouts counts how often the wait expired.
func (w *Wait) Timeouts() uint64 { return w.timeouts }

// Admits reports whether new orders may be appended.
func (w *Wait) Admits() bool { return w.state != Expired || w.on == Degrade }

// Degrades reports whether an expired wait asks to go on alone.
func (w *Wait) Degrades() bool { return w.state == Expired && w.on == Degrade }

// Stopped reports whether the lane waits for its operator.
func (w *Wait) Stopped() bool { return w.state == Expired && w.on == Stop }

// Reset starts anew, at a change of the set.
func (w *Wait) Reset(nowNs int64) { w.state, w.acked, w.sinceNs = Flowing, 0, nowNs }

// Change starts anew under other terms.
func (w *Wait) Change(t *Terms, nowNs int64) {
	w.waitNs, w.on = t.WaitNs, t.OnTimeout
	w.Reset(nowNs)
}
