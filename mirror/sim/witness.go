package sim

import (
	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
)

// witness is a register in some host's memory.
type witness struct {
	register arbiter.Register
	boots    uint64
	last     lane.Record // the register, as if it never forgot
	cut      [2][2]bool  // host i's requests, and the answers to it
	noisy    bool
}

// letter is a question to the witness or its answer.
type letter struct {
	from    int
	gen     uint64
	id      uint64
	read    bool
	request arbiter.Request
	answer  arbiter.Answer
}

// restart loses the register.
func (x *witness) restart() {
	x.boots++
	x.register = arbiter.Register{Boot: x.boots}
}

// carry takes a letter to or from the witness: a datagram like any other.
func (x *witness) carry(w *World, l *letter, kind eventKind, cut bool) {
	if cut || x.noisy && w.chance(6) {
		return
	}
	e := event{atNs: w.nowNs + w.between(8*us, 40*us), kind: kind, host: l.from, gen: l.gen, mail: l}
	if x.noisy {
		if w.chance(5) {
			e.atNs += w.between(0, 8*ms)
		}
		if w.chance(8) {
			again := e
			again.atNs += w.between(0, 8*ms)
			w.plan(again)
		}
	}
	w.plan(e)
}

// decide answers a question.
func (x *witness) decide(w *World, l *letter) {
	reply := *l
	if l.read {
		reply.answer = x.register.Read()
	} else {
		before := x.register
		var refusal arbiter.Refusal
		reply.answer, refusal = x.register.Swap(&l.request)
		if refusal == arbiter.NotRefused && x.register != before {
			w.tell("witness: %v, by %v", x.register.Record, l.request.Proof)
			w.judge.granted(&x.register.Record, &before)
			x.last = x.register.Record
		}
	}
	x.carry(w, &reply, evAnswer, x.cut[l.from][1])
}

// client is a process's end: it takes the answer to its last question only.
type client struct {
	h      *host
	gen    uint64
	id     uint64
	answer arbiter.Answer
	ready  bool
}

var _ arbiter.Arbiter = (*client)(nil)

func (c *client) ask(l *letter) {
	c.id++
	c.ready = false
	l.from, l.gen, l.id = c.h.i, c.gen, c.id
	c.h.w.witness.carry(c.h.w, l, evRequest, c.h.w.witness.cut[c.h.i][0])
}

// Read implements arbiter.Arbiter.
func (c *client) Read(int64) { c.ask(&letter{read: true}) }

// Swap implements arbiter.Arbiter.
func (c *client) Swap(r arbiter.Request, _ int64) { c.ask(&letter{request: r}) }

// Poll implements arbiter.Arbiter.
func (c *client) Poll(int64) (arbiter.Answer, bool) {
	ok := c.ready
	c.ready = false
	return c.answer, ok
}

func (c *client) receive(l *letter) {
	if l.id == c.id {
		c.answer, c.ready = l.answer, true
	}
}
