package drill

import (
	"fmt"
	"strings"

	"onebeat/bench/fixpeers"
)

// JudgeFIX reads the logs of a run whose client spoke FIX.
func JudgeFIX(logs *Logs) Verdict {
	v := Verdict{OrdersSent: int64(len(logs.Orders))}
	v.countReports(logs)
	v.judgeNumbers(logs)
	v.judgeVenueCount(logs)
	v.judgeStandby(logs)
	v.judgeEpochs(logs)
	for i := range logs.Marks {
		v.judgeFIXMark(logs, i)
	}
	return v
}

// fewTexts is an idList of what a client calls its orders.
type fewTexts struct {
	texts []string
	count int64
}

func (l *fewTexts) add(text string) {
	if l.count++; len(l.texts) < fewIDs {
		l.texts = append(l.texts, text)
	}
}

// countReports: each order is acknowledged, and each report of its kind comes once.
// A repeat by the session has the number of the first and its PossDupFlag, and the
// client's engine keeps it from its application: what is here is new to it.
func (v *Verdict) countReports(logs *Logs) {
	reports := map[string]int{}
	sent, again := map[string]bool{}, map[string]bool{}
	var silent, refused, doubled, strange fewTexts
	for i := range logs.FIX {
		e := &logs.FIX[i]
		switch {
		case e.Event == fixpeers.Order:
			again[e.ID] = again[e.ID] || sent[e.ID]
			sent[e.ID] = true
		case e.Event == fixpeers.Report && (e.Type != "8" || e.Exec == "8"):
			refused.add(fmt.Sprintf("%s (%s)", e.ID, e.Text))
		case acknowledges(e):
			key := e.Exec + " " + e.ID
			if reports[key]++; reports[key] > 1 {
				doubled.add(e.ID)
			}
			if !sent[e.ID] {
				strange.add(e.ID)
			}
		case e.Event == fixpeers.Got && (e.Type == "3" || e.Type == "5" && !ends(logs, e.Ns)):
			v.problem("the node sent %s: %q", map[string]string{"3": "Reject", "5": "Logout"}[e.Type], e.Text)
		}
	}
	for id := range sent {
		if reports["0 "+id]+reports["A "+id] == 0 {
			silent.add(id)
			continue
		}
		v.OrdersAcked++
		if again[id] {
			v.Resent++
		}
	}
	v.Unanswered, v.OrdersRefused, v.VenueDuplicates = silent.count, refused.count, doubled.count
	for _, p := range []struct {
		of   fewTexts
		what string
	}{{silent, "were never acknowledged"}, {refused, "were refused"}, {doubled, "were acknowledged twice"}, {strange, "were acknowledged and never sent"}} {
		if p.of.count > 0 {
			v.problem("%d orders %s, among them %v", p.of.count, p.what, p.of.texts)
		}
	}
}

// ends is whether the client was ending the session by then.
func ends(logs *Logs, ns int64) bool {
	for i := len(logs.FIX) - 1; i >= 0; i-- {
		if e := &logs.FIX[i]; e.Event == fixpeers.Ending {
			return e.Ns <= ns
		}
	}
	return false
}

// judgeNumbers: both sides' numbers rise by one for every message, across all
// connections, and nobody begins anew.
func (v *Verdict) judgeNumbers(logs *Logs) {
	out, in, last := uint64(0), uint64(0), uint64(0)
	said := map[uint64]string{}   // what came under a number
	filled := map[uint64]uint64{} // gaps that the other end filled: from, to
	for i := range logs.FIX {
		e := &logs.FIX[i]
		if e.Reset {
			v.problem("the sequence numbers were reset: %s of type %s", e.Event, e.Type)
		}
		switch e.Event {
		case fixpeers.Order, fixpeers.Sent:
			if e.PossDup {
				continue
			}
			if e.Seq != out+1 {
				v.problem("the client's number went from %d to %d", out, e.Seq)
			}
			out = e.Seq
		case fixpeers.Report, fixpeers.Got:
			what := e.Type + " " + e.ID + " " + e.Exec
			if e.Type == "4" {
				filled[e.Seq] = e.NewSeq
				in, last = max(in, e.NewSeq-1), max(last, e.NewSeq-1)
				continue
			}
			if before, ok := said[e.Seq]; ok && before != what && !e.PossDup {
				v.problem("the node's number %d stood for %q and stands for %q", e.Seq, before, what)
			}
			said[e.Seq] = what
			last = max(last, e.Seq)
			if e.Type == "A" || e.Type == "2" {
				continue // heeded as soon as they come, whatever is still missing before them
			}
			if e.Seq <= in && !e.PossDup {
				v.problem("the node's number went from %d to %d", in, e.Seq)
			}
			in = max(in, e.Seq)
		}
	}
	missing := uint64(0)
	for n := uint64(1); n <= last; n++ {
		if to, ok := filled[n]; ok && to > n {
			n = to - 1
			continue
		}
		if _, ok := said[n]; !ok {
			missing++
		}
	}
	if missing > 0 {
		v.problem("%d of the node's %d numbers never came", missing, last)
	}
}

