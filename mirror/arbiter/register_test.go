package arbiter

import (
	"math/rand/v2"
	"testing"

	"onebeat/mirror/lane"
)

func TestRegister(t *testing.T) {
	a, b := lane.Member{Node: 1, Incarnation: 11}, lane.Member{Node: 2, Incarnation: 22}
	none := Record{}
	sole := Record{Epoch: 4, Writer: 1, Set: [2]lane.Member{a}}
	both := sole.Pair(a, b)
	aAlone, bAlone := both.Alone(a), both.Alone(b)
	later := aAlone.Pair(a, b)
	skip := bAlone
	skip.Epoch++
	twice := Record{Epoch: 6, Writer: 2, Set: [2]lane.Member{b, b}}
	known := func(r Record) Register { return Register{Boot: 7, Known: true, Record: r} }
	unknown := Register{Boot: 7}
	for _, c := range []struct {
		name string
		g    Register
		r    Request
		want Refusal
	}{
		{"next epoch", known(both), Request{Self: 2, Current: both, Next: bAlone, Proof: KernelProof}, NotRefused},
		{"no proof is needed", known(both), Request{Self: 2, Current: both, Next: bAlone}, NotRefused},
		{"the answer was lost", known(bAlone), Request{Self: 2, Current: both, Next: bAlone}, NotRefused},
		{"the other was first", known(aAlone), Request{Self: 2, Current: both, Next: bAlone}, RefusedChanged},
		{"the register is older", known(sole), Request{Self: 2, Current: both, Next: bAlone}, RefusedChanged},
		{"same epoch, another incarnation", known(both), Request{Self: 2, Current: sole.Pair(a, lane.Member{Node: 2, Incarnation: 23}), Next: bAlone}, RefusedChanged},
		{"a step over an epoch", known(both), Request{Self: 2, Current: both, Next: skip}, RefusedForm},
		{"no step", known(both), Request{Self: 1, Current: both, Next: both}, RefusedForm},
		{"back", known(both), Request{Self: 1, Current: both, Next: sole}, RefusedForm},
		{"for another", known(both), Request{Self: 2, Current: both, Next: aAlone}, RefusedForm},
		{"not valid", known(both), Request{Self: 2, Current: both, Next: twice}, RefusedForm},
		{"to nothing", known(both), Request{Self: 0, Current: both, Next: none}, RefusedForm},
		{"unknown", unknown, Request{Self: 2, Current: both, Next: bAlone}, RefusedUnknown},
		{"unknown, an operator's word", unknown, Request{Self: 2, Current: both, Next: bAlone, Proof: Operator}, RefusedUnknown},
		{"an operator's word", known(both), Request{Self: 2, Current: both, Next: bAlone, Proof: Operator}, NotRefused},
		{"a new lane", unknown, Request{Self: 1, Next: none.Alone(a), Proof: Seed, Boot: 7}, NotRefused},
		{"a new lane, another boot", unknown, Request{Self: 1, Next: none.Alone(a), Proof: Seed, Boot: 6}, RefusedBoot},
		{"a new lane, boot not said", unknown, Request{Self: 1, Next: none.Alone(a), Proof: Seed}, RefusedBoot},
		{"a new lane without seed", unknown, Request{Self: 1, Next: none.Alone(a)}, RefusedUnknown},
		{"a new lane that is old", known(both), Request{Self: 1, Next: none.Alone(a), Proof: Seed, Boot: 7}, RefusedKnown},
		{"seeded again", known(both), Request{Self: 1, Current: both, Next: both, Proof: Seed, Boot: 7}, NotRefused},
		{"the record as it is", unknown, Request{Self: 1, Current: both, Next: both, Proof: Seed, Boot: 7}, NotRefused},
		{"as it is, another boot", unknown, Request{Self: 1, Current: both, Next: both, Proof: Seed, Boot: 8}, RefusedBoot},
		{"as it is, by the standby", unknown, Request{Self: 2, Current: both, Next: both, Proof: Seed, Boot: 7}, RefusedForm},
		{"seed with a step", unknown, Request{Self: 1, Current: both, Next: aAlone, Proof: Seed, Boot: 7}, RefusedForm},
		{"seed of nothing", unknown, Request{Self: 0, Proof: Seed, Boot: 7}, RefusedForm},
		{"an old seed", known(later), Request{Self: 1, Current: both, Next: both, Proof: Seed, Boot: 7}, RefusedKnown},
	} {
		g := c.g
		answer, refusal := g.Swap(&c.r)
		if refusal != c.want || answer.Granted != (c.want == NotRefused) || answer.Granted == (answer.Reason != "") {
			t.Errorf("%s: %s, %+v", c.name, refusal.Name(), answer)
		}
		want := c.g
		if c.want == NotRefused {
			want = known(c.r.Next)
		}
		if g != want {
			t.Errorf("%s: register %+v, want %+v", c.name, g, want)
		}
		if answer.Record != g.Record || answer.Unknown == g.Known || answer.Boot != 7 {
			t.Errorf("%s: the answer %+v does not show the register %+v", c.name, answer, g)
		}
		if read := g.Read(); !read.Granted || read.Record != g.Record || read.Unknown == g.Known || read.Boot != 7 {
			t.Errorf("%s: read %+v", c.name, read)
		}
	}
}

