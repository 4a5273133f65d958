package peers

import (
	"os"
	"slices"
	"testing"
)

// TestCompare measures every echo with the C client in one interleaved run,
// the client on core 0 and the echo on core 1. The medians of the runs' p50
// are what ONEBEAT_COMPARE=1 prints; it takes some seconds.
func TestCompare(t *testing.T) {
	rounds, count := 2, 2000
	if os.Getenv("ONEBEAT_COMPARE") != "" {
		rounds, count = 7, 60000
	}
	program := build(t)
	c := newCable(t)
	datagram := c.datagram(64)
	peers := []Peer{NewCEcho(program), &Own{}, &Asavie{}}
	p50, p99 := map[string][]int64{}, map[string][]int64{}
	for range rounds {
		for _, peer := range peers {
			server, client := env(1), env(0)
			client.Core, server.Core = 0, 1
			c.in(1, func() { c.must(peer.Start(server)) })
			var r Result
			var err error
			c.in(0, func() { r, err = program.Ping(client, datagram, count/10, count) })
			if err := peer.Stop(); err != nil {
				t.Error(err)
			}
			c.must(err)
			if r.Lost != 0 {
				t.Errorf("%s lost %d of %d", peer.Name(), r.Lost, count)
			}
			p50[peer.Name()] = append(p50[peer.Name()], r.P50Ns)
			p99[peer.Name()] = append(p99[peer.Name()], r.P99Ns)
		}
	}
	median := func(v []int64) int64 { slices.Sort(v); return v[len(v)/2] }
	base := float64(median(p50["c"]))
	for _, peer := range peers {
		n := peer.Name()
		t.Logf("%-8s p50 %5d ns (%.3f x C), p99 %5d ns", n, median(p50[n]), float64(median(p50[n]))/base, median(p99[n]))
	}
}
