package export

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkExport brings a gateway's log of 200,000 records to an empty read model,
// with servers that sync as they do by default.
func BenchmarkExport(b *testing.B) {
	const records = 200_000
	pg, rd := startPostgres(b, "fsync=on"), startRedis(b, "--appendonly", "yes", "--appendfsync", "everysec")
	l := newLane(b, true, 1)
	l.grow(records)
	n := 0
	for kind, section := range map[string]func(name string) string{
		KindPostgres: func(name string) string { return postgresSection(pg.dir, name) },
		KindRedis:    func(name string) string { return redisSection(rd.dir, name) },
	} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				n++
				path := l.config(fmt.Sprint("bench", n), section(fmt.Sprint("bench", n)))
				began := time.Now()
				must(b, run(path, Options{Once: true}))
				b.ReportMetric(records/time.Since(began).Seconds(), "records/s")
			}
		})
	}
}
