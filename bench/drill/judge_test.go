package drill

import (
	"strings"
	"testing"

	"onebeat/bench/load"
	"onebeat/engine/sbe"
)

const (
	msNs   = int64(1_000_000)
	signal = 100 * msNs
)

var (
	macA = [6]byte{2, 0, 0, 0, 0, 0xa}
	macB = [6]byte{2, 0, 0, 0, 0, 0xb}
)

// clean is a run without fault in its logs: 200 orders, one each ms, the
// primary dies at 100 ms, the successor answers from 102 ms on.
func clean() *Logs {
	l := &Logs{
		SignalNs: signal,
		Servers: []load.ServerReport{
			{MAC: (&load.Server{MAC: macA}).String(), FirstNs: 0, LastNs: signal},
			{MAC: (&load.Server{MAC: macB}).String(), FirstNs: signal + 2*msNs, LastNs: 300 * msNs},
		},
		StartEpoch: 1, FaultEpoch: 1,
		Survivor: NodeLog{MAC: macB, Whole: true, Epoch: 2, State: "ACTIVE",
			CandidateNs: signal + msNs, ActiveNs: signal + msNs + 30_000},
		Old: NodeLog{MAC: macA, Whole: true, Epoch: 1, State: "FENCED"},
	}
	for i := range int64(200) {
		id, at := uint64(1000+i), i*msNs
		o := load.Order{ClOrdID: id, IntendedNs: at, FirstSentNs: at, FirstAnswerNs: at + 20_000, Sends: 1, Answers: 1, Accepts: 1, ExecType: 'A'}
		epoch := uint32(1)
		if at >= signal {
			o.Server, o.FirstAnswerNs, epoch = 1, max(at, signal+2*msNs)+20_000, 2
		}
		l.Orders = append(l.Orders, o)
		l.Venue = append(l.Venue, VenueOrder{ClOrdID: 1<<48 | id, TimeNs: o.FirstAnswerNs})
		r := RingOrder{ClOrdID: id, Position: uint64(i) * 128, Epoch: epoch, TimeNs: o.FirstAnswerNs}
		l.Survivor.Orders = append(l.Survivor.Orders, r)
		if epoch == 1 {
			l.Old.Orders = append(l.Old.Orders, r)
		}
	}
	return l
}

