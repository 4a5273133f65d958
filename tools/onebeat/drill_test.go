package main

import (
	"os"
	"testing"
	"time"

	"onebeat/bench/drill"
	"onebeat/bench/lab/labtest"
)

// asProgram makes this test binary the program itself: the processes of a lab
// are started from it.
const asProgram = "ONEBEAT_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestDrills plays every fault once, briefly, with budgets that a busy machine
// keeps: what matters here is that nothing is lost, doubled or unexplained.
func TestDrills(t *testing.T) {
	labtest.NeedRoot(t)
	t.Setenv(asProgram, "1")
	for _, fault := range drill.Names() {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			o := drill.Options{Fault: fault, Program: os.Args[0], Arbitration: arbitrationOf(fault), RatePerSecond: 4000,
				Duration: 300 * time.Millisecond, Asleep: 300 * time.Millisecond, Wait: 150 * time.Millisecond,
				Heartbeat: 60 * time.Millisecond, HangBudget: 120 * time.Millisecond, RingSize: "4MiB", Records: 60_000, Log: t.Output()}
			if err := o.Defaults(); err != nil {
				t.Fatal(err)
			}
			r, err := drill.Run(&o, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !r.OK() {
				t.Errorf("%q", r.Problems)
			}
			if r.OrdersAcked < 500 || r.Histories == 0 {
				t.Errorf("only %d orders acknowledged, %d histories checked", r.OrdersAcked, r.Histories)
			}
			t.Logf("outages %v", durations(r.Outages))
		})
	}
}

// A client of another make, over TCP, whose primary is killed: it goes on with the
// next number at the other node.
func TestDrillWithFIX(t *testing.T) {
	labtest.NeedRoot(t)
	t.Setenv(asProgram, "1")
	o := drill.Options{Fault: drill.FaultKill, Client: drill.ClientFIX, Program: os.Args[0], Duration: 600 * time.Millisecond, Wait: 150 * time.Millisecond,
		Heartbeat: 60 * time.Millisecond, HangBudget: 120 * time.Millisecond, RingSize: "4MiB", Log: t.Output()}
	s, err := drill.All(&o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !s.OK || s.OrdersAcked < 100 || s.ReconnectNs == nil || s.ReconnectNs.Max == 0 {
		t.Errorf("%d acknowledged, %+v: %q", s.OrdersAcked, s.ReconnectNs, s.Problems)
	}
	t.Logf("outage %v, of which ours %v", time.Duration(s.OutageNs.Max), time.Duration(s.ReconnectNs.Max))
}

func arbitrationOf(fault string) string {
	switch fault {
	case drill.FaultEtcdDown:
		return drill.Etcd
	case drill.FaultFence, drill.FaultFenceHangs, drill.FaultFenceLies:
		return drill.Fence
	}
	return drill.Witness
}

func durations(ns []int64) []time.Duration {
	d := make([]time.Duration, len(ns))
	for i := range ns {
		d[i] = time.Duration(ns[i]).Round(time.Microsecond)
	}
	return d
}
