package sim

import (
	"fmt"
	"math/rand/v2"

	"onebeat/engine/app"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// Memory is what runs can share, one after the other.
type Memory struct {
	rings [2][]byte
	outs  [2]*app.Outbox
	free  [][]byte
	truth []byte
}

// unrests is how often a lane may leave its rest again in peace.
const unrests = 3

// NewMemory allocates for runs with rings of up to ringBytes.
func NewMemory(ringBytes int) *Memory {
	m := &Memory{}
	for i := range m.rings {
		m.rings[i] = make([]byte, ringBytes+ring.SlackBytes)
		m.outs[i] = app.NewOutbox(app.Endpoint{IP: app.IPv4(laneIP)}, 0)
	}
	return m
}

// Run lives one run. A failed one is lived again to tell its story.
func (m *Memory) Run(cfg Config) Result {
	r := m.run(cfg, false)
	if r.Failure != "" {
		r = m.run(cfg, true)
	}
	return r
}

func (m *Memory) run(cfg Config, telling bool) (result Result) {
	w := &World{cfg: cfg, dice: rand.New(rand.NewPCG(cfg.Seed, 7)), faults: cfg.Faults, telling: telling, memory: m}
	defer func() {
		if r := recover(); r != nil {
			w.fail("panic: %v", r)
			result = w.end()
		}
	}()
	w.begin()
	defer func() { m.truth, m.free = w.judge.truth, w.free }()
	w.plan(event{atNs: 20 * ms, kind: evFault})
	for w.faults >= 0 && w.result.Failure == "" {
		w.step()
	}
	w.makePeace()
	return w.end()
}

// begin boots both hosts.
func (w *World) begin() {
	w.judge = newJudge(w)
	w.judge.truth, w.free = w.memory.truth[:0], w.memory.free
	w.witness.restart()
	w.net.kind, w.second.kind = evFrame, evSecond
	for i := range w.hosts {
		w.hosts[i] = newHost(w, i)
		w.hosts[i].boot()
		w.hosts[i].start()
	}
	w.plan(event{atNs: 1 * ms, kind: evOrder})
}

func (w *World) end() Result {
	if w.telling {
		w.result.Story = append(w.story, w.describe()...)
	}
	return w.result
}

func (w *World) describe() []string {
	lines := []string{fmt.Sprintf("cable %+v order network %+v witness %+v", w.net.cut, w.second.cut, w.witness.register)}
	for _, h := range w.hosts {
		line := fmt.Sprintf("host %d: %v tail %d next output %d", h.i, lane.Load(&h.word), h.table.Tail, h.table.NextOutput)
		if h.p != nil {
			line += fmt.Sprintf(" record %v applied %d in sync %t", h.p.r.Record(), h.p.r.Applied(), h.p.r.InSync())
		}
		lines = append(lines, line)
	}
	return lines
}

// How long a lane may take to come to rest by itself, and with an operator.
const (
	restNs     = 400 * ms
	operatorNs = 400 * ms
)

// makePeace ends all faults: one host serves, the other stands by, and orders
// flow. Where memory was lost it may take an operator's word.
func (w *World) makePeace() {
	if w.result.Failure != "" {
		return
	}
	w.tell("peace")
	w.peace = true
	heal(w, nil, nil)
	w.net.noisy, w.second.noisy, w.witness.noisy = false, false, false
	quietNs := w.nowNs
	for _, h := range w.hosts {
		h.diskFullNs, h.off = 0, false
		h.revive()
		quietNs = max(quietNs, h.pausedNs, h.frozenNs)
	}
	w.live(quietNs - w.nowNs + 2*heartbeatNs) // what was under way comes to its end
	rested := w.rests(restNs)
	if !rested && !w.cfg.Gentle && w.result.Failure == "" {
		w.result.Forced++
		w.operate()
		rested = w.rests(operatorNs)
	}
	if w.result.Failure != "" {
		return
	}
	if !rested {
		w.fail("the lane does not come to rest")
		return
	}
	before := w.result.Released
	w.live(heartbeatNs)
	// A disk that still has a backlog may outlast a short wait once more.
	for range unrests {
		if !w.isSettled() && w.rests(restNs) {
			w.live(heartbeatNs)
		}
	}
	if !w.isSettled() {
		w.fail("the lane does not stay at rest")
		return
	}
	if serving := w.serving(); w.result.Released == before && serving != nil && !w.logFull(serving) {
		w.fail("no orders flow")
	}
	w.judge.standing()
}

// live lets time pass.
func (w *World) live(spanNs int64) {
	for end := w.nowNs + spanNs; w.nowNs < end && w.result.Failure == ""; {
		w.step()
	}
}

// rests runs until the lane is in order, for a while at most.
func (w *World) rests(forNs int64) bool {
	for end := w.nowNs + forNs; w.nowNs < end && w.result.Failure == ""; {
		if w.step(); w.isSettled() {
			return true
		}
	}
	return false
}

func (w *World) serving() *host {
	for _, h := range w.hosts {
		if lane.Load(&h.word).State() == lane.Active {
			return h
		}
	}
	return nil
}

// operate is an operator who looks at both hosts: the witness is given what it
// last held, and if nobody goes on then, the one that has every answer does.
func (w *World) operate() {
	if w.cfg.Mode.Witness && !w.witness.register.Known {
		w.tell("operator: seeds the witness with %v", w.witness.last)
		w.witness.register.Seed(w.witness.last)
		if w.rests(restNs) || w.result.Failure != "" {
			return
		}
	}
	if w.serving() != nil {
		return
	}
	chosen := w.hosts[0]
	if other := w.hosts[1]; !w.judge.holds(chosen) || w.judge.holds(other) && other.table.Tail > chosen.table.Tail {
		chosen = other
	}
	w.tell("operator: host %d shall go on", chosen.i)
	chosen.p.r.Commands.Force("simulator: the other has less")
}
