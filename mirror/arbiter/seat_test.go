package arbiter

import (
	"slices"
	"strings"
	"testing"

	"onebeat/mirror/lane"
)

// court is a witness and the askers of two nodes; frames go through by hand.
type court struct {
	t      *testing.T
	seat   *Seat
	boots  uint64
	askers [3]*Asker // by node
	nonces uint64
	nowNs  int64
	sent   [][]byte // every frame to the witness, for replays
}

const testResendNs = 1000

func newCourt(t *testing.T) *court {
	c := &court{t: t, nowNs: 1}
	c.boot()
	c.start(1)
	c.start(2)
	return c
}

// boot gives the witness a new memory.
func (c *court) boot() {
	c.boots++
	c.seat = NewSeat(c.boots, [2]uint64{c.boots, 99}, []Group{{"other", testKeys(9)}, {"pair", testKeys(1)}})
}

// start gives a node a new process.
func (c *court) start(node uint8) {
	c.nonces++
	c.askers[node] = NewAsker(testKeys(1), 3, node, c.nonces, testResendNs, new(Board))
}

// frame returns the node's next frame, nil if none is due.
func (c *court) frame(node uint8) []byte {
	b := make([]byte, AskBytes)
	n := c.askers[node].Frame(c.nowNs, b)
	if n > 0 {
		c.sent = append(c.sent, b)
	}
	return b[:n]
}

// serve gives a frame to the witness and returns its answer.
func (c *court) serve(b []byte) []byte {
	reply := make([]byte, AnswerBytes)
	n, _ := c.seat.Step(b, reply)
	return reply[:n]
}

// settle carries frames until the node has its answer.
func (c *court) settle(node uint8) Answer {
	c.t.Helper()
	for range 5 {
		if answer, ok := c.askers[node].Poll(); ok {
			return answer
		}
		if b := c.frame(node); len(b) > 0 {
			c.askers[node].Take(c.serve(b), c.nowNs)
		}
		c.nowNs += 10
	}
	c.t.Fatalf("node %d gets no answer", node)
	return Answer{}
}

func (c *court) read(node uint8) Answer {
	c.t.Helper()
	c.askers[node].Read(c.nowNs)
	return c.settle(node)
}

func (c *court) swap(r Request) Answer {
	c.t.Helper()
	c.askers[r.Self].Swap(&r, c.nowNs)
	return c.settle(r.Self)
}

func (c *court) register() Register {
	g, ok := c.seat.Register("pair", 3)
	if !ok {
		c.t.Fatal("no such group")
	}
	return g
}

func (c *court) count(name string) (n uint64) {
	c.seat.Counters(func(at string, count uint64) {
		if at == name {
			n = count
		}
	})
	return n
}

func askerCounts(a *Asker) map[string]uint64 {
	m := map[string]uint64{}
	a.Counters(func(name string, count uint64) { m[strings.TrimPrefix(name, "arbiter_")] = count })
	return m
}

var (
	memberA = lane.Member{Node: 1, Incarnation: 11}
	memberB = lane.Member{Node: 2, Incarnation: 22}
)

func TestWitnessLife(t *testing.T) {
	c := newCourt(t)
	if a := c.read(1); !a.Granted || !a.Unknown || a.Boot != 1 {
		t.Fatalf("%+v", a)
	}
	first := Record{}
	first = first.Alone(memberA)
	if a := c.swap(Request{Self: 1, Next: first, Proof: Writing}); a.Granted || !a.Unknown {
		t.Fatalf("no seed, but %+v", a)
	}
	if a := c.swap(Request{Self: 1, Next: first, Proof: Seed, Boot: 1}); !a.Granted || a.Record != first {
		t.Fatalf("%+v", a)
	}
	both := first.Pair(memberA, memberB)
	if a := c.swap(Request{Self: 1, Current: first, Next: both, Proof: Writing}); !a.Granted {
		t.Fatalf("%+v", a)
	}
	// Both want to go on alone: one does, the other follows.
	a := c.swap(Request{Self: 1, Current: both, Next: both.Alone(memberA), Proof: Writing})
	b := c.swap(Request{Self: 2, Current: both, Next: both.Alone(memberB), Proof: Silence})
	if !a.Granted || b.Granted || b.Record != both.Alone(memberA) || b.Reason == "" {
		t.Fatalf("%+v %+v", a, b)
	}
	// A memory that is lost refuses all but a seed under its own boot.
	c.boot()
	if a := c.swap(Request{Self: 2, Current: both, Next: both.Alone(memberB), Proof: Silence}); a.Granted || !a.Unknown || a.Boot != 2 {
		t.Fatalf("%+v", a)
	}
	alone := both.Alone(memberA)
	if a := c.swap(Request{Self: 1, Current: alone, Next: alone, Proof: Seed, Boot: 1}); a.Granted {
		t.Fatalf("seeded under the old boot: %+v", a)
	}
	if a := c.swap(Request{Self: 1, Current: alone, Next: alone, Proof: Seed, Boot: 2}); !a.Granted || a.Record != alone {
		t.Fatalf("%+v", a)
	}
	if s := c.askers[1].board.State(); s.Record != alone || s.Boot != 2 || s.AnsweredNs == 0 {
		t.Fatalf("%+v", s)
	}
}

