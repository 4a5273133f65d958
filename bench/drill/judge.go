package drill

import (
	"cmp"
	"fmt"
	"slices"

	"onebeat/bench/fixpeers"
	"onebeat/bench/load"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
)

// clOrdIDMask keeps what the client chose of a ClOrdID at the venue: the
// gateway puts the number of the client's session above it.
const clOrdIDMask = 1<<48 - 1

// VenueOrder is one order that the venue accepted.
type VenueOrder struct {
	ClOrdID    uint64
	PossResend bool
	TimeNs     int64
}

// RingOrder is one order in a node's ring.
type RingOrder struct {
	ClOrdID  uint64
	Position uint64
	Epoch    uint32
	TimeNs   int64 // lane time
	// Session and SeqNo are those of the client's message.
	Session uint32
	SeqNo   uint64
}

// NodeLog is what a node left in pinned memory.
type NodeLog struct {
	MAC    [6]byte // its order NIC
	Orders []RingOrder
	// Whole: the ring still holds the log from position 0 on.
	Whole       bool
	Epoch       uint32 // of its authority word
	State       string
	FencedNs    int64 // when its kernel fenced its engine; 0: never
	CandidateNs int64 // when its kernel became CANDIDATE; 0: never
	ActiveNs    int64 // when its engine became ACTIVE; 0: not known
	Why         string
}

// Logs is everything one run left behind of a lane. Times are CLOCK_MONOTONIC.
type Logs struct {
	Orders  []load.Order
	Servers []load.ServerReport // as the client saw them
	HasBook bool                // the venue was the lane itself: no venue log
	Venue   []VenueOrder
	// Survivor serves at the end; Old is the other node.
	Survivor, Old NodeLog
	Marks         []Mark // in the order of time
	StartEpoch    uint32 // before the load
	// OldBroken is why the other node's ring cannot be read; empty: it can.
	OldBroken string
	// CutOff: the old writer was alive and cut off, and may have taken orders
	// into its ring that it never answered.
	CutOff bool
	// Seen are the epochs that the committed log tells of; nil: nobody read it.
	Seen []EpochSeen
	// Backlog: an outage may leave more orders waiting than fit the venue's window;
	// those are refused by name, which is no loss.
	Backlog bool
	// SeenAll: no part of that log was missed.
	SeenAll bool
	// FIX is the client's history where it spoke FIX, nil otherwise.
	FIX []fixpeers.Event
	// MayLose: under policy none what a host's death loses is counted and no problem.
	MayLose bool
}

// SignalNs is when the first fault was injected; 0: none.
func (l *Logs) SignalNs() int64 {
	if len(l.Marks) == 0 {
		return 0
	}
	return l.Marks[0].AtNs
}

// Verdict is what the logs say.
type Verdict struct {
	OrdersSent      int64 `json:"orders_sent"`
	OrdersAcked     int64 `json:"orders_acked"`
	OrdersRefused   int64 `json:"orders_refused"`
	AckedLost       int64 `json:"acked_lost"`
	VenueDuplicates int64 `json:"venue_duplicates"`
	Unanswered      int64 `json:"unanswered"`
	Resent          int64 `json:"orders_resent"`
	// Outages run, for a takeover, from the signal to the first answer by the
	// new primary to an order sent after it; else they are the longest silence
	// of the lane from the signal on. One for each mark.
	Outages []int64 `json:"outages_ns"`
	// Detects run from the signal to the successor's kernel being CANDIDATE.
	Detects []int64 `json:"detects_ns,omitempty"`
	// Swaps run from there to its engine being ACTIVE.
	Swaps []int64 `json:"swaps_ns,omitempty"`
	// InSyncs run from the signal to the lane having a standby again.
	InSyncs      []int64 `json:"in_syncs_ns,omitempty"`
	DualActiveNs int64   `json:"dual_active_ns"`
	// UnexplainedEpochs counts the changes of epoch that no fault explains,
	// FalseFailovers the changes of writer among them: two epochs each.
	UnexplainedEpochs int64 `json:"unexplained_epochs"`
	FalseFailovers    int64 `json:"false_failovers"`

	// WentAlone counts the times that no fault explains in which a writer went on
	// without a standby that did not answer for as long as it waits.
	WentAlone int64 `json:"went_alone,omitempty"`
	// CatchUps are of the nodes that came back without memory.
	CatchUps []CatchUp `json:"catch_ups,omitempty"`
	// Reconnects run from a FIX client's first attempt to connect again to the first
	// acknowledgement of an order sent after it; Attempts counts what it took.
	Reconnects []int64 `json:"reconnects_ns,omitempty"`
	Attempts   []int64 `json:"attempts,omitempty"`
	// Trails are what clients went through that needed more than one attempt.
	Trails []string `json:"trails,omitempty"`

	// Histories counts the sessions whose history was found linearizable.
	Histories int `json:"histories"`

	Problems []string `json:"problems,omitempty"`
}

