package drill

import (
	"math"
	"slices"

	"onebeat/bench/load"
)

// Moves is whether a lane may change its writer.
type Moves int

// Whether it must not, may, or must.
const (
	Stay Moves = iota
	Either
	Move
)

// Mark is a moment at which something happened to the lane, and what may and
// did come of it. Times are CLOCK_MONOTONIC, 0: not seen.
type Mark struct {
	AtNs   int64
	What   string
	Moves  Moves
	Epochs uint32 // changes of epoch it explains
	// Epoch and Writer were before.
	Epoch  uint32
	Writer [6]byte // MAC of its order NIC
	// Successor is the new writer, zero if there was none.
	Successor   [6]byte
	FencedNs    int64 // when the old writer's kernel fenced its engine
	CandidateNs int64 // when the successor's kernel became CANDIDATE
	ActiveNs    int64 // when its engine became ACTIVE
	Why         string
	BackNs      int64 // when the node that died was started again; 0: it was not, or nobody noted it
	InSyncNs    int64 // when the lane had a standby again
	// EndEpoch is the lane's when what followed was over; 0: until the next mark.
	EndEpoch uint32
	Problem  string
}

// epochsEach is what a failover takes: the new writer alone, then in sync again.
const epochsEach = 2

func (v *Verdict) judgeEpochs(logs *Logs) {
	if logs.Seen != nil {
		v.judgeSeen(logs)
		return
	}
	from, explained := logs.StartEpoch, uint32(0)
	account := func(until uint32, what string) {
		if beyond := int64(until) - int64(from) - int64(explained); beyond > 0 {
			v.UnexplainedEpochs += beyond
			v.problem("the lane's epoch went from %d to %d %s: %d changes are unexplained", from, until, what, beyond)
		}
	}
	for i := range logs.Marks {
		m := &logs.Marks[i]
		account(m.Epoch, "before: "+m.What)
		from, explained = m.Epoch, m.Epochs
	}
	last := "without a fault"
	if n := len(logs.Marks); n > 0 {
		last = "after: " + logs.Marks[n-1].What
	}
	account(logs.Survivor.Epoch, last)
	v.FalseFailovers = (v.UnexplainedEpochs + epochsEach - 1) / epochsEach
}

func (v *Verdict) judgeMark(logs *Logs, i int) {
	m := &logs.Marks[i]
	untilNs := int64(math.MaxInt64)
	if i+1 < len(logs.Marks) {
		untilNs = logs.Marks[i+1].AtNs
	}
	if m.Problem != "" {
		v.problem("%s: %s", m.What, m.Problem)
	}
	if m.InSyncNs != 0 {
		v.InSyncs = append(v.InSyncs, m.InSyncNs-m.AtNs)
	}
	moved := m.Successor != [6]byte{}
	switch {
	case m.Moves == Stay && moved:
		v.problem("%s: the lane changed its writer", m.What)
	case m.Moves == Move && !moved:
		v.problem("%s: nobody took over", m.What)
		return
	case !moved:
		v.Outages = append(v.Outages, longestSilence(logs, m.AtNs, untilNs))
		return
	}
	first := firstAnswerBy(logs, m.Successor, m.AtNs, untilNs)
	if first == 0 {
		v.problem("%s: no order sent after it was answered by the new primary", m.What)
		return
	}
	v.Outages = append(v.Outages, first-m.AtNs)
	if m.CandidateNs < m.AtNs {
		// A claim that no kernel had to begin: the engine asked by itself.
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

// longestSilence returns the longest time without an answer that ended after
// fromNs and began before untilNs; what was before fromNs does not count.
func longestSilence(logs *Logs, fromNs, untilNs int64) int64 {
	answers := make([]int64, 0, len(logs.Orders))
	for i := range logs.Orders {
		if at := logs.Orders[i].FirstAnswerNs; at > fromNs {
			answers = append(answers, at)
		}
	}
	slices.Sort(answers)
	longest, last := int64(0), fromNs
	for _, at := range answers {
		if last >= untilNs {
			break
		}
		longest, last = max(longest, at-last), at
	}
	return longest
}

// firstAnswerBy returns when a node first answered an order that was sent in a
// time; 0: never.
func firstAnswerBy(logs *Logs, mac [6]byte, fromNs, untilNs int64) int64 {
	first := int64(0)
	name := (&load.Server{MAC: mac}).String()
	for i := range logs.Orders {
		o := &logs.Orders[i]
		if o.FirstSentNs <= fromNs || o.FirstSentNs > untilNs || o.FirstAnswerNs == 0 || logs.Servers[o.Server].MAC != name {
			continue
		}
		if first == 0 || o.FirstAnswerNs < first {
			first = o.FirstAnswerNs
		}
	}
	return first
}
