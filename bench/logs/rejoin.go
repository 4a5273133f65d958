package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"onebeat/bench/shapes"
)

const (
	rejoinOrderP99 = 1.3
	rejoinLogBytes = 128 << 20
	// rejoinRate is that of orders which are due one by one: between two of them others
	// have the client's core, for the most part.
	rejoinRate = 4000
	rejoinEach = time.Second
)

// measureRejoin measures orders while the primary is alone and while a standby with an
// empty ring catches up, in turns: paced, and one in flight.
func measureRejoin(ctx context.Context, o *Options) (r Result, err error) {
	dir, err := os.MkdirTemp(o.Dir, "onebeat-bench-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	command := o.NodeCommand
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return r, err
		}
		command = []string{self, "node", "--config"}
	}
	b, err := shapes.New(shapes.Options{Layout: o.Layout, Count: o.Orders, Limit: 5 * time.Second, Progress: o.Progress})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	rates := o.RejoinRates
	if len(rates) == 0 {
		rates = []int{rejoinRate, 0}
	}
	for _, rate := range rates {
		each, size := o.span(rejoinEach), uint64(rejoinLogBytes)
		if o.For > 0 {
			size = max(2*ringBytes, min(size, uint64(each.Seconds()*rejoinLogBytes))) // more than a ring holds
		}
		list, err := b.Rejoins(ctx, shapes.RejoinOptions{Node: command, Dir: filepath.Join(dir, fmt.Sprint(rate)), LogBytes: size,
			RatePerSecond: rate, Rounds: o.Rounds, Each: each})
		if err != nil {
			return r, err
		}
		r.rejoined(rate, list)
	}
	return r, nil
}

// rejoined adds the rounds of one kind of load.
func (r *Result) rejoined(rate int, list []shapes.Rejoin) {
	var alone, during []int64
	var bytes, took []float64
	arrived := 0
	for _, one := range list {
		alone, during = append(alone, one.AloneP99Ns), append(during, one.DuringP99Ns)
		bytes, took = append(bytes, float64(one.Bytes)), append(took, one.Took.Seconds())
		if one.InSync {
			arrived++
		}
		r.Records += uint64(one.Orders)
		r.LogBytes += one.Bytes
		r.Seconds += one.Took.Seconds()
	}
	a, d := max(median(alone), 1), median(during)
	load := fmt.Sprintf("%d orders/s", rate)
	if rate == 0 {
		load = "one in flight"
	} else {
		load += ", each when it is due"
	}
	text := fmt.Sprintf("%s: p99 %.1f us alone, %.1f us beside a standby that fetches %.0f MiB in %.2f s (%d of %d in sync by then)",
		load, float64(a)/1e3, float64(d)/1e3, median(bytes)/(1<<20), median(took), arrived, len(list))
	if r.Note == "" {
		r.OrderP99Ns, r.Note = []int64{a, d}, text
	} else {
		r.FlightP99Ns, r.Note = []int64{a, d}, r.Note+"; "+text
	}
	r.PerSecond, r.BytesPerS, r.NsPerEach = float64(r.Records)/r.Seconds, float64(r.LogBytes)/r.Seconds, r.Seconds*1e9/float64(max(r.Records, 1))
	r.atMost("order p99 while a standby catches up over alone, "+load, float64(d)/float64(a), rejoinOrderP99)
}
