package archive

import (
	"path/filepath"
	"testing"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/ring"
)

const benchRing = 16 << 20

// BenchmarkFollow is the whole way from a ring to the disk, records of 96 bytes,
// and appending them.
func BenchmarkFollow(b *testing.B) {
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"none", Options{}},
		{"interval 10ms", Options{Sync: SyncInterval}},
		{"batch", Options{Sync: SyncBatch}},
		{"direct batch", Options{Sync: SyncBatch, Direct: true}},
		{"interval compressed", Options{Sync: SyncInterval, Compress: true}},
	} {
		b.Run(c.name, func(b *testing.B) { benchFollow(b, c.o) })
	}
}

func benchFollow(b *testing.B, o Options) {
	var tail uint64
	r, err := ring.New(make([]byte, benchRing+ring.SlackBytes), benchRing, &tail)
	if err != nil {
		b.Fatal(err)
	}
	clock := newBenchClock()
	o.Dir, o.Wall = filepath.Join(b.TempDir(), "lane"), clock
	f, err := NewFollower(o, r)
	if err != nil {
		b.Fatal(err)
	}
	stop := make(chan struct{})
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		for {
			select {
			case s := <-f.jobs:
				f.Pack(s)
			case <-stop:
				return
			}
		}
	}()
	var payload [64]byte
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		for end := tail + benchRing/2; n < b.N && tail < end; n++ {
			r.Append(app.RecordMessage, 1, int64(n), payload[:])
		}
		for f.w == nil || f.w.End() < tail {
			if f.Step(clock()); f.failed {
				b.Fatal(f.Status())
			}
		}
	}
	f.Step(clock() + 1e9)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	if s := f.Status(); s.Gaps > 0 || s.Failures > 0 {
		b.Fatalf("%+v", s)
	}
	f.stopKeeping()
	close(stop)
	<-packed
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRead reads an archive back, checksums and all.
func BenchmarkRead(b *testing.B) {
	for _, compressed := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "compressed"}[compressed], func(b *testing.B) {
			bed := newBed(b, Options{SegmentBytes: 256 << 10, Compress: compressed})
			bed.put(3000)
			bed.step()
			b.ResetTimer()
			benchRead(b, bed.o.Dir)
		})
	}
}

// benchRead reads the archive back, as often as it takes.
func benchRead(b *testing.B, dir string) {
	b.ReportAllocs()
	for n := 0; n < b.N; {
		r, err := OpenReader(disk.OS{}, dir)
		if err != nil {
			b.Fatal(err)
		}
		var rec app.Record
		for n < b.N {
			more, err := r.Next(&rec)
			if err != nil {
				b.Fatal(err)
			}
			if !more {
				break
			}
			n++
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
