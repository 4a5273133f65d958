package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"onebeat/bench/shapes"
	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/tools/config"
)

const (
	archivePerSecond = 500e3
	archiveOrderP99  = 1.3
	archiveRetain    = 512 << 20
	// archiveFlood is how many orders a second are archived while their latency is
	// measured, and how long each time.
	archiveFlood     = 500_000
	archiveFloodEach = 300 * time.Millisecond
	archiveFloodSize = 32 // orders of a datagram
)

// measureArchive first archives as fast as it goes, then measures orders beside an
// archive and without one, in turns.
func measureArchive(ctx context.Context, o *Options) (r Result, err error) {
	dir, err := os.MkdirTemp(o.Dir, "onebeat-bench-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := archiveRate(ctx, o, filepath.Join(dir, "rate"), &r); err != nil {
		return r, err
	}
	r.atLeast("records/s to the disk", r.PerSecond, archivePerSecond)
	if err := archiveOrders(ctx, o, filepath.Join(dir, "orders"), &r); err != nil {
		return r, err
	}
	return r, nil
}

// archiveRate appends as fast as the archive follows.
func archiveRate(ctx context.Context, o *Options, dir string, r *Result) (err error) {
	b, err := newBed()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	shared := &b.mem.Table.Archive
	f, err := archive.NewFollower(archive.Options{Dir: dir, Sync: archive.SyncInterval, RetainBytes: archiveRetain,
		Shared: shared, Wall: func() int64 { return time.Now().UnixNano() }}, b.ring)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	base := time.Now()
	go func() { ended <- f.Run(running, func() int64 { return int64(time.Since(base)) }) }()
	var payload [payloadBytes]byte
	span := o.span(10 * time.Second)
	began, records := time.Now(), uint64(0)
	for time.Since(began) < span && ctx.Err() == nil {
		b.ring.SetLimit(atomic.LoadUint64(&shared.Position) + ringBytes/2)
		for range 512 {
			if _, _, ok := b.ring.Append(app.RecordMessage, 1, int64(records), payload[:]); !ok {
				runtime.Gosched()
				break
			}
			records++
		}
		if r.RSSBefore == 0 && time.Since(began) > span/5 {
			r.RSSBefore = residentBytes()
		}
	}
	r.RSSAfter = residentBytes()
	stop()
	if err := <-ended; err != nil {
		return err
	}
	r.rate(records, b.ring.Tail(), time.Since(began)) // to the last record on the disk
	r.Payload, r.RingBytes = payloadBytes, ringBytes
	s := f.Status()
	if s.Gaps+s.Failures > 0 || s.Archived != b.ring.Tail() {
		return fmt.Errorf("the archive did not follow: %+v", s)
	}
	v, err := archive.Verify(disk.OS{}, dir, nil)
	if err == nil && len(v.Problems) > 0 {
		err = fmt.Errorf("the archive is harmed: %v", v.Problems[0])
	}
	return err
}

// archiveOrders measures mirrored orders without and with the primary's archive.
func archiveOrders(ctx context.Context, o *Options, dir string, r *Result) (err error) {
	b, err := shapes.New(shapes.Options{Layout: o.Layout, Count: o.Orders, Warmup: o.Orders / 10, Limit: 5 * time.Second, Progress: o.Progress})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	var without, with []int64
	for i := range o.Rounds {
		s := shapes.Setting{Shape: shapes.Mirrored, App: config.AppBook, Release: config.ReleaseRide, Auth: true, Beside: true}
		plain, err := b.Measure(ctx, s)
		if err != nil {
			return err
		}
		s.Archive = filepath.Join(dir, fmt.Sprint(i))
		archived, err := b.Measure(ctx, s)
		if err != nil {
			return err
		}
		without, with = append(without, plain.P99Ns), append(with, archived.P99Ns)
	}
	a, c := median(without), median(with)
	r.OrderP99Ns = []int64{a, c}
	r.Note = fmt.Sprintf("a mirrored order's p99 is %.2f us, and %.2f us while the primary archives", float64(a)/1e3, float64(c)/1e3)
	r.atMost("order p99 with the archive over without", float64(c)/float64(a), archiveOrderP99)
	return archiveFlooded(ctx, o, b, filepath.Join(dir, "flood"), r)
}

// archiveFlooded offers half a million orders a second, in turns without and with
// the primary's archive. On two cores the archive's thread takes its time from those
// that spin.
func archiveFlooded(ctx context.Context, o *Options, b *shapes.Bench, dir string, r *Result) error {
	s := shapes.Setting{Shape: shapes.Mirrored, App: config.AppBook, Release: config.ReleaseRide, Auth: true, Beside: true, Batch: archiveFloodSize}
	var p99s [2][]int64
	for i := range o.Rounds {
		for with := range p99s {
			if s.Archive = ""; with == 1 {
				s.Archive = filepath.Join(dir, fmt.Sprint(i))
			}
			steps, err := b.Ramp(ctx, s, []int{archiveFlood}, 1, min(archiveFloodEach, o.span(archiveFloodEach)))
			if err != nil {
				return err
			}
			p99s[with] = append(p99s[with], steps[0].P99Ns)
		}
	}
	without, with := max(median(p99s[0]), 1), median(p99s[1]) // 0: nothing was answered
	r.FloodP99Ns = []int64{without, with}
	r.Note += fmt.Sprintf("; at %d orders/s, %d in a datagram, %.1f and %.1f us", archiveFlood, archiveFloodSize, float64(without)/1e3, float64(with)/1e3)
	r.atMost("order p99 with the archive over without, at 500,000 records/s", float64(with)/float64(without), archiveOrderP99)
	return nil
}
