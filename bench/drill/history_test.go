package drill

import (
	"slices"
	"testing"

	"github.com/anishathalye/porcupine"
)

// twoSessions is the history of two sessions of n orders each: ten under way at
// a time, answered in order.
func twoSessions(n int) []porcupine.Operation {
	var ops []porcupine.Operation
	for i := range n {
		for session := range uint32(2) {
			ops = append(ops, porcupine.Operation{
				Input: entry{session: session, clOrdID: uint64(i)},
				Call:  int64(i * 10), Return: int64(i*10 + 95),
				Output: outcome{place: i + 1, seqNo: uint64(2*i + 1), times: 1, acked: true},
			})
		}
	}
	return ops
}

func linear(ops []porcupine.Operation) bool { return porcupine.CheckOperations(bookOfRecord, ops) }

func TestHistoryIsLinearizable(t *testing.T) {
	if !linear(twoSessions(3000)) {
		t.Error("a good history was refused")
	}
	// What was never answered may have been executed.
	ops := twoSessions(3000)
	for i := range ops {
		if i%97 == 0 {
			out := ops[i].Output.(outcome)
			out.acked = false
			ops[i].Output, ops[i].Return = out, 1<<62
		}
	}
	if !linear(ops) {
		t.Error("a history with unanswered orders was refused")
	}
}

// TestHistoryPlanted: a planted loss, double and reordering are each found,
// wherever they are in a long history.
func TestHistoryPlanted(t *testing.T) {
	const n = 2000
	for name, harm := range map[string]func(ops []porcupine.Operation, i int){
		"loss": func(ops []porcupine.Operation, i int) { // acknowledged, and nowhere in the book
			out := ops[i].Output.(outcome)
			out.place, out.seqNo = 0, 0
			ops[i].Output = out
		},
		"not executed": func(ops []porcupine.Operation, i int) {
			out := ops[i].Output.(outcome)
			out.times = 0
			ops[i].Output = out
		},
		"double": func(ops []porcupine.Operation, i int) {
			out := ops[i].Output.(outcome)
			out.times = 2
			ops[i].Output = out
		},
		"reordering": func(ops []porcupine.Operation, i int) {
			// 30 orders later in the book than one that was sent after its answer.
			j := i + 60
			ops[i].Output, ops[j].Output = ops[j].Output, ops[i].Output
		},
		"sequence": func(ops []porcupine.Operation, i int) { // neighbours under way together, numbers swapped
			a, b := ops[i].Output.(outcome), ops[i+2].Output.(outcome)
			a.seqNo, b.seqNo = b.seqNo, a.seqNo
			ops[i].Output, ops[i+2].Output = a, b
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, i := range []int{0, 2*pieceLength - 2, 2 * pieceLength, 2*n - 70} {
				ops := twoSessions(n)
				harm(ops, i)
				if linear(ops) {
					t.Errorf("planted at operation %d, not found", i)
				}
			}
		})
	}
}

// TestHistoryOfLogs: what Judge is given becomes the history that is checked.
func TestHistoryOfLogs(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(*Logs)
		want bool
	}{
		"clean":          {func(*Logs) {}, true},
		"lost":           {func(l *Logs) { l.Survivor.Orders = slices.Delete(l.Survivor.Orders, 80, 81) }, false},
		"lost at venue":  {func(l *Logs) { l.Venue = l.Venue[1:] }, false},
		"doubled":        {func(l *Logs) { l.Venue = append(l.Venue, l.Venue[7]) }, false},
		"doubled answer": {func(l *Logs) { l.HasBook, l.Orders[3].Accepts = true, 2 }, false},
		"repeat in ring": {func(l *Logs) { l.Survivor.Orders = append(l.Survivor.Orders, l.Survivor.Orders[5]) }, true},
		"reordered": {func(l *Logs) {
			o := l.Survivor.Orders
			o[20], o[21] = o[21], o[20]
			o[20].SeqNo, o[21].SeqNo = o[21].SeqNo, o[20].SeqNo
		}, false},
		"unanswered": {func(l *Logs) { l.Orders[150].FirstAnswerNs = 0 }, true},
		"book":       {func(l *Logs) { l.HasBook, l.Venue = true, nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := clean()
			c.harm(l)
			if got := linear(historyOf(l)); got != c.want {
				t.Errorf("linearizable: %v, want %v", got, c.want)
			}
		})
	}
}

func BenchmarkHistory(b *testing.B) {
	ops := twoSessions(50_000)
	for b.Loop() {
		if !linear(slices.Clone(ops)) {
			b.Fatal("refused")
		}
	}
}
