package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
)

// Times of the simulated lane, in nanoseconds.
const (
	us = 1_000
	ms = 1_000_000

	heartbeatNs = 5 * ms
	tickNs      = 1 * ms
	hangTicks   = 10
	silentTicks = 5
	waitNs      = 10 * ms // for an ACK, where the lane degrades
	salvageNs   = 5 * ms
)

// Mode is how a lane is arbitrated, and what it does without its standby.
type Mode struct {
	Name     string
	Witness  bool // else pair
	Silence  bool // silence promotes: "links", or the witness decides
	Degrades bool
	Ride     bool
	// Fence: a peer's power is taken before its lane is, or its ACKs are done without.
	Fence   bool
	DelayNs int64 // of host 1's agents
	Chain   bool  // the standby lets rides out
	// None: policy none. Its last records may be lost; two never release at once.
	None bool
	// Policy is the release policy, empty: mirrored. Changes: an operator changes it.
	Policy  string
	Changes bool
}

// Modes are what runs draw from.
var Modes = []Mode{
	{Name: "witness", Witness: true, Silence: true, Ride: true},
	{Name: "witness-degrade", Witness: true, Silence: true, Degrades: true, Ride: true},
	{Name: "links", Silence: true, Ride: true},
	{Name: "pair", Ride: true},
	{Name: "pair-degrade", Degrades: true, Ride: true},
	{Name: "witness-user", Witness: true, Silence: true},
}

// leaseModes are drawn apart, so that the seeds of the others stay what they are.
var leaseModes = []Mode{
	{Name: "none-witness", Witness: true, Silence: true, None: true},
	{Name: "none-links", Silence: true, None: true},
}

// fenceModes, too.
var fenceModes = []Mode{
	{Name: "fence", Fence: true, Silence: true, Ride: true},
	{Name: "fence-degrade", Fence: true, Silence: true, Degrades: true, DelayNs: 15 * ms},
}

// policyModes too.
var policyModes = []Mode{
	{Name: "applied", Witness: true, Silence: true, Degrades: true, Policy: policy.NameApplied},
	{Name: "archived", Witness: true, Silence: true, Degrades: true, Policy: policy.NameArchived},
	{Name: "changing", Witness: true, Silence: true, Degrades: true, Ride: true, Changes: true},
	{Name: "none-changing", Witness: true, Silence: true, None: true, Changes: true},
}

// chainModes are, too.
var chainModes = []Mode{
	{Name: "chain-witness", Witness: true, Silence: true, Ride: true, Chain: true},
	{Name: "chain-degrade", Witness: true, Silence: true, Degrades: true, Ride: true, Chain: true},
	{Name: "chain-links", Silence: true, Ride: true, Chain: true},
	{Name: "chain-pair-degrade", Degrades: true, Ride: true, Chain: true},
}

// Config is one run.
type Config struct {
	Seed uint64
	Mode Mode
	// Gentle: no memory is lost, so the lane must come to rest without an
	// operator's word.
	Gentle bool
	// TwoPaths: the hosts also hear each other on the order network.
	TwoPaths bool
	Faults   int // how many
	// RingBytes is small where readers shall be overrun.
	RingBytes int
	// LazyReader: the only fault is a standby whose engine sleeps.
	LazyReader bool
	// Diverges: standbys find that their state is not the log's, and leave.
	Diverges bool
	// Scripted: faults come as scripts have them.
	Scripted bool
	// Streams: rings are small and turn over; what they no longer hold is fetched.
	Streams bool
}

const (
	ringBytes      = 128 << 10
	smallRingBytes = 64 << 10
)

