package shapes

import (
	"context"
	"errors"
	"testing"
	"time"

	"onebeat/bench/lab/labtest"
	"onebeat/bench/peers"
	"onebeat/tools/config"
)

// A short run of every setting: all is answered, nothing allocates.
func TestEveryShape(t *testing.T) {
	labtest.NeedRoot(t)
	layout, err := DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Options{Layout: layout, Count: 3000, Warmup: 300, Limit: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	settings := append([]Setting{
		{Shape: Mirrored, App: config.AppGateway, Release: config.ReleaseRide, Auth: true, ToVenue: true},
		echoOf(GoUDP), echoOf(CUDP),
		mirrored(config.AppGateway, config.ReleaseUser, false),
		{Shape: UDP, App: config.AppGateway, Release: config.ReleaseRide, Auth: true},
		{Shape: UDP, App: config.AppBook, Release: config.ReleaseUser, Auth: false},
		{Shape: Order, App: config.AppBook, Release: config.ReleaseRide, Auth: true, Batch: 8},
		{Shape: Mirrored, App: config.AppBook, Release: config.ReleaseRide, Auth: true, Batch: batchMax},
		{Shape: Mirrored, App: config.AppBook, Release: config.ReleaseRide, Auth: true, Lanes: lanesMax},
	}, compared...)
	for _, s := range settings {
		t.Run(s.Name(), func(t *testing.T) {
			r, err := b.Measure(context.Background(), s)
			if errors.Is(err, peers.ErrNoCompiler) {
				t.Log("no C compiler here")
				return
			}
			// A machine that others use keeps a thread off its core for longer than
			// an answer may take, and what the cold side says of that allocates:
			// what an order itself loses or allocates is seen twice.
			if err == nil && (r.Lost != 0 || s.Shape != GoUDP && (r.Allocs != 0 || r.GCCycles != 0)) {
				t.Logf("%d lost, %d allocations, %d GC cycles: measured once more", r.Lost, r.Allocs, r.GCCycles)
				r, err = b.Measure(context.Background(), s)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("p50 %d p99 %d max %d ns, %d MiB", r.P50Ns, r.P99Ns, r.MaxNs, r.RSSBytes>>20)
			if r.Name() != s.Name() || r.Count == 0 || r.P50Ns <= 0 || r.MaxNs < r.P50Ns || r.Layout == "" {
				t.Errorf("%+v", r)
			}
			if r.Lost != 0 {
				t.Errorf("%d lost", r.Lost)
			}
			if s.Shape != GoUDP && (r.Allocs != 0 || r.GCCycles != 0) {
				t.Errorf("%d allocations, %d GC cycles", r.Allocs, r.GCCycles)
			}
		})
	}
}

func TestMeasureEndsWithItsContext(t *testing.T) {
	labtest.NeedRoot(t)
	layout, err := DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Options{Layout: layout, Count: 1 << 30, Limit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := b.Measure(ctx, order(config.AppBook)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{Limit: time.Second}, {Count: 1}, {Count: 1, Warmup: -1, Limit: time.Second}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
}
