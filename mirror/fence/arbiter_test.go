package fence

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
)

// fakeDevice ends an off when the test says so.
type fakeDevice struct {
	offs   atomic.Int64
	result chan error
}

func newFakeDevice() *fakeDevice { return &fakeDevice{result: make(chan error, 16)} }

func (d *fakeDevice) Off(ctx context.Context) error {
	d.offs.Add(1)
	select {
	case err := <-d.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
func (d *fakeDevice) Monitor(context.Context) error         { return nil }
func (d *fakeDevice) Status(context.Context) (Power, error) { return PowerOn, nil }
func (d *fakeDevice) On(context.Context) error              { return nil }
func (d *fakeDevice) Name() string                          { return "fake" }
func (d *fakeDevice) Close() error                          { return nil }

// lanePart is one lane's arbiter with its peer's signs of life.
type lanePart struct {
	*Arbiter
	t     *testing.T
	signs Signs
	nowNs int64
}

const againNs = 5_000_000

func newPart(t *testing.T, target *Target, degrades bool, current lane.Record) *lanePart {
	t.Helper()
	pair, err := arbiter.NewPair(arbiter.PairConfig{Degrades: degrades}, current)
	if err != nil {
		t.Fatal(err)
	}
	p := &lanePart{t: t}
	p.Arbiter = NewArbiter(pair, target, func() Signs { return p.signs }, againNs)
	return p
}

// answer polls, and asks again, as a role machine would, for at most 5 s.
func (p *lanePart) answer(r arbiter.Request) arbiter.Answer {
	p.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		p.nowNs += againNs
		p.Swap(r, p.nowNs)
		if a, ok := p.Poll(p.nowNs); ok {
			return a
		}
	}
	p.t.Fatal("no answer")
	return arbiter.Answer{}
}

func (p *lanePart) silent(r arbiter.Request, d time.Duration) {
	p.t.Helper()
	for deadline := time.Now().Add(d); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		p.nowNs += againNs
		p.Swap(r, p.nowNs)
		if a, ok := p.Poll(p.nowNs); ok {
			p.t.Fatalf("answered %+v", a)
		}
	}
}

func newTarget(t *testing.T, delay time.Duration, devices ...Device) (*Target, *journal) {
	t.Helper()
	j := new(journal)
	target := NewTarget(1, devices, delay, 0, j.logger())
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	})
	return target, j
}

var (
	nodeA = lane.Member{Node: 1, Incarnation: 11}
	nodeB = lane.Member{Node: 2, Incarnation: 22}
	sole  = lane.Record{Epoch: 4, Writer: 1, Set: [2]lane.Member{nodeA}}
	both  = sole.Pair(nodeA, nodeB)
	claim = arbiter.Request{Self: 2, Current: both, Next: both.Alone(nodeB), Proof: arbiter.Silence}
	alone = arbiter.Request{Self: 1, Current: both, Next: both.Alone(nodeA), Proof: arbiter.Writing}
)

func TestSilenceIsGrantedOnceThePeerIsOff(t *testing.T) {
	d := newFakeDevice()
	target, _ := newTarget(t, 0, d)
	p := newPart(t, target, false, both)
	p.silent(claim, 50*time.Millisecond)
	d.result <- nil
	if a := p.answer(claim); !a.Granted || a.Record != claim.Next {
		t.Errorf("%+v", a)
	}
	if d.offs.Load() != 1 {
		t.Errorf("%d offs for one claim", d.offs.Load())
	}
	if s := target.Status(); s.Successes != 1 || s.Running || s.LastOff.IsZero() {
		t.Errorf("%+v", s)
	}
}

// TestFailureGrantsNothing: the claim waits, and is tried again.
func TestFailureGrantsNothing(t *testing.T) {
	d := newFakeDevice()
	target, j := newTarget(t, 0, d)
	p := newPart(t, target, false, both)
	d.result <- errors.New("no such plug")
	p.silent(claim, 300*time.Millisecond)
	if s := target.Status(); s.Successes != 0 || s.LastError != "no such plug" || !strings.Contains(j.String(), "NOT off") {
		t.Errorf("%+v\n%s", s, j)
	}
	d.result <- nil
	if a := p.answer(claim); !a.Granted {
		t.Errorf("%+v", a)
	}
	if d.offs.Load() != 2 {
		t.Errorf("%d offs", d.offs.Load())
	}
}

func TestSecondDeviceIsTried(t *testing.T) {
	first, second := newFakeDevice(), newFakeDevice()
	first.result <- errors.New("BMC without power")
	second.result <- nil
	target, _ := newTarget(t, 0, first, second)
	if a := newPart(t, target, false, both).answer(claim); !a.Granted {
		t.Errorf("%+v", a)
	}
}

