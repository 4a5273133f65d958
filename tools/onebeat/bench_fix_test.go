package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"onebeat/bench/fixload"
	"onebeat/bench/lab/labtest"
	"onebeat/tools/config"
)

// The shapes of FIX are measured to their end; how fast they are is not judged here.
func TestBenchFIX(t *testing.T) {
	labtest.NeedRoot(t)
	t.Setenv(asProgram, "1")
	// So many connections are heard that each kind of attack gets as far as it can.
	o := fixload.BenchOptions{Connects: 10_000, Program: os.Args[0], Rounds: 1, Count: 100, Warmup: 10, Limit: time.Minute, PerS: 2000, Flood: 300 * time.Millisecond,
		AttackMost: 1000, App: config.AppBook, Dir: t.TempDir()}
	turns, err := fixload.Turns(t.Context(), o)
	if err != nil || len(turns) != 3 {
		t.Fatal(turns, err)
	}
	for _, one := range turns {
		if one.Count != 100 || one.P50Ns == 0 || one.Histogram == nil {
			t.Errorf("%+v", one)
		}
	}
	for _, shape := range fixload.All {
		r, err := fixload.Measure(t.Context(), shape, o)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := r.WriteText(&text); err != nil || text.Len() == 0 {
			t.Error(err)
		}
		t.Logf("%s", text.Bytes())
		if shape != fixload.Latency {
			checkBesides(t, &r)
			continue
		}
		if len(r.Entries) != 3 || len(r.Ratios) != 2 || len(r.Bounds) == 0 || r.Flood == nil || r.Flood.Orders != 600 {
			t.Errorf("%+v", r)
		}
		for _, e := range r.Entries {
			if e.Count != 100 || e.P50Ns == 0 {
				t.Errorf("%s: %+v", e.Shape, e)
			}
		}
	}
}

// checkBesides: nobody got in, nothing leaked, each kind of attack was noticed for
// what it is, and orders went on being answered.
func checkBesides(t *testing.T, r *fixload.Result) {
	t.Helper()
	for _, b := range r.Bounds {
		if !b.Holds && !strings.HasPrefix(b.Of, "p99") {
			t.Errorf("%s: %v, at most %v", b.Of, b.Value, b.Bound)
		}
	}
	for _, x := range r.Besides {
		if x.Beside.Count != 100 || x.Attacked.Events == 0 {
			t.Errorf("%s, %s: %d orders answered, %+v", x.Attack, x.Session, x.Beside.Count, x.Attacked)
		}
		if x.Beside.P90Ns > 50*max(x.Alone.P90Ns, int64(time.Millisecond)) {
			t.Errorf("%s, %s: p90 %v ns, %v alone", x.Attack, x.Session, x.Beside.P90Ns, x.Alone.P90Ns)
		}
	}
	expected := map[string][]string{
		fixload.HostileFIX: {"fix_tcp_garbage", "fix_tcp_wrong_credentials", "fix_tcp_too_many_of_address", "fix_tcp_handshake_failed", "fix_tcp_seq_too_high",
			"fix_tcp_garbled"},
		fixload.HostileFIXP: {"session_bad_credentials", "session_stale_timestamp", "session_wrong_endpoint", "session_sequence_too_far", "session_retransmit_refused"},
	}
	for _, name := range expected[r.Shape] {
		if r.Counters[name] == 0 {
			t.Errorf("%s: none counted of %v", name, r.Counters)
		}
	}
}
