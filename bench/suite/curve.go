package suite

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"onebeat/bench/drill/report"
	"onebeat/bench/shapes"
	"onebeat/bench/stores"
	"onebeat/tools/config"
)

// point is a value in nanoseconds at a place between 0 and 1.
type point struct {
	x  float64
	ns int64
}

// series is one line of a chart; its name stands at its end.
type series struct {
	name   string
	points []point
}

// tick is a place on the x axis with a text.
type tick struct {
	x    float64
	text string
}

const (
	chartWidth, chartHeight = 920.0, 360.0
	plotLeft, plotRight     = 58.0, 750.0
	plotTop, plotBottom     = 12.0, 326.0
	labelGap                = 13.0 // between two names at the right
)

// chart draws lines over a logarithmic axis of time.
func chart(title string, lines []series, ticks []tick) template.HTML {
	low, high := math.MaxFloat64, 0.0
	for _, l := range lines {
		for _, p := range l.points {
			low, high = min(low, float64(max(p.ns, 1))), max(high, float64(p.ns))
		}
	}
	if high == 0 {
		return ""
	}
	from, to := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	to = max(to, from+1)
	x := func(at float64) float64 { return plotLeft + (plotRight-plotLeft)*min(max(at, 0), 1) }
	y := func(ns int64) float64 {
		return plotBottom - (plotBottom-plotTop)*(math.Log10(float64(max(ns, 1)))-from)/(to-from)
	}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg class="chart" viewBox="0 0 %g %g" role="img"><title>%s</title>`, chartWidth, chartHeight, template.HTMLEscapeString(title))
	for d := from; d <= to; d++ {
		ns := int64(math.Pow10(int(d)))
		fmt.Fprintf(&s, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`,
			plotLeft, plotRight, y(ns), y(ns), plotLeft-6, y(ns)+3.5, duration(ns))
	}
	for _, t := range ticks {
		fmt.Fprintf(&s, `<line class="grid" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text x="%.1f" y="%g" text-anchor="middle">%s</text>`,
			x(t.x), x(t.x), plotTop, plotBottom, x(t.x), plotBottom+16, template.HTMLEscapeString(t.text))
	}
	names := apart(lines, y)
	for i, l := range lines {
		if len(l.points) == 0 {
			continue
		}
		var path strings.Builder
		for k, p := range l.points {
			fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[k == 0], x(p.x), y(p.ns))
		}
		last := l.points[len(l.points)-1]
		fmt.Fprintf(&s, `<path class="line c%d" d="%s"/>`, i%colours, path.String())
		fmt.Fprintf(&s, `<line class="leader" x1="%.1f" y1="%.1f" x2="%g" y2="%.1f"/><text class="c%d" x="%g" y="%.1f">%s</text>`,
			x(last.x), y(last.ns), plotRight+14, names[i], i%colours, plotRight+18, names[i]+3.5, template.HTMLEscapeString(l.name))
	}
	s.WriteString(`</svg>`)
	return template.HTML(s.String()) // made of numbers and escaped texts
}

// colours is how many line colours the page has.
const colours = 12

// apart returns a height for the name of each line: near its end, none upon
// another.
func apart(lines []series, y func(int64) float64) []float64 {
	at := make([]float64, len(lines))
	order := make([]int, 0, len(lines))
	for i, l := range lines {
		if len(l.points) == 0 {
			continue
		}
		at[i] = y(l.points[len(l.points)-1].ns)
		k := len(order)
		for ; k > 0 && at[order[k-1]] > at[i]; k-- {
		}
		order = append(order[:k], append([]int{i}, order[k:]...)...)
	}
	for k := 1; k < len(order); k++ {
		at[order[k]] = max(at[order[k]], at[order[k-1]]+labelGap)
	}
	if n := len(order); n > 0 && at[order[n-1]] > plotBottom {
		at[order[n-1]] = plotBottom
		for k := n - 2; k >= 0; k-- {
			at[order[k]] = min(at[order[k]], at[order[k+1]]-labelGap)
		}
	}
	return at
}