// OK is whether nothing was lost, doubled, refused or served twice.
func (v *Verdict) OK() bool { return len(v.Problems) == 0 }

// fewIDs is how many ClOrdIDs a message names at most.
const fewIDs = 5

// idList collects ClOrdIDs for a message.
type idList struct {
	ids   []uint64
	count int64
}

func (l *idList) add(id uint64) {
	if l.count++; len(l.ids) < fewIDs {
		l.ids = append(l.ids, id)
	}
}

// Judge reads the logs of a run.
func Judge(logs *Logs) Verdict {
	if logs.FIX != nil {
		return JudgeFIX(logs)
	}
	v := Verdict{OrdersSent: int64(len(logs.Orders))}
	v.countAnswers(logs)
	v.judgeVenue(logs)
	v.judgeRing(logs)
	v.judgeStandby(logs)
	v.judgeDual(logs)
	v.judgeEpochs(logs)
	for i := range logs.Marks {
		v.judgeMark(logs, i)
	}
	if !logs.MayLose {
		v.judgeHistory(logs)
	}
	return v
}

// add adds another lane's verdict.
func (v *Verdict) add(w *Verdict) {
	v.OrdersSent += w.OrdersSent
	v.OrdersAcked += w.OrdersAcked
	v.OrdersRefused += w.OrdersRefused
	v.AckedLost += w.AckedLost
	v.VenueDuplicates += w.VenueDuplicates
	v.Unanswered += w.Unanswered
	v.Resent += w.Resent
	v.Outages = append(v.Outages, w.Outages...)
	v.Detects = append(v.Detects, w.Detects...)
	v.Swaps = append(v.Swaps, w.Swaps...)
	v.InSyncs = append(v.InSyncs, w.InSyncs...)
	v.Reconnects = append(v.Reconnects, w.Reconnects...)
	v.CatchUps = append(v.CatchUps, w.CatchUps...)
	v.Attempts = append(v.Attempts, w.Attempts...)
	v.Trails = append(v.Trails, w.Trails...)
	v.DualActiveNs += w.DualActiveNs
	v.UnexplainedEpochs += w.UnexplainedEpochs
	v.FalseFailovers += w.FalseFailovers
	v.WentAlone += w.WentAlone
	v.Histories += w.Histories
	v.Problems = append(v.Problems, w.Problems...)
}

func (v *Verdict) prefix(p string) {
	for i := range v.Problems {
		v.Problems[i] = p + v.Problems[i]
	}
}

