package mirror

import (
	"testing"

	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
)

const leaseT = 5_000_000

// leased is a writer with a standby under policy none, and its clock.
func leased(t *testing.T) (r *Replica, nowNs *int64) {
	t.Helper()
	nowNs = new(int64)
	*nowNs = 1_000_000_000
	r = &Replica{table: &lane.Table{}, word: lane.MakeWord(3, lane.Active), inSync: true,
		cfg: Config{HeartbeatNs: leaseT, NowNs: func() int64 { return *nowNs }}}
	r.terms = policy.Terms{Policy: policy.NameNone, WaitNs: policy.Forever}
	r.policy = policy.None{}
	r.table.Engine.TxCounter = 100
	r.startLease(*nowNs)
	return r, nowNs
}

// pass lets time pass and a cycle begin.
func (r *Replica) pass(nowNs *int64, ns int64) {
	*nowNs += ns
	r.keepLease(*nowNs)
}

// Unanswered, the lease is over before T is: the standby, which counts the same
// silence, goes on no sooner.
func TestLeaseEndsBeforeTheHeartbeat(t *testing.T) {
	r, now := leased(t)
	r.pass(now, leaseT-leaseT/8-1)
	if !r.leaseLasts() {
		t.Error("it ends too early")
	}
	*now++ // in the middle of a cycle
	if r.leaseLasts() {
		t.Error("a cycle that began in time lets out what is too late")
	}
	r.keepLease(*now)
	if r.leaseLasts() || !r.leaseOut {
		t.Error("it lasts")
	}
	if e, ok := r.Events.Next(); !ok || e.Kind != EventLease || e.A != 3 {
		t.Errorf("%v %v", e, ok)
	}
	r.keepLease(*now + 1)
	if _, ok := r.Events.Next(); ok {
		t.Error("said twice")
	}
}

// What counts is when the answered frame was sent, not when its answer came.
func TestLeaseCountsFromTheFrameThatWasAnswered(t *testing.T) {
	r, now := leased(t)
	sent := *now
	r.table.Engine.TxCounter++ // the first frame after the start
	r.pass(now, leaseT/2)
	r.table.Peer.Echo = r.table.Engine.TxCounter // its answer comes late
	r.pass(now, leaseT-leaseT/8-leaseT/2)        // and is looked at when it is needed
	if r.leaseUntilNs != sent+leaseT-leaseT/8 {
		t.Errorf("until %d, sent at %d", r.leaseUntilNs, sent)
	}
	if r.leaseLasts() {
		t.Error("an old frame's answer gives a new lease")
	}
	r.table.Engine.TxCounter++
	r.table.Peer.Echo = r.table.Engine.TxCounter
	r.pass(now, 1)
	if !r.leaseLasts() || r.leaseOut {
		t.Error("an answer to a frame sent since then gives none")
	}
}

// A frame sent before the one that is waited for proves nothing.
func TestLeaseOldAnswersDoNotCount(t *testing.T) {
	r, now := leased(t)
	r.table.Peer.Echo = 100 // sent before the epoch began
	r.pass(now, leaseT)
	if r.leaseLasts() {
		t.Error("renewed by a frame from before")
	}
}

// Alone, or under a policy that waits for ACKs, there is none to lose.
func TestLeaseOnlyOfPolicyNone(t *testing.T) {
	for _, c := range []struct {
		policy string
		inSync bool
	}{{policy.NameNone, false}, {policy.NameMirrored, true}} {
		r, now := leased(t)
		r.terms.Policy, r.inSync = c.policy, c.inSync
		r.startLease(*now)
		r.pass(now, 1000*leaseT)
		if !r.leaseLasts() || r.leaseOut || r.leavesLease() {
			t.Errorf("%+v: a lease", c)
		}
	}
}

// Whose lease is over may ask to go on alone only where somebody decides.
func TestLeaseThatIsOverAsksOnlyAnArbiter(t *testing.T) {
	for _, c := range []struct {
		registered bool
		wait       int64
		timeout    policy.OnTimeout
		leaves     bool
	}{{true, policy.Forever, policy.Reject, true}, {false, policy.Forever, policy.Degrade, false},
		{false, leaseT, policy.Degrade, true}, {false, leaseT, policy.Reject, false}} {
		r, now := leased(t)
		r.cfg.Registered, r.terms.WaitNs, r.terms.OnTimeout = c.registered, c.wait, c.timeout
		if r.leavesLease() {
			t.Errorf("%+v: leaves while it lasts", c)
		}
		r.pass(now, leaseT)
		if r.leavesLease() != c.leaves {
			t.Errorf("%+v: leaves %t", c, r.leavesLease())
		}
	}
}

// A change to none under a standby waits for ACKs until a frame sent after the
// change was answered.
func TestLeaseOfAChangedPolicyBeginsWithAnAnswer(t *testing.T) {
	r, now := leased(t)
	r.policy = policy.Mirrored{}
	r.changeLease(*now)
	if _, none := r.policy.(policy.None); none {
		t.Fatal("none is in force without an answer")
	}
	r.table.Engine.TxCounter++
	r.table.Peer.Echo = r.table.Engine.TxCounter
	r.pass(now, leaseT-leaseT/8)
	if _, none := r.policy.(policy.None); !none {
		t.Error("none is not in force after the answer")
	}
}

func TestLeaseAllocatesNothing(t *testing.T) {
	r, now := leased(t)
	if n := testing.AllocsPerRun(100, func() {
		r.pass(now, leaseT)
		r.table.Peer.Echo++
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
