package fence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Device takes power from a host: an Agent, or what a test puts in its place.
type Device interface {
	Off(ctx context.Context) error
	Monitor(ctx context.Context) error
	Status(ctx context.Context) (Power, error)
	On(ctx context.Context) error
	Name() string
	Close() error
}

// Backoff between two failed attempts on a peer.
const (
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
)

// Target is a peer and the devices that can take its power, tried in order. One
// worker runs them for all lanes with that peer.
type Target struct {
	node    uint8
	devices []Device
	delay   time.Duration
	log     *slog.Logger

	// Loops touch only these: wanted numbers the wishes of lanes that want the
	// peer off, off is the number up to which it was then seen off, waiting how
	// many lanes wait, busy that an off has been sent.
	wanted  atomic.Uint64
	off     atomic.Uint64
	waiting atomic.Int64
	busy    atomic.Bool
	wake    chan struct{}

	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	status Status
}

// Status is what is known of a peer's devices.
type Status struct {
	Peer       int       `json:"peer"`
	Devices    []string  `json:"devices"`
	Monitored  time.Time `json:"monitored"` // last monitor; zero: not yet
	Reachable  bool      `json:"reachable"` // what it said of all devices
	Running    bool      `json:"running"`   // taking its power now
	Attempts   uint64    `json:"attempts"`
	Successes  uint64    `json:"successes"`
	LastOff    time.Time `json:"last_off"` // zero: never
	LastTookNs int64     `json:"last_took_ns"`
	LastError  string    `json:"last_error,omitempty"`
}

// NewTarget starts the worker of a peer. monitorEvery of 0 monitors never.
func NewTarget(node uint8, devices []Device, delay, monitorEvery time.Duration, log *slog.Logger) *Target {
	ctx, stop := context.WithCancel(context.Background())
	t := &Target{node: node, devices: devices, delay: delay, log: log, wake: make(chan struct{}, 1), stop: stop}
	t.status.Peer = int(node)
	for _, d := range devices {
		t.status.Devices = append(t.status.Devices, d.Name())
	}
	t.done.Go(func() { t.work(ctx, monitorEvery) })
	return t
}

// Close ends a run that is under way, and the worker.
func (t *Target) Close() error {
	t.stop()
	t.done.Wait()
	var errs []error
	for _, d := range t.devices {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// Status returns what is known.
func (t *Target) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status
}

var _ Switch = (*Target)(nil)

// Node implements Switch.
func (t *Target) Node() uint8 { return t.node }

// Want implements Switch.
func (t *Target) Want() uint64 {
	t.waiting.Add(1)
	n := t.wanted.Add(1)
	select {
	case t.wake <- struct{}{}:
	default: // the worker has been told already
	}
	return n
}

// Covered implements Switch.
func (t *Target) Covered(wish uint64) bool { return t.off.Load() >= wish }

// Leave implements Switch.
func (t *Target) Leave() { t.waiting.Add(-1) }

// Sent implements Switch.
func (t *Target) Sent() bool { return t.busy.Load() }

// open reports whether somebody waits for more than was done.
func (t *Target) open() bool { return t.waiting.Load() > 0 && t.wanted.Load() > t.off.Load() }

// work serves wishes and, between them, looks whether the devices answer.
func (t *Target) work(ctx context.Context, monitorEvery time.Duration) {
	var tick <-chan time.Time
	if monitorEvery > 0 {
		ticker := time.NewTicker(monitorEvery)
		defer ticker.Stop()
		tick = ticker.C
		t.monitor(ctx)
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick:
			t.monitor(ctx)
		case <-t.wake:
			t.serve(ctx)
		}
	}
}

// serve tries until the peer is off or nobody wants it any more.
func (t *Target) serve(ctx context.Context) {
	if !t.pause(ctx, t.delay) {
		return
	}
	for backoff := firstBackoff; t.open(); backoff = min(2*backoff, maxBackoff) {
		wish := t.wanted.Load()
		began := time.Now()
		t.set(func(s *Status) { s.Running, s.Attempts = true, s.Attempts+1 })
		t.log.Warn("fence: taking the peer's power", "peer", t.node)
		t.busy.Store(true)
		err := t.tryDevices(ctx)
		t.busy.Store(false)
		took := time.Since(began)
		t.set(func(s *Status) {
			s.Running, s.LastTookNs, s.LastError = false, took.Nanoseconds(), ""
			if err != nil {
				s.LastError = err.Error()
				return
			}
			s.Successes, s.LastOff = s.Successes+1, time.Now()
		})
		if err == nil {
			t.off.Store(wish)
			t.log.Warn("fence: the peer is off", "peer", t.node, "took", took.Round(time.Millisecond))
			continue // a later wish needs a later look
		}
		t.log.Error("fence: the peer is NOT off; nothing is taken over", "peer", t.node, "again_in", backoff, "error", err)
		if !t.pause(ctx, backoff) {
			return
		}
	}
}

// pause waits, but not longer than somebody wants it; false at the end.
func (t *Target) pause(ctx context.Context, d time.Duration) bool {
	for deadline := time.Now().Add(d); t.open() && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(min(time.Until(deadline), 20*time.Millisecond)):
		}
	}
	return ctx.Err() == nil
}

func (t *Target) tryDevices(ctx context.Context) error {
	var errs []error
	for _, d := range t.devices {
		err := d.Off(ctx)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// monitor warns of a device that could not be used now.
func (t *Target) monitor(ctx context.Context) {
	var errs []error
	for _, d := range t.devices {
		if err := d.Monitor(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	if ctx.Err() != nil {
		return
	}
	err := errors.Join(errs...)
	t.set(func(s *Status) {
		s.Monitored, s.Reachable = time.Now(), err == nil
		if err != nil {
			s.LastError = err.Error()
		}
	})
	if err != nil {
		t.log.Error(fmt.Sprintf("fence: a device of node %d does not answer: its failure could not be taken over now", t.node), "error", err)
	}
}

func (t *Target) set(change func(*Status)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.status)
}