func TestJudgeClean(t *testing.T) {
	v := Judge(clean())
	if !v.OK() {
		t.Fatalf("problems in a clean run: %v", v.Problems)
	}
	want := Verdict{OrdersSent: 200, OrdersAcked: 200, OutageNs: 2*msNs + 20_000, DetectNs: msNs, SwapNs: 30_000}
	want.Problems = v.Problems
	if got := v; got.OrdersSent != want.OrdersSent || got.OrdersAcked != want.OrdersAcked || got.OutageNs != want.OutageNs ||
		got.DetectNs != want.DetectNs || got.SwapNs != want.SwapNs || got.DualActiveNs != 0 || got.Unanswered != 0 {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestJudgeViolations(t *testing.T) {
	for _, c := range []struct {
		name    string
		harm    func(*Logs)
		want    string
		measure func(*Verdict) int64
		value   int64
	}{
		{"lost at the venue", func(l *Logs) { l.Venue = append(l.Venue[:50:50], l.Venue[52:]...) },
			"2 acknowledged orders never reached the venue, among them [1050 1051]", func(v *Verdict) int64 { return v.AckedLost }, 2},
		{"lost in the ring", func(l *Logs) { l.Survivor.Orders = append(l.Survivor.Orders[:99:99], l.Survivor.Orders[100:]...) },
			"1 acknowledged orders are not in the survivor's ring, among them [1099]", func(v *Verdict) int64 { return v.AckedLost }, 1},
		{"doubled at the venue", func(l *Logs) {
			l.Venue = append(l.Venue, VenueOrder{ClOrdID: l.Venue[98].ClOrdID, PossResend: true})
		},
			"1 orders were accepted by the venue twice, among them [1098]", func(v *Verdict) int64 { return v.VenueDuplicates }, 1},
		{"doubled in the book", func(l *Logs) { l.HasBook, l.Venue, l.Orders[98].Accepts = true, nil, 2 },
			"1 orders were acknowledged twice, among them [1098]", func(v *Verdict) int64 { return v.VenueDuplicates }, 1},
		{"unanswered", func(l *Logs) { l.Orders[101].FirstAnswerNs, l.Orders[101].ExecType = 0, 0 },
			"1 orders were never answered, among them [1101]", func(v *Verdict) int64 { return v.Unanswered }, 1},
		{"refused", func(l *Logs) { l.Orders[7].ExecType, l.Orders[7].Reason = '8', 1 },
			"1 orders were refused (first " + sbe.RejectReason(1).String() + ", last " + sbe.RejectReason(1).String() + "), among them [1007]", func(v *Verdict) int64 { return v.OrdersRefused }, 1},
		{"two servers at once", func(l *Logs) {
			// The old primary answers an order of its epoch 3 ms too late.
			l.Orders[99].FirstAnswerNs = l.Orders[100].FirstAnswerNs + 3*msNs
		}, "the client had answers from two epochs' writers during 3000000 ns", func(v *Verdict) int64 { return v.DualActiveNs }, 3 * msNs},
		{"two rings at once", func(l *Logs) {
			l.Old.Orders = append(l.Old.Orders, RingOrder{ClOrdID: 1150, Epoch: 1, TimeNs: l.Survivor.Orders[100].TimeNs + 7})
		}, "both nodes took orders into their rings during 7 ns", func(v *Verdict) int64 { return v.DualActiveNs }, 7},
		{"nobody took over", func(l *Logs) {
			for i := range l.Orders {
				l.Orders[i].Server = 0
			}
		}, "no order sent after the signal was answered by the new primary", func(v *Verdict) int64 { return v.OutageNs }, 0},
		{"no promotion seen", func(l *Logs) { l.Survivor.CandidateNs = 0 },
			"no promotion after the signal", func(v *Verdict) int64 { return v.DetectNs }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := clean()
			c.harm(l)
			v := Judge(l)
			if len(v.Problems) != 1 || !strings.Contains(v.Problems[0], c.want) {
				t.Errorf("problems %q, want the one %q", v.Problems, c.want)
			}
			if got := c.measure(&v); got != c.value {
				t.Errorf("measured %d, want %d", got, c.value)
			}
		})
	}
}

// TestJudgeForgetfulRing: what the ring has overwritten is not lost.
func TestJudgeForgetfulRing(t *testing.T) {
	l := clean()
	l.Survivor.Whole = false
	l.Survivor.Orders = l.Survivor.Orders[60:]
	if v := Judge(l); !v.OK() {
		t.Errorf("problems %q", v.Problems)
	}
}

func TestJudgeSteady(t *testing.T) {
	l := clean()
	l.SignalNs = 0
	l.Servers = l.Servers[:1]
	for i := range l.Orders {
		l.Orders[i].Server = 0
	}
	l.Old = NodeLog{}
	for i := range l.Survivor.Orders {
		l.Survivor.Orders[i].Epoch = 1
	}
	l.Survivor.Epoch = 1
	if v := Judge(l); !v.OK() {
		t.Errorf("problems %q", v.Problems)
	}
	l.FaultEpoch = 3
	if v := Judge(l); v.FalseFailovers != 1 || !strings.Contains(v.Problems[0], "epoch changed from 1 to 3 without a fault") {
		t.Errorf("a false failover went unnoticed: %d, %q", v.FalseFailovers, v.Problems)
	}
}

// TestJudgeRepeatedAnswer: an order of the old epoch that the new primary
// answers from its record is no sign of two writers.
func TestJudgeRepeatedAnswer(t *testing.T) {
	l := clean()
	l.Orders[99].FirstAnswerNs, l.Orders[99].Server = l.Orders[105].FirstAnswerNs, 1
	if v := Judge(l); !v.OK() {
		t.Errorf("problems %q", v.Problems)
	}
}

// TestJudgeRepeatInRing: a repeat is an input too.
func TestJudgeRepeatInRing(t *testing.T) {
	l := clean()
	l.Survivor.Orders = append(l.Survivor.Orders, l.Survivor.Orders[150])
	if v := Judge(l); !v.OK() {
		t.Errorf("problems %q", v.Problems)
	}
}

// TestJudgeEarlierFailover: the lane came back to the old primary before the
// fault; that is counted, and no sign of two writers at once.
func TestJudgeEarlierFailover(t *testing.T) {
	l := clean()
	for i := range 50 {
		l.Orders[i].Server = 1
	}
	for i := range l.Survivor.Orders {
		if i >= 50 {
			l.Survivor.Orders[i].Epoch += 2
		}
	}
	l.Survivor.Epoch, l.Old.Epoch, l.FaultEpoch = 4, 3, 3
	if v := Judge(l); !v.OK() || v.FalseFailovers != 1 {
		t.Errorf("%d false failovers, problems %q", v.FalseFailovers, v.Problems)
	}
}