// Draw returns the run that a seed stands for.
func Draw(seed uint64) Config {
	if seed%32 == 24 {
		modes := slices.Concat(Modes, leaseModes)
		n := seed / 32
		mode := modes[n%uint64(len(modes))]
		return Config{Seed: seed, Mode: mode, Gentle: n/uint64(len(modes))%2 == 0 || mode.None, TwoPaths: n%3 == 0, Faults: 60,
			RingBytes: smallRingBytes, Streams: true}
	}
	if seed%32 == 23 {
		// Without a witness, a standby that comes back as another ring before its writer
		// heard that it left, and a writer that died meanwhile, wait for an operator.
		modes := slices.Concat(Modes, leaseModes[:1], policyModes)
		n := seed / 32
		m := modes[n%uint64(len(modes))]
		return Config{Seed: seed, Mode: m, Gentle: m.Witness, TwoPaths: n%2 == 0, Faults: 80, RingBytes: ringBytes, Diverges: true}
	}
	if n := seed % 32; n%8 == 6 && n < 24 {
		return drawScripted(seed/32*3 + n/8)
	}
	if seed%32 == 31 {
		return Config{Seed: seed, Mode: Modes[3], Gentle: true, Faults: 40, RingBytes: 16 << 10, LazyReader: true}
	}
	if n := seed % 32; n >= 27 && n < 29 {
		return Config{Seed: seed, Mode: fenceModes[n-27], TwoPaths: seed/32%2 == 0, Faults: 80, RingBytes: ringBytes}
	}
	if n := seed % 32; n == 25 || n == 26 {
		return Config{Seed: seed, Mode: policyModes[(n-25)*2+seed/32%2], Gentle: true, TwoPaths: seed/64%2 == 0, Faults: 80, RingBytes: ringBytes}
	}
	if n := seed % 32; n >= 29 {
		return Config{Seed: seed, Mode: leaseModes[n-29], Gentle: true, TwoPaths: seed/32%2 == 0, Faults: 80, RingBytes: ringBytes}
	}
	if seed%8 == 4 {
		return Config{Seed: seed, Mode: chainModes[(seed/8+seed/32)%4], Gentle: seed/32%2 == 0, TwoPaths: seed/64%2 == 0, Faults: 80, RingBytes: ringBytes}
	}
	return Config{Seed: seed, Mode: Modes[seed%uint64(len(Modes))], Gentle: seed/uint64(len(Modes))%2 == 0,
		TwoPaths: seed/uint64(2*len(Modes))%2 == 0,
		Faults:   80, RingBytes: ringBytes}
}

// drawScripted returns the n-th run by scripts.
func drawScripted(n uint64) Config {
	modes := slices.Concat(Modes, leaseModes, fenceModes, policyModes, chainModes)
	count := uint64(len(modes))
	m := modes[n%count]
	return Config{Seed: n/3*32 + n%3*8 + 6, Mode: m, Gentle: m.None || !m.Fence && n/count%2 == 0, TwoPaths: n/count/2%2 == 0, Faults: 80,
		RingBytes: ringBytes, Scripted: true}
}

// Result is what a run did.
type Result struct {
	Failovers  int // the writer moved to the other host
	Promotions int // somebody began to serve
	Released   int // outputs
	Repeated   int // of them, for the second time: their receivers drop them
	Forced     int // an operator's word was needed
	Diverged   int // standbys that left because their state was not the log's
	Shots      int // hosts that their peer took the power from
	Adopted    int // rings that were begun anew behind a snapshot
	Lost       int // bytes of records whose outputs had left, with policy none
	Failure    string
	Story      []string // the end of it, for a failed run
}

// eventKind is what happens at a moment.
type eventKind uint8

const (
	evFrame   eventKind = iota // reaches a host's link NIC
	evSecond                   // reaches its order NIC, from the peer
	evCycle                    // of a process
	evTick                     // of a kernel's timer
	evRequest                  // reaches the witness
	evAnswer                   // reaches a process
	evOrder                    // of the client's, to both order NICs
	evFault
	evUndo // of a fault
)

type event struct {
	atNs  int64
	kind  eventKind
	host  int
	gen   uint64 // of the process it is for
	frame []byte
	mail  *letter
	undo  func()
}

// World is one run.
type World struct {
	cfg     Config
	memory  *Memory
	dice    *rand.Rand
	nowNs   int64
	seq     uint64
	queue   []moment // a heap
	slots   []event
	spare   []int // free slots
	hosts   [2]*host
	net     network // the cable
	second  network // the order network between the hosts
	witness witness
	judge   judge
	faults  int // left
	script  scripted
	settled bool
	fragile bool // one ring alone holds it all
	peace   bool
	nextID  uint64
	free    [][]byte
	telling bool // a run that failed is run again to be told
	story   []string
	result  Result
}

// tell adds a line to the story; only its end is kept.
func (w *World) tell(format string, args ...any) {
	if !w.telling {
		return
	}
	if len(w.story) >= 4*storyLines {
		w.story = append(w.story[:0], w.story[len(w.story)-storyLines:]...)
	}
	w.story = append(w.story, fmt.Sprintf("%9.3f ms  ", float64(w.nowNs)/ms)+fmt.Sprintf(format, args...))
}

