package node

import (
	"fmt"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/mirror/snapshot"
	"onebeat/tools/config"
)

// Replay is a lane's state, rebuilt from its records: what a node of the same
// configuration would hold. Nobody is answered.
type Replay struct {
	machine *engine.Machine
	out     *app.Outbox
}

// NewReplay makes the state of a lane without records. Each of watch may take the
// application's place in the machine, to see what it is given and says.
func NewReplay(l *config.Lane, watch ...func(app.App) (app.App, error)) (*Replay, error) {
	m, err := newMachine(l, nil, nil, nil, watch...)
	if err != nil {
		return nil, err
	}
	r := &Replay{machine: m, out: app.NewOutbox(app.Endpoint{}, 0)}
	r.out.Muted = true
	return r, nil
}

// Load takes a saved state, before any record.
func (r *Replay) Load(f *snapshot.File) error { return f.Load(r.machine) }

// Save writes the state down.
func (r *Replay) Save(w *app.StateWriter) { r.machine.Save(w) }

// Apply takes in the next record.
func (r *Replay) Apply(rec *app.Record) { r.machine.Apply(rec, r.out) }

// Digest returns the hash of the state.
func (r *Replay) Digest() uint64 { return r.machine.Digest() }

// Diverged reports that a digest in the log is not this state's: the records, the
// configuration or the program are not those that made it.
func (r *Replay) Diverged() bool { return r.machine.Diverged() }

// Counters calls visit for every counted reason.
func (r *Replay) Counters(visit func(name string, count uint64)) { r.machine.Counters(visit) }

// Log is a lane's log as Restore reads it.
type Log interface {
	Begin() uint64
	Seek(position uint64) error
	Next(rec *app.Record) (more bool, err error)
}

// Restore begins with a snapshot instead of the log's beginning, and goes to where it
// ends in the log. Its last record must be the log's, as far as that holds it. A Replay
// that refused one is of no more use.
func (r *Replay) Restore(f *snapshot.File, log Log) error {
	h := &f.Header
	if h.Last >= log.Begin() {
		var rec app.Record
		if err := log.Seek(h.Last); err != nil {
			return err
		}
		switch more, err := log.Next(&rec); {
		case err != nil:
			return err
		case !more || snapshot.HashRecord(&rec) != h.LastHash:
			return fmt.Errorf("%s: its last record, at %d, is not the log's", f.Path, h.Last)
		}
	}
	if err := log.Seek(h.Position); err != nil {
		return err
	}
	return f.Load(r.machine)
}
