package shapes

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"onebeat/tools/config"
)

func TestFillTakesPercentiles(t *testing.T) {
	h := NewHistogram()
	for i := int64(1); i <= 10_000; i++ {
		if err := h.RecordValue(i); err != nil {
			t.Fatal(err)
		}
	}
	var r Result
	r.Fill(h)
	for _, c := range []struct {
		name      string
		got, want int64
	}{
		{"p50", r.P50Ns, 5000}, {"p90", r.P90Ns, 9000}, {"p99", r.P99Ns, 9900},
		{"p99.9", r.P999Ns, 9990}, {"p99.99", r.P9999Ns, 9999}, {"max", r.MaxNs, 10_000},
	} {
		if math.Abs(float64(c.got-c.want)) > float64(c.want)/1000 {
			t.Errorf("%s: %d, want %d within 0.1%%", c.name, c.got, c.want)
		}
	}
	if r.Count != 10_000 {
		t.Errorf("count %d", r.Count)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		v    []int64
		want int64
	}{
		{[]int64{7}, 7}, {[]int64{9, 1, 5}, 5}, {[]int64{4, 1, 2, 9}, 3}, {[]int64{1000, 1, 2, 3, 2}, 2},
	} {
		if got := medianOf(c.v); got != c.want {
			t.Errorf("median of %v: %d, want %d", c.v, got, c.want)
		}
	}
}

func TestCombine(t *testing.T) {
	rounds := []Result{
		{Shape: Echo, Count: 10, P50Ns: 30, P99Ns: 5, MaxNs: 100, RSSBytes: 7},
		{Shape: Echo, Count: 10, P50Ns: 10, P99Ns: 9, MaxNs: 900, Lost: 1, Allocs: 2, GCCycles: 3, RSSBytes: 9},
		{Shape: Echo, Count: 10, P50Ns: 20, P99Ns: 7, MaxNs: 300},
	}
	r := Combine(rounds)
	if r.Rounds != 3 || r.Count != 30 || r.Lost != 1 || r.Allocs != 2 || r.GCCycles != 3 ||
		r.P50Ns != 20 || r.P99Ns != 7 || r.MaxNs != 900 || r.RSSBytes != 9 {
		t.Errorf("%+v", r)
	}
	if rounds[0].Count != 10 {
		t.Error("a round was changed")
	}
}

// results are those of a machine on which a setting takes the given time.
func results(p50 func(Setting) int64) []Result {
	var all []Result
	for _, s := range compared {
		r := Result{Shape: s.Shape, P50Ns: p50(s), Count: 1}
		if !s.echo() {
			r.App = s.App
		}
		if s.peered() {
			r.Release, r.Auth = s.Release, s.Auth
		}
		all = append(all, r)
	}
	return all
}

func TestJudge(t *testing.T) {
	base := func(s Setting) int64 {
		switch {
		case s.Shape == Order && s.App == config.AppGateway:
			return 1400
		case s.Shape == Mirrored && s.App == config.AppGateway:
			return 1800
		case s.Release == config.ReleaseUser:
			return 1700
		case s.Shape == Order:
			return 1200
		case s.Shape == Mirrored:
			return 1400
		}
		return 1000
	}
	c := judged(results(base))
	if !c.Holds || len(c.Ratios) != len(bounds) {
		t.Errorf("holds %v, ratios %+v", c.Holds, c.Ratios)
	}
	for name, breaks := range map[string]struct {
		change func(s Setting, ns int64) int64
		broken string
	}{
		"echo":    {func(s Setting, ns int64) int64 { return ns + 201*b2i(s.Shape == Echo) }, Echo},
		"order":   {func(s Setting, ns int64) int64 { return ns + b2i(s == order(config.AppBook)) }, "order book"},
		"gateway": {func(s Setting, ns int64) int64 { return ns + 51*b2i(s == order(config.AppGateway)) }, "order gateway"},
		"user": {func(s Setting, ns int64) int64 {
			return ns + 101*b2i(s == mirrored(config.AppBook, config.ReleaseUser, true))
		}, "mirrored book user"},
	} {
		c := judged(results(func(s Setting) int64 { return breaks.change(s, base(s)) }))
		var broken []string
		for _, r := range c.Ratios {
			if !r.Holds {
				broken = append(broken, r.Of)
			}
		}
		if c.Holds || len(broken) != 1 || broken[0] != breaks.broken {
			t.Errorf("%s: broken %v, want %s", name, broken, breaks.broken)
		}
	}
}

