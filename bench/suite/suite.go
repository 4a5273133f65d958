package suite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"onebeat/bench/drill"
	"onebeat/bench/fixload"
	"onebeat/bench/lab"
	"onebeat/bench/shapes"
	"onebeat/bench/stores"
	"onebeat/tools/config"
)

// Options of a suite.
type Options struct {
	Shapes shapes.Options
	Rounds int
	// StoreCount is how many writes a store makes in a round; 0: no stores.
	StoreCount int
	// FIXCount is how many orders an acceptor of FIX is sent in a round; 0: no FIX.
	FIXCount int
	// Budget ends the suite after this long with what it has measured; 0: as long as
	// it takes.
	Budget time.Duration
	// RampRates are offered each RampRounds times for RampEach; none: no ramp.
	RampRates  []int
	RampRounds int
	RampEach   time.Duration
	// Long is how long the jitter timeline is; 0: none.
	Long time.Duration
	// Failovers is how often the primary is killed and how often its power goes,
	// with keepalived beside it; 0: never.
	Failovers int
	// Program is the onebeat program that processes of drills and of FIX run.
	Program string
	Version string
	Command string
}

// Full is the whole suite.
func Full() Options {
	return Options{
		Shapes: shapes.Options{Count: 20_000, Warmup: 2_000, Limit: 3 * time.Second},
		Rounds: 5, StoreCount: 2_000, FIXCount: 10_000,
		RampRates: []int{50_000, 100_000, 200_000, 400_000, 600_000, 800_000, 1_000_000, 1_100_000, 1_200_000, 1_300_000, 1_400_000},
		// Many short steps: where a shared machine takes a core for milliseconds a few
		// times a second, every step of half a second would measure that.
		RampRounds: 15, RampEach: 100 * time.Millisecond,
		Long: 10 * time.Minute, Failovers: 20,
	}
}

// Quick ends within a minute, with fewer rounds on a machine that is busy, and
// leaves the stores, FIX, the failovers and the long run out.
func Quick() Options {
	return Options{
		Shapes: shapes.Options{Count: 5_000, Warmup: 500, Limit: 500 * time.Millisecond},
		Rounds: 3, RampRates: []int{100_000, 400_000, 1_000_000}, RampRounds: 1, RampEach: 250 * time.Millisecond,
		Budget: 50 * time.Second,
	}
}

// at returns the setting of a shape as users run it.
func at(shape, app string) shapes.Setting {
	return shapes.Setting{Shape: shape, App: app, Release: config.ReleaseRide, Auth: true}
}

// batched is a setting with several orders in a datagram.
func batched(shape string, orders int) shapes.Setting {
	s := at(shape, config.AppBook)
	s.Batch = orders
	return s
}

// chained is a setting whose answers leave from the standby.
func chained(app string, auth bool) shapes.Setting {
	s := at(shapes.Mirrored, app)
	s.Release, s.Auth = config.ReleaseChain, auth
	return s
}

// sideBySide is a setting with two lanes on the nodes' threads.
func sideBySide(shape string) shapes.Setting {
	s := at(shape, config.AppBook)
	s.Lanes = 2
	return s
}

// settings are measured in each round, in this order.
func settings() []shapes.Setting {
	open := at(shapes.Mirrored, config.AppBook)
	open.Auth = false
	user := at(shapes.Mirrored, config.AppBook)
	user.Release = config.ReleaseUser
	wire := at(shapes.Mirrored, config.AppGateway)
	wire.ToVenue = true
	return []shapes.Setting{
		at(shapes.CEcho, config.AppBook), at(shapes.Echo, config.AppBook), at(shapes.Asavie, config.AppBook),
		at(shapes.CUDP, config.AppBook), at(shapes.GoUDP, config.AppBook),
		at(shapes.Order, config.AppBook), at(shapes.Mirrored, config.AppBook), open, user,
		chained(config.AppBook, true), chained(config.AppBook, false),
		at(shapes.Applied, config.AppBook), at(shapes.Archived, config.AppBook),
		at(shapes.Order, config.AppGateway), at(shapes.Mirrored, config.AppGateway), chained(config.AppGateway, true), wire,
		at(shapes.UDP, config.AppBook),
		sideBySide(shapes.Order), sideBySide(shapes.Mirrored),
		batched(shapes.Mirrored, 8), batched(shapes.Mirrored, 32),
	}
}

// Run measures. What cannot be installed is left out and said; any other
// failure ends the suite, with what it has.
func Run(ctx context.Context, o Options) (*Report, error) {
	r := newReport(&o)
	begin := time.Now()
	err := errors.Join(r.rounds(ctx, &o))
	if err == nil && o.Failovers > 0 {
		err = r.failovers(ctx, &o)
	}
	r.TookNs = time.Since(begin).Nanoseconds()
	r.judge()
	return r, err
}

