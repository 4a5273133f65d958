package arbiter

import (
	"errors"
	"testing"

	"onebeat/mirror/lane"
)

func TestPair(t *testing.T) {
	a, b := lane.Member{Node: 1, Incarnation: 11}, lane.Member{Node: 2, Incarnation: 22}
	sole := lane.Record{Epoch: 4, Writer: 1, Set: [2]lane.Member{a}}
	both := sole.Pair(a, b)
	none := lane.Record{}
	for _, c := range []struct {
		name    string
		cfg     PairConfig
		request Request
		granted bool
	}{
		{"a new lane", PairConfig{}, Request{Self: 1, Current: none, Next: none.Alone(a), Proof: Seed}, true},
		{"a lane that exists", PairConfig{}, Request{Self: 1, Current: sole, Next: sole.Alone(a), Proof: Seed}, false},
		{"a sole member goes on", PairConfig{}, Request{Self: 1, Current: sole, Next: sole.Alone(a), Proof: Sole}, true},
		{"one of two is not sole", PairConfig{}, Request{Self: 1, Current: both, Next: both.Alone(a), Proof: Sole}, false},
		{"the writer takes its peer in", PairConfig{}, Request{Self: 1, Current: sole, Next: both, Proof: Writing}, true},
		{"the standby does not", PairConfig{}, Request{Self: 2, Current: both, Next: both.Pair(b, a), Proof: Writing}, false},
		{"going alone", PairConfig{}, Request{Self: 1, Current: both, Next: both.Alone(a), Proof: Writing}, false},
		{"going alone, configured", PairConfig{Degrades: true}, Request{Self: 1, Current: both, Next: both.Alone(a), Proof: Writing}, true},
		{"kernel proof", PairConfig{}, Request{Self: 2, Current: both, Next: both.Alone(b), Proof: KernelProof}, true},
		{"kernel proof to an outsider", PairConfig{}, Request{Self: 2, Current: sole, Next: sole.Alone(b), Proof: KernelProof}, false},
		{"silence", PairConfig{}, Request{Self: 2, Current: both, Next: both.Alone(b), Proof: Silence}, false},
		{"silence, configured", PairConfig{SilencePromotes: true}, Request{Self: 2, Current: both, Next: both.Alone(b), Proof: Silence}, true},
		{"parked", PairConfig{}, Request{Self: 2, Current: both, Next: both.Alone(b), Proof: Parked}, true},
		{"the writer's ring is gone", PairConfig{}, Request{Self: 2, Current: both, Next: both.Alone(b), Proof: RingGone}, true},
		{"gone, but it may have gone alone before", PairConfig{Degrades: true}, Request{Self: 2, Current: both, Next: both.Alone(b), Proof: RingGone}, false},
		{"the peer is off", PairConfig{}, Request{Self: 2, Current: both, Next: both.Alone(b), Proof: PeerOff}, true},
		{"off, to an outsider", PairConfig{}, Request{Self: 2, Current: sole, Next: sole.Alone(b), Proof: PeerOff}, false},
		{"an operator's word", PairConfig{Degrades: true}, Request{Self: 2, Current: sole, Next: sole.Alone(b), Proof: Operator}, true},
		{"the standby left", PairConfig{}, Request{Self: 1, Current: both, Next: both.Alone(a), Proof: Left}, true},
		{"left, says the standby", PairConfig{}, Request{Self: 2, Current: both, Next: both.Alone(b), Proof: Left}, false},
		{"left, to take it in", PairConfig{}, Request{Self: 1, Current: sole, Next: both, Proof: Left}, false},
		{"no proof", PairConfig{SilencePromotes: true}, Request{Self: 2, Current: both, Next: both.Alone(b), Proof: NoProof}, false},
		{"for another", PairConfig{}, Request{Self: 2, Current: both, Next: both.Alone(a), Proof: KernelProof}, false},
		{"not a newer epoch", PairConfig{}, Request{Self: 2, Current: both, Next: both, Proof: KernelProof}, false},
	} {
		p, err := NewPair(c.cfg, c.request.Current)
		if err != nil {
			t.Fatal(err)
		}
		p.Swap(c.request, 0)
		got, ok := p.Poll(0)
		if !ok || got.Granted != c.granted || got.Granted == (got.Reason != "") {
			t.Errorf("%s: %+v", c.name, got)
		}
		want := c.request.Current
		if c.granted {
			want = c.request.Next
		}
		if p.Read(0); got.Record != want {
			t.Errorf("%s: register %v", c.name, got.Record)
		}
		if r, ok := p.Poll(0); !ok || r.Record != want {
			t.Errorf("%s: read %v", c.name, r.Record)
		}
		if _, ok := p.Poll(0); ok {
			t.Errorf("%s: answered twice", c.name)
		}
	}
	if _, err := NewPair(PairConfig{true, true}, none); !errors.Is(err, ErrBoth) {
		t.Error(err)
	}
}
