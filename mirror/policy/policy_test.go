package policy

import "testing"

func TestReleasable(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy Policy
		view   View
		want   uint64
	}{
		{"none does not wait", None{}, View{Tail: 96, PeerTail: 32, PeerInSet: true}, 96},
		{"alone needs no one", Mirrored{}, View{Tail: 96, PeerTail: 32}, 96},
		{"ACKed only", Mirrored{}, View{Tail: 96, PeerTail: 32, PeerInSet: true}, 32},
		{"an ACK beyond the tail releases no more than there is", Mirrored{}, View{Tail: 96, PeerTail: 128, PeerInSet: true}, 96},
	} {
		if got := c.policy.Releasable(c.view); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestWaitStory(t *testing.T) {
	w := NewWait(100, Reject)
	for i, s := range []struct {
		releasable, tail uint64
		nowNs            int64
		expired          bool
		state            WaitState
		admits           bool
	}{
		{0, 0, 0, false, Flowing, true},
		{0, 64, 1000, false, Waiting, true}, // the debt begins now, not at 0
		{0, 96, 1099, false, Waiting, true},
		{32, 96, 1100, false, Waiting, true}, // an ACK starts the wait anew
		{32, 96, 1199, false, Waiting, true},
		{32, 96, 1200, true, Expired, false},
		{32, 96, 1300, false, Expired, false}, // said once
		{96, 96, 1400, false, Flowing, true},
	} {
		if got := w.Step(s.releasable, s.tail, s.nowNs); got != s.expired || w.State() != s.state || w.Admits() != s.admits {
			t.Fatalf("step %d: expired %t state %v admits %t", i, got, w.State(), w.Admits())
		}
	}
	if w.Timeouts() != 1 {
		t.Errorf("timeouts %d", w.Timeouts())
	}
}

func TestWaitForeverAndDegrade(t *testing.T) {
	w := NewWait(Forever, Degrade)
	w.Step(0, 32, 1)
	if w.Step(0, 32, 1<<62) {
		t.Error("forever ended")
	}
	d := NewWait(1, Degrade)
	d.Step(0, 0, 1)
	d.Step(0, 32, 1)
	if !d.Step(0, 32, 2) || !d.Admits() || !d.Degrades() {
		t.Error("degrade goes on taking orders")
	}
	d.Reset(3)
	if d.Degrades() {
		t.Error("a new set starts anew")
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	w := NewWait(100, Stop)
	var p Policy = Mirrored{}
	if n := testing.AllocsPerRun(100, func() { w.Step(p.Releasable(View{Tail: 64}), 64, 1) }); n != 0 {
		t.Error(n)
	}
}
