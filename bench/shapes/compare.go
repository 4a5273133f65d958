package shapes

import (
	"context"
	"fmt"
	"io"

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
}

// Ratio is one p50 over another, each the median of its rounds.
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

func order(app string) Setting { return Setting{Order, app, config.ReleaseRide, true} }

func mirrored(app, release string, auth bool) Setting { return Setting{Mirrored, app, release, auth} }

// echoOf is an echo's setting; an app stands in it only to be complete.
func echoOf(shape string) Setting { return Setting{shape, config.AppBook, config.ReleaseRide, true} }

// compared are the settings of a comparison, in the order of a round.
var compared = []Setting{
	echoOf(CEcho), echoOf(Echo), echoOf(Asavie),
	order(config.AppBook), mirrored(config.AppBook, config.ReleaseRide, true),
	mirrored(config.AppBook, config.ReleaseRide, false), mirrored(config.AppBook, config.ReleaseUser, true),
	order(config.AppGateway), mirrored(config.AppGateway, config.ReleaseRide, true),
	{UDP, config.AppBook, config.ReleaseRide, true},
}

// bounds are what onebeat promises of its order path.
var bounds = []bound{
	{echoOf(Echo), echoOf(CEcho), 1.2},
	{order(config.AppBook), echoOf(Echo), 1.2},
	{order(config.AppGateway), echoOf(Echo), 1.45},
	{mirrored(config.AppBook, config.ReleaseRide, true), order(config.AppBook), 1.2},
	{mirrored(config.AppGateway, config.ReleaseRide, true), order(config.AppGateway), 1.35},
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
			if s.Shape == CEcho && !b.HasYardstick() {
				continue
			}
			r, err := b.Measure(ctx, s)
			if err != nil {
				return nil, err
			}
			measured[i] = append(measured[i], r)
		}
	}
	c := &Comparison{Rounds: rounds}
	for _, m := range measured {
		if len(m) > 0 {
			c.Results = append(c.Results, combine(m))
		}
	}
	c.judge()
	return c, nil
}

// judge works out the ratios of the results.
func (c *Comparison) judge() {
	p50 := map[string]int64{}
	c.Holds = true
	for i := range c.Results {
		r := &c.Results[i]
		p50[r.Name()] = r.P50Ns
		if r.Lost != 0 || r.GCCycles != 0 || r.Allocs != 0 && r.Shape != Asavie {
			c.Holds = false
		}
	}
	for _, b := range bounds {
		of, over := p50[b.of.Name()], p50[b.over.Name()]
		if of == 0 || over == 0 {
			continue // the yardstick was not built
		}
		ratio := float64(of) / float64(over)
		holds := ratio <= b.max
		c.Ratios = append(c.Ratios, Ratio{b.of.Name(), b.over.Name(), ratio, b.max, holds})
		c.Holds = c.Holds && holds
	}
}

// WriteText prints the table and the ratios.
func (c *Comparison) WriteText(w io.Writer) error {
	if err := WriteText(w, c.Results); err != nil {
		return err
	}
	p := printer{w: w}
	p.line("")
	p.line("p50 ratios (medians of %d interleaved rounds)", c.Rounds)
	for _, r := range c.Ratios {
		verdict := "holds"
		if !r.Holds {
			verdict = "BROKEN"
		}
		p.line("%-24s / %-20s %6.3f  at most %.2f  %s", r.Of, r.Over, r.Ratio, r.Bound, verdict)
	}
	return p.err
}
