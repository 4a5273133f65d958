package suite

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"onebeat/bench/drill"
	"onebeat/bench/shapes"
)

// Report is what a suite found.
type Report struct {
	Time       time.Time         `json:"time"`
	Version    string            `json:"version"`
	Command    string            `json:"command"`
	Machine    shapes.Machine    `json:"machine"`
	Layout     string            `json:"layout"`
	Rounds     int               `json:"rounds"`
	Entries    []Entry           `json:"entries"`
	Ratios     []Ratio           `json:"ratios"`
	Ramp       Ramp              `json:"ramp"`
	Long       *shapes.Timeline  `json:"long,omitempty"`
	Failovers  []drill.Summary   `json:"failovers,omitempty"`
	Keepalived *drill.Keepalived `json:"keepalived,omitempty"`
	LeftOut    []LeftOut         `json:"left_out,omitempty"`
	// Allocs and GCCycles are those of onebeat's shapes while they were measured,
	// Lost the frames of all that were not answered in time.
	Allocs   uint64 `json:"allocs"`
	GCCycles uint32 `json:"gc_cycles"`
	Lost     int64  `json:"lost"`
	TookNs   int64  `json:"took_ns"`
}

// Entry is one shape or peer.
type Entry struct {
	Name   string        `json:"name"`
	What   string        `json:"what"`
	Result shapes.Result `json:"result"` // medians of the rounds
	P50s   []int64       `json:"p50_ns_of_rounds"`
	P99s   []int64       `json:"p99_ns_of_rounds"`

	rounds []shapes.Result
}

// Ratio is a promise and what was found.
type Ratio struct {
	Of         string  `json:"of"`
	Over       string  `json:"over"`
	Percentile string  `json:"percentile"`
	Ratio      float64 `json:"ratio"`
	Most       float64 `json:"at_most"`
	Holds      bool    `json:"holds"`
}

// Ramp is throughput against latency.
type Ramp struct {
	Setting string        `json:"setting"`
	EachNs  int64         `json:"each_ns"`
	Steps   []shapes.Step `json:"steps"`
	// KneePerSecond is the highest rate that was kept up with.
	KneePerSecond int `json:"knee_per_second"`
}

// LeftOut is what could not be measured, and why.
type LeftOut struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

func newReport(o *Options) *Report {
	return &Report{Time: time.Now(), Version: o.Version, Command: o.Command, Machine: shapes.ThisMachine(),
		Layout: o.Shapes.Layout.String(), Rounds: o.Rounds}
}

func (r *Report) entry(name string) *Entry {
	for i := range r.Entries {
		if r.Entries[i].Name == name {
			return &r.Entries[i]
		}
	}
	return nil
}

// add takes one round of an entry.
func (r *Report) add(name, what string, one shapes.Result) {
	e := r.entry(name)
	if e == nil {
		r.Entries = append(r.Entries, Entry{Name: name, What: what})
		e = &r.Entries[len(r.Entries)-1]
	}
	e.rounds = append(e.rounds, one)
	e.P50s, e.P99s = append(e.P50s, one.P50Ns), append(e.P99s, one.P99Ns)
	e.Result = shapes.Combine(e.rounds)
}

// own reports whether an entry's allocations are onebeat's.
func (e *Entry) own() bool {
	switch e.Result.Shape {
	case shapes.Echo, shapes.Order, shapes.Mirrored, shapes.Applied: // not Archived: an archive's cold side allocates
		return true
	}
	return false
}

func (r *Report) leave(name, why string) { r.LeftOut = append(r.LeftOut, LeftOut{name, why}) }

func (r *Report) left(name string) bool {
	for _, l := range r.LeftOut {
		if l.Name == name {
			return true
		}
	}
	return false
}

// Names of the files in a report's directory; every entry has a histogram
// beside them.
const (
	JSONFile = "report.json"
	HTMLFile = "report.html"
)

// Write writes page, data and histograms into dir, making it if need be.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	html, err := r.HTML()
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	errs := []error{os.WriteFile(filepath.Join(dir, JSONFile), append(b, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, HTMLFile), []byte(html), 0o644)}
	for i := range r.Entries {
		errs = append(errs, r.Entries[i].writeHistogram(dir))
	}
	return errors.Join(errs...)
}

