package drill

import (
	"fmt"
	"io"
	"strings"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"onebeat/bench/fixpeers"
)

// Spread is how a duration was distributed over runs.
type Spread struct {
	P50 int64 `json:"p50"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

// Summary adds the runs of a drill up.
type Summary struct {
	Fault           string  `json:"fault"`
	What            string  `json:"what"`
	Arbitration     string  `json:"arbitration"`
	App             string  `json:"app"`
	Policy          string  `json:"policy"`
	Runs            int     `json:"runs"`
	HeartbeatNs     int64   `json:"heartbeat_ns"`
	HangBudgetNs    int64   `json:"hang_budget_ns"`
	RatePerSecond   int     `json:"rate_per_second"`
	Percent         float64 `json:"percent,omitempty"`
	OrdersSent      int64   `json:"orders_sent"`
	OrdersAcked     int64   `json:"orders_acked"`
	OrdersRefused   int64   `json:"orders_refused"`
	OrdersResent    int64   `json:"orders_resent"`
	AckedLost       int64   `json:"acked_lost"`
	VenueDuplicates int64   `json:"venue_duplicates"`
	Unanswered      int64   `json:"unanswered"`
	OutageNs        Spread  `json:"outage_ns"`
	DetectNs        Spread  `json:"detect_ns"`
	SwapNs          Spread  `json:"swap_ns"`
	InSyncNs        Spread  `json:"in_sync_ns"` // until the lane had a standby again
	Client          string  `json:"client"`
	// ReconnectNs is a FIX client's: from its first attempt to connect again to an
	// acknowledgement; Reattempts how often it took more than one.
	ReconnectNs *Spread `json:"reconnect_ns,omitempty"`
	Reattempts  int     `json:"reattempts,omitempty"`
	// Trails are what its engine said between a fault and a reconnect that took more.
	Trails   []string  `json:"trails,omitempty"`
	CaughtUp *CaughtUp `json:"caught_up,omitempty"`
	// MTTRNs is the mean of the outages: the time to repair the service.
	MTTRNs            int64 `json:"mttr_ns"`
	DualActiveNs      int64 `json:"dual_active_ns"`
	UnexplainedEpochs int64 `json:"unexplained_epochs"`
	FalseFailovers    int64 `json:"false_failovers"`
	Histories         int   `json:"histories_linearizable"`
	OK                bool  `json:"ok"`

	Problems []string `json:"problems,omitempty"`
	Outages  []int64  `json:"outages_ns"` // every one, in order
	TookNs   int64    `json:"took_ns"`
}

// Summarize adds verdicts up.
func Summarize(o *Options, verdicts []Verdict) Summary {
	s := Summary{Fault: o.Fault, App: o.App, Policy: o.Policy, Client: o.Client, Arbitration: o.Arbitration, Runs: len(verdicts), RatePerSecond: o.RatePerSecond,
		HeartbeatNs: o.Heartbeat.Nanoseconds(), HangBudgetNs: o.HangBudget.Nanoseconds(), OK: true, Outages: []int64{}}
	if f, ok := findFault(o.Fault); ok {
		s.What = f.what
	}
	switch o.Fault {
	case FaultLoss, FaultDup, FaultReorder, FaultCorrupt:
		s.Percent = o.Percent
	}
	var sum Verdict
	for i := range verdicts {
		v := verdicts[i]
		v.prefix(fmt.Sprintf("run %d: ", i+1))
		sum.add(&v)
	}
	s.OrdersSent, s.OrdersAcked, s.OrdersRefused, s.OrdersResent = sum.OrdersSent, sum.OrdersAcked, sum.OrdersRefused, sum.Resent
	s.AckedLost, s.VenueDuplicates, s.Unanswered = sum.AckedLost, sum.VenueDuplicates, sum.Unanswered
	s.DualActiveNs, s.UnexplainedEpochs, s.FalseFailovers = sum.DualActiveNs, sum.UnexplainedEpochs, sum.FalseFailovers
	s.Histories, s.Problems, s.OK = sum.Histories, sum.Problems, sum.OK()
	s.Outages = append(s.Outages, sum.Outages...)
	s.OutageNs, s.DetectNs, s.SwapNs, s.InSyncNs = spread(sum.Outages), spread(sum.Detects), spread(sum.Swaps), spread(sum.InSyncs)
	s.MTTRNs = mean(sum.Outages)
	s.CaughtUp = caughtUp(sum.CatchUps)
	if o.Client == ClientFIX {
		reconnect := spread(sum.Reconnects)
		s.ReconnectNs = &reconnect
		for _, n := range sum.Attempts {
			if n > 1 {
				s.Reattempts++
			}
		}
		s.Trails = sum.Trails
	}
	return s
}

func mean(values []int64) int64 {
	sum := int64(0)
	for _, v := range values {
		sum += v
	}
	return sum / max(int64(len(values)), 1)
}

func spread(values []int64) Spread {
	h := hdr.New(1, int64(time.Hour), 4)
	for _, v := range values {
		if err := h.RecordValue(max(v, 1)); err != nil {
			panic(fmt.Sprintf("drill: %d ns is beyond an hour", v))
		}
	}
	if len(values) == 0 {
		return Spread{}
	}
	return Spread{P50: h.ValueAtQuantile(50), P99: h.ValueAtQuantile(99), Max: h.Max()}
}

// All plays every run of a drill. A run that cannot be played ends the drill;
// one that is judged bad does not.
func All(o *Options, stop <-chan struct{}) (Summary, error) {
	if err := o.Defaults(); err != nil {
		return Summary{}, err
	}
	begin := time.Now()
	if o.Client == ClientFIX {
		var err error
		if o.fixProgram, err = fixpeers.Build(); err != nil {
			return Summary{}, err
		}
		defer o.fixProgram.Remove()
	}
	var verdicts []Verdict
	for i := range o.Runs {
		r, err := Run(o, i, stop)
		if err != nil {
			return Summarize(o, verdicts), fmt.Errorf("%s, run %d of %d: %w", o.Fault, i+1, o.Runs, err)
		}
		verdicts = append(verdicts, r.Verdict)
		if o.Progress != nil {
			o.Progress(fmt.Sprintf("%s, run %d of %d: outage %s, %d orders, lost %d, doubled %d%s", o.Fault, i+1, o.Runs,
				microsOf(r.Outages), r.OrdersSent, r.AckedLost, r.VenueDuplicates, badMark(&r.Verdict)))
			for _, t := range r.Trails {
				o.Progress("  more than one attempt to connect (ms since the fault): " + t)
			}
		}
	}
	s := Summarize(o, verdicts)
	s.TookNs = time.Since(begin).Nanoseconds()
	return s, nil
}

// microsOf writes several durations.
func microsOf(all []int64) string {
	var b strings.Builder
	for i, ns := range all {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(micros(ns))
	}
	return b.String()
}

func badMark(v *Verdict) string {
	if v.OK() {
		return ""
	}
	return fmt.Sprintf("  NOT OK: %v", v.Problems)
}

// micros writes nanoseconds as microseconds.
func micros(ns int64) string { return fmt.Sprintf("%.1f us", float64(ns)/1e3) }

// histories tells what was found of them. Under policy none an acknowledged order may be
// missing, which no book of record allows.
func (s *Summary) histories() string {
	if s.Policy == PolicyNone {
		return "histories not judged, as policy none may lose"
	}
	return fmt.Sprintf("histories linearizable %d", s.Histories)
}

// WriteText writes a summary for people.
func (s *Summary) WriteText(w io.Writer) error {
	ok := "OK: nothing lost, nothing doubled"
	if !s.OK {
		ok = "NOT OK"
	}
	_, err := fmt.Fprintf(w, `drill %s, arbitration %s, %d runs, %d orders/s, heartbeat %v, hang budget %v
  orders sent %d, acknowledged %d, refused %d, sent again %d, unanswered %d
  lost %d, doubled %d, two nodes active for %s, epochs unexplained %d, false failovers %d, %s
  outage  p50 %s  p99 %s  max %s  mean %s
  detect  p50 %s  p99 %s  max %s
  swap    p50 %s  p99 %s  max %s
%s
`, s.Fault, s.Arbitration, s.Runs, s.RatePerSecond, time.Duration(s.HeartbeatNs), time.Duration(s.HangBudgetNs),
		s.OrdersSent, s.OrdersAcked, s.OrdersRefused, s.OrdersResent, s.Unanswered,
		s.AckedLost, s.VenueDuplicates, micros(s.DualActiveNs), s.UnexplainedEpochs, s.FalseFailovers, s.histories(),
		micros(s.OutageNs.P50), micros(s.OutageNs.P99), micros(s.OutageNs.Max), micros(s.MTTRNs),
		micros(s.DetectNs.P50), micros(s.DetectNs.P99), micros(s.DetectNs.Max),
		micros(s.SwapNs.P50), micros(s.SwapNs.P99), micros(s.SwapNs.Max), ok)
	if err == nil {
		err = s.CaughtUp.writeText(w)
	}
	if s.ReconnectNs != nil && err == nil {
		_, err = fmt.Fprintf(w, "  FIX client: from its first attempt to connect again to an acknowledgement  p50 %s  p99 %s  max %s; %d times it took more than one attempt\n",
			micros(s.ReconnectNs.P50), micros(s.ReconnectNs.P99), micros(s.ReconnectNs.Max), s.Reattempts)
	}
	for _, p := range s.Problems {
		if err == nil {
			_, err = fmt.Fprintln(w, "  "+p)
		}
	}
	return err
}
