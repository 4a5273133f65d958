package export

import (
	"sync"
	"time"

	"onebeat/tools/control"
	"onebeat/tools/export/target"
)

// States of a feed.
const (
	stateStarting   = "starting"
	stateConnecting = "connecting"
	stateReplaying  = "replaying" // its state is brought to where the target is
	stateWaiting    = "waiting for the log"
	stateRunning    = "running"
	stateRefused    = "REFUSED" // and somebody has to do something
	stateDone       = "done"
	stateStopped    = "stopped"
)

// board is what a feed tells others about itself.
type board struct {
	mu       sync.Mutex
	s        control.FeedStatus
	behindAt time.Time // since when there is something to store; zero: there is not
	toldAt   time.Time
	told     string
}

func (b *board) state(state string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.s.State = state
}

// read says how far the log was read.
func (b *board) read(position uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.s.Read = position
	if b.behindAt.IsZero() && position > b.s.Position {
		b.behindAt = time.Now()
	}
}

// current says that the log has nothing that is not handed to the target, and why,
// if it is not because it ends there.
func (b *board) current(waits string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.s.State = stateRunning; waits != "" {
		b.s.State = stateWaiting + ": " + waits
	}
	b.caughtUp()
}

func (b *board) caughtUp() {
	if b.s.Read <= b.s.Position {
		b.behindAt = time.Time{}
	}
}

// mark says how far the target is.
func (b *board) mark(m target.Mark) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.s.Position, b.s.Epoch, b.s.TimeNs, b.s.Records = m.Position, m.Epoch, m.TimeNs, m.Records
}

// done says that a batch is stored.
func (b *board) done(w *work, took time.Duration) {
	b.mark(w.to)
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.s
	s.State, s.StoredAt, s.Failing = stateRunning, time.Now().UTC(), false
	s.Batches++
	s.Orders += uint64(len(w.batch.Orders))
	s.Executions += uint64(len(w.batch.Executions))
	s.Positions += uint64(len(w.batch.Positions))
	s.StoreSecs += took.Seconds()
	b.caughtUp()
}

// failed notes an error and reports whether it should be told: it is another one,
// or the same for a minute.
func (b *board) failed(err error) (tell bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.s.Failures++
	tell = !b.s.Failing || b.told != err.Error() || time.Since(b.toldAt) >= tellAgain
	b.s.Failing, b.s.LastError = true, err.Error()
	if tell {
		b.told, b.toldAt = err.Error(), time.Now()
	}
	return tell
}

// stored is the number of records the target has.
func (b *board) stored() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.s.Records
}

func (b *board) status() control.FeedStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.s
	if s.Read > s.Position {
		s.BehindBytes = s.Read - s.Position
	}
	if !b.behindAt.IsZero() {
		s.BehindNs = time.Since(b.behindAt).Nanoseconds()
	}
	return s
}
