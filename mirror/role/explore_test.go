package role

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/mirror/arbiter"
	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
)

// exploration is one lane that is looked at whole: every state it can reach from
// one in order, step by step, until so many are known; and from some that are
// farther away, where the dice led.
type exploration struct {
	name    string
	pair    arbiter.PairConfig
	witness bool
	left    budget
	states  int
}

var explorations = []exploration{
	{name: "witness", witness: true, states: 1_600_000,
		left: budget{Epochs: 13, Orders: 4, Deaths: 6, Losses: 1, Forgets: 1, Silences: 4, Fences: 4, Doublings: 2, Divergences: 1}},
	{name: "pair", states: 600_000, left: budget{Epochs: 13, Orders: 4, Deaths: 6, Losses: 1, Fences: 4, Divergences: 1}},
	{name: "links", pair: arbiter.PairConfig{SilencePromotes: true}, states: 500_000,
		left: budget{Epochs: 13, Orders: 4, Deaths: 6, Losses: 1, Silences: 4, Fences: 3, Divergences: 1}},
	{name: "degrade", pair: arbiter.PairConfig{Degrades: true}, states: 500_000,
		left: budget{Epochs: 13, Orders: 4, Deaths: 6, Fences: 4, Divergences: 1}},
}

// Half of the states are near the lane in order, the rest around places that are
// up to so many steps away.
const (
	farSteps  = 40
	farStates = 10_000
)

// explorer is a search breadth first. Of a state it keeps where it came from:
// 6 bytes and a hash; to go on from one it walks there again from the last.
type explorer struct {
	model
	root   mWorld
	parent []uint32
	act    []uint8 // action and node
	seen   map[uint64]struct{}
	depth  int
	// the walk to the state last looked at
	path   []uint32
	worlds []mWorld
	seed   maphash.Seed
}

func (c *exploration) model() model {
	return model{pair: c.pair, witness: c.witness, degrades: c.pair.Degrades || c.witness}
}

// inOrder is a lane with a writer and a standby that ACKed everything.
func (c *exploration) inOrder() mWorld {
	x := c.model()
	all := c.left
	all.Epochs = 14
	w := x.first(all)
	for range 60 {
		for _, a := range []action{actReadTick, actTick, actHello, actDeliverHello, actLetter0, actLetter1, actLetter0, actLetter1, actMirror, actDeliverEngine, actDeliverKernel, actRelease} {
			for i := range w.nodes {
				x.do(w, a, i)
			}
		}
		if w.nodes[0].lane() == lane.MakeWord(2, lane.Active) && w.nodes[1].lane() == lane.MakeWord(2, lane.Standby) && w.nodes[0].acked == w.nodes[0].log.tail() {
			w.left = c.left
			return *w
		}
	}
	panic(fmt.Sprintf("no lane in order: %v %v", w.nodes[0].lane(), w.nodes[1].lane()))
}

// fingerprint is of what matters for what can happen next.
func (x *explorer) fingerprint(w *mWorld) uint64 {
	c := *w
	for i := range c.nodes {
		s := &c.nodes[i].state
		s.register.refusal, s.register.seedAfter = "", 0
		if !s.asking {
			s.asked = arbiter.Request{}
		}
	}
	return maphash.Comparable(x.seed, c)
}

// walk returns the world of a known state.
func (x *explorer) walk(id uint32) *mWorld {
	var up []uint32
	for at := id; at != 0; at = x.parent[at] {
		up = append(up, at)
	}
	common := 0
	for common < len(up) && common < len(x.path) && x.path[common] == up[len(up)-1-common] {
		common++
	}
	x.path = x.path[:common]
	for ; common < len(up); common++ {
		at := up[len(up)-1-common]
		from := &x.root
		if common > 0 {
			from = &x.worlds[common-1]
		}
		if len(x.worlds) == common {
			x.worlds = append(x.worlds, mWorld{})
		}
		x.worlds[common] = *from
		x.do(&x.worlds[common], action(x.act[at]>>1), int(x.act[at]&1))
		x.path = append(x.path, at)
	}
	if len(up) == 0 {
		return &x.root
	}
	return &x.worlds[len(up)-1]
}

// try lets one action happen; a panic of the machine is a failure like any other.
func (x *explorer) try(w *mWorld, a action, i int) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			x.fail("panic: %v", r)
		}
	}()
	return x.do(w, a, i)
}

