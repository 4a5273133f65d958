package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// The axis is logarithmic and the same for all: outages of different faults lie
// three powers of ten apart, and the eye compares rows.
const (
	axisFromNs    = 100_000       // 0.1 ms
	axisToNs      = 1_000_000_000 // 1 s
	binsPerDecade = 8
	decades       = 4
	bins          = binsPerDecade * decades

	width, height = 420.0, 58.0
	plotHeight    = 40.0 // above the axis; below are its labels
	margin        = 8.0  // so that the first and last label are whole
)

// guide is a line across a histogram.
type guide struct {
	atNs int64
	name string
}

// xOf is where a duration lies; what is beyond the axis lies at its end.
func xOf(ns int64) float64 {
	at := math.Log10(float64(max(ns, 1))/axisFromNs) / decades
	return margin + (width-2*margin)*min(max(at, 0), 1)
}

// binOf is the bin of a duration.
func binOf(ns int64) int {
	at := math.Log10(float64(max(ns, 1))/axisFromNs) * binsPerDecade
	return min(max(int(at), 0), bins-1)
}

// histogram draws durations: a bar for each bin, a tick for each value, lines
// for the guides.
func histogram(values []int64, guides []guide, title string) template.HTML {
	var counts [bins]int
	highest := 1
	for _, v := range values {
		b := binOf(v)
		counts[b]++
		highest = max(highest, counts[b])
	}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg class="histogram" viewBox="0 0 %g %g" role="img"><title>%s</title>`, width, height, template.HTMLEscapeString(title))
	for d := range decades + 1 {
		x := xOf(int64(axisFromNs * math.Pow10(d)))
		fmt.Fprintf(&s, `<line class="grid" x1="%.1f" x2="%.1f" y1="2" y2="%g"/>`, x, x, plotHeight)
		anchor := "middle"
		if d == decades {
			x, anchor = width, "end"
		}
		fmt.Fprintf(&s, `<text x="%.1f" y="%g" text-anchor="%s">%s</text>`, x, height-3, anchor, [...]string{"0.1", "1", "10", "100", "1000 ms"}[d])
	}
	step := (width - 2*margin) / bins
	for b, n := range counts {
		if n == 0 {
			continue
		}
		tall := (plotHeight - 10) * float64(n) / float64(highest)
		fmt.Fprintf(&s, `<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, margin+float64(b)*step+0.5, plotHeight-tall, step-1, tall)
	}
	for _, g := range guides {
		x := xOf(g.atNs)
		fmt.Fprintf(&s, `<line class="guide" x1="%.1f" x2="%.1f" y1="2" y2="%g"><title>%s</title></line>`, x, x, plotHeight, template.HTMLEscapeString(g.name))
	}
	fmt.Fprintf(&s, `<line class="axis" x1="%g" x2="%g" y1="%g" y2="%g"/>`, margin, width-margin, plotHeight, plotHeight)
	for _, v := range values {
		fmt.Fprintf(&s, `<line class="tick" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/>`, xOf(v), xOf(v), plotHeight+1, plotHeight+6)
	}
	s.WriteString(`</svg>`)
	return template.HTML(s.String()) // made of numbers and escaped titles
}

// Histogram draws durations on the axis of all outages.
func Histogram(values []int64, title string) template.HTML { return histogram(values, nil, title) }
