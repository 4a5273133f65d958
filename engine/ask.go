package engine

import (
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/engine/operator"
	"onebeat/mirror/lane"
)

// AskState is how far a Question is.
type AskState uint32

// States of a Question.
const (
	Asked AskState = iota
	// Answered: the look was taken, or the command is applied and may be seen: it
	// survives a failover as an order would.
	Answered
	// NotServing: this node is not the lane's writer, or is just giving it away; the
	// command is not in the log.
	NotServing
	// Lost: the command is in this node's log, and the node ceased to be the writer
	// before the lane's policy let it be seen. The next writer may have it or not.
	Lost
	abandoned
)

// Question is what the cold side wants of a loop between two orders: a look at its
// machine, or an operator's command put into the log and applied.
type Question struct {
	Look    func(m app.Machine) // runs on the loop's thread: short, and it may change nothing
	Command []byte              // payload of a RecordOperator, if Look is nil

	// Of a command that was answered.
	Result   operator.Result
	Position uint64 // of its record
	Epoch    uint32

	end   uint64 // behind its record; 0: not appended
	state atomic.Uint32
}

// State says how far it is; any thread may ask. Other fields are the asker's again
// once it is not Asked.
func (q *Question) State() AskState { return AskState(q.state.Load()) }

// Abandon ends the wait for an answer; false: there is one. A command may be in the
// log, and come into force, all the same.
func (q *Question) Abandon() bool {
	return q.state.CompareAndSwap(uint32(Asked), uint32(abandoned))
}

// Ask leaves a question; false: another one waits. A command may wait long for those
// who must hold it: looks do not wait for it.
func (l *Loop) Ask(q *Question) bool { return l.slot(q).CompareAndSwap(nil, q) }

func (l *Loop) slot(q *Question) *atomic.Pointer[Question] {
	if q.Look != nil {
		return &l.looking
	}
	return &l.question
}

// answer takes the question on; it returns whether it did something.
func (l *Loop) answer(q *Question, nowNs int64) int {
	switch {
	case q.State() == abandoned:
		l.slot(q).Store(nil)
	case q.Look != nil:
		q.Look(l.machine)
		l.answered(q, Answered)
	case q.end != 0:
		if l.replica.Word().State() != lane.Active {
			l.answered(q, Lost)
		} else if l.replica.Releasable() >= q.end {
			l.answered(q, Answered)
		} else {
			return 0
		}
	case !l.serving || l.replica.Refusing() != app.NotRefused:
		l.answered(q, NotServing)
	case l.replica.IntakeStopped() || !l.hasRoom():
		return 0 // a handover ends soon, one way or the other
	default:
		l.commitCommand(q, nowNs)
	}
	return 1
}

func (l *Loop) commitCommand(q *Question, nowNs int64) {
	if !l.commit(app.Draft{Type: app.RecordOperator, Payload: q.Command}, l.clock.now(nowNs)) {
		return // no room: the next cycle
	}
	q.end, q.Position, q.Epoch = l.out.RecordEnd, l.record.Position, l.record.Epoch
	q.Result = l.machine.Operated()
}

func (l *Loop) answered(q *Question, s AskState) {
	l.slot(q).Store(nil)
	q.state.CompareAndSwap(uint32(Asked), uint32(s))
}
