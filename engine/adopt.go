package engine

import (
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror"
)

const (
	adoptionWaits uint32 = iota
	adoptionTaken
	adoptionRefused
)

// Adoption is a machine that was rebuilt elsewhere, from a snapshot and an archive
// or by a peer's stream, and its place in the lane's log. The machine is the loop's
// once it is given away.
type Adoption struct {
	Machine app.Machine
	mirror.Place

	state  atomic.Uint32
	reason error
}

// Outcome returns what became of it; done is false while the loop has not looked.
func (a *Adoption) Outcome() (err error, done bool) {
	switch a.state.Load() {
	case adoptionTaken:
		return nil, true
	case adoptionRefused:
		return a.reason, true
	}
	return nil, false
}

// Adopt gives the loop a machine and a position from outside: the one way in which
// a lane's state comes from anywhere but its own ring. The loop takes it in its next
// cycle if this node neither serves nor stands by (mirror.Replica.CanAdopt), and goes
// on with the record at that position. Any thread may call it; false: the one before
// was not looked at yet.
func (l *Loop) Adopt(a *Adoption) bool { return l.adoption.CompareAndSwap(nil, a) }

// adopt takes what Adopt left.
func (l *Loop) adopt(a *Adoption, nowNs int64) {
	l.adoption.Store(nil)
	if err := l.replica.CanAdopt(&a.Place); err != nil {
		a.reason = err
		a.state.Store(adoptionRefused)
		return
	}
	l.machine = a.Machine
	l.replica.AdoptChange(a.Machine.PolicyChange())
	l.replica.Adopt(&a.Place, nowNs)
	a.state.Store(adoptionTaken)
}
