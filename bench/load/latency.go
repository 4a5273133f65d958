package load

import (
	"fmt"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Latency is a distribution in nanoseconds, from the time an order was due to
// its first answer.
type Latency struct {
	Count int64 `json:"count"`
	P50   int64 `json:"p50_ns"`
	P90   int64 `json:"p90_ns"`
	P99   int64 `json:"p99_ns"`
	P999  int64 `json:"p999_ns"`
	P9999 int64 `json:"p9999_ns"`
	Max   int64 `json:"max_ns"`
}

const (
	histogramMaxNs  = 3_600_000_000_000
	histogramDigits = 3
)

// Measure returns the latency of the answered orders that were due in
// [fromNs, toNs); toNs 0: no end. Unanswered orders have no latency: they are
// counted elsewhere and fail a run.
func Measure(orders []Order, fromNs, toNs int64) Latency {
	h := hdr.New(1, histogramMaxNs, histogramDigits)
	for i := range orders {
		o := &orders[i]
		if o.FirstAnswerNs == 0 || o.IntendedNs < fromNs || toNs != 0 && o.IntendedNs >= toNs {
			continue
		}
		if err := h.RecordValue(max(o.FirstAnswerNs-o.IntendedNs, 1)); err != nil {
			panic(fmt.Sprintf("load: latency beyond an hour: %v", err))
		}
	}
	return Latency{
		Count: h.TotalCount(),
		P50:   h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99),
		P999: h.ValueAtQuantile(99.9), P9999: h.ValueAtQuantile(99.99), Max: h.Max(),
	}
}
