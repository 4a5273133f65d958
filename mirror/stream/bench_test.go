package stream

import (
	"testing"
	"time"
)

// BenchmarkLog is how fast a log comes over loopback, checked record by record at
// both ends: from the archive, but for the end that the ring holds.
func BenchmarkLog(b *testing.B) {
	for _, compress := range []bool{false, true} {
		name := "plain"
		if compress {
			name = "zstd"
		}
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			w.appendArchived(400_000, 1)
			w.serve(func(o *ServerOptions) { o.Timing = Timing{} })
			b.SetBytes(int64(w.ring.Tail()))
			for b.Loop() {
				began := time.Now()
				got := 0
				l, err := w.dial(2).Log(LogRequest{Lane: 3, Compress: compress})
				if err != nil {
					b.Fatal(err)
				}
				for {
					c, err := l.Next()
					if err != nil {
						break
					}
					got += len(c.Records)
				}
				if uint64(got) != w.ring.Tail() {
					b.Fatalf("%d bytes of %d", got, w.ring.Tail())
				}
				b.ReportMetric(float64(got)/1e6/time.Since(began).Seconds(), "last_MB/s")
			}
		})
	}
}
