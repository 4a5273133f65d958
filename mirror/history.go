package mirror

import (
	"errors"
	"fmt"
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/role"
	"onebeat/mirror/wire"
)

// Need says what a node lacks to serve or to stand by: its machine, as of a
// position that its ring still holds. The ring stays as it is meanwhile.
type Need struct {
	Oldest, Tail uint64 // what the ring holds
	Why          string
}

const (
	historyIdle uint32 = iota
	historyWanted
)

// History hands a Need from the loop to the cold side, which rebuilds the machine
// from elsewhere and gives it to the loop (engine.Loop.Adopt).
type History struct {
	state atomic.Uint32 // pairs need: the loop's while idle, else the cold side's
	need  Need
}

// Wanted returns what is lacking, as long as it is.
func (h *History) Wanted() (Need, bool) {
	if h.state.Load() != historyWanted {
		return Need{}, false
	}
	return h.need, true
}

// Place is where in a lane's log a machine stands that came from elsewhere.
type Place struct {
	Position uint64 // behind the last record it has applied
	TimeNs   int64  // lane time of that record
	Epoch    uint32 // and its epoch
	Records  uint64 // of the log up to there, padding left out
	Record   lane.Record
	// Reset: the ring's log is not that of the machine, or ends before it: the
	// ring is emptied and goes on at Position. Only of a node that is SYNCING. It is
	// another ring then, with this Incarnation: what was recorded of the old one
	// must not be believed of it.
	Reset       bool
	Incarnation uint64
}

// ErrAdopt means that a machine does not fit this node's log now.
var ErrAdopt = errors.New("the machine does not fit the log")

// lackState parks this node until a machine comes from elsewhere.
func (r *Replica) lackState(why string, nowNs int64) {
	r.broken, r.rebuild = true, false
	h := &r.History
	if h.state.Load() == historyIdle {
		h.need = Need{Oldest: r.ring.Oldest(), Tail: r.ring.Tail(), Why: why}
		h.state.Store(historyWanted)
	}
	r.Events.push(Event{TimeNs: nowNs, Kind: EventNoHistory, Reason: why, A: h.need.Oldest, B: h.need.Tail})
}

// CanAdopt says what is against a machine of that place; nil: nothing.
func (r *Replica) CanAdopt(p *Place) error {
	state := r.word.State()
	switch {
	case r.diverged:
		return fmt.Errorf("%w: this node is quarantined", ErrAdopt)
	case state == lane.Active || state == lane.Standby || state == lane.Candidate:
		return fmt.Errorf("%w: this node is %v", ErrAdopt, state)
	case p.Position%ring.AlignBytes != 0:
		return fmt.Errorf("%w: position %d", ErrAdopt, p.Position)
	case p.Reset && state != lane.Syncing:
		return fmt.Errorf("%w: this node is %v and keeps its log", ErrAdopt, state)
	case p.Reset && (r.hello.Authority.State() != lane.Active || r.hello.Authority.Epoch() < r.word.Epoch()):
		// A writer that was gone on without does not know it yet. This ring may be the
		// only one that holds what was released since.
		return fmt.Errorf("%w: no writer of this epoch or a later one was heard", ErrAdopt)
	case p.Reset && p.Incarnation == 0:
		return fmt.Errorf("%w: its ring has no incarnation", ErrAdopt)
	case p.Reset:
		return nil
	case p.Position > r.ring.Tail() || p.Position < r.ring.Oldest():
		return fmt.Errorf("%w: it stands at %d, the ring holds %d to %d", ErrAdopt, p.Position, r.ring.Oldest(), r.ring.Tail())
	}
	var rec app.Record
	if _, found := r.ring.ReadInto(p.Position, &rec); found != ring.Found && found != ring.AtTail {
		return fmt.Errorf("%w: %d is no record of the ring: %v", ErrAdopt, p.Position, found)
	}
	return nil
}

// Adopt goes on from that place: CanAdopt had nothing against it.
func (r *Replica) Adopt(p *Place, nowNs int64) {
	if p.Reset {
		r.cutting = false
		if r.feeding {
			r.Feed.Stop() // of the log that goes
		}
		r.renew(p.Incarnation, nowNs) // first: a process that dies in between must find no whole ring
		r.ring.Reset(p.Position, p.Epoch)
		r.table.CutCommit(p.Position)
		r.newest, r.epochAt = p.Record, p.Position
	} else if p.Record.Epoch > r.newest.Epoch {
		r.newest = p.Record // the ring holds no epoch's beginning any more
	}
	if !p.Reset && r.ring.Oldest() == r.ring.Tail() {
		// It was emptied for a state, and the process died before any record came:
		// only the state tells which epoch the log ends in.
		r.ring.Reset(p.Position, p.Epoch)
		r.newest = p.Record
	}
	r.applied, r.lastTimeNs, r.records = p.Position, p.TimeNs, p.Records
	r.broken, r.rebuild = false, false
	atomic.StoreUint64(&r.table.Engine.Applied, r.applied)
	r.History.state.Store(historyIdle)
	r.event(EventAdopted, p.Position, p.Records)
	r.step(role.Event{Kind: role.Restored, Record: r.newest, Tail: r.ring.Tail(), LastEpoch: r.ring.LastEpoch()}, nowNs)
}

// renew makes the ring another one, as if this process had begun with an empty
// ring: the role machine forgets what the log said, and the peer has to learn the
// new incarnation before there are keys again.
func (r *Replica) renew(incarnation uint64, nowNs int64) {
	for atomic.SwapUint64(&r.table.Busy, 1) != 0 {
	}
	for atomic.SwapUint64(&r.table.Second.Busy, 1) != 0 {
	}
	r.table.Config.Incarnation, r.table.Config.PeerIncarnation = incarnation, 0
	atomic.StoreUint64(&r.table.Second.Busy, 0)
	atomic.StoreUint64(&r.table.Busy, 0)
	r.prefixOf, r.mismatch, r.refusedAt = 0, 0, 0
	r.hello, r.helloCounter, r.helloIncarn, r.peerHello = wire.Hello{}, 0, 0, 0
	r.freshFrom = r.table.Engine.TxCounter
	r.role = newRole(&r.cfg, incarnation)
	r.step(role.Event{Kind: role.Start, Word: r.word, Hollow: true}, nowNs)
}
