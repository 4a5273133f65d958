package engine

import "onebeat/engine/app"

// releaseBurst bounds the frames of one kick.
const releaseBurst = 64

// release lets out, in order, the outputs that the policy allows and that no
// ride has taken or is carrying, with one kick for all.
func (l *Loop) release(nowNs int64) int {
	cold := l.releaseCold()
	l.out.Release(l.replica.NextOutput())
	if l.firstAnswerNs == 0 && l.out.Head() > l.firstOutput {
		l.firstAnswerNs = nowNs
	}
	if l.out.Head() == l.out.Tail() {
		if l.replica.Draining() && (l.port == nil || !l.port.Pending()) {
			l.replica.Drained(nowNs)
		}
		return cold
	}
	allowed := l.replica.Releasable()
	submitted := 0
	for submitted < releaseBurst && l.out.Head() < l.out.Tail() {
		slot := l.out.At(l.out.Head())
		if slot.RecordEnd > allowed || l.replica.RideUnderWay(slot, nowNs) {
			break
		}
		if !l.releaseOne(slot) {
			break
		}
		submitted++
	}
	if submitted > 0 {
		l.order.Kick()
		l.counters.ReleasedByUser += uint64(submitted)
	}
	return submitted + cold
}

// releaseOne submits the oldest output. The gate is asked before each: whoever
// paused this process may have given the lane away meanwhile.
func (l *Loop) releaseOne(slot *app.Slot) bool {
	b := l.order.Reserve()
	if b == nil {
		return false // the NIC is behind; next cycle
	}
	if !l.replica.GateOpen() {
		l.counters.GateClosed++
		return false
	}
	n := l.out.Head()
	if l.replica.TakeOutput(n) {
		copy(b, slot.Frame[:slot.LengthBytes])
		l.order.Submit(slot.LengthBytes)
		l.replica.Released(slot.RecordEnd)
	}
	l.out.Release(n + 1)
	return true
}