// Frames may come twice, late or again from an earlier life: nothing changes.
func TestWitnessReplays(t *testing.T) {
	c := newCourt(t)
	first := Record{}
	first = first.Alone(memberA)
	c.read(1)
	c.swap(Request{Self: 1, Next: first, Proof: Seed, Boot: 1})
	both := first.Pair(memberA, memberB)
	c.swap(Request{Self: 1, Current: first, Next: both, Proof: Writing})
	replay := func(where string) {
		t.Helper()
		before := c.register()
		for _, b := range slices.Clone(c.sent) {
			c.serve(b)
			if c.register() != before {
				t.Fatalf("%s: a replay of %x changed %+v to %+v", where, b, before, c.register())
			}
		}
	}
	replay("at once")
	if c.count("replayed") == 0 {
		t.Error("not counted")
	}
	// A question that was given up for another one arrives after it.
	c.askers[1].Swap(&Request{Self: 1, Current: both, Next: both.Alone(memberA), Proof: Writing}, c.nowNs)
	late := c.frame(1)
	c.read(1)
	c.serve(late)
	if got := c.register().Record; got != both {
		t.Fatalf("a frame behind a later one: %v", got)
	}
	// The next process of the node: what the one before has sent counts no more.
	c.askers[1].Swap(&Request{Self: 1, Current: both, Next: both.Alone(memberA), Proof: Sole}, c.nowNs)
	late = c.frame(1)
	c.start(1)
	c.read(1) // gets a ticket
	c.read(1) // uses it
	c.serve(late)
	if got := c.register().Record; got != both {
		t.Fatalf("a frame of an earlier process: %v", got)
	}
	replay("of an earlier process")
	// The witness loses its memory and is given the same record: a grant of the
	// life before, said again, must not move it.
	c.swap(Request{Self: 1, Current: both, Next: both.Alone(memberA), Proof: Writing})
	c.boot()
	if r, ok := c.seat.Seed("pair", 3, both); r != NotRefused || !ok {
		t.Fatal(r, ok)
	}
	replay("of an earlier memory")
	c.boot()
	replay("to a memory that knows nothing")
}

func TestWitnessForgeries(t *testing.T) {
	c := newCourt(t)
	if r, ok := c.seat.Seed("pair", 3, testRecord); r != NotRefused || !ok {
		t.Fatal(r, ok)
	}
	before := c.register()
	c.read(2)
	r := Request{Self: 2, Current: testRecord, Next: testRecord.Alone(memberB), Proof: KernelProof}
	c.askers[2].Swap(&r, c.nowNs)
	good := c.frame(2)
	forge := func(off int, x byte) []byte {
		b := slices.Clone(good)
		b[off] ^= x
		return b
	}
	for _, f := range []struct {
		name string
		b    []byte
	}{
		{"bad_length", good[:50]},
		{"bad_magic", forge(offMagic, 1)},
		{"bad_version", forge(offVersion, 1)},
		{"bad_type", forge(offType, 1)},
		{"bad_group", forge(offGroup, 1)},
		{"bad_mac", forge(offNext, 1)},
		{"bad_mac", forge(offLane, 1)},
	} {
		was := c.count(f.name)
		if reply := c.serve(f.b); len(reply) != 0 {
			t.Errorf("%s is answered", f.name)
		}
		if c.count(f.name) != was+1 || c.register() != before {
			t.Errorf("%s: counted %d, register %+v", f.name, c.count(f.name)-was, c.register())
		}
	}
	// Another group's key opens another group's lanes only.
	stranger := NewAsker(testKeys(9), 3, 2, 77, testResendNs, new(Board))
	for range 2 {
		stranger.Swap(&r, c.nowNs)
		b := make([]byte, AskBytes)
		stranger.Frame(c.nowNs, b)
		stranger.Take(c.serve(b), c.nowNs)
	}
	if c.register() != before || c.count("refused_unknown") != 1 {
		t.Errorf("%+v", c.register())
	}
	// The genuine one still works.
	c.askers[2].Take(c.serve(good), c.nowNs)
	if a := c.settle(2); !a.Granted {
		t.Errorf("%+v", a)
	}
}

