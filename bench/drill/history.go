package drill

import (
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// What clients saw is checked with porcupine against a book of record: each
// session's orders stand in it one behind the other, each acknowledged one
// exactly once, with rising sequence numbers, and an order that was answered
// before another was sent stands before it.

// entry is an operation's input: an order of a session. Its history is cut in
// pieces, and the entry knows how far the book was where its piece begins.
type entry struct {
	session uint32
	clOrdID uint64
	from    bookState
}

// outcome is an operation's output: where the order stands in the book of
// record, and what the client was told.
type outcome struct {
	place int // from 1; 0: nowhere
	seqNo uint64
	times int // how often it was executed
	acked bool
}

// bookState is how far a session's part of the book is.
type bookState struct {
	place int
	seqNo uint64
}

// bookOfRecord is the model.
var bookOfRecord = porcupine.Model{
	Partition: partition,
	Init:      func() any { return (*bookState)(nil) },
	Step: func(state, input, output any) (bool, any) {
		in, out := input.(entry), output.(outcome)
		at := in.from
		if s := state.(*bookState); s != nil {
			at = *s
		}
		next := &bookState{place: out.place, seqNo: out.seqNo}
		legal := out.place == at.place+1 && out.seqNo > at.seqNo
		if out.acked && out.times != 1 || out.times > 1 {
			legal = false
		}
		return legal, next
	},
	Equal: func(a, b any) bool {
		x, y := a.(*bookState), b.(*bookState)
		return x == y || x != nil && y != nil && *x == *y
	},
}

// pieceLength bounds the pieces: porcupine's time and memory grow with the
// square of a history's length.
const pieceLength = 512

// partition splits a history by session, and a session's at places that no
// operation's order in time crosses: there the pieces together are linearizable
// if and only if the whole is.
func partition(history []porcupine.Operation) [][]porcupine.Operation {
	sessions := map[uint32][]porcupine.Operation{}
	for _, op := range history {
		in := op.Input.(entry)
		sessions[in.session] = append(sessions[in.session], op)
	}
	var pieces [][]porcupine.Operation
	for _, ops := range sessions {
		pieces = append(pieces, cutPieces(ops)...)
	}
	return pieces
}

func cutPieces(ops []porcupine.Operation) [][]porcupine.Operation {
	slices.SortStableFunc(ops, func(a, b porcupine.Operation) int {
		return a.Output.(outcome).place - b.Output.(outcome).place
	})
	// earliest[i] is the first answer to any of ops[i:].
	earliest := make([]int64, len(ops)+1)
	earliest[len(ops)] = math.MaxInt64
	for i := len(ops) - 1; i >= 0; i-- {
		earliest[i] = min(earliest[i+1], ops[i].Return)
	}
	var pieces [][]porcupine.Operation
	begin, latestCall := 0, int64(math.MinInt64)
	var from bookState
	for i := range ops {
		latestCall = max(latestCall, ops[i].Call)
		in, out := ops[i].Input.(entry), ops[i].Output.(outcome)
		in.from = from
		ops[i].Input = in
		if i+1-begin >= pieceLength && latestCall <= earliest[i+1] {
			pieces = append(pieces, ops[begin:i+1])
			begin, from = i+1, bookState{out.place, out.seqNo}
		}
	}
	return append(pieces, ops[begin:])
}

// historyOf builds the history of a run: an operation for each order that has
// an effect or was acknowledged.
func historyOf(logs *Logs) []porcupine.Operation {
	begin := ringBegin(logs)
	executed := map[uint64]int{}
	for _, o := range logs.Venue {
		executed[o.ClOrdID&clOrdIDMask]++
	}
	type stand struct {
		place   int
		session uint32
		seqNo   uint64
	}
	book, places := map[uint64]stand{}, map[uint32]int{}
	for _, o := range logs.Survivor.Orders {
		if _, again := book[o.ClOrdID]; again || o.ClOrdID <= begin {
			continue // a repeat is an input too, answered from the first
		}
		places[o.Session]++
		book[o.ClOrdID] = stand{places[o.Session], o.Session, o.SeqNo}
	}
	var history []porcupine.Operation
	for i := range logs.Orders {
		o := &logs.Orders[i]
		s, recorded := book[o.ClOrdID]
		if !recorded && !o.Accepted() || o.ClOrdID <= begin {
			continue
		}
		out := outcome{place: s.place, seqNo: s.seqNo, times: executed[o.ClOrdID], acked: o.Accepted()}
		if logs.HasBook {
			out.times = int(o.Accepts)
		}
		op := porcupine.Operation{Input: entry{session: s.session, clOrdID: o.ClOrdID}, Output: out,
			Call: o.FirstSentNs, Return: math.MaxInt64}
		if o.FirstAnswerNs != 0 {
			op.Return = o.FirstAnswerNs
		}
		history = append(history, op)
	}
	return history
}

// historyTimeout bounds the search; a history of pieces needs milliseconds.
const historyTimeout = 30 * time.Second

// judgeHistory: what the client saw could have been one book of record.
func (v *Verdict) judgeHistory(logs *Logs) {
	switch porcupine.CheckOperationsTimeout(bookOfRecord, historyOf(logs), historyTimeout) {
	case porcupine.Ok:
		v.Histories = 1
	case porcupine.Illegal:
		v.problem("the client's history is not that of a book of record: an acknowledged order is missing, stands there twice or out of order")
	default:
		v.problem("the client's history could not be checked within %v", historyTimeout)
	}
}
