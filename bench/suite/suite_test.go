package suite

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onebeat/bench/drill"
	"onebeat/bench/lab/labtest"
	"onebeat/bench/shapes"
	"onebeat/bench/stores"
)

// sample is a report of a machine on which everything takes what p50 says.
func sample(p50 func(name string) int64) *Report {
	o := Full()
	o.Version, o.Command = "v", "onebeat bench suite"
	r := newReport(&o)
	one := func(name, shape string) shapes.Result {
		h := shapes.NewHistogram()
		for i := range 1000 {
			_ = h.RecordValue(p50(name) + int64(i/100))
		}
		res := shapes.Result{Shape: shape, Rounds: 1}
		res.Fill(h)
		return res
	}
	for range 3 {
		for _, s := range settings() {
			r.add(s.Name(), describe(s), one(s.Name(), s.Shape))
		}
		for _, s := range stores.All() {
			r.add(s.Name(), s.What(), one(s.Name(), s.Name()))
		}
		for shape, e := range fixEntries {
			r.add(e.name, e.what, one(e.name, shape))
		}
	}
	r.Ramp = Ramp{Setting: "mirrored book x32", EachNs: 5e8}
	for _, rate := range []int{100_000, 1_000_000, 1_200_000} {
		s := shapes.Step{RatePerSecond: rate, AnsweredPerSecond: float64(rate), P50Ns: 30_000, P99Ns: 500_000, P999Ns: 700_000}
		if rate > 1_000_000 {
			s.P99Ns = 9_000_000
		}
		r.Ramp.Steps = append(r.Ramp.Steps, s)
	}
	r.Long = &shapes.Timeline{Seconds: []shapes.Second{{Count: 5, P50Ns: 5000, P99Ns: 9000, P999Ns: 10_000, MaxNs: 2_000_000}, {Count: 5, P50Ns: 5100, P99Ns: 9100, P999Ns: 10_000, MaxNs: 90_000}}}
	r.Failovers = []drill.Summary{{Fault: "power", What: "no <power>", Runs: 2, Outages: []int64{6_000_000, 7_000_000}}}
	r.Keepalived = &drill.Keepalived{Runs: 1, Version: "keepalived 2", Outages: []int64{42_000_000}, Ratio: 6}
	r.leave("raft", "not <installed>")
	r.judge()
	return r
}

// promised takes what a machine takes on which every promise holds.
func promised(name string) int64 {
	switch name {
	case "redis":
		return 600_000
	case "etcd", "postgresql":
		return 400_000
	case "udp book":
		return 40_000
	}
	return 10_000
}

func TestJudge(t *testing.T) {
	r := sample(promised)
	if len(r.Ratios) != len(bounds()) || r.Broken() != 0 || r.Ramp.KneePerSecond != 1_000_000 {
		t.Errorf("%d ratios, %d broken, knee %d: %+v", len(r.Ratios), r.Broken(), r.Ramp.KneePerSecond, r.Ratios)
	}
	slow := sample(func(name string) int64 {
		if name == "mirrored book" {
			return 11_300
		}
		return promised(name)
	})
	// In order's p50 only: Redis and etcd have room, the tails are alike.
	if slow.Broken() != 1 {
		t.Errorf("%d broken: %+v", slow.Broken(), slow.Ratios)
	}
	r.Ramp.KneePerSecond = 900_000
	r.Allocs = 1
	if r.Broken() != 2 {
		t.Errorf("%d broken", r.Broken())
	}
}

func TestPeersThatAreMissing(t *testing.T) {
	r := sample(promised)
	r.Entries = r.Entries[1:] // no C compiler
	r.judge()
	if len(r.Ratios) != len(bounds())-2 {
		t.Errorf("%d ratios", len(r.Ratios))
	}
}

func TestReportFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	r := sample(promised)
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, JSONFile))
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(b, &again); err != nil || len(again.Entries) != len(r.Entries) || len(again.Entries[0].P50s) != 3 {
		t.Errorf("%d entries read back, %v", len(again.Entries), err)
	}
	for _, name := range []string{"mirrored-book.hgrm", "redis.hgrm", "mirrored-gateway-to-venue.hgrm", "fix-quickfixgo.hgrm"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(b), "Percentile") {
			t.Errorf("%s: %v", name, err)
		}
	}
	html, err := os.ReadFile(filepath.Join(dir, HTMLFile))
	if err != nil {
		t.Fatal(err)
	}
	text := string(html)
	for _, want := range []string{"Every promise that could be measured holds", "mirrored book / redis", "1/12", "no &lt;power&gt;", "not &lt;installed&gt;", "prefers-color-scheme: dark", "keepalived 2", "1000000 orders a second"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, foreign := range []string{"http://", "https://", "src=", "@import", "url("} {
		if strings.Contains(text, foreign) {
			t.Errorf("the page needs something from elsewhere: %q", foreign)
		}
	}
	var tables strings.Builder
	if err := r.WriteText(&tables); err != nil || !strings.Contains(tables.String(), "0 promises do not hold") {
		t.Errorf("%v\n%s", err, tables.String())
	}
}

