package drill

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/mirror/lane"
	"onebeat/tools/control"
)

// laneRun is one lane of a run: its client, and a look at its two nodes.
type laneRun struct {
	scene.Lane
	client *process
	out    bytes.Buffer
	views  map[string]*nodeView // by place

	startEpoch uint32
	marks      []*Mark
}

func newLaneRun(l scene.Lane) *laneRun {
	return &laneRun{Lane: l, views: map[string]*nodeView{}}
}

func (l *laneRun) word(place string) lane.Word { return l.views[place].authority() }

// newest is how far a word is: a later epoch, and in the same one ACTIVE before
// all others.
func newest(w lane.Word) uint64 {
	n := uint64(w.Epoch()) << 1
	if w.State() == lane.Active {
		n |= 1
	}
	return n
}

// serving returns who is the lane's writer and who is the other one. A node
// that was cut off may believe in an older epoch.
func (l *laneRun) serving() (writer, other string) {
	if newest(l.word(l.Primary)) >= newest(l.word(l.Standby)) {
		return l.Primary, l.Standby
	}
	return l.Standby, l.Primary
}

// inSync is whether one node is ACTIVE and the other its STANDBY.
func (l *laneRun) inSync() bool {
	writer, other := l.serving()
	w := l.word(writer)
	return w.State() == lane.Active && l.word(other) == w.With(lane.Standby)
}

// mark notes that something happens to the lane now.
func (l *laneRun) mark(what string, moves Moves, epochs uint32) *Mark {
	writer, _ := l.serving()
	m := &Mark{AtNs: monotonicNs(), What: what, Moves: moves, Epochs: epochs,
		Epoch: l.word(writer).Epoch(), Writer: [6]byte(lab.OrderMAC(writer))}
	l.marks = append(l.marks, m)
	return m
}

// records is how many records both engines have seen.
func (l *laneRun) records() uint64 {
	var n uint64
	for _, v := range l.views {
		n += atomic.LoadUint64(&v.table.Engine.Records)
	}
	return n
}

// reopen looks at a node that was started again.
func (l *laneRun) reopen(place string, v *nodeView) error {
	err := closeView(l.views[place])
	l.views[place] = v
	return err
}

func (l *laneRun) close() error {
	var err error
	for _, v := range l.views {
		err = errors.Join(err, closeView(v))
	}
	return err
}

// takeoverTimeout is far beyond every budget.
const takeoverTimeout = 5 * time.Second

// watchTakeover waits until another node than the mark's writer is ACTIVE, and
// notes what its kernel and its engine say about that: a later failover would
// overwrite it. Nobody ACTIVE is left to the judge.
func (l *laneRun) watchTakeover(r *run, m *Mark) error {
	old, successor := l.Primary, l.Standby
	if m.Writer == [6]byte(lab.OrderMAC(l.Standby)) {
		old, successor = successor, old
	}
	deadline := time.Now().Add(takeoverTimeout)
	for w := l.word(successor); w.State() != lane.Active || w.Epoch() <= m.Epoch; w = l.word(successor) {
		if time.Now().After(deadline) {
			return nil
		}
		if err := r.rest(time.Millisecond); err != nil {
			return err
		}
	}
	m.note(l, old, successor)
	var status control.Status
	if err := call(r.lab, successor, l.ID, control.CmdStatus, &status); err != nil {
		return err
	}
	if s := status.Lane(l.ID); s != nil {
		m.ActiveNs = s.ActiveNs
	}
	return nil
}

// note keeps what both kernels say about a change of writer.
func (m *Mark) note(l *laneRun, old, successor string) {
	now := l.views[successor].watch(NodeLog{})
	m.Successor = [6]byte(lab.OrderMAC(successor))
	m.CandidateNs, m.Why = now.CandidateNs, now.Why
	if fenced := l.views[old].watch(NodeLog{}).FencedNs; fenced >= m.AtNs {
		m.FencedNs = fenced
	}
}

// waitInSync waits until the lane has a standby again and notes how long after
// the mark that was.
func (l *laneRun) waitInSync(r *run, m *Mark) error {
	deadline := time.Now().Add(readyTimeout)
	for !l.inSync() {
		if time.Now().After(deadline) {
			m.Problem = fmt.Sprintf("no standby within %v: %s %v, %s %v", readyTimeout,
				l.Primary, l.word(l.Primary), l.Standby, l.word(l.Standby))
			return nil
		}
		if err := r.rest(time.Millisecond); err != nil {
			return err
		}
	}
	m.InSyncNs = monotonicNs()
	return nil
}
