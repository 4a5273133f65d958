package node

import (
	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/tools/config"
)

// Replay is a lane's state, rebuilt from its records: what a node of the same
// configuration would hold. Nobody is answered.
type Replay struct {
	machine *engine.Machine
	out     *app.Outbox
}

// NewReplay makes the state of a lane without records.
func NewReplay(l *config.Lane) (*Replay, error) {
	m, err := newMachine(l, [6]byte{}, nil)
	if err != nil {
		return nil, err
	}
	r := &Replay{machine: m, out: app.NewOutbox(app.Endpoint{}, 0)}
	r.out.Muted = true
	return r, nil
}

// Apply takes in the next record.
func (r *Replay) Apply(rec *app.Record) { r.machine.Apply(rec, r.out) }

// Digest returns the hash of the state.
func (r *Replay) Digest() uint64 { return r.machine.Digest() }

// Diverged reports that a digest in the log is not this state's: the records, the
// configuration or the program are not those that made it.
func (r *Replay) Diverged() bool { return r.machine.Diverged() }

// Counters calls visit for every counted reason.
func (r *Replay) Counters(visit func(name string, count uint64)) { r.machine.Counters(visit) }
