package report

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"
	"time"

	"onebeat/bench/drill"
	"onebeat/bench/shapes"
)

// Report is what a drill of many faults found.
type Report struct {
	Time       time.Time         `json:"time"`
	Version    string            `json:"version"`
	Command    string            `json:"command"`
	Machine    shapes.Machine    `json:"machine"`
	Settings   Settings          `json:"settings"`
	Faults     []drill.Summary   `json:"faults"`
	Keepalived *drill.Keepalived `json:"keepalived,omitempty"`
	TookNs     int64             `json:"took_ns"`
}

// Settings are those of all faults.
type Settings struct {
	RunsEach      int     `json:"runs_each"`
	RatePerSecond int     `json:"rate_per_second"`
	DurationNs    int64   `json:"duration_ns"`
	AsleepNs      int64   `json:"asleep_ns"`
	HeartbeatNs   int64   `json:"heartbeat_ns"`
	HangBudgetNs  int64   `json:"hang_budget_ns"`
	WaitNs        int64   `json:"wait_ns"`
	Arbitration   string  `json:"arbitration"`
	App           string  `json:"app"`
	Idle          string  `json:"idle"`
	Release       string  `json:"release"`
	RingSize      string  `json:"ring_size"`
	Percent       float64 `json:"percent"`
}

// SettingsOf are those of a drill.
func SettingsOf(o *drill.Options) Settings {
	return Settings{RunsEach: o.Runs, RatePerSecond: o.RatePerSecond, DurationNs: o.Duration.Nanoseconds(), AsleepNs: o.Asleep.Nanoseconds(),
		HeartbeatNs: o.Heartbeat.Nanoseconds(), HangBudgetNs: o.HangBudget.Nanoseconds(), WaitNs: o.Wait.Nanoseconds(),
		Arbitration: o.Arbitration, App: o.App, Idle: o.Idle, Release: o.Release, RingSize: o.RingSize, Percent: o.Percent}
}

// Names of the files in a report's directory.
const (
	JSONFile = "drill.json"
	HTMLFile = "drill.html"
)

// Write writes both files into dir, making it if need be.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	page, err := r.HTML()
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, JSONFile), append(b, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, HTMLFile), []byte(page), 0o644))
}

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"ms": ms, "count": count, "seconds": func(ns int64) string { return fmt.Sprintf("%.0f s", float64(ns)/1e9) },
	"duration": func(ns int64) string { return time.Duration(ns).String() },
}).Parse(pageText))

// HTML is the report as a page.
func (r *Report) HTML() (string, error) {
	var b strings.Builder
	err := page.Execute(&b, r)
	return b.String(), err
}

// OK is whether every fault was survived.
func (r *Report) OK() bool { return r.Bad() == 0 }

// Bad counts the faults that were not survived.
func (r *Report) Bad() int {
	bad := 0
	for i := range r.Faults {
		if !r.Faults[i].OK {
			bad++
		}
	}
	return bad
}

// Total adds the faults up.
func (r *Report) Total() drill.Summary {
	var t drill.Summary
	for i := range r.Faults {
		s := &r.Faults[i]
		t.Runs += s.Runs
		t.OrdersSent += s.OrdersSent
		t.OrdersAcked += s.OrdersAcked
		t.OrdersResent += s.OrdersResent
		t.OrdersRefused += s.OrdersRefused
		t.AckedLost += s.AckedLost
		t.VenueDuplicates += s.VenueDuplicates
		t.Unanswered += s.Unanswered
		t.DualActiveNs += s.DualActiveNs
		t.UnexplainedEpochs += s.UnexplainedEpochs
		t.Histories += s.Histories
	}
	return t
}

// Histogram draws a fault's outages.
func (r *Report) Histogram(s *drill.Summary) template.HTML {
	return histogram(s.Outages, []guide{{s.HeartbeatNs, "heartbeat"}}, "outages of "+s.Fault)
}

// KeepalivedHistogram draws keepalived's outages on the same axis.
func (r *Report) KeepalivedHistogram() template.HTML {
	return histogram(r.Keepalived.Outages, nil, "outages of keepalived")
}

// Rows are the faults, for the page: a pointer each.
func (r *Report) Rows() []*drill.Summary {
	rows := make([]*drill.Summary, len(r.Faults))
	for i := range r.Faults {
		rows[i] = &r.Faults[i]
	}
	return rows
}

// ms writes nanoseconds as milliseconds with three digits that mean something.
func ms(ns int64) string {
	switch v := float64(ns) / 1e6; {
	case ns == 0:
		return "–"
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

// count writes a number with its thousands apart.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
