package shapes

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/peers"
	"onebeat/pin"
	"onebeat/tools/config"
)

// Options say how to measure.
type Options struct {
	Layout Layout
	Count  int           // frames measured in one round
	Warmup int           // frames before them
	Limit  time.Duration // a round ends after this long whatever its count
	// Progress is told what is about to be measured; nil: nobody.
	Progress func(line string)
}

// Bench is a lab to measure in.
type Bench struct {
	options   Options
	lab       *lab.Lab
	yardstick *peers.Program // nil: no compiler
}

// New builds the lab and, if there is a compiler, the C yardstick.
func New(o Options) (*Bench, error) {
	if o.Count < 1 || o.Warmup < 0 || o.Limit <= 0 {
		return nil, fmt.Errorf("count %d, warmup %d, limit %v: count and limit must be positive", o.Count, o.Warmup, o.Limit)
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	b := &Bench{options: o}
	warmThreads()
	var err error
	if b.yardstick, err = peers.Build(); err != nil && !errors.Is(err, peers.ErrNoCompiler) {
		return nil, err
	}
	if b.lab, err = lab.Up(lab.Spec{Topology: lab.Pair}); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if err := os.WriteFile(filepath.Join(b.lab.RunDir, linkKey), []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// spareThreads is more than a measurement ever wakes at once.
const spareThreads = 8

// warmThreads leaves the runtime some idle threads: when the kernel keeps a
// spinning one off its core the runtime looks for another, and making it then
// would count as an allocation of the order path.
func warmThreads() {
	var started, done sync.WaitGroup
	release := make(chan struct{})
	for range spareThreads {
		started.Add(1)
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			started.Done()
			<-release
		})
	}
	started.Wait()
	close(release)
	done.Wait()
}

// HasYardstick reports whether the C echo could be built.
func (b *Bench) HasYardstick() bool { return b.yardstick != nil }

// Lab is where it measures: others may start servers in it between two
// measurements.
func (b *Bench) Lab() *lab.Lab { return b.lab }

// Close takes the lab down.
func (b *Bench) Close() error {
	var errs []error
	if b.lab != nil {
		errs = append(errs, b.lab.Down())
	}
	if b.yardstick != nil {
		errs = append(errs, b.yardstick.Remove())
	}
	return errors.Join(errs...)
}

// ErrNoAnswer says that a measurement ended for want of answers.
var ErrNoAnswer = errors.New("no answer any more")

// Measure measures one setting once.
func (b *Bench) Measure(ctx context.Context, s Setting) (Result, error) {
	if err := s.Check(); err != nil {
		return Result{}, err
	}
	b.options.Progress(s.Name())
	unlock, err := pin.LockThread(b.options.Layout.Client)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	c, err := b.open(ctx, s)
	if err != nil {
		return Result{}, err
	}
	r, err := b.run(ctx, c)
	if err != nil {
		err = fmt.Errorf("%s: %w", s.Name(), err)
	}
	return r, errors.Join(err, c.close())
}

// measuring counts what the whole process allocates.
type measuring struct{ before runtime.MemStats }

func startMeasuring() *measuring {
	var m measuring
	runtime.GC()
	runtime.ReadMemStats(&m.before)
	return &m
}

func (m *measuring) end() (allocs uint64, gcCycles uint32) {
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	return after.Mallocs - m.before.Mallocs, after.NumGC - m.before.NumGC
}

// PrimaryConfig is what a setting's primary is told.
func (b *Bench) PrimaryConfig(s Setting) (*config.Config, error) {
	return nodeConfig(b.lab, &s, lab.NodeA)
}

// runBatch frames are measured between two looks at the time and at ctx.
const runBatch = 256

// result is an empty one of a scene's setting.
func (b *Bench) result(c *scene) Result {
	r := Result{Shape: c.setting.Shape, Rounds: 1, Layout: b.options.Layout.String(), Machine: ThisMachine()}
	if !c.setting.echo() {
		r.App = c.setting.App
	}
	if c.setting.peered() {
		r.Release, r.Auth = c.setting.Release, c.setting.Auth
	}
	if c.setting.Batch > 1 {
		r.Batch = c.setting.Batch
	}
	r.ToVenue = c.setting.ToVenue
	if c.setting.Lanes > 1 {
		r.Lanes = c.setting.Lanes
	}
	return r
}

// run warms up and measures on the calling thread.
func (b *Bench) run(ctx context.Context, c *scene) (Result, error) {
	r := b.result(c)
	h := NewHistogram()
	shoot := func(count int) error {
		endNs := c.clock.NowNs() + b.options.Limit.Nanoseconds()
		for i := 0; i < count; i++ {
			if !c.shooter.shoot(h) {
				return ErrNoAnswer
			}
			if i%runBatch == 0 && c.clock.NowNs() > endNs {
				break
			}
			if i%runBatch == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	}
	if err := shoot(b.options.Warmup); err != nil {
		return r, err
	}
	h.Reset()
	lostBefore := c.shooter.losses()
	measure := startMeasuring()
	err := shoot(b.options.Count)
	r.Allocs, r.GCCycles = measure.end()
	r.Lost = c.shooter.losses() - lostBefore
	r.RSSBytes = residentBytes()
	r.Fill(h)
	return r, err
}
