package drill

import (
	"reflect"
	"strings"
	"testing"

	"onebeat/bench/load"
	"onebeat/engine/sbe"
)

const (
	msNs   = int64(1_000_000)
	signal = 100 * msNs
)

func outages(v *Verdict) int64 { return int64(len(v.Outages)) }

var (
	macA = [6]byte{2, 0, 0, 0, 0, 0xa}
	macB = [6]byte{2, 0, 0, 0, 0, 0xb}
)

// clean is a run without fault in its logs: 200 orders, one each ms, the
// primary dies at 100 ms, the successor answers from 102 ms on.
func clean() *Logs {
	l := &Logs{
		Marks: []Mark{{AtNs: signal, What: "SIGKILL", Moves: Move, Epochs: 2, Epoch: 1, Writer: macA,
			Successor: macB, CandidateNs: signal + msNs, ActiveNs: signal + msNs + 30_000}},
		Servers: []load.ServerReport{
			{MAC: (&load.Server{MAC: macA}).String(), FirstNs: 0, LastNs: signal},
			{MAC: (&load.Server{MAC: macB}).String(), FirstNs: signal + 2*msNs, LastNs: 300 * msNs},
		},
		StartEpoch: 1,
		Survivor:   NodeLog{MAC: macB, Whole: true, Epoch: 2, State: "ACTIVE"},
		Old:        NodeLog{MAC: macA, Whole: true, Epoch: 1, State: "FENCED"},
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
		r := RingOrder{ClOrdID: id, Position: uint64(i) * 128, Epoch: epoch, TimeNs: o.FirstAnswerNs, Session: 1, SeqNo: uint64(i + 1)}
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
	want := Verdict{OrdersSent: 200, OrdersAcked: 200, Outages: []int64{2*msNs + 20_000}, Detects: []int64{msNs},
		Swaps: []int64{30_000}, Histories: 1}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("got %+v\nwant %+v", v, want)
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
		{"standby of another log", func(l *Logs) {
			l.Old.State, l.Old.Epoch = "STANDBY", 2
			l.Old.Orders[40].ClOrdID++
		}, "the standby's log is another from position 5120 on", func(v *Verdict) int64 { return int64(len(v.Problems)) }, 1},
		{"broken log", func(l *Logs) { l.OldBroken = "time runs backwards" }, "broken: time runs backwards",
			func(v *Verdict) int64 { return int64(len(v.Problems)) }, 1},
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
		{"no answer by the successor", func(l *Logs) {
			for i := range l.Orders {
				l.Orders[i].Server = 0
			}
		}, "no order sent after it was answered by the new primary", outages, 0},
		{"nobody took over", func(l *Logs) { l.Marks[0].Successor = [6]byte{} }, "nobody took over", outages, 0},
		{"must not move", func(l *Logs) { l.Marks[0].Moves = Stay }, "the lane changed its writer", outages, 1},
		{"no promotion seen", func(l *Logs) { l.Marks[0].CandidateNs = 0 },
			"no promotion after it", func(v *Verdict) int64 { return int64(len(v.Detects)) }, 0},
		{"no standby again", func(l *Logs) { l.Marks[0].Problem = "no standby within 15s" }, "SIGKILL: no standby within 15s", outages, 1},
		{"an epoch too much before", func(l *Logs) { l.StartEpoch = 0 }, "went from 0 to 1 before: SIGKILL: 1 changes are unexplained",
			func(v *Verdict) int64 { return v.UnexplainedEpochs }, 1},
		{"epochs too much after", func(l *Logs) { l.Marks[0].Epochs, l.Survivor.Epoch = 0, 2 }, "went from 1 to 2 after: SIGKILL: 1 changes",
			func(v *Verdict) int64 { return v.FalseFailovers }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := clean()
			c.harm(l)
			v := Judge(l)
			// What porcupine sees too comes last.
			if n := len(v.Problems); n == 0 || !strings.Contains(v.Problems[0], c.want) ||
				n > 1 && (n > 2 || !strings.Contains(v.Problems[1], "book of record")) {
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
	l.Marks = nil
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
	l.Survivor.Epoch = 3
	if v := Judge(l); v.FalseFailovers != 1 || v.UnexplainedEpochs != 2 || !strings.Contains(v.Problems[0], "epoch went from 1 to 3 without a fault") {
		t.Errorf("a false failover went unnoticed: %d, %q", v.FalseFailovers, v.Problems)
	}
}

// TestJudgeSilence: without a change of writer the outage is the longest
// silence from the mark on, also one that began before it.
func TestJudgeSilence(t *testing.T) {
	l := clean()
	l.Marks[0] = Mark{AtNs: 50 * msNs, What: "cable", Moves: Either, Epochs: 2, Epoch: 1, Writer: macA}
	for i := range l.Orders {
		if o := &l.Orders[i]; o.FirstAnswerNs > 120*msNs && o.FirstAnswerNs < 145*msNs {
			o.FirstAnswerNs = 145 * msNs
		}
	}
	if v := Judge(l); !v.OK() || len(v.Outages) != 1 || v.Outages[0] != 26*msNs-20_000 {
		t.Errorf("outages %v, problems %q", v.Outages, v.Problems)
	}
}

// TestJudgeCutOff: what an old writer takes without answering is no second
// writer.
func TestJudgeCutOff(t *testing.T) {
	l := clean()
	l.Old.Orders = append(l.Old.Orders, RingOrder{ClOrdID: 1150, Epoch: 1, TimeNs: l.Survivor.Orders[100].TimeNs + 7})
	l.CutOff = true
	if v := Judge(l); !v.OK() {
		t.Errorf("problems %q", v.Problems)
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
	l.Survivor.Epoch, l.Old.Epoch, l.Marks[0].Epoch = 4, 3, 3
	if v := Judge(l); v.FalseFailovers != 1 || v.DualActiveNs != 0 || len(v.Problems) != 1 {
		t.Errorf("%d false failovers, problems %q", v.FalseFailovers, v.Problems)
	}
}

// TestSummaryAddsLanesAndRuns up.
func TestSummaryAddsLanesAndRuns(t *testing.T) {
	o := &Options{Fault: FaultKill}
	if err := o.Defaults(); err != nil {
		t.Fatal(err)
	}
	a, b := Judge(clean()), Judge(clean())
	a.add(&b)
	bad := clean()
	bad.Marks[0].Problem = "none"
	c := Judge(bad)
	s := Summarize(o, []Verdict{a, c})
	if s.OK || s.Runs != 2 || s.OrdersSent != 600 || len(s.Outages) != 3 || s.MTTRNs != 2*msNs+20_000 || s.Histories != 3 ||
		len(s.Problems) != 1 || !strings.HasPrefix(s.Problems[0], "run 2: ") {
		t.Errorf("%+v", s)
	}
}

// Where the log was read to its end it tells of every epoch: what no harm explains
// is an alarm, one that it knows nothing of a problem.
func TestJudgeSeen(t *testing.T) {
	logs := func() *Logs {
		l := clean()
		l.StartEpoch, l.Survivor.Epoch, l.SeenAll = 2, 12, true
		l.Marks = []Mark{
			{AtNs: 40 * msNs, What: "kill", Moves: Either, Epoch: 4, EndEpoch: 6, Writer: macA},
			{AtNs: 90 * msNs, What: "disk", Moves: Either, Epoch: 8, EndEpoch: 8, Writer: macB},
		}
		l.Seen = []EpochSeen{{1, 1, 1}, {2, 1, 2}, {3, 1, 1}, {4, 1, 2}, {5, 2, 1}, {6, 2, 2}, {7, 1, 1}, {8, 1, 2}, {9, 1, 1}, {10, 1, 2}, {11, 2, 1}, {12, 2, 2}}
		return l
	}
	l := logs()
	var v Verdict
	v.judgeEpochs(l)
	if !v.OK() || v.FalseFailovers != 2 || v.WentAlone != 2 || v.UnexplainedEpochs != 0 {
		t.Errorf("%+v", v)
	}
	l.Seen = append(l.Seen[:8:8], l.Seen[9:]...) // epoch 9
	v = Verdict{}
	if v.judgeEpochs(l); v.UnexplainedEpochs != 1 || v.OK() {
		t.Errorf("%+v", v)
	}
	l.SeenAll = false
	v = Verdict{}
	if v.judgeEpochs(l); !v.OK() {
		t.Errorf("%+v", v)
	}
	l = logs()
	l.Seen = append(l.Seen[:4:4], l.Seen[5:]...) // epoch 5: a claim that the kill left without a record
	v = Verdict{}
	if v.judgeEpochs(l); !v.OK() {
		t.Errorf("%+v", v)
	}
}