// The charts are well-formed and no name lies upon another.
func TestCharts(t *testing.T) {
	r := sample(func(name string) int64 { return promised(name) })
	for name, svg := range map[string]string{"curves": string(r.Curves()), "ramp": string(r.RampCurve()), "long": string(r.LongCurve())} {
		d := xml.NewDecoder(strings.NewReader(svg))
		paths := 0
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "path" {
				paths++
			}
		}
		if want := map[string]int{"curves": 12, "ramp": 3, "long": 4}[name]; paths != want {
			t.Errorf("%s: %d lines, want %d", name, paths, want)
		}
	}
	same := []series{{"a", []point{{1, 10}}}, {"b", []point{{1, 10}}}, {"c", []point{{1, 10}}}}
	at := apart(same, func(int64) float64 { return plotBottom })
	for i := range at {
		for k := range i {
			if d := at[i] - at[k]; d < labelGap && d > -labelGap || at[i] > plotBottom {
				t.Errorf("names at %v", at)
			}
		}
	}
	if chart("none", nil, nil) != "" {
		t.Error("a chart of nothing")
	}
}

// A short suite of everything but the drills.
func TestSuite(t *testing.T) {
	labtest.NeedRoot(t)
	layout, err := shapes.DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Shapes: shapes.Options{Layout: layout, Count: 300, Warmup: 50, Limit: 5 * time.Second, Progress: func(string) {}},
		Rounds: 1, StoreCount: 50, RampRates: []int{20_000}, RampRounds: 1, RampEach: 100 * time.Millisecond, Long: time.Second}
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Entries) != len(settings())+len(stores.All()) || len(r.Ramp.Steps) != 1 || len(r.Long.Seconds) != 1 || len(r.LeftOut) != 0 {
		t.Errorf("%d entries, %d steps, %+v, left out %v", len(r.Entries), len(r.Ramp.Steps), r.Long, r.LeftOut)
	}
	for i := range r.Entries {
		if e := &r.Entries[i]; e.Result.Count == 0 || e.Result.P50Ns <= 0 || e.What == "" {
			t.Errorf("%+v", e)
		}
	}
	if r.Allocs != 0 || r.GCCycles != 0 {
		t.Errorf("%d allocations, %d GC cycles on the order path", r.Allocs, r.GCCycles)
		for i := range r.Entries {
			if e := &r.Entries[i]; e.own() && e.Result.Allocs != 0 {
				t.Logf("%s: %d", e.Name, e.Result.Allocs)
			}
		}
	}
}

// A suite with a budget ends with what it has, and says what it has not.
func TestBudget(t *testing.T) {
	labtest.NeedRoot(t)
	layout, err := shapes.DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Shapes: shapes.Options{Layout: layout, Count: 100, Warmup: 10, Limit: 5 * time.Second, Progress: func(string) {}},
		Rounds: 1000, RampRates: []int{20_000}, RampRounds: 1, RampEach: 100 * time.Millisecond, Budget: 2 * time.Second}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Rounds >= o.Rounds || len(r.LeftOut) == 0 || !strings.Contains(r.LeftOut[len(r.LeftOut)-1].Why, noTime) {
		t.Errorf("%d rounds, left out %v", r.Rounds, r.LeftOut)
	}
	if took := time.Duration(r.TookNs); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(canceled, o); !errors.Is(err, context.Canceled) {
		t.Errorf("not the end of the time, but of the program: %v", err)
	}
}

func TestRoundsThatFit(t *testing.T) {
	o := Options{RampRates: []int{1, 2}, RampRounds: 1, RampEach: time.Second}
	b, cancel := newBudget(t.Context(), &o)
	defer cancel()
	if b.round(time.Hour); !b.roundFits() {
		t.Error("no budget, no round")
	}
	o.Budget = time.Minute
	b, cancel = newBudget(t.Context(), &o)
	defer cancel()
	if !b.roundFits() {
		t.Error("the first round does not fit")
	}
	if b.round(55 * time.Second); b.roundFits() {
		t.Error("a round of 55 s and a ramp of 8 fit into a minute")
	}
}
