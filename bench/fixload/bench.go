package fixload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/logs"
	"onebeat/bench/scene"
	"onebeat/bench/shapes"
)

// Shapes.
const (
	Latency     = "fix"          // an order to its report, one in flight, beside quickfixgo; a session's most
	HostileFIX  = "fix-hostile"  // sessions beside strangers and bad clients of FIX
	HostileFIXP = "fixp-hostile" // and of FIXP
)

// All lists the shapes.
var All = []string{Latency, HostileFIX, HostileFIXP}

// BenchOptions say how to measure.
type BenchOptions struct {
	Program string // the onebeat program that the processes run
	Rounds  int
	Count   int           // orders of a round, one in flight
	Warmup  int           // before them
	Limit   time.Duration // of a round, whatever its count
	PerS    int           // offered to one session [25000]
	Flood   time.Duration // how long [2s]
	App     string        // book or gateway
	Idle    string        // idle strategy of the nodes' loops [backoff]
	Dir     string        // of the plain acceptors' files [os.TempDir()]
	// AttackMost bounds the rates of attacks; 0: each has its own.
	AttackMost int
	// Connects is how many connections a second an attacked lane hears of an address [5].
	Connects int
	Progress func(line string)
}

func (o *BenchOptions) complete() {
	o.Rounds, o.Count = max(o.Rounds, 1), max(o.Count, 1)
	if o.Connects == 0 {
		o.Connects = 5 // as a desk with one session would have it
	}
	if o.PerS == 0 {
		o.PerS = 25_000
	}
	if o.Flood == 0 {
		o.Flood = 2 * time.Second
	}
	if o.Idle == "" {
		o.Idle = "backoff"
	}
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
}

// Ratio is how a percentile of onebeat's compares with another's.
type Ratio struct {
	Over string  `json:"over"`
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
}

// Result is a shape's measurement.
type Result struct {
	Shape   string          `json:"shape"`
	App     string          `json:"app"`
	Rounds  int             `json:"rounds"`
	Entries []shapes.Result `json:"entries"`
	Ratios  []Ratio         `json:"ratios"`
	Flood   *Flood          `json:"flood,omitempty"`
	Besides []Beside        `json:"besides,omitempty"`
	// Counters are what the first node refused, Leaks what the nodes held.
	Counters map[string]uint64 `json:"counters,omitempty"`
	Leaks    []Leak            `json:"leaks,omitempty"`
	Bounds   []logs.Bound      `json:"bounds"`
	Machine  shapes.Machine    `json:"machine"`
}

// Measure measures one shape.
func Measure(ctx context.Context, shape string, o BenchOptions) (r Result, err error) {
	o.complete()
	hostile := shape != Latency
	b, err := newBed(ctx, &o, hostile)
	if err != nil {
		return r, fmt.Errorf("%s: %w", shape, err)
	}
	defer func() { err = errors.Join(err, b.close()) }()
	r = Result{Shape: shape, App: o.App, Rounds: o.Rounds, Machine: shapes.ThisMachine()}
	if hostile {
		err = b.hostile(ctx, &r)
	} else {
		err = b.latency(ctx, &r)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", shape, err)
	}
	return r, nil
}

// The acceptors that take turns.
const (
	Ours        = "onebeat mirrored"
	Plain       = "quickfixgo file store"
	PlainNoSync = "quickfixgo file store, no sync"
)

// target is one of the acceptors that take turns, with the session to it.
type target struct {
	name   string
	o      Options
	first  uint64
	sent   uint64 // orders
	rounds []shapes.Result
}

// target is a port of the lane.
func (b *fixBed) target(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(lab.LaneIP), port)
}

// session are the options of one to the lane.
func (b *fixBed) session(client int) Options {
	name := b.clients()[client]
	return Options{At: b.target(scene.FIXPort), Sender: name, Target: scene.FIXNode}
}

// targets are the acceptors that take turns.
func (b *fixBed) targets() []*target {
	at := func(port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
	}
	return []*target{
		{name: Ours, o: b.session(0)},
		{name: Plain, o: Options{At: at(plainPort), Sender: scene.FIXClient, Target: plainNode}},
		{name: PlainNoSync, o: Options{At: at(plainPort + 1), Sender: scene.FIXClient, Target: plainNode}},
	}
}

