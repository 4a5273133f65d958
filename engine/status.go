package engine

import (
	"sync/atomic"

	"onebeat/mirror"
	"onebeat/mirror/lane"
)

// Count is one counter of a report.
type Count struct {
	Name  string
	Value uint64
}

// Report is what a loop says about itself, all of one moment.
type Report struct {
	Word          lane.Word
	Record        lane.Record
	InSync        bool
	Shortage      mirror.Shortage
	Diverged      bool
	Digest        uint64
	Records       uint64 // appended or applied
	ActiveNs      int64  // when it last began to serve; 0: never
	FirstAnswerNs int64  // first output let go since then; 0: none
	Counts        []Count
}

const (
	reportIdle = iota
	reportWanted
	reportReady
)

// maxCounts bounds the counters of a report: it is allocated once.
const maxCounts = 1024

// reporter hands a report from the loop to the cold side: one asks, the loop
// fills it between two cycles, and it stays until it is asked for again.
type reporter struct {
	state  atomic.Uint32
	report Report
	add    func(name string, count uint64)
}

func newReporter() *reporter {
	r := &reporter{report: Report{Counts: make([]Count, 0, maxCounts)}}
	r.add = func(name string, count uint64) {
		if len(r.report.Counts) < maxCounts {
			r.report.Counts = append(r.report.Counts, Count{name, count})
		}
	}
	return r
}

// AskReport makes the loop fill a report in its next cycle. One goroutine asks
// at a time.
func (l *Loop) AskReport() { l.reporter.state.Store(reportWanted) }

// Report returns the report asked for; false while the loop has not filled it.
// It stays valid until the next AskReport.
func (l *Loop) Report() (*Report, bool) {
	return &l.reporter.report, l.reporter.state.Load() == reportReady
}

// fill answers AskReport.
func (r *reporter) fill(l *Loop) {
	p := &r.report
	p.Word, p.Record, p.InSync = l.replica.Word(), l.replica.Record(), l.replica.InSync()
	p.Shortage = l.replica.Shortage()
	p.Records = l.replica.Records()
	p.Diverged, p.Digest = l.machine.Diverged(), l.machine.Digest()
	p.ActiveNs, p.FirstAnswerNs = l.activeNs, l.firstAnswerNs
	p.Counts = p.Counts[:0]
	l.counters.visit(r.add)
	l.replica.Counters(r.add)
	l.machine.Counters(r.add)
	order := l.order.Stats()
	r.add("order_received", order.Received)
	r.add("order_sent", order.Sent)
	r.add("order_rx_dropped", order.RxDropped+order.RxRingFull)
	r.add("order_rx_unknown", order.Unknown)
	if l.link != nil {
		link := l.link.Stats()
		r.add("link_rx_dropped", link.RxDropped+link.RxRingFull)
		r.add("link_rx_unknown", link.Unknown)
	}
	r.state.Store(reportReady)
}

func (c *Counters) visit(visit func(name string, count uint64)) {
	visit("cycles", c.Cycles)
	visit("frames", c.Frames)
	visit("messages", c.Messages)
	visit("not_udp", c.NotUDP)
	visit("not_active", c.NotActive)
	visit("ring_full", c.RingFull)
	visit("refusals", c.Refusals)
	visit("cold_drafts", c.Drafts)
	visit("cold_questions", c.Questions)
	visit("released_by_user", c.ReleasedByUser)
	visit("gate_closed", c.GateClosed)
}

// Digest returns the hash of the lane's state. For the loop's thread.
func (l *Loop) Digest() uint64 { return l.machine.Digest() }
