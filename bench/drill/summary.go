package drill

import (
	"fmt"
	"io"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Spread is how a duration was distributed over runs.
type Spread struct {
	P50 int64 `json:"p50"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

// Summary adds the runs of a drill up.
type Summary struct {
	Fault           string `json:"fault"`
	App             string `json:"app"`
	Runs            int    `json:"runs"`
	HeartbeatNs     int64  `json:"heartbeat_ns"`
	HangBudgetNs    int64  `json:"hang_budget_ns"`
	RatePerSecond   int    `json:"rate_per_second"`
	OrdersSent      int64  `json:"orders_sent"`
	OrdersAcked     int64  `json:"orders_acked"`
	OrdersRefused   int64  `json:"orders_refused"`
	OrdersResent    int64  `json:"orders_resent"`
	AckedLost       int64  `json:"acked_lost"`
	VenueDuplicates int64  `json:"venue_duplicates"`
	Unanswered      int64  `json:"unanswered"`
	OutageNs        Spread `json:"outage_ns"`
	DetectNs        Spread `json:"detect_ns"`
	SwapNs          Spread `json:"swap_ns"`
	DualActiveNs    int64  `json:"dual_active_ns"`
	FalseFailovers  int64  `json:"false_failovers"` // before the fault, or without one
	OK              bool   `json:"ok"`

	Problems []string `json:"problems,omitempty"`
}

// Summarize adds verdicts up.
func Summarize(o *Options, verdicts []Verdict) Summary {
	s := Summary{Fault: o.Fault, App: o.App, Runs: len(verdicts), RatePerSecond: o.RatePerSecond,
		HeartbeatNs: o.Heartbeat.Nanoseconds(), HangBudgetNs: o.HangBudget.Nanoseconds(), OK: true}
	var outage, detect, swap []int64
	for i := range verdicts {
		v := &verdicts[i]
		s.OrdersSent += v.OrdersSent
		s.OrdersAcked += v.OrdersAcked
		s.OrdersRefused += v.OrdersRefused
		s.OrdersResent += v.Resent
		s.AckedLost += v.AckedLost
		s.VenueDuplicates += v.VenueDuplicates
		s.Unanswered += v.Unanswered
		s.DualActiveNs += v.DualActiveNs
		s.FalseFailovers += v.FalseFailovers
		s.OK = s.OK && v.OK()
		outage, detect, swap = append(outage, v.OutageNs), append(detect, v.DetectNs), append(swap, v.SwapNs)
		for _, p := range v.Problems {
			s.Problems = append(s.Problems, fmt.Sprintf("run %d: %s", i+1, p))
		}
	}
	if o.Fault != FaultNone {
		s.OutageNs, s.DetectNs, s.SwapNs = spread(outage), spread(detect), spread(swap)
	}
	return s
}

func spread(values []int64) Spread {
	h := hdr.New(1, int64(time.Hour), 4)
	for _, v := range values {
		if err := h.RecordValue(max(v, 1)); err != nil {
			panic(fmt.Sprintf("drill: %d ns is beyond an hour", v))
		}
	}
	return Spread{P50: h.ValueAtQuantile(50), P99: h.ValueAtQuantile(99), Max: h.Max()}
}

// All plays every run of a drill. A run that cannot be played ends the drill;
// one that is judged bad does not.
func All(o *Options, stop <-chan struct{}) (Summary, error) {
	if err := o.Defaults(); err != nil {
		return Summary{}, err
	}
	var verdicts []Verdict
	for i := range o.Runs {
		r, err := Run(o, stop)
		if err != nil {
			return Summarize(o, verdicts), fmt.Errorf("run %d of %d: %w", i+1, o.Runs, err)
		}
		verdicts = append(verdicts, r.Verdict)
		if o.Progress != nil {
			o.Progress(fmt.Sprintf("run %d of %d: outage %s, detected after %s, %d orders, lost %d, doubled %d%s", i+1, o.Runs,
				micros(r.OutageNs), micros(r.DetectNs), r.OrdersSent, r.AckedLost, r.VenueDuplicates, badMark(&r.Verdict)))
		}
	}
	return Summarize(o, verdicts), nil
}

func badMark(v *Verdict) string {
	if v.OK() {
		return ""
	}
	return fmt.Sprintf("  NOT OK: %v", v.Problems)
}

// micros writes nanoseconds as microseconds.
func micros(ns int64) string { return fmt.Sprintf("%.1f us", float64(ns)/1e3) }

// WriteText writes a summary for people.
func (s *Summary) WriteText(w io.Writer) error {
	ok := "OK: nothing lost, nothing doubled"
	if !s.OK {
		ok = "NOT OK"
	}
	_, err := fmt.Fprintf(w, `drill %s, %d runs, %d orders/s, heartbeat %v, hang budget %v
  orders sent %d, acknowledged %d, refused %d, sent again %d, unanswered %d
  lost %d, doubled %d, two nodes active for %s, false failovers %d
  outage  p50 %s  p99 %s  max %s
  detect  p50 %s  p99 %s  max %s
  swap    p50 %s  p99 %s  max %s
%s
`, s.Fault, s.Runs, s.RatePerSecond, time.Duration(s.HeartbeatNs), time.Duration(s.HangBudgetNs),
		s.OrdersSent, s.OrdersAcked, s.OrdersRefused, s.OrdersResent, s.Unanswered,
		s.AckedLost, s.VenueDuplicates, micros(s.DualActiveNs), s.FalseFailovers,
		micros(s.OutageNs.P50), micros(s.OutageNs.P99), micros(s.OutageNs.Max),
		micros(s.DetectNs.P50), micros(s.DetectNs.P99), micros(s.DetectNs.Max),
		micros(s.SwapNs.P50), micros(s.SwapNs.P99), micros(s.SwapNs.Max), ok)
	for _, p := range s.Problems {
		if err == nil {
			_, err = fmt.Fprintln(w, "  "+p)
		}
	}
	return err
}
