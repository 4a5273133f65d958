package arbiter

import (
	"slices"
	"testing"

	"onebeat/mirror/lane"
)

var testRecord = Record{Epoch: 4, Writer: 1, Set: [2]lane.Member{{Node: 1, Incarnation: 11}, {Node: 2, Incarnation: 22}}}

func testKeys(seed byte) Keys { return DeriveKeys([32]byte{0: seed, 31: 1}) }

func testAsk() Ask {
	k := testKeys(1)
	return Ask{Type: FrameSwap, Lane: 3, Node: 2, Group: k.Group, Nonce: 5, Ticket: 6, Counter: 7,
		Request: Request{Self: 2, Current: testRecord, Next: testRecord.Alone(lane.Member{Node: 2, Incarnation: 22}), Proof: Silence, Boot: 8}}
}

func testTold() Told {
	k := testKeys(1)
	return Told{Verdict: VerdictRefused, Lane: 3, Node: 2, Group: k.Group, Nonce: 5, Ticket: 6, Counter: 7,
		Refusal: RefusedChanged, Boot: 8, Record: testRecord}
}

func TestKeysDiffer(t *testing.T) {
	a, b := testKeys(1), testKeys(2)
	if a.Group == b.Group || a.ask == b.ask || a.answers == b.answers || a.ask == a.answers {
		t.Errorf("%+v %+v", a, b)
	}
	if a != testKeys(1) {
		t.Error("not the same again")
	}
}

func TestAskRoundTrip(t *testing.T) {
	k := testKeys(1)
	read := testAsk()
	read.Type, read.Request = FrameRead, Request{Self: 2}
	for _, want := range []Ask{testAsk(), read} {
		b := make([]byte, AskBytes)
		want.Put(b, &k)
		var got Ask
		if c := got.Parse(b, &k); c != OK || got != want {
			t.Errorf("%v: %+v", c, got)
		}
	}
}

func TestToldRoundTrip(t *testing.T) {
	k := testKeys(1)
	granted, unknown, ticket := testTold(), testTold(), testTold()
	granted.Verdict, granted.Refusal = VerdictGranted, NotRefused
	unknown.Refusal, unknown.Unknown, unknown.Record = RefusedUnknown, true, Record{}
	ticket.Verdict, ticket.Refusal = VerdictTicket, NotRefused
	for _, want := range []Told{testTold(), granted, unknown, ticket} {
		b := make([]byte, AnswerBytes)
		want.Put(b, &k)
		var got Told
		if c := got.Parse(b, &k); c != OK || got != want {
			t.Errorf("%v: %+v", c, got)
		}
	}
}

// Each bit of a frame counts: with one turned over nothing is accepted.
func TestEveryBitIsAuthentic(t *testing.T) {
	k := testKeys(1)
	ask, told := make([]byte, AskBytes), make([]byte, AnswerBytes)
	a, o := testAsk(), testTold()
	a.Put(ask, &k)
	o.Put(told, &k)
	for bit := range 8 * AskBytes {
		b := slices.Clone(ask)
		b[bit/8] ^= 1 << (bit % 8)
		if c := new(Ask).Parse(b, &k); c == OK || c == BadBody {
			t.Errorf("ask, bit %d: %v", bit, c)
		}
	}
	for bit := range 8 * AnswerBytes {
		b := slices.Clone(told)
		b[bit/8] ^= 1 << (bit % 8)
		if c := new(Told).Parse(b, &k); c == OK || c == BadBody {
			t.Errorf("answer, bit %d: %v", bit, c)
		}
	}
}

func TestChecks(t *testing.T) {
	k, other := testKeys(1), testKeys(2)
	frame := make([]byte, AskBytes)
	a := testAsk()
	a.Put(frame, &k)
	reseal := func(change func(a *Ask)) []byte {
		a := testAsk()
		change(&a)
		b := make([]byte, AskBytes)
		a.Put(b, &k)
		return b
	}
	told := func(change func(t *Told)) []byte {
		o := testTold()
		change(&o)
		b := make([]byte, AnswerBytes)
		o.Put(b, &k)
		return b
	}
	with := func(off int, c byte) []byte {
		b := slices.Clone(frame)
		b[off] = c
		return b
	}
	twice := testRecord
	twice.Set[1] = twice.Set[0]
	for _, c := range []struct {
		name string
		b    []byte
		want Check
	}{
		{"empty", nil, BadLength},
		{"short", frame[:AskBytes-1], BadLength},
		{"long", append(slices.Clone(frame), 0), BadLength},
		{"magic", with(offMagic, 0), BadMagic},
		{"version", with(offVersion, 2), BadVersion},
		{"type", with(offType, byte(FrameAnswer)), BadType},
		{"mac", with(offAskMAC, frame[offAskMAC]+1), BadMAC},
		{"lane", reseal(func(a *Ask) { a.Lane = lane.Lanes }), BadBody},
		{"node", reseal(func(a *Ask) { a.Node = 0 }), BadBody},
		{"nonce", reseal(func(a *Ask) { a.Nonce = 0 }), BadBody},
		{"counter", reseal(func(a *Ask) { a.Counter = 0 }), BadBody},
		{"proof", reseal(func(a *Ask) { a.Request.Proof = proofEnd }), BadBody},
		{"current", reseal(func(a *Ask) { a.Request.Current = twice }), BadBody},
		{"next", reseal(func(a *Ask) { a.Request.Next = twice }), BadBody},
		{"read with a request", reseal(func(a *Ask) { a.Type = FrameRead }), BadBody},
	} {
		if got := new(Ask).Parse(c.b, &k); got != c.want {
			t.Errorf("ask, %s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := new(Ask).Parse(frame, &other); got != BadGroup {
		t.Errorf("another key: %v", got)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want Check
	}{
		{"a question", frame, BadLength},
		{"verdict", told(func(o *Told) { o.Verdict = verdictEnd }), BadBody},
		{"refusal", told(func(o *Told) { o.Refusal = refusalEnd }), BadBody},
		{"refused without reason", told(func(o *Told) { o.Refusal = NotRefused }), BadBody},
		{"lane", told(func(o *Told) { o.Lane = lane.Lanes }), BadBody},
		{"ticket", told(func(o *Told) { o.Ticket = 0 }), BadBody},
		{"boot", told(func(o *Told) { o.Boot = 0 }), BadBody},
		{"record", told(func(o *Told) { o.Record = twice }), BadBody},
		{"unknown with a record", told(func(o *Told) { o.Unknown = true }), BadBody},
		{"known without a record", told(func(o *Told) { o.Record = Record{} }), BadBody},
	} {
		if got := new(Told).Parse(c.b, &k); got != c.want {
			t.Errorf("answer, %s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A question is no answer, and the other way round: the keys differ.
func TestDirections(t *testing.T) {
	k := testKeys(1)
	swapped := Keys{Group: k.Group, ask: k.answers, answers: k.ask}
	b := make([]byte, AskBytes)
	a := testAsk()
	a.Put(b, &swapped)
	if c := new(Ask).Parse(b, &k); c != BadMAC {
		t.Error(c)
	}
}