// What does not answer the present question is stray, and changes nothing.
func TestAskerTakesItsAnswerOnly(t *testing.T) {
	c := newCourt(t)
	c.seat.Seed("pair", 3, testRecord)
	c.read(2)
	c.askers[2].Read(c.nowNs)
	old := c.serve(c.frame(2))
	c.askers[2].Swap(&Request{Self: 2, Current: testRecord, Next: testRecord.Alone(memberB)}, c.nowNs)
	c.askers[2].Take(old, c.nowNs)
	if _, ok := c.askers[2].Poll(); ok {
		t.Fatal("the answer to READ answered SWAP")
	}
	for range 2 {
		c.frame(2)
		c.nowNs += 100 * testResendNs / 16
	}
	answer := c.serve(c.sent[len(c.sent)-1])
	for off := range answer {
		b := slices.Clone(answer)
		b[off] ^= 0x40
		c.askers[2].Take(b, c.nowNs)
		if _, ok := c.askers[2].Poll(); ok {
			t.Fatalf("byte %d forged, and believed", off)
		}
	}
	c.askers[2].Take(answer, c.nowNs)
	if a, ok := c.askers[2].Poll(); !ok || !a.Granted {
		t.Fatalf("%+v %t", a, ok)
	}
	if _, ok := c.askers[2].Poll(); ok {
		t.Fatal("answered twice")
	}
	c.askers[2].Take(answer, c.nowNs)
	if _, ok := c.askers[2].Poll(); ok {
		t.Fatal("the same answer again")
	}
	counts := askerCounts(c.askers[2])
	if counts["stray"] < 2 || counts["bad_mac"] == 0 || counts["answered"] != 2 {
		t.Errorf("%v", counts)
	}
	// Another node's answer, with the same key.
	c.askers[1].Read(c.nowNs)
	c.askers[2].Read(c.nowNs)
	c.frame(2)
	c.askers[2].Take(c.serve(c.frame(1)), c.nowNs)
	if _, ok := c.askers[2].Poll(); ok {
		t.Fatal("the other node's answer")
	}
}

func TestAskerResendsAndGivesUp(t *testing.T) {
	c := newCourt(t)
	r := Request{Self: 1, Current: testRecord, Next: testRecord.Alone(memberA)}
	c.askers[1].Swap(&r, c.nowNs)
	start, sent := c.nowNs, 0
	for ; c.askers[1].Asking(); c.nowNs += 100 {
		if len(c.frame(1)) > 0 {
			sent++
		}
		if c.nowNs < start+200*testResendNs/2 {
			c.askers[1].Swap(&r, c.nowNs) // the same question, still wanted
		}
	}
	if waited := c.nowNs - start; waited < 160*testResendNs || waited > 200*testResendNs {
		t.Errorf("given up after %d ns", waited)
	}
	if sent < 10 || sent > 20 || askerCounts(c.askers[1])["given_up"] != 1 || askerCounts(c.askers[1])["asked"] != 1 {
		t.Errorf("%d frames, %v", sent, askerCounts(c.askers[1]))
	}
	c.seat.Seed("pair", 3, testRecord)
	if a := c.swap(r); !a.Granted {
		t.Errorf("%+v", a)
	}
}

// The answer to the first frame comes after the second was sent, or not at all:
// granted once, and known to be granted.
func TestLostAnswers(t *testing.T) {
	c := newCourt(t)
	c.seat.Seed("pair", 3, testRecord)
	c.read(1)
	r := Request{Self: 1, Current: testRecord, Next: testRecord.Alone(memberA)}
	c.askers[1].Swap(&r, c.nowNs)
	c.serve(c.frame(1)) // its answer is lost
	c.nowNs += 2 * testResendNs
	if a := c.settle(1); !a.Granted || a.Record != r.Next {
		t.Fatalf("%+v", a)
	}
	if c.count("granted") != 2 || c.register().Record != r.Next {
		t.Fatalf("%d grants, %+v", c.count("granted"), c.register())
	}
}

func TestAskingAllocatesNothing(t *testing.T) {
	c := newCourt(t)
	c.seat.Seed("pair", 3, testRecord)
	c.read(1)
	frame, reply := make([]byte, AskBytes), make([]byte, AnswerBytes)
	r := Request{Self: 1, Current: testRecord, Next: testRecord}
	a := c.askers[1]
	if n := testing.AllocsPerRun(100, func() {
		c.nowNs++
		a.Swap(&r, c.nowNs)
		a.Frame(c.nowNs, frame)
		n, _ := c.seat.Step(frame, reply)
		a.Take(reply[:n], c.nowNs)
		if got, ok := a.Poll(); !ok || got.Granted {
			t.Fatal("not refused")
		}
	}); n > 1 { // the witness's note of what was asked
		t.Errorf("%v allocations", n)
	}
}
