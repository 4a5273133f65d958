package drill

import (
	"cmp"
	"fmt"
	"slices"

	"onebeat/bench/load"
	"onebeat/engine/sbe"
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

// Logs is everything one run left behind. Times are CLOCK_MONOTONIC.
type Logs struct {
	Orders  []load.Order
	Servers []load.ServerReport // as the client saw them
	HasBook bool                // the venue was the lane itself: no venue log
	Venue   []VenueOrder
	// Survivor serves at the end; Old served before.
	Survivor, Old NodeLog
	SignalNs      int64 // when the fault was injected; 0: no fault
	// StartEpoch was before the load, FaultEpoch just before the fault, or at
	// the end if there was none.
	StartEpoch, FaultEpoch uint32
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
	// OutageNs runs from the signal to the first answer by the new primary to
	// an order sent after the signal.
	OutageNs int64 `json:"outage_ns"`
	// DetectNs runs from the signal to the successor's kernel being CANDIDATE.
	DetectNs int64 `json:"detect_ns"`
	// SwapNs runs from there to its engine being ACTIVE.
	SwapNs       int64 `json:"swap_ns"`
	DualActiveNs int64 `json:"dual_active_ns"`
	// FalseFailovers counts the changes of the lane's writer without a fault.
	FalseFailovers int64 `json:"false_failovers"`

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
	v := Verdict{OrdersSent: int64(len(logs.Orders))}
	v.countAnswers(logs)
	v.judgeVenue(logs)
	v.judgeRing(logs)
	v.judgeDual(logs)
	v.judgeTimes(logs)
	return v
}

func (v *Verdict) problem(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

func (v *Verdict) countAnswers(logs *Logs) {
	var silent, refused idList
	var doubled idList
	var reasons [2]sbe.RejectReason // of the first and the last refusal
	for i := range logs.Orders {
		switch o := &logs.Orders[i]; {
		case o.FirstAnswerNs == 0:
			silent.add(o.ClOrdID)
		case o.Accepted():
			v.OrdersAcked++
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
	v.Unanswered, v.OrdersRefused = silent.count, refused.count
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
	if lost.count > 0 {
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
	ring := logs.Survivor.Orders
	held := make(map[uint64]bool, len(ring))
	begin := uint64(0)
	var lost idList
	for i, o := range ring {
		held[o.ClOrdID] = true
		if i < min(beginOrders, len(ring)/4) && !logs.Survivor.Whole {
			begin = max(begin, o.ClOrdID)
		}
	}
	for i := range logs.Orders {
		if o := &logs.Orders[i]; o.Accepted() && o.ClOrdID > begin && !held[o.ClOrdID] {
			lost.add(o.ClOrdID)
		}
	}
	if lost.count > 0 {
		v.AckedLost = max(v.AckedLost, lost.count)
		v.problem("%d acknowledged orders are not in the survivor's ring, among them %v", lost.count, lost.ids)
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
		case a.epoch < newest.epoch && a.server != newest.server:
			overlapNs = max(overlapNs, a.atNs-newest.atNs)
		}
	}
	return overlapNs
}

func (v *Verdict) judgeTimes(logs *Logs) {
	// A failover takes two epochs: the new writer alone, then in sync again.
	const epochsEach = 2
	v.FalseFailovers = (int64(logs.FaultEpoch-logs.StartEpoch) + epochsEach - 1) / epochsEach
	if logs.SignalNs == 0 {
		if v.FalseFailovers != 0 {
			v.problem("the lane's epoch changed from %d to %d without a fault", logs.StartEpoch, logs.FaultEpoch)
		}
		return
	}
	if beyond := int64(logs.Survivor.Epoch-logs.FaultEpoch) - epochsEach; beyond > 0 {
		v.FalseFailovers += (beyond + epochsEach - 1) / epochsEach
	}
	first := firstAnswerBy(logs, logs.Survivor.MAC)
	if first == 0 {
		v.problem("no order sent after the signal was answered by the new primary")
		return
	}
	v.OutageNs = first - logs.SignalNs
	if c := logs.Survivor.CandidateNs; c >= logs.SignalNs {
		v.DetectNs = c - logs.SignalNs
		if a := logs.Survivor.ActiveNs; a >= c {
			v.SwapNs = a - c
		}
	} else {
		v.problem("the survivor's kernel shows no promotion after the signal")
	}
}

// firstAnswerBy returns when a node first answered an order that was sent
// after the signal; 0: never.
func firstAnswerBy(logs *Logs, mac [6]byte) int64 {
	first := int64(0)
	name := (&load.Server{MAC: mac}).String()
	for i := range logs.Orders {
		o := &logs.Orders[i]
		if o.FirstSentNs <= logs.SignalNs || o.FirstAnswerNs == 0 || logs.Servers[o.Server].MAC != name {
			continue
		}
		if first == 0 || o.FirstAnswerNs < first {
			first = o.FirstAnswerNs
		}
	}
	return first
}