func TestRegisterSeededByOperator(t *testing.T) {
	a := lane.Member{Node: 1, Incarnation: 11}
	sole := Record{Epoch: 4, Writer: 1, Set: [2]lane.Member{a}}
	var g Register
	if r := g.Seed(Record{}); r != RefusedForm || g.Known {
		t.Error(r.Name())
	}
	for range 2 {
		if r := g.Seed(sole); r != NotRefused || g.Record != sole {
			t.Error(r.Name())
		}
	}
	if r := g.Seed(sole.Alone(a)); r != RefusedKnown || g.Record != sole {
		t.Error(r.Name())
	}
}

// Whatever is asked in whatever order: epochs rise one by one, and every
// granted change starts from the one before.
func TestRegisterHistory(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 5))
	members := []lane.Member{{Node: 1, Incarnation: 11}, {Node: 2, Incarnation: 22}, {Node: 2, Incarnation: 23}}
	records := []Record{{}}
	for range 60 {
		cur := records[rng.IntN(len(records))]
		next := cur.Alone(members[rng.IntN(3)])
		if rng.IntN(2) == 0 {
			next = cur.Pair(members[0], members[1+rng.IntN(2)])
		}
		records = append(records, next)
	}
	g, changes := Register{Boot: 1}, 0
	for range 100_000 {
		r := Request{Self: uint8(1 + rng.IntN(2)), Current: records[rng.IntN(len(records))], Next: records[rng.IntN(len(records))],
			Proof: Proof(rng.IntN(int(proofEnd))), Boot: uint64(rng.IntN(2))}
		if rng.IntN(4) == 0 {
			r.Current = g.Record
			r.Next = g.Record.Alone(members[rng.IntN(3)])
		}
		before := g
		answer, refusal := g.Swap(&r)
		switch {
		case refusal != NotRefused && g != before:
			t.Fatalf("%+v refused by %s, but %+v became %+v", r, refusal.Name(), before, g)
		case g == before:
		case !answer.Granted || g.Record.Writer != r.Self || !g.Record.Valid():
			t.Fatalf("%+v: %+v became %+v", r, before, g)
		case before.Known && (g.Record.Epoch != before.Record.Epoch+1 || before.Record != r.Current):
			t.Fatalf("%+v: %+v became %+v", r, before, g)
		case !before.Known && (r.Proof != Seed || r.Boot != 1):
			t.Fatalf("%+v seeded %+v", r, g)
		default:
			changes++
		}
		if rng.IntN(500) == 0 {
			g = Register{Boot: 1} // a memory that is lost
		}
	}
	if changes < 500 {
		t.Fatalf("only %d changes: the walk shows little", changes)
	}
}
