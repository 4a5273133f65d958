package shapes

import (
	"fmt"
	"io"
	"slices"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Result is one measurement. Times are nanoseconds from the client's send to
// its answer.
type Result struct {
	Shape   string `json:"shape"`
	App     string `json:"app,omitempty"`
	Release string `json:"release,omitempty"`
	Auth    bool   `json:"auth"`
	Batch   int    `json:"batch,omitempty"` // orders of a datagram, when more than one
	ToVenue bool   `json:"to_venue,omitempty"`
	Lanes   int    `json:"lanes,omitempty"` // when more than one
	// Count is that of the datagrams measured.
	Count int64 `json:"count"`
	// Lost counts frames that were not answered in time; an order is sent again
	// then and its answer still counted.
	Lost    int64 `json:"lost"`
	P50Ns   int64 `json:"p50_ns"`
	P90Ns   int64 `json:"p90_ns"`
	P99Ns   int64 `json:"p99_ns"`
	P999Ns  int64 `json:"p999_ns"`
	P9999Ns int64 `json:"p9999_ns"`
	MaxNs   int64 `json:"max_ns"`
	// Allocs and GCCycles are those of the whole process, client included,
	// while it measured.
	Allocs   uint64 `json:"allocs"`
	GCCycles uint32 `json:"gc_cycles"`
	// RSSBytes is the whole process: client, primary and standby.
	RSSBytes int64   `json:"rss_bytes"`
	Rounds   int     `json:"rounds"`
	Layout   string  `json:"layout"`
	Machine  Machine `json:"machine"`

	// Histogram is all that was measured, of every round.
	Histogram *hdr.Histogram `json:"-"`
}

const (
	histogramMaxNs  = 60_000_000_000
	histogramDigits = 3
)

// NewHistogram returns one for latencies in nanoseconds.
func NewHistogram() *hdr.Histogram { return hdr.New(1, histogramMaxNs, histogramDigits) }

// Fill takes the percentiles out of a histogram.
func (r *Result) Fill(h *hdr.Histogram) {
	r.Histogram, r.Count = h, h.TotalCount()
	r.P50Ns, r.P90Ns, r.P99Ns = h.ValueAtQuantile(50), h.ValueAtQuantile(90), h.ValueAtQuantile(99)
	r.P999Ns, r.P9999Ns, r.MaxNs = h.ValueAtQuantile(99.9), h.ValueAtQuantile(99.99), h.Max()
}

// Name is that of the setting measured.
func (r *Result) Name() string {
	s := Setting{Shape: r.Shape, App: r.App, Release: r.Release, Auth: r.Auth, Batch: r.Batch, ToVenue: r.ToVenue, Lanes: r.Lanes}
	return s.Name()
}

// Combine makes one result of the rounds of one setting: the median of each
// percentile, the sum of what must be 0, the worst maximum.
func Combine(rounds []Result) Result {
	r := rounds[0]
	r.Rounds = len(rounds)
	if r.Histogram != nil {
		r.Histogram = hdr.Import(r.Histogram.Export())
	}
	median := func(of func(*Result) int64) int64 {
		v := make([]int64, len(rounds))
		for i := range rounds {
			v[i] = of(&rounds[i])
		}
		return medianOf(v)
	}
	r.P50Ns = median(func(r *Result) int64 { return r.P50Ns })
	r.P90Ns = median(func(r *Result) int64 { return r.P90Ns })
	r.P99Ns = median(func(r *Result) int64 { return r.P99Ns })
	r.P999Ns = median(func(r *Result) int64 { return r.P999Ns })
	r.P9999Ns = median(func(r *Result) int64 { return r.P9999Ns })
	for i := range rounds[1:] {
		o := &rounds[1+i]
		if r.Histogram != nil && o.Histogram != nil {
			r.Histogram.Merge(o.Histogram)
		}
		r.Count += o.Count
		r.Lost += o.Lost
		r.Allocs += o.Allocs
		r.GCCycles += o.GCCycles
		r.MaxNs = max(r.MaxNs, o.MaxNs)
		r.RSSBytes = max(r.RSSBytes, o.RSSBytes)
	}
	return r
}

// medianOf is the middle value, the mean of two for an even number of them.
func medianOf(v []int64) int64 {
	v = slices.Clone(v)
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// WriteText prints results as a table.
func WriteText(w io.Writer, results []Result) error {
	if len(results) == 0 {
		return nil
	}
	m := &results[0].Machine
	p := printer{w: w}
	p.line("%s, %d cores, Linux %s, %s, clock %s", m.CPU, m.Cores, m.Kernel, m.Go, m.Clock)
	p.line("layout: %s", results[0].Layout)
	p.line("one in flight, us from the client's send to its answer")
	p.line("")
	p.line("%-24s %8s %8s %8s %8s %8s %9s %8s %5s %6s %3s", "shape", "p50", "p90", "p99", "p99.9", "p99.99", "max", "count", "lost", "allocs", "gc")
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	for i := range results {
		r := &results[i]
		p.line("%-24s %8.2f %8.2f %8.2f %8.2f %8.2f %9.1f %8d %5d %6d %3d", r.Name(), us(r.P50Ns), us(r.P90Ns), us(r.P99Ns),
			us(r.P999Ns), us(r.P9999Ns), us(r.MaxNs), r.Count, r.Lost, r.Allocs, r.GCCycles)
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
