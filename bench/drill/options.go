package drill

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"onebeat/bench/fixpeers"
)

// Arbitrations of a drill's lanes.
const (
	Pair    = "pair"    // the word of the primary's kernel
	Links   = "links"   // pair, and silence on both paths promotes
	Witness = "witness" // a register in the memory of a third host
	Etcd    = "etcd"    // the same in an etcd cluster
	Fence   = "fence"   // pair, and whoever is silent has its power taken
)

// ErrOptions is wrapped by every refusal of options.
var ErrOptions = errors.New("drill options")

// Options of a drill.
type Options struct {
	Fault       string
	Arbitration string // Pair, Links, Witness, Etcd or Fence
	Runs        int
	// Program is the onebeat program that the processes of the lab run.
	Program string

	// Client is ClientFIXP or ClientFIX; FIXVersion is the latter's BeginString.
	Client     string
	FIXVersion string

	Policy        string // mirrored or none
	Records       int    // soak: how many
	Seed          uint64 // soak: of the harms; 0: any
	RatePerSecond int
	Duration      time.Duration // of the load before and after the fault, half each
	Asleep        time.Duration // from a harm to its repair: SIGSTOP to SIGCONT, cable out to in
	Percent       float64       // of frames that loss, dup, reorder and corrupt concern
	Wait          time.Duration // for a standby's ACK before going on alone; not with Pair, Links and Fence
	Heartbeat     time.Duration
	HangBudget    time.Duration
	App           string // gateway (with a venue) or book
	Idle          string // idle strategy of the nodes' loops
	ClientIdle    string // idle strategy of the client
	RingSize      string
	Release       string // ride, chain or user
	IPv6          bool   // the addresses of lanes, venues and clients
	LogLevel      string

	// Log takes what the lab's processes say and how the drill goes on.
	Log io.Writer
	// Progress is called each second of a load with a line of text.
	Progress func(line string)
	// KeepDir keeps the logs of a run that fails; empty: they go with the lab.
	KeepDir string

	fixProgram *fixpeers.Program // built once for all runs
}

// Defaults fills what is not set.
func (o *Options) Defaults() error {
	setDefault(&o.Fault, FaultKill)
	setDefault(&o.Runs, 1)
	setDefault(&o.Client, ClientFIXP)
	if o.Client == ClientFIX {
		setDefault(&o.RatePerSecond, 500)
		setDefault(&o.FIXVersion, "FIX.4.4")
	}
	setDefault(&o.RatePerSecond, 20_000)
	setDefault(&o.Duration, 2*time.Second)
	setDefault(&o.Asleep, 200*time.Millisecond)
	setDefault(&o.Percent, 2)
	setDefault(&o.Wait, 20*time.Millisecond)
	setDefault(&o.Arbitration, Witness)
	setDefault(&o.Heartbeat, 5*time.Millisecond)
	setDefault(&o.HangBudget, 10*time.Millisecond)
	setDefault(&o.App, "gateway")
	setDefault(&o.Idle, "backoff")
	setDefault(&o.ClientIdle, "sleep")
	setDefault(&o.RingSize, "16MiB")
	setDefault(&o.Release, "ride")
	setDefault(&o.Policy, PolicyMirrored)
	setDefault(&o.Records, 300_000)
	setDefault(&o.LogLevel, "info")
	if o.Log == nil {
		o.Log = io.Discard
	}
	f, ok := findFault(o.Fault)
	if !ok {
		return fmt.Errorf("%w: fault %q is not known; use one of %s", ErrOptions, o.Fault, strings.Join(Names(), " "))
	}
	if !slices.Contains([]string{Pair, Links, Witness, Etcd, Fence}, o.Arbitration) {
		return fmt.Errorf("%w: arbitration %q is not known; use pair, links, witness, etcd or fence", ErrOptions, o.Arbitration)
	}
	if !slices.Contains(f.with, o.Arbitration) {
		return fmt.Errorf("%w: fault %s with arbitration %s: use %s", ErrOptions, o.Fault, o.Arbitration, strings.Join(f.with, " or "))
	}
	if o.Client != ClientFIXP && o.Client != ClientFIX {
		return fmt.Errorf("%w: client %q is not known; use fixp or fix", ErrOptions, o.Client)
	}
	if fixFaults := []string{FaultKill, FaultStop, FaultPanicExit, FaultPower, FaultHandover, FaultNone}; o.Client == ClientFIX && !slices.Contains(fixFaults, o.Fault) {
		return fmt.Errorf("%w: fault %s with a FIX client: use one of %s", ErrOptions, o.Fault, strings.Join(fixFaults, " "))
	}
	if o.IPv6 && (o.Client == ClientFIX || o.Fault == FaultSite) {
		return fmt.Errorf("%w: over IPv6 there is no FIX client and no far site", ErrOptions)
	}
	if o.App != "gateway" && o.App != "book" {
		return fmt.Errorf("%w: app %q is not known; use gateway or book", ErrOptions, o.App)
	}
	if o.Runs < 1 || o.RatePerSecond < 1 || o.Duration < 200*time.Millisecond {
		return fmt.Errorf("%w: at least 1 run, 1 order per second and 200ms of load", ErrOptions)
	}
	if o.Policy != PolicyMirrored && (o.Policy != PolicyNone || o.Fault != FaultSoak) {
		return fmt.Errorf("%w: policy %q: mirrored, or none for a soak", ErrOptions, o.Policy)
	}
	if o.Percent <= 0 || o.Percent > 50 {
		return fmt.Errorf("%w: %v percent of the frames: use more than 0 and at most 50", ErrOptions, o.Percent)
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