func (v *Verdict) problem(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

func (v *Verdict) countAnswers(logs *Logs) {
	var silent, refused idList
	var doubled, backlog idList
	var reasons [2]sbe.RejectReason // of the first and the last refusal
	for i := range logs.Orders {
		switch o := &logs.Orders[i]; {
		case o.FirstAnswerNs == 0:
			silent.add(o.ClOrdID)
		case o.Accepted():
			v.OrdersAcked++
		case logs.Backlog && sbe.RejectReason(o.Reason) == sbe.RejectReasonVenueUnavailable:
			backlog.add(o.ClOrdID)
		default:
			if refused.add(o.ClOrdID); refused.count == 1 {
				reasons[0] = sbe.RejectReason(o.Reason)
			}
			reasons[1] = sbe.RejectReason(o.Reason)
		}
		if o := &logs.Orders[i]; o.Sends > 1 {
			v.Resent++
		}
		if o := &logs.Orders[i]; o.Accepted() && o.Accepts > 1 {
			doubled.add(o.ClOrdID)
		}
	}
	// For a lane that is the venue itself this is the proof that nothing was
	// executed twice: its acknowledgements are numbered and come once each.
	v.VenueDuplicates = doubled.count
	if doubled.count > 0 {
		v.problem("%d orders were acknowledged twice, among them %v", doubled.count, doubled.ids)
	}
	v.Unanswered, v.OrdersRefused = silent.count, refused.count+backlog.count
	if silent.count > 0 {
		v.problem("%d orders were never answered, among them %v", silent.count, silent.ids)
	}
	if refused.count > 0 {
		v.problem("%d orders were refused (first %v, last %v), among them %v", refused.count, reasons[0], reasons[1], refused.ids)
	}
}

// judgeVenue: every acknowledged order is at the venue, and once.
func (v *Verdict) judgeVenue(logs *Logs) {
	if logs.HasBook {
		return
	}
	seen := make(map[uint64]bool, len(logs.Venue))
	var twice, lost idList
	for _, o := range logs.Venue {
		id := o.ClOrdID & clOrdIDMask
		if seen[id] {
			twice.add(id)
		}
		seen[id] = true
	}
	for i := range logs.Orders {
		if o := &logs.Orders[i]; o.Accepted() && !seen[o.ClOrdID] {
			lost.add(o.ClOrdID)
		}
	}
	v.AckedLost, v.VenueDuplicates = lost.count, max(v.VenueDuplicates, twice.count)
	if lost.count > 0 && !logs.MayLose {
		v.problem("%d acknowledged orders never reached the venue, among them %v", lost.count, lost.ids)
	}
	if twice.count > 0 {
		v.problem("%d orders were accepted by the venue twice, among them %v", twice.count, twice.ids)
	}
}

// beginOrders is how many of the oldest orders of a ring show where its memory
// begins: ClOrdIDs rise, apart from some that were sent again.
const beginOrders = 4096

// judgeRing: every acknowledged order is in the survivor's ring, as far back
// as the ring reaches. It may stand there twice: a repeat under a new number is
// an input too, answered from the first.
func (v *Verdict) judgeRing(logs *Logs) {
	ring, begin := logs.Survivor.Orders, ringBegin(logs)
	held := make(map[uint64]bool, len(ring))
	for _, o := range ring {
		held[o.ClOrdID] = true
	}
	var lost idList
	for i := range logs.Orders {
		if o := &logs.Orders[i]; o.Accepted() && o.ClOrdID > begin && !held[o.ClOrdID] {
			lost.add(o.ClOrdID)
		}
	}
	if lost.count > 0 {
		v.AckedLost = max(v.AckedLost, lost.count)
	}
	if lost.count > 0 && !logs.MayLose {
		v.problem("%d acknowledged orders are not in the survivor's ring, among them %v", lost.count, lost.ids)
	}
}

// ringBegin returns the highest ClOrdID that the survivor's ring may have
// forgotten.
func ringBegin(logs *Logs) uint64 {
	begin, ring := uint64(0), logs.Survivor.Orders
	if logs.Survivor.Whole {
		return 0
	}
	for _, o := range ring[:min(beginOrders, len(ring)/4)] {
		begin = max(begin, o.ClOrdID)
	}
	return begin
}

// judgeStandby: a standby holds what the writer holds, order by order.
func (v *Verdict) judgeStandby(logs *Logs) {
	if logs.OldBroken != "" {
		v.problem("the other node's log is broken: %s", logs.OldBroken)
	}
	if logs.Old.State != lane.Standby.String() || logs.Old.Epoch != logs.Survivor.Epoch {
		return
	}
	at := make(map[uint64]RingOrder, len(logs.Survivor.Orders))
	for _, o := range logs.Survivor.Orders {
		at[o.Position] = o
	}
	for _, o := range logs.Old.Orders {
		if o.ClOrdID > ringBegin(logs) && at[o.Position] != o {
			v.problem("the standby's log is another from position %d on: %+v, the writer has %+v", o.Position, o, at[o.Position])
			return
		}
	}
}

// judgeDual: once an epoch's writer has answered, no answer may come from the
// writer of an older epoch, and the old primary's ring may have taken no order
// after the survivor's took its first of the new epoch.
func (v *Verdict) judgeDual(logs *Logs) {
	if overlapNs := answersOverlap(logs); overlapNs > 0 {
		v.DualActiveNs = overlapNs
		v.problem("the client had answers from two epochs' writers during %d ns", overlapNs)
	}
	if logs.CutOff {
		return
	}
	firstNew, lastOld := int64(0), int64(0)
	for _, o := range logs.Survivor.Orders {
		if o.Epoch == logs.Survivor.Epoch {
			firstNew = o.TimeNs
			break
		}
	}
	for _, o := range logs.Old.Orders {
		if o.Epoch < logs.Survivor.Epoch {
			lastOld = max(lastOld, o.TimeNs)
		}
	}
	if overlapNs := lastOld - firstNew; firstNew != 0 && overlapNs > 0 {
		v.DualActiveNs = max(v.DualActiveNs, overlapNs)
		v.problem("both nodes took orders into their rings during %d ns", overlapNs)
	}
}

// answersOverlap goes through the answers in the order in which they arrived.
// Who answers an order of an epoch is that epoch's writer, or a later one that
// repeats the recorded answer: only the first may be overtaken.
func answersOverlap(logs *Logs) int64 {
	epochOf := make(map[uint64]uint32, len(logs.Survivor.Orders))
	for _, o := range logs.Survivor.Orders {
		epochOf[o.ClOrdID] = o.Epoch
	}
	type answer struct {
		atNs   int64
		epoch  uint32
		server uint8
	}
	answers := make([]answer, 0, len(logs.Orders))
	for i := range logs.Orders {
		o := &logs.Orders[i]
		if epoch, ok := epochOf[o.ClOrdID]; ok && o.FirstAnswerNs != 0 {
			answers = append(answers, answer{o.FirstAnswerNs, epoch, o.Server})
		}
	}
	slices.SortStableFunc(answers, func(a, b answer) int { return cmp.Compare(a.atNs, b.atNs) })
	overlapNs, newest := int64(0), answer{}
	for _, a := range answers {
		switch {
		case a.epoch > newest.epoch:
			newest = a
		case a.epoch < newest.epoch && logs.Servers[a.server].MAC != logs.Servers[newest.server].MAC:
			overlapNs = max(overlapNs, a.atNs-newest.atNs)
		}
	}
	return overlapNs
}
