package shapes

import (
	"context"
	"testing"
	"time"

	"onebeat/bench/lab/labtest"
	"onebeat/tools/config"
)

// A lane answers every order of a ramp, and what is offered too fast is told.
func TestRamp(t *testing.T) {
	labtest.NeedRoot(t)
	layout, err := DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Options{Layout: layout, Count: 1, Limit: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := mirrored(config.AppBook, config.ReleaseRide, true)
	s.Batch = batchMax
	steps, err := b.Ramp(context.Background(), s, []int{20_000, 50_000}, 2, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		t.Logf("%+v", step)
		if step.Orders == 0 || step.Unanswered != 0 || step.P50Ns <= 0 || step.MaxNs < step.P99Ns {
			t.Errorf("%+v", step)
		}
	}
	if len(steps) != 2 {
		t.Errorf("%d steps", len(steps))
	}
	for _, bad := range []Setting{echoOf(Echo), {}} {
		if _, err := b.Ramp(context.Background(), bad, []int{1}, 1, time.Second); err == nil {
			t.Errorf("%+v accepted", bad)
		}
	}
}

func TestStepKeeps(t *testing.T) {
	good := Step{RatePerSecond: 1000, AnsweredPerSecond: 990, P99Ns: 999_999}
	if !good.Keeps() {
		t.Error("kept, and said not to be")
	}
	for _, spoil := range []func(*Step){
		func(s *Step) { s.AnsweredPerSecond = 970 }, func(s *Step) { s.P99Ns = 1_000_000 }, func(s *Step) { s.Unanswered = 1 },
	} {
		s := good
		spoil(&s)
		if s.Keeps() {
			t.Errorf("%+v kept up", s)
		}
	}
}

// Orders of one datagram are due together, and no error adds up.
func TestDue(t *testing.T) {
	f := newFlood(32)
	f.first, f.rate, f.startNs = 101, 3_000_000, 5
	for _, c := range []struct {
		id uint64
		ns int64
	}{{101, 5}, {132, 5}, {133, 5 + 32*1_000_000_000/3_000_000}, {101 + 3_000_000*60, 5 + 60_000_000_000}} {
		if got := f.dueNs(c.id); got != c.ns {
			t.Errorf("%d: due at %d, want %d", c.id, got, c.ns)
		}
	}
}
