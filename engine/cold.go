package engine

import (
	"onebeat/engine/app"
	"onebeat/engine/cold"
)

const (
	// coldBatch bounds the drafts of one cycle.
	coldBatch = 64
	// coldReserveBytes is the room that must be left for what they cause.
	coldReserveBytes = 512 << 10
)

// asked is a machine with sessions outside of the loop.
type asked interface{ Ask(question []byte) }

// UsePort joins sessions that live outside of the loop. Before its first cycle; the
// machines write to the same port.
func (l *Loop) UsePort(p *cold.Port) { l.port = p }

func (l *Loop) startCold() {
	if l.port != nil {
		l.port.Start()
	}
}

// stopServing ends what only who serves does.
func (l *Loop) stopServing() {
	if l.serving = false; l.port != nil {
		l.port.Stop()
	}
}

// takeCold commits a batch of what the sessions outside drafted. While the lane or its
// ring takes nothing in it stays where it is: nobody sends it again, and behind it wait
// connections whose peers see that nobody reads. Where the lane's terms say that orders
// are refused then, it is dropped, and clients' connections end.
func (l *Loop) takeCold(nowNs int64) int {
	if l.port == nil {
		return 0
	}
	stopped := l.replica.IntakeStopped()
	l.port.Refuse(stopped && l.replica.Refusing() != app.NotRefused)
	if stopped || !l.room {
		return 0
	}
	taken := 0
	for ; taken < coldBatch && l.port.Room() > coldReserveBytes; taken++ {
		kind, payload := l.port.Next()
		switch kind {
		case 0:
			return taken
		case cold.Draft:
			if !l.commit(app.Draft{Type: app.RecordFIX, Payload: payload}, l.clock.now(nowNs)) {
				return taken
			}
			l.counters.Drafts++
		case cold.Ask:
			l.counters.Questions++
			if m, ok := l.machine.(asked); ok {
				// What stands in the state may not be seen before the records that put it there.
				l.port.RecordEnd = l.replica.Applied()
				m.Ask(payload)
			}
		}
		l.port.Done()
	}
	return taken
}

// releaseCold lets the sessions outside see what the policy allows. The gate is asked as
// for every output.
func (l *Loop) releaseCold() int {
	if l.port == nil || !l.port.Pending() {
		return 0
	}
	if !l.replica.GateOpen() {
		l.counters.GateClosed++
		return 0
	}
	n, last := l.port.Release(l.replica.Releasable())
	if n > 0 {
		l.replica.Released(last)
	}
	return n
}
