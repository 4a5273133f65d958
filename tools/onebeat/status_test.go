package main

import (
	"strings"
	"testing"

	"onebeat/tools/control"
)

// A look at status tells all lanes apart, also one that hangs.
func TestStatusShowsAllLanes(t *testing.T) {
	var out strings.Builder
	printStatus(&out, &control.Status{Name: "node-c", Number: 3, Transport: "xdp", Lanes: []control.LaneStatus{
		{ID: 0, App: "gateway", State: "STANDBY", Epoch: 2, Peer: 1, PeerState: "ACTIVE", PeerEpoch: 2, InSync: true, Answers: true, Link: "link0", Core: -1},
		{ID: 1, App: "book", State: "ACTIVE", Epoch: 7, Peer: 2, PeerState: "STANDBY", PeerEpoch: 6, Silent: true, Alone: true, Answers: true, Link: "link1", Queue: 1, Thread: 1, Core: 3},
		{ID: 9, App: "book", State: "ACTIVE", Epoch: 1, Core: -1},
	}})
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{
		"node-c (node 3), process 0, transport xdp",
		"LANE STATE EPOCH PEER PEER STATE IN SYNC LINK QUEUE THREAD APP",
		"0 STANDBY 2 node 1 ACTIVE/2 yes link0 0 0 gateway",
		"1 ACTIVE 7 node 2 STANDBY/6, silent no, alone link1 1 1 on core 3 book",
		"9 ACTIVE, does not answer 1 - - - - 0 0 book",
	} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("line %d is %q, want %q", i, got, want)
		}
	}
}

func TestPromoteRefusesBothLaneAndAll(t *testing.T) {
	root := newRoot()
	root.SetArgs([]string{"promote", "--socket", "/nowhere", "--lane", "1", "--all"})
	root.SetOut(new(strings.Builder))
	root.SetErr(new(strings.Builder))
	if err := root.Execute(); err == nil || !strings.Contains(err.Error(), "all") {
		t.Errorf("got %v", err)
	}
}

// Who may not order is named, and how that ends.
func TestStatusShowsWhoIsStopped(t *testing.T) {
	var out strings.Builder
	printStops(&out, nil)
	if out.Len() != 0 {
		t.Errorf("%q", out.String())
	}
	s := &control.Stops{Everybody: true, Sweeping: true, Sessions: []string{"desk"}, Accounts: []uint32{7}, Restricted: []string{"symbol ONEB"},
		Throttled: []control.PositionStatus{{Account: 7, Symbol: 1, Executions: 21}}}
	for range 20 {
		s.Sessions = append(s.Sessions, "other")
	}
	printStops(&out, s)
	for _, want := range []string{"KILLED   everybody, session desk, session other", " and 15 more  (onebeat kill --release)", "HALTED   symbol ONEB  (onebeat risk set restricted=no)",
		"STOPPED  account 7 in symbol 1 after 21 executions  (onebeat risk enable)", "being cancelled"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
}
