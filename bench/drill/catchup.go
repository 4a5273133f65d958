package drill

import (
	"fmt"
	"io"
	"slices"

	"onebeat/bench/load"
)

// CatchUp is what orders noticed of a node that came back behind. Its process starts
// and replays meanwhile: in the lab, on the same cores.
type CatchUp struct {
	Alone  load.Latency `json:"alone"` // orders due while the other one served alone, settled
	During load.Latency `json:"during"`
	TookNs int64        `json:"took_ns"` // from its start until the lane was in sync
}

// catchUps measures them for every mark whose node was started again.
func catchUps(logs *Logs) (list []CatchUp) {
	for i := range logs.Marks {
		m := &logs.Marks[i]
		from := m.AtNs + settledAfter.Nanoseconds()
		if m.BackNs <= from || m.InSyncNs <= m.BackNs {
			continue
		}
		list = append(list, CatchUp{Alone: load.Measure(logs.Orders, from, m.BackNs),
			During: load.Measure(logs.Orders, m.BackNs, m.InSyncNs), TookNs: m.InSyncNs - m.BackNs})
	}
	return list
}

// CaughtUp adds catch-ups up: medians.
type CaughtUp struct {
	AloneP99Ns  int64   `json:"alone_p99_ns"`
	DuringP99Ns int64   `json:"during_p99_ns"`
	Ratio       float64 `json:"p99_ratio"` // of each, then the median
	TookNs      int64   `json:"took_ns"`
}

func caughtUp(all []CatchUp) *CaughtUp {
	if len(all) == 0 {
		return nil
	}
	var alone, during, took []int64
	var ratios []float64
	for i := range all {
		c := &all[i]
		alone, during, took = append(alone, c.Alone.P99), append(during, c.During.P99), append(took, c.TookNs)
		ratios = append(ratios, float64(c.During.P99)/float64(max(c.Alone.P99, 1)))
	}
	slices.Sort(ratios)
	return &CaughtUp{AloneP99Ns: middle(alone), DuringP99Ns: middle(during), Ratio: ratios[len(ratios)/2], TookNs: middle(took)}
}

func middle(values []int64) int64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// writeText prints it, if there is any.
func (c *CaughtUp) writeText(w io.Writer) error {
	if c == nil {
		return nil
	}
	_, err := fmt.Fprintf(w, "  catch-up of %s: p99 of orders meanwhile %s, alone before it %s: %.2f times\n",
		micros(c.TookNs), micros(c.DuringP99Ns), micros(c.AloneP99Ns), c.Ratio)
	return err
}