// TestPeerThatLivesEndsTheClaim: while the device fails, or during the delay.
func TestPeerThatLivesEndsTheClaim(t *testing.T) {
	d := newFakeDevice()
	target, _ := newTarget(t, time.Hour, d)
	p := newPart(t, target, false, both)
	p.signs.Frames = 100
	p.silent(claim, 50*time.Millisecond)
	p.signs.Frames += lifeFrames - 1 // one that came late is no life
	p.silent(claim, 20*time.Millisecond)
	p.signs.Frames++
	if a := p.answer(claim); a.Granted || !strings.Contains(a.Reason, "lives and was not fenced") {
		t.Errorf("%+v", a)
	}
	if d.offs.Load() != 0 {
		t.Error("it was fenced")
	}
}

// TestClaimThatIsNotRepeatedIsDropped: the role machine went on to something else.
func TestClaimThatIsNotRepeatedIsDropped(t *testing.T) {
	d := newFakeDevice()
	target, _ := newTarget(t, time.Hour, d)
	p := newPart(t, target, false, both)
	p.Swap(claim, 1)
	if _, ok := p.Poll(2); ok || !target.open() {
		t.Fatal("no wish")
	}
	if _, ok := p.Poll(2 + leastStaleNs); ok || target.open() {
		t.Error("the wish is still there")
	}
	if _, ok := p.Poll(3 + leastStaleNs); ok {
		t.Error("answered")
	}
}

// TestGoingAloneTakesTheStandbysPower: else the standby could claim by the same
// right at the same moment.
func TestGoingAloneTakesTheStandbysPower(t *testing.T) {
	d := newFakeDevice()
	target, _ := newTarget(t, 0, d)
	p := newPart(t, target, true, both)
	p.silent(alone, 50*time.Millisecond)
	d.result <- nil
	if a := p.answer(alone); !a.Granted || a.Record.Count() != 1 {
		t.Errorf("%+v", a)
	}
	if a := newPart(t, target, false, both).answer(alone); a.Granted || d.offs.Load() != 1 {
		t.Errorf("going alone is not configured: %+v, %d offs", a, d.offs.Load())
	}
}

func TestGoingAloneEndsWhenTheStandbyAcksAgain(t *testing.T) {
	target, _ := newTarget(t, time.Hour, newFakeDevice())
	p := newPart(t, target, true, both)
	p.silent(alone, 20*time.Millisecond)
	p.signs.Frames += 1000 // it talks, but does not ACK
	p.silent(alone, 20*time.Millisecond)
	p.signs.Acked += 32
	if a := p.answer(alone); a.Granted {
		t.Errorf("%+v", a)
	}
}

// TestProofNeedsNoFence: what Pair decides by proof it decides at once.
func TestProofNeedsNoFence(t *testing.T) {
	d := newFakeDevice()
	target, _ := newTarget(t, 0, d)
	p := newPart(t, target, false, both)
	fenced := claim
	fenced.Proof = arbiter.KernelProof
	p.Swap(fenced, 1)
	if a, ok := p.Poll(1); !ok || !a.Granted || d.offs.Load() != 0 {
		t.Errorf("%+v %v", a, ok)
	}
}

// TestLanesShareOneTarget: two lanes lose the same peer; one that stops asking
// does not take the other's wish with it.
func TestLanesShareOneTarget(t *testing.T) {
	d := newFakeDevice()
	target, _ := newTarget(t, 0, d)
	one, two := newPart(t, target, false, both), newPart(t, target, false, both)
	one.Swap(claim, 1)
	two.Swap(claim, 1)
	other := claim
	other.Proof = arbiter.KernelProof
	two.Swap(other, 2)
	d.result <- nil
	d.result <- nil
	if a := one.answer(claim); !a.Granted {
		t.Errorf("%+v", a)
	}
}

// TestCloseEndsARun: a node that stops does not wait for a device.
func TestCloseEndsARun(t *testing.T) {
	j := new(journal)
	target := NewTarget(1, []Device{newFakeDevice()}, 0, 0, j.logger())
	target.Want()
	time.Sleep(20 * time.Millisecond)
	began := time.Now()
	if err := target.Close(); err != nil || time.Since(began) > time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestWaitingAllocatesNothing(t *testing.T) {
	target, _ := newTarget(t, time.Hour, newFakeDevice())
	p := newPart(t, target, false, both)
	p.Swap(claim, 1)
	if n := testing.AllocsPerRun(100, func() {
		p.Swap(claim, 2)
		p.Poll(2)
	}); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}
