package drill

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"onebeat/bench/load"
)

// moment is a line of a failover's timeline.
type moment struct {
	atNs int64
	what string
}

// timeline lists what happened around the first fault, from the logs alone.
func timeline(logs *Logs) []moment {
	if len(logs.Marks) == 0 {
		return nil
	}
	m := &logs.Marks[0]
	list := []moment{{m.AtNs, m.What}}
	add := func(atNs int64, what string) {
		if atNs >= m.AtNs {
			list = append(list, moment{atNs, what})
		}
	}
	for i := range logs.Servers {
		s := &logs.Servers[i]
		switch s.MAC {
		case (&load.Server{MAC: m.Writer}).String():
			list = append(list, moment{s.LastNs, "last frame of the old primary reaches the client"})
		case (&load.Server{MAC: m.Successor}).String():
			add(s.FirstNs, "first frame of the new primary reaches the client")
		}
	}
	add(m.FencedNs, "the primary's own kernel fences its engine")
	add(m.CandidateNs, fmt.Sprintf("the standby's kernel takes the traffic (%s)", m.Why))
	add(m.ActiveNs, "its engine is ACTIVE")
	add(firstAnswerBy(logs, m.Successor, m.AtNs, math.MaxInt64), "first answer to an order sent after the fault")
	slices.SortStableFunc(list, func(a, b moment) int { return int(a.atNs - b.atNs) })
	return list
}

// settledAfter is how long after a fault latencies are as usual again.
const settledAfter = 100 * time.Millisecond

// WriteReport writes one run for people.
func (r *RunResult) WriteReport(w io.Writer, o *Options) {
	fmt.Fprintf(w, "\nFailover, microseconds from the fault (heartbeat %v, hang budget %v)\n", o.Heartbeat, o.HangBudget)
	for _, m := range timeline(r.Logs) {
		fmt.Fprintf(w, "  %+12.1f  %s\n", float64(m.atNs-r.Logs.SignalNs())/1e3, m.what)
	}
	fmt.Fprintf(w, "\nLatency in microseconds, from when an order was due to its answer\n")
	fmt.Fprintf(w, "  %-18s %10s %9s %9s %9s %9s %9s\n", "", "orders", "p50", "p90", "p99", "p99.9", "max")
	row := func(name string, l load.Latency) {
		us := func(ns int64) float64 { return float64(ns) / 1e3 }
		fmt.Fprintf(w, "  %-18s %10d %9.1f %9.1f %9.1f %9.1f %9.1f\n", name, l.Count, us(l.P50), us(l.P90), us(l.P99), us(l.P999), us(l.Max))
	}
	row("before the fault", r.Before)
	row("after it", r.After)
	// What comes after the first moments shows the new primary at work.
	settled := load.Measure(r.Logs.Orders, r.Logs.SignalNs()+int64(settledAfter), 0)
	row("after it + 100 ms", settled)
	for i := range r.CatchUps {
		row("alone", r.CatchUps[i].Alone)
		row("during catch-up", r.CatchUps[i].During)
	}
	fmt.Fprintf(w, "\nOrders  sent %d   acknowledged %d   sent again %d   unanswered %d   LOST %d   DOUBLED %d\n",
		r.OrdersSent, r.OrdersAcked, r.Resent, r.Unanswered, r.AckedLost, r.VenueDuplicates)
	for _, ns := range r.Outages {
		fmt.Fprintf(w, "Outage  %s\n", micros(ns))
	}
	for _, p := range r.Problems {
		fmt.Fprintln(w, "PROBLEM: "+p)
	}
}