// explore returns a counterexample, "" if there is none among the states it saw.
func (c *exploration) explore(states int) (counterexample string, known, depth int) {
	x := &explorer{model: c.model(), root: c.inOrder(), seed: maphash.MakeSeed(), seen: make(map[uint64]struct{}, states)}
	x.parent, x.act = append(x.parent, 0), append(x.act, 0)
	x.seen[x.fingerprint(&x.root)] = struct{}{}
	dice := rand.New(rand.NewPCG(1, 42))
	counterexample = c.around(x, 0, states/2)
	depth = x.depth
	for counterexample == "" && len(x.parent) < states {
		var from uint32
		if from, counterexample = c.wander(x, dice, 10+dice.IntN(farSteps-10)); counterexample == "" {
			counterexample = c.around(x, from, min(states, len(x.parent)+farStates))
		}
	}
	return counterexample, len(x.seen), depth
}

// add notes a new state; false when it is known.
func (x *explorer) add(from uint32, w *mWorld, a action, i int) bool {
	f := x.fingerprint(w)
	if _, known := x.seen[f]; known {
		return false
	}
	x.seen[f] = struct{}{}
	x.parent, x.act = append(x.parent, from), append(x.act, uint8(a)<<1|uint8(i))
	return true
}

// around looks at all that can follow from a state, breadth first, until so many
// states are known.
func (c *exploration) around(x *explorer, root uint32, states int) string {
	var next mWorld
	first := uint32(len(x.parent))
	levelEnd := first
	x.depth = 0
	for id := root; int(id) < len(x.parent); {
		here := *x.walk(id)
		for a := range actionCount {
			for i := range here.nodes {
				next = here
				ok := x.try(&next, a, i)
				if x.failure != "" {
					return c.trace(x, id, a, i)
				}
				if ok {
					x.add(id, &next, a, i)
				}
			}
		}
		if len(x.parent) >= states {
			break
		}
		if id == root {
			id, x.depth, levelEnd = first, 1, uint32(len(x.parent))
			continue
		}
		if id++; id == levelEnd {
			x.depth++
			levelEnd = uint32(len(x.parent))
		}
	}
	return ""
}

// often is what a lane that lives does most.
var often = [...]action{actHello, actMirror, actOrder, actRelease, actRelease, actObserve, actTick, actDeliverHello, actDeliverHello, actDeliverEngine,
	actDeliverEngine, actDeliverKernel, actDeliverKernel, actLetter0, actLetter0, actLetter1, actStart}

// draw picks an action below a number.
func draw(dice *rand.Rand, below action) action {
	switch n := dice.IntN(80); {
	case n < 4:
		return actFence + action(dice.IntN(int(below-actFence)))
	case n < 6:
		return actSilentTick
	case n < 20:
		return action(dice.IntN(int(actFence)))
	}
	return often[dice.IntN(len(often))]
}

// wander goes some steps by the dice and notes the way, so that a trace can tell it.
func (c *exploration) wander(x *explorer, dice *rand.Rand, steps int) (at uint32, counterexample string) {
	here := x.root
	for steps > 0 {
		a, i := draw(dice, actionCount), dice.IntN(2)
		next := here
		ok := x.try(&next, a, i)
		if x.failure != "" {
			return at, c.trace(x, at, a, i)
		}
		if !ok || next == here {
			continue
		}
		steps--
		here = next
		// A known state is on the way all the same.
		x.seen[x.fingerprint(&here)] = struct{}{}
		x.parent, x.act = append(x.parent, at), append(x.act, uint8(a)<<1|uint8(i))
		at = uint32(len(x.parent) - 1)
	}
	return at, ""
}

// trace tells the way to a failure.
func (c *exploration) trace(x *explorer, id uint32, last action, node int) string {
	steps := []uint8{uint8(last)<<1 | uint8(node)}
	for at := id; at != 0; at = x.parent[at] {
		steps = append(steps, x.act[at])
	}
	var text strings.Builder
	y := &explorer{model: c.model()}
	w := c.inOrder()
	y.trace = func(format string, args ...any) { fmt.Fprintf(&text, "    "+format+"\n", args...) }
	for k := len(steps) - 1; k >= 0; k-- {
		fmt.Fprintf(&text, "%2d. %v, node %d\n", len(steps)-k, action(steps[k]>>1), steps[k]&1+1)
		y.try(&w, action(steps[k]>>1), int(steps[k]&1))
	}
	for i := range w.nodes {
		n := &w.nodes[i]
		fmt.Fprintf(&text, "node %d: %v log %v\n", n.id, n.lane(), n.log.entry[:n.log.n])
	}
	fmt.Fprintf(&text, "released %v, register %v\n", w.truth.entry[:w.truth.n], w.register)
	return text.String()
}

