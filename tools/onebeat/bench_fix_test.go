package main

import (
	"bytes"
	"os"
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
	o := fixload.BenchOptions{Program: os.Args[0], Rounds: 1, Count: 100, Warmup: 10, Limit: time.Minute, PerS: 2000, Flood: 300 * time.Millisecond,
		Strangers: 100, App: config.AppBook, Dir: t.TempDir()}
	for _, shape := range fixload.All {
		r, err := fixload.Measure(t.Context(), shape, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Entries) != 3 || len(r.Ratios) != 2 || len(r.Bounds) == 0 {
			t.Errorf("%+v", r)
		}
		for _, e := range r.Entries {
			if e.Count != 100 || e.P50Ns == 0 {
				t.Errorf("%s: %+v", e.Shape, e)
			}
		}
		switch {
		case shape == fixload.Latency && (r.Flood == nil || r.Flood.Orders != 600):
			t.Errorf("%+v", r.Flood)
		case shape == fixload.Hostile && (r.Strangers == nil || r.Strangers.Connected == 0):
			t.Errorf("%+v", r.Strangers)
		}
		var text bytes.Buffer
		if err := r.WriteText(&text); err != nil || text.Len() == 0 {
			t.Error(err)
		}
		t.Logf("%s", text.Bytes())
	}
}