// rounds measures shapes and stores in turns, then the ramp and the long run, in
// one lab.
func (r *Report) rounds(ctx context.Context, o *Options) (err error) {
	b, err := shapes.New(o.Shapes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if !b.HasYardstick() {
		r.leave("the echoes in C", "no C compiler: apt-get install gcc libc6-dev")
	}
	t, cancel := newBudget(ctx, o)
	defer cancel()
	r.Rounds = 0
	for r.Rounds < o.Rounds && t.roundFits() {
		began := time.Now()
		if err := r.round(t, o, b); err != nil {
			return t.ended(r, fmt.Sprintf("what is missing in round %d, and what follows it", r.Rounds+1), err)
		}
		r.Rounds++
		t.round(time.Since(began))
	}
	if r.Rounds < o.Rounds {
		r.leave(fmt.Sprintf("%d of %d rounds", o.Rounds-r.Rounds, o.Rounds), noTime)
	}
	if len(o.RampRates) > 0 {
		s := batched(shapes.Mirrored, 32)
		r.Ramp.Setting, r.Ramp.EachNs = s.Name(), o.RampEach.Nanoseconds()
		if r.Ramp.Steps, err = b.Ramp(t, s, o.RampRates, o.RampRounds, o.RampEach); err != nil {
			return t.ended(r, "the end of the ramp", err)
		}
	}
	if o.Long > 0 {
		if r.Long, err = b.Timeline(t, at(shapes.Mirrored, config.AppBook), o.Long); err != nil {
			return t.ended(r, "the long run", err)
		}
	}
	return nil
}

// round measures every shape and every peer once.
func (r *Report) round(ctx context.Context, o *Options, b *shapes.Bench) error {
	for _, s := range settings() {
		if s.Compiled() && !b.HasYardstick() {
			continue
		}
		one, err := b.Measure(ctx, s)
		if err != nil {
			return err
		}
		r.add(s.Name(), describe(s), one)
	}
	if o.StoreCount > 0 {
		for _, s := range stores.All() {
			if err := r.store(ctx, o, b.Lab(), s); err != nil {
				return err
			}
		}
	}
	if o.FIXCount > 0 {
		return r.fix(ctx, o)
	}
	return nil
}

// fix measures the acceptors of FIX once, each a process of its own, with a client by
// the loopback.
func (r *Report) fix(ctx context.Context, o *Options) error {
	o.Shapes.Progress("fix")
	results, err := fixload.Turns(ctx, fixload.BenchOptions{Program: o.Program, Count: o.FIXCount, Warmup: o.FIXCount / 10,
		Limit: storeLimit, App: config.AppBook, Dir: stores.MemoryDir()})
	if err != nil {
		return fmt.Errorf("fix: %w", err)
	}
	for _, one := range results {
		e := fixEntries[one.Shape]
		r.add(e.name, e.what, one)
	}
	return nil
}

// store measures one store once. It runs only while it is measured.
func (r *Report) store(ctx context.Context, o *Options, l *lab.Lab, s stores.Store) (err error) {
	if r.left(s.Name()) {
		return nil
	}
	o.Shapes.Progress(s.Name())
	err = s.Start(l)
	if errors.Is(err, stores.ErrMissing) {
		r.leave(s.Name(), err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name(), err)
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	h := shapes.NewHistogram()
	if err := stores.Measure(ctx, s, o.StoreCount/10, o.StoreCount, storeLimit, h); err != nil {
		return err
	}
	one := shapes.Result{Shape: s.Name(), Rounds: 1, Machine: r.Machine, Layout: "a client, node-a and node-b; no core is theirs"}
	one.Fill(h)
	r.add(s.Name(), s.What(), one)
	return nil
}

// storeLimit ends a store's round whatever its count.
const storeLimit = 5 * time.Second

// failovers kills primaries, takes their power, and lets keepalived do the
// same.
func (r *Report) failovers(ctx context.Context, o *Options) error {
	for _, fault := range []string{drill.FaultKill, drill.FaultPower} {
		d := drill.Options{Fault: fault, Runs: o.Failovers, RatePerSecond: 10_000, Duration: 300 * time.Millisecond,
			Program: o.Program, Progress: o.Shapes.Progress}
		s, err := drill.All(&d, ctx.Done())
		if err != nil {
			return err
		}
		r.Failovers = append(r.Failovers, s)
		if fault != drill.FaultPower {
			continue
		}
		k, err := drill.MeasureKeepalived(&d, o.Failovers, ctx.Done())
		if errors.Is(err, drill.ErrStopped) {
			return err
		}
		if err != nil {
			k.Problem = err.Error()
		}
		k.Compare(r.Failovers)
		r.Keepalived = &k
	}
	return nil
}