const storyLines = 120

// fail ends the run.
func (w *World) fail(format string, args ...any) {
	if w.result.Failure == "" {
		w.result.Failure = fmt.Sprintf(format, args...)
		w.tell("FAILED: %s", w.result.Failure)
	}
}

// chance is true once in n.
func (w *World) chance(n int) bool { return w.dice.IntN(n) == 0 }

// between returns a time from a to b.
func (w *World) between(a, b int64) int64 { return a + w.dice.Int64N(b-a+1) }

// moment is an event's place in the queue: no pointers, for it is moved a lot.
type moment struct {
	atNs int64
	seq  uint64 // of two at one moment the one planned first is first
	slot int
}

func (a *moment) before(b *moment) bool { return a.atNs < b.atNs || a.atNs == b.atNs && a.seq < b.seq }

// plan makes an event happen later.
func (w *World) plan(e event) {
	w.seq++
	slot := len(w.slots)
	if n := len(w.spare); n > 0 {
		slot, w.spare = w.spare[n-1], w.spare[:n-1]
		w.slots[slot] = e
	} else {
		w.slots = append(w.slots, e)
	}
	q := append(w.queue, moment{e.atNs, w.seq, slot})
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !q[i].before(&q[up]) {
			break
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
	w.queue = q
}

// next takes the earliest event.
func (w *World) next() event {
	q := w.queue
	slot, n := q[0].slot, len(q)-1
	q[0] = q[n]
	q = q[:n]
	for i := 0; ; {
		least := i
		for down := 2*i + 1; down <= 2*i+2 && down < n; down++ {
			if q[down].before(&q[least]) {
				least = down
			}
		}
		if least == i {
			break
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
	w.queue = q
	e := w.slots[slot]
	w.slots[slot] = event{}
	w.spare = append(w.spare, slot)
	return e
}

// step lets the next thing happen.
func (w *World) step() {
	e := w.next()
	w.nowNs = max(w.nowNs, e.atNs)
	w.happen(&e)
}

func (w *World) happen(e *event) {
	h := w.hosts[e.host]
	switch e.kind {
	case evFrame:
		h.receive(e.frame)
	case evSecond:
		h.receiveSecond(e.frame)
	case evCycle:
		h.cycle(e.gen)
	case evTick:
		h.tick()
	case evRequest:
		w.witness.decide(w, e.mail)
	case evAnswer:
		if h.p != nil && h.p.gen == e.gen {
			h.p.client.receive(e.mail)
		}
	case evOrder:
		w.order()
	case evFault:
		w.fault()
	case evUndo:
		e.undo()
	}
}

// meanwhile lets up to spanNs pass inside a process's cycle: kernels, cables and
// the other host do not wait for it to end.
func (w *World) meanwhile(spanNs int64, busy *host) {
	if busy.busy = true; w.hosts[1-busy.i].busy {
		busy.busy = false
		return // the other one is in the middle of a cycle itself
	}
	defer func() { busy.busy = false }()
	end := w.nowNs + spanNs
	var later []event
	for len(w.queue) > 0 && w.queue[0].atNs <= end {
		e := w.next()
		mine := e.host == busy.i && (e.kind == evCycle || e.kind == evAnswer)
		if mine || e.kind == evFault || e.kind == evUndo {
			later = append(later, e)
			continue
		}
		w.nowNs = max(w.nowNs, e.atNs)
		w.happen(&e)
	}
	for _, e := range later {
		w.plan(e)
	}
}

// buffer returns a frame's memory; drop gives it back.
func (w *World) buffer(b []byte) []byte {
	var c []byte
	if n := len(w.free); n > 0 {
		c, w.free = w.free[n-1][:len(b)], w.free[:n-1]
	} else {
		c = make([]byte, 2048)[:len(b)]
	}
	copy(c, b)
	return c
}

func (w *World) drop(b []byte) { w.free = append(w.free, b[:2048]) }

// isSettled reports whether one host serves and the other is in sync with it.
func (w *World) isSettled() bool {
	a, b := lane.Load(&w.hosts[0].word), lane.Load(&w.hosts[1].word)
	if a.State() == lane.Standby {
		a, b = b, a
	}
	return a.State() == lane.Active && b == a.With(lane.Standby) && w.hosts[0].p != nil && w.hosts[1].p != nil
}
