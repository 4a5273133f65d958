package role

import (
	"testing"

	"onebeat/mirror/lane"
)

// Every pair of states: legal exactly if the table has a row, by the kernel
// exactly if the row says so; everything else panics with its values.
func TestEveryTransition(t *testing.T) {
	role := map[[2]lane.State]bool{}
	kernel := map[[2]lane.State]bool{}
	for _, row := range transitions {
		role[[2]lane.State{row.from, row.to}] = true
		kernel[[2]lane.State{row.from, row.to}] = row.kernel
		if row.why == "" {
			t.Errorf("%v -> %v has no reason", row.from, row.to)
		}
	}
	for from := range lane.State(lane.StateCount) {
		for to := range lane.State(lane.StateCount) {
			at := [2]lane.State{from, to}
			if got := panics(lane.MakeWord(1, from), lane.MakeWord(1, to), false); got == role[at] {
				t.Errorf("%v -> %v by the role machine: panics %t", from, to, got)
			}
			if got := panics(lane.MakeWord(1, from), lane.MakeWord(1, to), true); got == kernel[at] {
				t.Errorf("%v -> %v by the kernel: panics %t", from, to, got)
			}
		}
	}
	if !panics(lane.MakeWord(2, lane.Active), lane.MakeWord(1, lane.Syncing), false) {
		t.Error("an epoch may fall")
	}
	// What must never be in the table, whatever else changes.
	for _, at := range [][2]lane.State{
		{lane.Fenced, lane.Active}, {lane.Syncing, lane.Active}, {lane.Standby, lane.Active},
		{lane.Fenced, lane.Standby}, {lane.Init, lane.Active}, {lane.Candidate, lane.Standby},
	} {
		if role[at] {
			t.Errorf("%v -> %v is legal", at[0], at[1])
		}
	}
}

func panics(from, to lane.Word, kernel bool) (yes bool) {
	defer func() { yes = recover() != nil }()
	mustBeLegal(from, to, kernel)
	return false
}

func TestNames(t *testing.T) {
	for k := range eventCount {
		if k.String() == "" {
			t.Error("event", uint8(k))
		}
	}
	for k := range effectCount {
		if k.String() == "" {
			t.Error("effect", uint8(k))
		}
	}
}
