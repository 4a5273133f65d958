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
		{"a new lane", PairConfig{}, Request{1, none, none.Alone(a), Seed}, true},
		{"a lane that exists", PairConfig{}, Request{1, sole, sole.Alone(a), Seed}, false},
		{"a sole member goes on", PairConfig{}, Request{1, sole, sole.Alone(a), Sole}, true},
		{"one of two is not sole", PairConfig{}, Request{1, both, both.Alone(a), Sole}, false},
		{"the writer takes its peer in", PairConfig{}, Request{1, sole, both, Writing}, true},
		{"the standby does not", PairConfig{}, Request{2, both, both.Pair(b, a), Writing}, false},
		{"going alone", PairConfig{}, Request{1, both, both.Alone(a), Writing}, false},
		{"going alone, configured", PairConfig{Degrades: true}, Request{1, both, both.Alone(a), Writing}, true},
		{"kernel proof", PairConfig{}, Request{2, both, both.Alone(b), KernelProof}, true},
		{"kernel proof to an outsider", PairConfig{}, Request{2, sole, sole.Alone(b), KernelProof}, false},
		{"silence", PairConfig{}, Request{2, both, both.Alone(b), Silence}, false},
		{"silence, configured", PairConfig{SilencePromotes: true}, Request{2, both, both.Alone(b), Silence}, true},
		{"parked", PairConfig{}, Request{2, both, both.Alone(b), Parked}, true},
		{"the writer's ring is gone", PairConfig{}, Request{2, both, both.Alone(b), RingGone}, true},
		{"gone, but it may have gone alone before", PairConfig{Degrades: true}, Request{2, both, both.Alone(b), RingGone}, false},
		{"no proof", PairConfig{SilencePromotes: true}, Request{2, both, both.Alone(b), NoProof}, false},
		{"for another", PairConfig{}, Request{2, both, both.Alone(a), KernelProof}, false},
		{"not a newer epoch", PairConfig{}, Request{2, both, both, KernelProof}, false},
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