// judgeVenueCount: the venue calls orders by other names; there are as many as were
// acknowledged, and none twice.
func (v *Verdict) judgeVenueCount(logs *Logs) {
	if logs.HasBook {
		return
	}
	seen := make(map[uint64]bool, len(logs.Venue))
	var twice idList
	for _, o := range logs.Venue {
		if seen[o.ClOrdID] {
			twice.add(o.ClOrdID)
		}
		seen[o.ClOrdID] = true
	}
	v.VenueDuplicates = max(v.VenueDuplicates, twice.count)
	if twice.count > 0 {
		v.problem("%d orders were accepted by the venue twice, among them %v", twice.count, twice.ids)
	}
	if v.AckedLost = max(v.OrdersAcked-int64(len(seen)), 0); v.AckedLost > 0 {
		v.problem("%d of %d acknowledged orders never reached the venue", v.AckedLost, v.OrdersAcked)
	}
	if strange := int64(len(seen)) - v.OrdersSent; strange > 0 {
		v.problem("the venue has %d orders that the client never sent", strange)
	}
}

// judgeFIXMark: the client comes back by itself. Its outage is its own pause and
// ours; what is ours begins when it first tries to connect again.
func (v *Verdict) judgeFIXMark(logs *Logs, i int) {
	m := &logs.Marks[i]
	if m.Problem != "" {
		v.problem("%s: %s", m.What, m.Problem)
	}
	if m.InSyncNs != 0 {
		v.InSyncs = append(v.InSyncs, m.InSyncNs-m.AtNs)
	}
	if moved := m.Successor != [6]byte{}; !moved {
		if m.Moves == Move {
			v.problem("%s: nobody took over", m.What)
		}
		return
	}
	back := comeback(logs.FIX, m.AtNs)
	switch {
	case back.lostNs == 0:
		v.problem("%s: the client's connection stayed", m.What)
		return
	case back.ackNs == 0:
		v.problem("%s: the client had no acknowledgement any more (%d attempts to connect)", m.What, back.attempts)
		return
	}
	v.Outages = append(v.Outages, back.ackNs-m.AtNs)
	v.Reconnects = append(v.Reconnects, back.ackNs-back.tryNs)
	v.Attempts = append(v.Attempts, int64(back.attempts))
	if back.attempts > 1 {
		v.Trails = append(v.Trails, trail(logs.FIX, m.AtNs, back.ackNs))
	}
	if m.CandidateNs < m.AtNs {
		if m.Moves == Move {
			v.problem("%s: the survivor's kernel shows no promotion after it", m.What)
		}
		return
	}
	v.Detects = append(v.Detects, m.CandidateNs-m.AtNs)
	if m.ActiveNs >= m.CandidateNs {
		v.Swaps = append(v.Swaps, m.ActiveNs-m.CandidateNs)
	}
}

// trail is what a client's engine went through between a fault and its first
// acknowledgement after it, with milliseconds since the fault, orders left out.
func trail(events []fixpeers.Event, fromNs, toNs int64) string {
	var b strings.Builder
	for i := range events {
		e := &events[i]
		if e.Ns < fromNs || e.Ns > toNs || e.Event == fixpeers.Order || e.Event == fixpeers.Report {
			continue
		}
		fmt.Fprintf(&b, "%.1f %s %s%s; ", float64(e.Ns-fromNs)/1e6, e.Event, e.Type, e.Text)
	}
	return strings.TrimSuffix(b.String(), "; ")
}

// comingBack is how a client came back after something happened.
type comingBack struct {
	lostNs   int64 // it learnt that its connection was gone
	tryNs    int64 // it first tried to connect again
	ackNs    int64 // the first acknowledgement of an order sent over the new one
	attempts int
}

func comeback(events []fixpeers.Event, fromNs int64) (c comingBack) {
	sent, on := map[string]bool{}, false
	for i := range events {
		e := &events[i]
		if e.Ns > fromNs && !on && c.lostNs == 0 {
			c.lostNs = fromNs // it was away already
		}
		switch {
		case e.Event == fixpeers.Logon && c.lostNs == 0:
			on = true
		case e.Event == fixpeers.Logout && e.Ns <= fromNs:
			on = false
		case e.Ns <= fromNs:
		case e.Event == fixpeers.Logout && c.lostNs == 0:
			c.lostNs, on = e.Ns, false
		case c.lostNs == 0:
		case e.Event == fixpeers.Connecting:
			if c.attempts++; c.tryNs == 0 {
				c.tryNs = e.Ns
			}
		case e.Event == fixpeers.Logon:
			on = true
		case e.Event == fixpeers.Order && on && !e.PossDup:
			sent[e.ID] = true
		case acknowledges(e) && sent[e.ID]:
			c.ackNs = e.Ns
			return c
		}
	}
	return c
}
