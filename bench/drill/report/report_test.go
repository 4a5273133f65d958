package report

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onebeat/bench/drill"
)

func sample() *Report {
	o := drill.Options{Runs: 3, Percent: 2}
	if err := o.Defaults(); err != nil {
		panic(err)
	}
	good := drill.Summary{Fault: "kill", What: "SIGKILL", Arbitration: "witness", Runs: 3, HeartbeatNs: 5e6, OrdersSent: 1_234_567, OrdersAcked: 1_234_567, OK: true,
		Outages: []int64{700_000, 900_000, 4_000_000}, OutageNs: drill.Spread{P50: 900_000, P99: 4_000_000, Max: 4_000_000}, MTTRNs: 1_866_666}
	bad := drill.Summary{Fault: "power", What: "a <host> & its cables", Arbitration: "witness", Runs: 1, AckedLost: 1, HeartbeatNs: 20e6,
		Outages: []int64{50, 6_000_000, 7_000_000_000}, OutageNs: drill.Spread{P50: 6_000_000}, Problems: []string{"run 1: lost <1>"}}
	r := &Report{Time: time.Unix(0, 0).UTC(), Version: "v", Command: "onebeat drill --all", Settings: SettingsOf(&o), Faults: []drill.Summary{good, bad},
		Keepalived: &drill.Keepalived{Installed: true, Version: "keepalived 2", Runs: 1, Outages: []int64{42_700_000}, OutageNs: drill.Spread{P50: 42_700_000}}}
	r.Keepalived.Compare(r.Faults)
	return r
}

func TestReportFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	r := sample()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, JSONFile))
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(b, &again); err != nil || len(again.Faults) != 2 || again.Keepalived.Ratio < 7.1 || again.Keepalived.Ratio > 7.2 {
		t.Errorf("read back %+v, %v", again.Keepalived, err)
	}
	html, err := os.ReadFile(filepath.Join(dir, HTMLFile))
	if err != nil {
		t.Fatal(err)
	}
	text := string(html)
	for _, want := range []string{"1 of 2 faults not survived", "1\u202f234\u202f567", "a &lt;host&gt; &amp; its cables", "run 1: lost &lt;1&gt;",
		"7.1 times", "heartbeat 20ms", "prefers-color-scheme: dark", "keepalived 2"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, foreign := range []string{"http://", "https://", "src=", "@import", "url("} {
		if strings.Contains(text, foreign) {
			t.Errorf("the page needs something from elsewhere: %q", foreign)
		}
	}
	if n := strings.Count(text, "<svg"); n != 3 {
		t.Errorf("%d histograms", n)
	}
}

func TestReportWithoutKeepalived(t *testing.T) {
	r := sample()
	r.Faults = r.Faults[:1]
	r.Keepalived = &drill.Keepalived{Install: "apt-get install keepalived"}
	text, err := r.HTML()
	if err != nil || !strings.Contains(text, "apt-get install keepalived") || !strings.Contains(text, "All 1 faults survived") {
		t.Errorf("%v", err)
	}
}

// A histogram is well-formed, and every value is in it, also beyond the axis.
func TestHistogram(t *testing.T) {
	values := []int64{0, 50_000, 100_000, 1_000_000, 999_999_999, 1_000_000_000, 1 << 60}
	svg := string(histogram(values, []guide{{5_000_000, "a & b"}}, "<title>"))
	d := xml.NewDecoder(strings.NewReader(svg))
	ticks, bars := 0, 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok {
			for _, a := range e.Attr {
				switch a.Value {
				case "tick":
					ticks++
				case "bar":
					bars++
				}
			}
		}
	}
	if ticks != len(values) || bars != 3 {
		t.Errorf("%d ticks and %d bars", ticks, bars)
	}
	for i := 1; i < len(values); i++ {
		if xOf(values[i]) < xOf(values[i-1]) || binOf(values[i]) < binOf(values[i-1]) {
			t.Errorf("%d lies left of %d", values[i], values[i-1])
		}
	}
}
