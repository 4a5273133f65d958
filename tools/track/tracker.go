package track

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"onebeat/mirror/child"
)

// Tracker runs a node's checks.
type Tracker struct {
	carriers *Carriers
	log      *slog.Logger
	changed  func()
	cancel   context.CancelFunc
	done     sync.WaitGroup

	mu     sync.Mutex
	checks []*check
}

type check struct {
	cfg   Config
	state state
	since time.Time
	why   string // of the last bad result
	runs  uint64
	bad   uint64
}

// CheckStatus is one check as a status shows it.
type CheckStatus struct {
	Name   string    `json:"name"`
	Kind   string    `json:"kind"`
	Up     bool      `json:"up"`
	Since  time.Time `json:"since"`
	Weight int       `json:"weight"`
	Looks  uint64    `json:"looks"`
	Bad    uint64    `json:"bad"`
	Why    string    `json:"why,omitempty"` // of the last bad result
}

// Open starts the checks, in the network namespace of the calling thread.
// Besides, the carriers of interfaces are watched. changed is called, on some
// goroutine, after anything changed; it must not block.
func Open(cfgs []Config, interfaces []string, changed func(), log *slog.Logger) (*Tracker, error) {
	for i := range cfgs {
		if c := &cfgs[i]; c.Script != "" {
			if err := child.Executable(c.Script); err != nil {
				return nil, fmt.Errorf("track %s: %w", c.Name, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &Tracker{log: log, changed: changed, cancel: cancel}
	for _, c := range cfgs {
		k := &check{cfg: c, state: state{rise: c.Rise, fall: c.Fall}, since: time.Now()}
		t.checks = append(t.checks, k)
		if c.Interface != "" {
			interfaces = append(interfaces, c.Interface)
		}
	}
	if len(interfaces) > 0 {
		var err error
		if t.carriers, err = WatchCarriers(interfaces, t.carrier); err != nil {
			cancel()
			return nil, err
		}
	}
	for _, k := range t.checks {
		if k.cfg.Interface == "" {
			t.done.Go(func() { t.run(ctx, k) })
		}
	}
	return t, nil
}

// Close ends all checks.
func (t *Tracker) Close() error {
	t.cancel()
	t.done.Wait()
	if t.carriers == nil {
		return nil
	}
	return t.carriers.Close()
}

func (t *Tracker) run(ctx context.Context, k *check) {
	ticker := time.NewTicker(k.cfg.Interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		err := k.cfg.look(ctx)
		if ctx.Err() == nil {
			t.result(k, err)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

var errNoCarrier = errors.New("no carrier")

// carrier is told by Carriers.
func (t *Tracker) carrier(name string, up bool) {
	t.log.Warn("track: carrier", "interface", name, "up", up)
	var err error
	if !up {
		err = errNoCarrier
	}
	t.mu.Lock()
	checks := t.checks
	t.mu.Unlock()
	for _, k := range checks {
		if k.cfg.Interface == name {
			t.result(k, err)
		}
	}
	t.changed()
}

func (t *Tracker) result(k *check, err error) {
	t.mu.Lock()
	k.runs++
	if err != nil {
		k.bad++
		k.why = err.Error()
	}
	changed := k.state.result(err == nil)
	if changed {
		k.since = time.Now()
	}
	down, why := k.state.down, k.why
	t.mu.Unlock()
	if !changed {
		return
	}
	if down {
		t.log.Warn("track: down", "check", k.cfg.Name, "weight", k.cfg.Weight, "why", why)
	} else {
		t.log.Info("track: up", "check", k.cfg.Name)
	}
	t.changed()
}

// Down returns the checks that fail now.
func (t *Tracker) Down() []Down {
	t.mu.Lock()
	defer t.mu.Unlock()
	var down []Down
	for _, k := range t.checks {
		if k.state.down {
			down = append(down, Down{k.cfg.Name, k.cfg.Weight, k.why})
		}
	}
	return down
}

// Up reports whether an interface has its carrier.
func (t *Tracker) Up(name string) bool { return t.carriers == nil || t.carriers.Up(name) }

// Flaps returns how often a carrier was lost within the last minute.
func (t *Tracker) Flaps() (name string, count int) {
	if t.carriers == nil {
		return "", 0
	}
	return t.carriers.Flaps()
}

// Status returns all checks.
func (t *Tracker) Status() []CheckStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []CheckStatus
	for _, k := range t.checks {
		s := CheckStatus{Name: k.cfg.Name, Kind: k.cfg.Kind(), Up: !k.state.down, Since: k.since, Weight: k.cfg.Weight, Looks: k.runs, Bad: k.bad}
		if k.state.down {
			s.Why = k.why
		}
		all = append(all, s)
	}
	return all
}