// judged is a comparison of one round.
func judged(all []Result) *Comparison {
	var measured [][]Result
	for _, r := range all {
		measured = append(measured, []Result{r})
	}
	return newComparison(measured)
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func TestJudgeWithoutYardstickAndWithAllocations(t *testing.T) {
	all := results(func(Setting) int64 { return 1000 })
	c := judged(all[1:]) // no C compiler
	if !c.Holds || len(c.Ratios) != len(bounds)-1 {
		t.Errorf("without yardstick: holds %v, %d ratios", c.Holds, len(c.Ratios))
	}
	for name, spoil := range map[string]func(r *Result){
		"allocation": func(r *Result) { r.Allocs = 1 },
		"gc":         func(r *Result) { r.GCCycles = 1 },
		"loss":       func(r *Result) { r.Lost = 1 },
	} {
		all := results(func(Setting) int64 { return 1000 })
		spoil(&all[3])
		if c := judged(all); c.Holds {
			t.Errorf("%s: holds", name)
		}
	}
}

func TestNamesTellSettingsApart(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range compared {
		if err := s.Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
		if seen[s.Name()] {
			t.Errorf("two settings are called %q", s.Name())
		}
		seen[s.Name()] = true
	}
	for i, r := range results(func(Setting) int64 { return 1 }) {
		if r.Name() != compared[i].Name() {
			t.Errorf("result %q of setting %q", r.Name(), compared[i].Name())
		}
	}
	for _, bad := range []Setting{{}, {Shape: "ECHO", App: "book", Release: "ride"}, {Shape: Order, App: "shop", Release: "ride"}, {Shape: Order, App: "book", Release: "bus"},
		{Shape: Order, App: "book", Release: "ride", Batch: 33}, {Shape: Echo, App: "book", Release: "ride", Batch: 2}, {Shape: Order, App: "book", Release: "ride", ToVenue: true}} {
		if bad.Check() == nil {
			t.Errorf("%+v accepted", bad)
		}
	}
}

func TestWriteText(t *testing.T) {
	c := judged(results(func(Setting) int64 { return 2345 }))
	var b bytes.Buffer
	if err := c.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"mirrored gateway", "2.35", "at most 1.35", "holds"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestParseLayout(t *testing.T) {
	for _, c := range []struct {
		text string
		want Layout
		ok   bool
	}{
		{"0,1", Layout{0, 1, -1}, true}, {"2, 0, 1", Layout{2, 0, 1}, true},
		{"0", Layout{}, false}, {"0,0", Layout{}, false}, {"0,1,1", Layout{}, false},
		{"0,x", Layout{}, false}, {"0,-1", Layout{}, false}, {"0,1,2,3", Layout{}, false}, {"", Layout{}, false},
	} {
		got, err := ParseLayout(c.text)
		if (err == nil) != c.ok || c.ok && got != c.want {
			t.Errorf("%q: %+v, %v", c.text, got, err)
		}
	}
}

func TestParseCPUInfo(t *testing.T) {
	model, virtual := parseCPUInfo("processor : 0\nmodel name\t: Fast 9000\nflags\t\t: fpu hypervisor avx\n")
	if model != "Fast 9000" || !virtual {
		t.Errorf("%q %v", model, virtual)
	}
	if model, virtual = parseCPUInfo("flags : fpu hypervisors\n"); model != "unknown" || virtual {
		t.Errorf("%q %v", model, virtual)
	}
}
