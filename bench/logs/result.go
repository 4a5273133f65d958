package logs

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"onebeat/bench/shapes"
)

// Bound is a promise about a result.
type Bound struct {
	Of    string  `json:"of"`
	Value float64 `json:"value"`
	Bound float64 `json:"bound"`
	Least bool    `json:"least"` // the value must reach the bound, else stay within it
	Holds bool    `json:"holds"`
}

// Result is one measurement.
type Result struct {
	Shape      string  `json:"shape"`
	Payload    int     `json:"payload_bytes,omitempty"`
	Records    uint64  `json:"records"`
	LogBytes   uint64  `json:"log_bytes"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"records_per_second"`
	BytesPerS  float64 `json:"bytes_per_second"`
	NsPerEach  float64 `json:"ns_per_record"`
	P50Ns      int64   `json:"p50_ns,omitempty"`
	P99Ns      int64   `json:"p99_ns,omitempty"`
	P999Ns     int64   `json:"p999_ns,omitempty"`
	MaxNs      int64   `json:"max_ns,omitempty"`
	Rounds     int     `json:"rounds"`
	RingBytes  int     `json:"ring_bytes,omitempty"`
	RSSBefore  int64   `json:"rss_before_bytes,omitempty"`
	RSSAfter   int64   `json:"rss_after_bytes,omitempty"`
	OrderP99Ns []int64 `json:"order_p99_ns,omitempty"` // without and with, the medians of rounds
	FloodP99Ns []int64 `json:"flood_p99_ns,omitempty"` // the same at archiveFlood orders a second
	// FlightP99Ns is the same with one order in flight, where OrderP99Ns is of orders that
	// are due one by one.
	FlightP99Ns []int64 `json:"flight_p99_ns,omitempty"`
	Note        string  `json:"note,omitempty"`

	Bounds  []Bound        `json:"bounds"`
	Machine shapes.Machine `json:"machine"`
}

// rate fills in what follows from records, bytes and time.
func (r *Result) rate(records, logBytes uint64, took time.Duration) {
	r.Records, r.LogBytes, r.Seconds = records, logBytes, took.Seconds()
	r.PerSecond = float64(records) / r.Seconds
	r.BytesPerS = float64(logBytes) / r.Seconds
	r.NsPerEach = r.Seconds * 1e9 / float64(max(records, 1))
}

func (r *Result) atMost(of string, value, bound float64) {
	r.Bounds = append(r.Bounds, Bound{of, value, bound, false, value <= bound})
}

func (r *Result) atLeast(of string, value, bound float64) {
	r.Bounds = append(r.Bounds, Bound{of, value, bound, true, value >= bound})
}

// Holds reports whether every bound does.
func (r *Result) Holds() bool {
	for _, b := range r.Bounds {
		if !b.Holds {
			return false
		}
	}
	return true
}

// WriteText prints a result for people.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %d records, %.0f MiB in %.2f s: %.2f M records/s, %.0f MB/s, %.1f ns each\n", r.Shape,
		r.Records, float64(r.LogBytes)/(1<<20), r.Seconds, r.PerSecond/1e6, r.BytesPerS/1e6, r.NsPerEach)
	if r.P99Ns > 0 {
		fmt.Fprintf(&b, "%-8s p50 %d ns, p99 %d ns, p99.9 %d ns, max %d ns\n", "", r.P50Ns, r.P99Ns, r.P999Ns, r.MaxNs)
	}
	if r.RSSAfter > 0 {
		fmt.Fprintf(&b, "%-8s resident %.1f MiB, then %.1f MiB, %.0f rings later\n", "", float64(r.RSSBefore)/(1<<20),
			float64(r.RSSAfter)/(1<<20), float64(r.LogBytes)/float64(max(r.RingBytes, 1)))
	}
	if r.Note != "" {
		fmt.Fprintf(&b, "%-8s %s\n", "", r.Note)
	}
	for _, p := range r.Bounds {
		word, holds := "at most", "holds"
		if p.Least {
			word = "at least"
		}
		if !p.Holds {
			holds = "DOES NOT HOLD"
		}
		fmt.Fprintf(&b, "%-8s %s: %.4g, %s %.4g: %s\n", "", p.Of, p.Value, word, p.Bound, holds)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// residentBytes is this process's memory without what it maps of files and shares;
// 0 if it cannot be read.
func residentBytes() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