// Turns measures each acceptor once, in a scene of its own that is taken down again:
// a round of a suite.
func Turns(ctx context.Context, o BenchOptions) (results []shapes.Result, err error) {
	o.complete()
	b, err := newBed(ctx, &o, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	for _, t := range b.targets() {
		if err := b.turn(ctx, lab.NodeA, t); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		results = append(results, t.rounds...)
	}
	return results, nil
}

// latency measures the acceptors in turns, by the loopback of the first node's
// host, and then what one session bears.
func (b *fixBed) latency(ctx context.Context, r *Result) error {
	targets := b.targets()
	for round := range b.o.Rounds {
		for _, t := range targets {
			b.o.Progress(fmt.Sprintf("%s, round %d of %d", t.name, round+1, b.o.Rounds))
			if err := b.turn(ctx, lab.NodeA, t); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	for _, t := range targets {
		r.Entries = append(r.Entries, shapes.Combine(t.rounds))
	}
	for _, e := range r.Entries[1:] {
		r.ratio(&r.Entries[0], &e)
	}
	b.o.Progress(fmt.Sprintf("%s, %d orders/s on one session", Ours, b.o.PerS))
	flood, err := b.flood(ctx, targets[0])
	if err != nil {
		return err
	}
	r.Flood = &flood
	r.bound("p50 in ns", float64(r.Entries[0].P50Ns), 60_000, false)
	r.bound("p50 over "+Plain, r.Ratios[0].P50, 1, false)
	r.bound("p99 over "+Plain, r.Ratios[0].P99, 1, false)
	r.bound("orders/s on one session", flood.PerSecond, 20_000, true)
	return nil
}

// turn measures one acceptor once, over a new connection.
func (b *fixBed) turn(ctx context.Context, place string, t *target) error {
	s, err := b.dial(ctx, place, t.o)
	if err != nil {
		return err
	}
	h, from := shapes.NewHistogram(), t.first+1
	if t.first, err = OneInFlight(ctx, s, from, b.o.Warmup, b.o.Limit, nil); err == nil {
		t.first, err = OneInFlight(ctx, s, t.first, b.o.Count, b.o.Limit, h)
	}
	t.sent += t.first - from
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	t.o.NextOut = s.NextOut()
	one := shapes.Result{Shape: t.name, Rounds: 1, Layout: "a client, node-a, node-b and an acceptor; no core is theirs", Machine: shapes.ThisMachine()}
	one.Fill(h)
	t.rounds = append(t.rounds, one)
	return nil
}

func (b *fixBed) flood(ctx context.Context, t *target) (Flood, error) {
	s, err := b.dial(ctx, lab.NodeA, t.o)
	if err != nil {
		return Flood{}, err
	}
	f, err := Pipeline(ctx, s, t.first+1, uint64(float64(b.o.PerS)*b.o.Flood.Seconds()), b.o.PerS, shapes.NewHistogram())
	return f, errors.Join(err, s.Close())
}

func (r *Result) ratio(of, over *shapes.Result) {
	r.Ratios = append(r.Ratios, Ratio{Over: over.Shape, P50: float64(of.P50Ns) / float64(max(over.P50Ns, 1)), P99: float64(of.P99Ns) / float64(max(over.P99Ns, 1))})
}

func (r *Result) bound(of string, value, bound float64, least bool) {
	holds := value <= bound
	if least {
		holds = value >= bound
	}
	r.Bounds = append(r.Bounds, logs.Bound{Of: of, Value: value, Bound: bound, Least: least, Holds: holds})
}

// Holds reports whether every bound does.
func (r *Result) Holds() bool {
	return !slices.ContainsFunc(r.Bounds, func(b logs.Bound) bool { return !b.Holds })
}

// WriteText prints a result for people.
func (r *Result) WriteText(w io.Writer) error {
	p := printer{w: w}
	m := &r.Machine
	p.line("%s, %d cores, Linux %s, %s; %d rounds; us from before the write to behind the read, one in flight", m.CPU, m.Cores, m.Kernel, m.Go, r.Rounds)
	if r.Shape == Latency {
		p.line("%-32s %9s %9s %9s %9s %9s %8s", r.Shape+" "+r.App, "p50", "p90", "p99", "p99.9", "max", "count")
	} else {
		p.line("%-43s %9s %9s | %9s %9s | %9s %9s  p99 over", r.Shape+" "+r.App, "alone p50", "p99", "elsewhere", "p99", "beside", "p99")
	}
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	for i := range r.Entries {
		e := &r.Entries[i]
		p.line("%-32s %9.1f %9.1f %9.1f %9.1f %9.1f %8d", e.Shape, us(e.P50Ns), us(e.P90Ns), us(e.P99Ns), us(e.P999Ns), us(e.MaxNs), e.Count)
	}
	for _, x := range r.Ratios {
		p.line("  over %s: p50 %.2f, p99 %.2f", x.Over, x.P50, x.P99)
	}
	if f := r.Flood; f != nil {
		p.line("  one session: %d orders in %.2f s, %.0f/s; p50 %.1f us, p99 %.1f us from when each was due", f.Orders, f.Seconds, f.PerSecond, us(f.P50Ns), us(f.P99Ns))
	}
	for i := range r.Besides {
		x := &r.Besides[i]
		p.line("%-38s %-4s %9.1f %9.1f | %9.1f %9.1f | %9.1f %9.1f  %5.2f %5.2f  %.0f/s", x.Attack, x.Session, us(x.Alone.P50Ns), us(x.Alone.P99Ns),
			us(x.Elsewhere.P50Ns), us(x.Elsewhere.P99Ns), us(x.Beside.P50Ns), us(x.Beside.P99Ns), x.OverAlone, x.OverElsewhere, float64(x.Attacked.Events)/max(x.Attacked.Seconds, 1e-9))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Counters)) {
		p.line("  %s: %d", name, r.Counters[name])
	}
	for _, l := range r.Leaks {
		p.line("  %s: before and after: %d and %d goroutines, %d and %d descriptors, %d and %d KiB", l.After.Node, l.Before.Goroutines, l.After.Goroutines,
			l.Before.Files, l.After.Files, l.Before.Resident>>10, l.After.Resident>>10)
	}
	for _, b := range r.Bounds {
		word, holds := "at most", "holds"
		if b.Least {
			word = "at least"
		}
		if !b.Holds {
			holds = "DOES NOT HOLD"
		}
		p.line("  %s: %.4g, %s %.4g: %s", b.Of, b.Value, word, b.Bound, holds)
	}
	return p.err
}

// printer keeps the first error of many prints.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
