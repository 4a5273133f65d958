package drill

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Faults.
const (
	FaultKill     = "kill"     // SIGKILL to the primary's process
	FaultStop     = "stop"     // SIGSTOP, later SIGCONT
	FaultHandover = "handover" // planned: the primary hands over
	FaultNone     = "none"     // steady load: nothing may change
)

// ErrOptions is wrapped by every refusal of options.
var ErrOptions = errors.New("drill options")

// Options of a drill.
type Options struct {
	Fault string
	Runs  int
	// Program is the onebeat program that the processes of the lab run.
	Program string

	RatePerSecond int
	Duration      time.Duration // of the load; the fault comes in its middle
	Asleep        time.Duration // FaultStop: from SIGSTOP to SIGCONT
	Heartbeat     time.Duration
	HangBudget    time.Duration
	App           string // gateway (with a venue) or book
	Idle          string // idle strategy of the nodes' loops
	ClientIdle    string // idle strategy of the client
	RingSize      string
	Release       string // ride or user
	LogLevel      string

	// Log takes what the lab's processes say and how the drill goes on.
	Log io.Writer
	// Progress is called each second of a load with a line of text.
	Progress func(line string)
	// KeepDir keeps the logs of a run that fails; empty: they go with the lab.
	KeepDir string
}

// Defaults fills what is not set.
func (o *Options) Defaults() error {
	setDefault(&o.Fault, FaultKill)
	setDefault(&o.Runs, 1)
	setDefault(&o.RatePerSecond, 20_000)
	setDefault(&o.Duration, 2*time.Second)
	setDefault(&o.Asleep, 200*time.Millisecond)
	setDefault(&o.Heartbeat, 5*time.Millisecond)
	setDefault(&o.HangBudget, 10*time.Millisecond)
	setDefault(&o.App, "gateway")
	setDefault(&o.Idle, "backoff")
	setDefault(&o.ClientIdle, "sleep")
	setDefault(&o.RingSize, "16MiB")
	setDefault(&o.Release, "ride")
	setDefault(&o.LogLevel, "info")
	if o.Log == nil {
		o.Log = io.Discard
	}
	switch o.Fault {
	case FaultKill, FaultStop, FaultHandover, FaultNone:
	default:
		return fmt.Errorf("%w: fault %q is not known; use kill, stop, handover or none", ErrOptions, o.Fault)
	}
	if o.App != "gateway" && o.App != "book" {
		return fmt.Errorf("%w: app %q is not known; use gateway or book", ErrOptions, o.App)
	}
	if o.Runs < 1 || o.RatePerSecond < 1 || o.Duration < 200*time.Millisecond {
		return fmt.Errorf("%w: at least 1 run, 1 order per second and 200ms of load", ErrOptions)
	}
	if o.Fault == FaultStop && o.Asleep <= o.HangBudget {
		return fmt.Errorf("%w: asleep for %v is within the hang budget %v: nothing would happen", ErrOptions, o.Asleep, o.HangBudget)
	}
	return nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