// Every state that two nodes, their kernels and an arbiter can come to within
// the bounds: no two writers in an epoch, no writer without what was released,
// nothing released twice from one place, no invariant broken.
func TestExploration(t *testing.T) {
	var total atomic.Int64
	start := time.Now()
	t.Run("side by side", func(t *testing.T) {
		for _, c := range explorations {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				states := c.states
				if testing.Short() {
					states /= 20
				}
				began := time.Now()
				counterexample, known, depth := c.explore(states)
				if counterexample != "" {
					t.Fatalf("%s, among %d states:\n%s", c.name, known, counterexample)
				}
				total.Add(int64(known))
				t.Logf("%-8s %d states, %d steps deep, %v", c.name, known, depth, time.Since(began).Round(10*time.Millisecond))
			})
		}
	})
	fmt.Printf("explored %d distinct states in %v\n", total.Load(), time.Since(start).Round(100*time.Millisecond))
	if total.Load() < 3_000_000 && !testing.Short() && !t.Failed() {
		t.Errorf("%d distinct states: 3,000,000 are promised", total.Load())
	}
}

// roam goes steps at random from a lane in order, far beyond the bounds of the
// exploration. It returns the way to a failure, "" if there was none.
func (c *exploration) roam(seed uint64, steps int) (counterexample string, done int) {
	x := &explorer{model: c.model(), root: c.inOrder()}
	x.root.left = budget{Epochs: 14, Orders: 6, Deaths: 12, Losses: min(c.left.Losses, 1), Forgets: c.left.Forgets, Silences: 12, Fences: 12, Doublings: 6}
	below := actDiverge
	if seed/4%4 == 3 { // the other walks stay what they were
		below, x.root.left.Divergences = actionCount, 3
	}
	x.parent, x.act = append(x.parent, 0), append(x.act, 0)
	dice := rand.New(rand.NewPCG(seed, 42))
	w, was := x.root, mWorld{}
	for range steps {
		a, i := draw(dice, below), dice.IntN(2)
		was = w
		ok := x.try(&w, a, i)
		at := uint32(len(x.parent) - 1)
		if x.failure != "" {
			c.left = x.root.left
			return c.trace(x, at, a, i), done
		}
		if !ok {
			w = was
			continue
		}
		done++
		x.parent, x.act = append(x.parent, at), append(x.act, uint8(a)<<1|uint8(i))
	}
	return "", done
}

// The same lanes at random.
func TestRandomWalk(t *testing.T) {
	few := 12_000
	if testing.Short() {
		few /= 10
	}
	var steps atomic.Int64
	t.Run("side by side", func(t *testing.T) {
		for k, c := range explorations {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				for walk := k; walk < few; walk += len(explorations) {
					counterexample, done := c.roam(uint64(walk), 800)
					if counterexample != "" {
						t.Fatalf("%s, seed %d:\n%s", c.name, walk, counterexample)
					}
					steps.Add(int64(done))
				}
			})
		}
	})
	t.Logf("%d walks, %d steps", few, steps.Load())
}

// mutantWalks is how many walks a planted bug may take to be seen, whatever the
// machine has time for.
const mutantWalks = 20_000

// Bugs planted on purpose, where two nodes and a register are enough to see them.
func TestModelFindsMutants(t *testing.T) {
	defer mutant.Plant(mutant.None)
	for _, rule := range []mutant.Rule{mutant.Unasked, mutant.AnyIncarnation, mutant.UnseenSet, mutant.SeedsBlindly, mutant.Reenters,
		mutant.KeepsTail, mutant.FollowsOlder, mutant.ParksLate, mutant.QuarantineClaims} {
		t.Run(rule.String(), func(t *testing.T) {
			mutant.Plant(rule)
			for seed := range uint64(mutantWalks) {
				c := explorations[seed%uint64(len(explorations))]
				counterexample, _ := c.roam(seed, 800)
				if counterexample != "" {
					lines := strings.Split(strings.TrimSpace(counterexample), "\n")
					t.Logf("%s, walk %d, the end of its trace:\n%s", c.name, seed,
						strings.Join(lines[max(0, len(lines)-14):], "\n"))
					return
				}
			}
			t.Errorf("nobody noticed in %d walks", mutantWalks)
		})
	}
}

var actionNames = [actionCount]string{"says where it stands", "sends records", "sends records again", "takes an order", "releases",
	"looks at its word", "tick", "tick, and the other is silent", "tick, and a look at the register", "HELLO arrives", "the engine's frame arrives", "the kernel's frame arrives",
	"a letter", "the second letter", "a letter twice", "its kernel fences", "its kernel hears nothing", "the wait for an ACK ends", "is to hand over",
	"is drained", "dies", "starts", "loses its memory", "the witness forgets", "has another state than the log"}

func (a action) String() string { return actionNames[a] }
