package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"onebeat/bench/crowd"
	"onebeat/bench/lab/labtest"
)

// A thousand sessions of ten thousand, over AF_XDP and two nodes: each goes on when the
// primary is killed, without a new Establish, and each order is done once.
func TestBenchCrowd(t *testing.T) {
	labtest.NeedRoot(t)
	t.Setenv(asProgram, "1")
	r, err := crowd.Measure(t.Context(), crowd.Options{Program: os.Args[0], Count: 300, Limit: time.Minute, PerSecond: 4000,
		For: 500 * time.Millisecond, Heartbeat: 50 * time.Millisecond, HangBudget: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Error(err)
	}
	t.Logf("%s", text.Bytes())
	if !r.Sound() {
		t.Errorf("%+v", r.Failover)
	}
	if f := &r.Failover; f.Orders != 4000 || f.OutageNs <= 0 || f.OutageNs > int64(5*time.Second) {
		t.Errorf("%d orders, an outage of %v", f.Orders, time.Duration(f.OutageNs))
	}
	for _, n := range r.Nodes {
		if n.PrimaryResident > 500<<20 || n.StandbyResident > 500<<20 {
			t.Errorf("%d sessions: %d and %d MiB", n.Sessions, n.PrimaryResident>>20, n.StandbyResident>>20)
		}
	}
	for _, e := range r.Entries {
		if e.Count != 300 {
			t.Errorf("%s: %d orders answered", e.Shape, e.Count)
		}
	}
}