// duration is a power of ten of nanoseconds.
func duration(ns int64) string {
	switch {
	case ns < 1_000:
		return fmt.Sprintf("%d ns", ns)
	case ns < 1_000_000:
		return fmt.Sprintf("%d µs", ns/1_000)
	case ns < 1_000_000_000:
		return fmt.Sprintf("%d ms", ns/1_000_000)
	}
	return fmt.Sprintf("%d s", ns/1_000_000_000)
}

// nines is the last power of ten on the axis of percentiles.
const nines = 5

// Curves draws the percentiles of what people compare.
func (r *Report) Curves() template.HTML {
	names := []string{shapes.CEcho, shapes.Echo}
	for _, s := range []shapes.Setting{at(shapes.Order, config.AppBook), at(shapes.Mirrored, config.AppBook), at(shapes.Mirrored, config.AppGateway), at(shapes.UDP, config.AppBook)} {
		names = append(names, s.Name())
	}
	names = append(names, fixMirrored, fixPlain)
	for _, s := range stores.All() {
		names = append(names, s.Name())
	}
	var lines []series
	for _, name := range names {
		e := r.entry(name)
		if e == nil || e.Result.Histogram == nil {
			continue
		}
		l := series{name: name}
		// A percentile that fewer values than ten lie behind says nothing.
		last := math.Log10(float64(max(e.Result.Count, 10)) / 10)
		for q := 0.0; q <= min(last, nines); q += 0.1 {
			p := 100 * (1 - math.Pow(10, -q))
			l.points = append(l.points, point{q / nines, e.Result.Histogram.ValueAtQuantile(p)})
		}
		lines = append(lines, l)
	}
	ticks := []tick{{0, "0 %"}, {math.Log10(2) / nines, "50"}}
	for n, text := range []string{"90", "99", "99.9", "99.99", "99.999 %"} {
		ticks = append(ticks, tick{float64(n+1) / nines, text})
	}
	return chart("latency by percentile", lines, ticks)
}

// RampCurve draws latency over the rate offered.
func (r *Report) RampCurve() template.HTML {
	if len(r.Ramp.Steps) == 0 {
		return ""
	}
	most := float64(r.Ramp.Steps[len(r.Ramp.Steps)-1].RatePerSecond)
	lines := []series{{name: "p50"}, {name: "p99"}, {name: "p99.9"}}
	for i := range r.Ramp.Steps {
		s := &r.Ramp.Steps[i]
		at := float64(s.RatePerSecond) / most
		for k, ns := range []int64{s.P50Ns, s.P99Ns, s.P999Ns} {
			lines[k].points = append(lines[k].points, point{at, ns})
		}
	}
	var ticks []tick
	for part := range 5 {
		rate := most * float64(part) / 4
		ticks = append(ticks, tick{rate / most, fmt.Sprintf("%.0f k/s", rate/1000)})
	}
	if r.Ramp.KneePerSecond > 0 {
		ticks = append(ticks, tick{float64(r.Ramp.KneePerSecond) / most, "▲ knee"})
	}
	return chart("latency by throughput", lines, ticks)
}

// LongCurve draws the long run's seconds.
func (r *Report) LongCurve() template.HTML {
	if r.Long == nil {
		return ""
	}
	n := len(r.Long.Seconds)
	lines := []series{{name: "p50"}, {name: "p99"}, {name: "p99.9"}, {name: "max"}}
	for i, s := range r.Long.Seconds {
		for k, ns := range []int64{s.P50Ns, s.P99Ns, s.P999Ns, s.MaxNs} {
			lines[k].points = append(lines[k].points, point{float64(i) / float64(max(n-1, 1)), ns})
		}
	}
	var ticks []tick
	for part := range 5 {
		ticks = append(ticks, tick{float64(part) / 4, fmt.Sprintf("%.0f s", float64(part)*float64(n)/4)})
	}
	return chart("each second of the long run", lines, ticks)
}

// Outages draws a fault's outages as the drill's report does.
func (r *Report) Outages(ns []int64) template.HTML { return report.Histogram(ns, "outages") }

// Bar is how far a ratio has come towards its bound, in percent of the bar's
// width; the bound stands at two thirds.
func (q Ratio) Bar() float64 { return min(q.Ratio/q.Most*100*2/3, 100) }

// Colours numbers the line colours, for the page.
func (*Report) Colours() []int {
	all := make([]int, colours)
	for i := range all {
		all[i] = i
	}
	return all
}