// writeHistogram writes all rounds' values as HdrHistogram's percentile text, in
// microseconds, which its plotter reads.
func (e *Entry) writeHistogram(dir string) error {
	if e.Result.Histogram == nil {
		return nil
	}
	f, err := os.Create(filepath.Join(dir, strings.ReplaceAll(e.Name, " ", "-")+".hgrm"))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	const ticksPerHalf, nsPerUs = 5, 1000.0
	_, err = e.Result.Histogram.PercentilesPrint(f, ticksPerHalf, nsPerUs)
	return errors.Join(err, f.Close())
}

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"us": us, "ms": ms, "count": count, "mostText": mostText,
	"seconds": func(ns int64) string { return fmt.Sprintf("%.0f s", float64(ns)/1e9) },
}).Parse(pageText))

// HTML is the report as a page that needs nothing from elsewhere.
func (r *Report) HTML() (string, error) {
	var b strings.Builder
	err := page.Execute(&b, r)
	return b.String(), err
}

// WriteText prints the report as tables.
func (r *Report) WriteText(w io.Writer) error {
	p := &printer{w: w}
	m := &r.Machine
	p.line("%s, %d cores, Linux %s, %s; %d rounds; us, one in flight", m.CPU, m.Cores, m.Kernel, m.Go, r.Rounds)
	p.line("%-30s %9s %9s %9s %9s %9s %7s %6s %3s", "", "p50", "p90", "p99", "p99.9", "max", "lost", "allocs", "gc")
	for i := range r.Entries {
		e := &r.Entries[i].Result
		p.line("%-30s %9s %9s %9s %9s %9s %7d %6d %3d", r.Entries[i].Name, us(e.P50Ns), us(e.P90Ns), us(e.P99Ns), us(e.P999Ns), us(e.MaxNs), e.Lost, e.Allocs, e.GCCycles)
	}
	p.line("")
	for _, q := range r.Ratios {
		p.line("%-26s / %-20s %s  %7.4f  at most %-6s %s", q.Of, q.Over, q.Percentile, q.Ratio, mostText(q.Most), verdict(q.Holds))
	}
	if len(r.Ramp.Steps) > 0 {
		p.line("")
		p.line("%s, open loop: offered and answered a second, us", r.Ramp.Setting)
		for i := range r.Ramp.Steps {
			s := &r.Ramp.Steps[i]
			p.line("%9d %11.0f  p50 %8s  p99 %9s  p99.9 %10s  %s", s.RatePerSecond, s.AnsweredPerSecond, us(s.P50Ns), us(s.P99Ns), us(s.P999Ns),
				map[bool]string{true: "kept", false: "not kept"}[s.Keeps()])
		}
		p.line("knee: %d orders/s, promised %d: %s", r.Ramp.KneePerSecond, promisedPerSecond, verdict(r.Ramp.KneePerSecond >= promisedPerSecond))
	}
	for i := range r.Failovers {
		s := &r.Failovers[i]
		p.line("failover, %s: p50 %s, p99 %s, max %s ms in %d runs, lost %d, doubled %d", s.Fault, ms(s.OutageNs.P50), ms(s.OutageNs.P99), ms(s.OutageNs.Max), s.Runs, s.AckedLost, s.VenueDuplicates)
	}
	if k := r.Keepalived; k != nil && k.Runs > 0 {
		p.line("keepalived, power: p50 %s, p99 %s, max %s ms in %d runs: %.1f times onebeat's", ms(k.OutageNs.P50), ms(k.OutageNs.P99), ms(k.OutageNs.Max), k.Runs, k.Ratio)
	}
	for _, l := range r.LeftOut {
		p.line("left out: %s: %s", l.Name, l.Why)
	}
	p.line("onebeat's shapes: %d allocations, %d GC cycles; %d frames late; %d promises do not hold", r.Allocs, r.GCCycles, r.Lost, r.Broken())
	return p.err
}

func verdict(holds bool) string {
	if holds {
		return "holds"
	}
	return "DOES NOT HOLD"
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// us writes nanoseconds as microseconds.
func us(ns int64) string {
	switch v := float64(ns) / 1e3; {
	case v < 100:
		return fmt.Sprintf("%.2f", v)
	case v < 1000:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

// ms writes nanoseconds as milliseconds.
func ms(ns int64) string { return fmt.Sprintf("%.2f", float64(ns)/1e6) }

// mostText writes a bound as people say it.
func mostText(most float64) string {
	if most < 0.5 {
		return fmt.Sprintf("1/%.0f", 1/most)
	}
	return fmt.Sprintf("%.2f", most)
}

// count writes a number with its thousands apart.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
