package archive

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

// The follower in its own goroutines beside a writer that waits for it, with
// compression and retention, and others asking for the status.
func TestRun(t *testing.T) {
	var tail uint64
	r, err := ring.New(make([]byte, bedRing+ring.SlackBytes), bedRing, &tail)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "lane")
	f, err := NewFollower(Options{Dir: dir, SegmentBytes: MinSegmentBytes, Sync: SyncInterval, Compress: true,
		RetainBytes: 20 * MinSegmentBytes, Wall: func() int64 { return time.Now().UnixNano() }}, r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx, newBenchClock()) }()
	var payload [80]byte
	deadline := time.Now().Add(20 * time.Second)
	for n := 0; n < 60_000; {
		r.SetLimit(f.Archived() + bedRing/2)
		if _, _, ok := r.Append(app.RecordMessage, 1, int64(n), payload[:n%80]); ok {
			n++
			continue
		}
		if s := f.Status(); time.Now().After(deadline) {
			t.Fatalf("%+v, tail %d", s, tail)
		}
		time.Sleep(100 * time.Microsecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	s := f.Status()
	if s.End != r.Tail() || s.Gaps+s.Failures+s.Damages > 0 {
		t.Errorf("%+v, tail %d", s, tail)
	}
	if v, err := Verify(disk.OS{}, dir, nil); err != nil || len(v.Problems) > 0 || v.End != r.Tail() {
		t.Errorf("%+v %v", v, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*"+disk.PartSuffix)); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

// A follower that is stopped before its first step, as on a machine that did not let
// it run, has archived what was there, on a new disk and on one with a past.
func TestRunStoppedAtOnce(t *testing.T) {
	b := newBed(t, Options{Sync: SyncInterval})
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	for range 3 {
		b.put(200)
		if err := b.f.Run(stopped, newBenchClock()); err != nil {
			t.Fatal(err)
		}
		b.wantSame()
		b.follow()
	}
}
