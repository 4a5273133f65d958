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
		{"applied only", Applied{}, View{Tail: 96, PeerTail: 64, PeerApplied: 32, PeerArchived: 96, PeerInSet: true}, 32},
		{"applied is mirrored too", Applied{}, View{Tail: 96, PeerTail: 32, PeerApplied: 64, PeerInSet: true}, 32},
		{"applied, alone", Applied{}, View{Tail: 96}, 96},
		{"archived by the peer", Archived{}, View{Tail: 96, PeerTail: 96, PeerArchived: 64, Archived: 32, PeerInSet: true}, 64},
		{"archived is mirrored too", Archived{}, View{Tail: 96, PeerTail: 32, PeerArchived: 64, PeerInSet: true}, 32},
		{"archived, alone: on this node's disk", Archived{}, View{Tail: 96, Archived: 32}, 32},
		{"archived, degraded: its own disk is not waited for", Archived{}, View{Tail: 96, Archived: 32, Degraded: true}, 96},
		{"archived, degraded: the standby's disk is", Archived{}, View{Tail: 96, PeerTail: 96, PeerArchived: 32, PeerInSet: true, Degraded: true}, 32},
		{"one copy is the standby", Mirrored{}, View{Tail: 96, PeerTail: 64, PeerInSet: true, CopiesNeeded: 1}, 64},
		{"one copy, alone", Mirrored{}, View{Tail: 96, CopiesNeeded: 1, Copies: []uint64{32, 64}}, 64},
		{"two copies: the standby and the best other", Mirrored{}, View{Tail: 96, PeerTail: 96, PeerInSet: true, CopiesNeeded: 2, Copies: []uint64{32, 64}}, 64},
		{"three: the standby and both others", Mirrored{}, View{Tail: 96, PeerTail: 96, PeerInSet: true, CopiesNeeded: 3, Copies: []uint64{32, 64}}, 32},
		{"two copies are not enough of three", Mirrored{}, View{Tail: 96, CopiesNeeded: 3, Copies: []uint64{64, 64}}, 0},
		{"copies do not stand for the standby", Mirrored{}, View{Tail: 96, PeerTail: 32, PeerInSet: true, CopiesNeeded: 2, Copies: []uint64{96, 96}}, 32},
		{"degraded: no copies", Mirrored{}, View{Tail: 96, PeerTail: 64, PeerInSet: true, CopiesNeeded: 3, Degraded: true}, 64},
		{"archived: copies on their disks", Archived{}, View{Tail: 96, PeerTail: 96, PeerArchived: 96, PeerInSet: true, CopiesNeeded: 2, Copies: []uint64{96}, CopiesArchived: []uint64{32}}, 32},
		{"a custom policy releases no more than mirrored", Bounded{None{}}, View{Tail: 96, PeerTail: 32, PeerInSet: true}, 32},
	} {
		if got := c.policy.Releasable(&c.view); got != c.want {
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
	var p Policy = Archived{}
	v := View{Copies: []uint64{32, 96}, CopiesArchived: []uint64{32, 64}, CopiesNeeded: 2}
	if n := testing.AllocsPerRun(100, func() { v.Tail = 64; w.Step(p.Releasable(&v), 64, 1) }); n != 0 {
		t.Error(n)
	}
}
