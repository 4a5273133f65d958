package shapes

import (
	"context"
	"fmt"
	"io"
	"slices"

	"onebeat/tools/config"
)

// Comparison is every setting measured in turns, and the ratios that are
// promised.
type Comparison struct {
	Rounds  int      `json:"rounds"`
	Results []Result `json:"results"`
	Ratios  []Ratio  `json:"ratios"`
	// Holds: every bound that could be measured holds, nothing was lost, nothing
	// allocated.
	Holds bool `json:"holds"`

	rounds [][]Result // by setting; the same settings as Results
}

// Ratio is one p50 over another: the median of the rounds' ratios. A round's are
// measured within seconds, so a machine that changes its speed in between rounds
// moves both.
type Ratio struct {
	Of    string  `json:"of"`
	Over  string  `json:"over"`
	Ratio float64 `json:"ratio"`
	Bound float64 `json:"bound"`
	Holds bool    `json:"holds"`
}

// bound is a promise about two settings.
type bound struct {
	of, over Setting
	max      float64
}

func order(app string) Setting {
	return Setting{Shape: Order, App: app, Release: config.ReleaseRide, Auth: true}
}

func mirrored(app, release string, auth bool) Setting {
	return Setting{Shape: Mirrored, App: app, Release: release, Auth: auth}
}

// echoOf is an echo's setting; an app stands in it only to be complete.
func echoOf(shape string) Setting {
	return Setting{Shape: shape, App: config.AppBook, Release: config.ReleaseRide, Auth: true}
}

// compared are the settings of a comparison, in the order of a round.
var compared = []Setting{
	echoOf(CEcho), echoOf(Echo), echoOf(Asavie),
	order(config.AppBook), mirrored(config.AppBook, config.ReleaseRide, true),
	mirrored(config.AppBook, config.ReleaseChain, true),
	mirrored(config.AppBook, config.ReleaseRide, false), mirrored(config.AppBook, config.ReleaseUser, true),
	order(config.AppGateway), mirrored(config.AppGateway, config.ReleaseRide, true), mirrored(config.AppGateway, config.ReleaseChain, true),
	{Shape: UDP, App: config.AppBook, Release: config.ReleaseRide, Auth: true},
}

// bounds are what onebeat promises of its order path.
var bounds = []bound{
	{echoOf(Echo), echoOf(CEcho), 1.2},
	{order(config.AppBook), echoOf(Echo), 1.2},
	{order(config.AppGateway), echoOf(Echo), 1.45},
	{mirrored(config.AppBook, config.ReleaseRide, true), order(config.AppBook), 1.2},
	{mirrored(config.AppBook, config.ReleaseChain, true), order(config.AppBook), 1.2},
	{mirrored(config.AppGateway, config.ReleaseRide, true), order(config.AppGateway), 1.35},
	{mirrored(config.AppGateway, config.ReleaseChain, true), order(config.AppGateway), 1.35},
	{mirrored(config.AppBook, config.ReleaseUser, true), order(config.AppBook), 1.5},
}

// Compare measures every setting rounds times in turns, so that what changes on
// the machine meanwhile meets all of them.
func (b *Bench) Compare(ctx context.Context, rounds int) (*Comparison, error) {
	if rounds < 1 {
		return nil, fmt.Errorf("rounds: %d is not positive", rounds)
	}
	measured := make([][]Result, len(compared))
	progress := b.options.Progress
	defer func() { b.options.Progress = progress }()
	for round := range rounds {
		b.options.Progress = func(line string) { progress(fmt.Sprintf("round %d of %d: %s", round+1, rounds, line)) }
		for i, s := range compared {
			if s.Compiled() && !b.HasYardstick() {
				continue
			}
			r, err := b.Measure(ctx, s)
			if err != nil {
				return nil, err
			}
			measured[i] = append(measured[i], r)
		}
	}
	return newComparison(measured), nil
}

// newComparison combines the rounds of every setting and judges them.
func newComparison(measured [][]Result) *Comparison {
	c := &Comparison{}
	for _, m := range measured {
		if len(m) > 0 {
			c.Rounds = len(m)
			c.Results = append(c.Results, Combine(m))
			c.rounds = append(c.rounds, m)
		}
	}
	c.judge()
	return c
}

// judge works out the ratios, round by round.
func (c *Comparison) judge() {
	rounds := map[string][]Result{}
	c.Holds = true
	for i := range c.Results {
		r := &c.Results[i]
		rounds[r.Name()] = c.rounds[i]
		if r.Lost != 0 || r.GCCycles != 0 || r.Allocs != 0 && r.Shape != Asavie {
			c.Holds = false
		}
	}
	for _, b := range bounds {
		of, over := rounds[b.of.Name()], rounds[b.over.Name()]
		if len(of) == 0 || len(over) == 0 {
			continue // the yardstick was not built
		}
		ratio := MedianRatio(of, over, P50)
		holds := ratio <= b.max
		c.Ratios = append(c.Ratios, Ratio{b.of.Name(), b.over.Name(), ratio, b.max, holds})
		c.Holds = c.Holds && holds
	}
}

// P50 and P99 are percentiles for MedianRatio.
func P50(r *Result) int64 { return r.P50Ns }

// P99 is the other one.
func P99(r *Result) int64 { return r.P99Ns }

// MedianRatio returns the median over the rounds of one percentile over another.
func MedianRatio(of, over []Result, percentile func(*Result) int64) float64 {
	ratios := make([]float64, min(len(of), len(over)))
	for i := range ratios {
		ratios[i] = float64(percentile(&of[i])) / float64(percentile(&over[i]))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// WriteText prints the table and the ratios.
func (c *Comparison) WriteText(w io.Writer) error {
	if err := WriteText(w, c.Results); err != nil {
		return err
	}
	p := printer{w: w}
	p.line("")
	p.line("p50 ratios (medians of the ratios of %d rounds)", c.Rounds)
	for _, r := range c.Ratios {
		verdict := "holds"
		if !r.Holds {
			verdict = "BROKEN"
		}
		p.line("%-24s / %-20s %6.3f  at most %.2f  %s", r.Of, r.Over, r.Ratio, r.Bound, verdict)
	}
	return p.err
}
