package witness

import (
	"context"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
	"onebeat/pin"
)

// labWitness runs a witness in its place of a lab and returns a client in
// node-a's.
func labWitness(t testing.TB, idle Idle) *Client {
	t.Helper()
	l := labtest.Up(t, lab.Switched)
	var s *Server
	err := l.Do(lab.Witness, func() (err error) {
		s, err = Listen(ServerOptions{Listen: netip.AddrPortFrom(netip.AddrFrom4(lab.WitnessIP), 7500), Groups: []Group{{"pair", key}}, Idle: idle})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		unlock, err := pin.LockThread(pin.NoCore)
		if err != nil {
			t.Error(err)
			return
		}
		defer unlock()
		_ = pin.ShortSlice(pin.SharedSliceNs) // best effort, as in a node
		s.Run(ctx)
	})
	done.Go(func() {
		for {
			select {
			case <-s.Changes():
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	var c *Client
	if err := l.Do(lab.NodeA, func() error { c = dial(t, s.Addr(), 0, 1); return nil }); err != nil {
		t.Fatal(err)
	}
	return c
}

// rounds measures changes one after the other, each of which is granted.
func rounds(t testing.TB, c *Client, count int) []time.Duration {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	record := read(t, c).Record
	if record.Epoch == 0 {
		first := record.Alone(memberA)
		record = swap(t, c, arbiter.Request{Self: 1, Next: first, Proof: arbiter.Seed, Boot: c.State().Boot}).Record
	}
	members := []lane.Member{memberA, memberB}
	took := make([]time.Duration, count)
	for i := range took {
		next := record.Pair(memberA, members[1])
		if i%2 == 1 {
			next = record.Alone(memberA)
		}
		from := time.Now()
		c.Swap(arbiter.Request{Self: 1, Current: record, Next: next, Proof: arbiter.Writing}, nowNs())
		answer := settle(t, c)
		took[i] = time.Since(from)
		if !answer.Granted {
			t.Fatalf("round %d: %+v", i, answer)
		}
		record = answer.Record
	}
	slices.Sort(took)
	return took
}

// A change of the record costs a claim one round trip: 50 us at the median, in a
// lab of network namespaces on a quiet machine. A claim comes after a long
// silence, so both are measured: questions back to back, and after a pause,
// which a witness whose loop yields does not feel. One that sleeps has to be
// woken. The figures are told; only what no busy machine explains is an error.
func TestRoundTrip(t *testing.T) {
	const bug = 20 * time.Millisecond
	for _, idle := range []Idle{Backoff, Yield} {
		c := labWitness(t, idle)
		rounds(t, c, 200)
		took := rounds(t, c, 5000)
		at := func(permille int) time.Duration { return took[len(took)*permille/1000] }
		t.Logf("idle %v, SWAP back to back: p50 %v p90 %v p99 %v p99.9 %v max %v", idle, at(500), at(900), at(990), at(999), took[len(took)-1])
		paused := afterPause(t, c, 200)
		t.Logf("idle %v, READ after a pause: p50 %v p90 %v max %v", idle, paused[100], paused[180], paused[199])
		if worst := max(at(500), paused[100]); worst > bug {
			t.Errorf("idle %v: p50 %v", idle, worst)
		}
	}
}

// afterPause measures questions 2 ms apart.
func afterPause(t testing.TB, c *Client, count int) []time.Duration {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	took := make([]time.Duration, count)
	for i := range took {
		time.Sleep(2 * time.Millisecond)
		from := time.Now()
		read(t, c)
		took[i] = time.Since(from)
	}
	slices.Sort(took)
	return took
}

func BenchmarkSwap(b *testing.B) {
	for name, idle := range map[string]Idle{"backoff": Backoff, "yield": Yield, "spin": Spin} {
		b.Run(name, func(b *testing.B) {
			c := labWitness(b, idle)
			rounds(b, c, 100)
			b.ResetTimer()
			took := rounds(b, c, b.N)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "us-p50")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "us-p99")
		})
	}
}
