package role

import (
	"fmt"

	"onebeat/mirror/lane"
)

// transition is one row of the table: a change of state, who may make it, and
// what for.
type transition struct {
	from, to lane.State
	kernel   bool // the kernel makes it too
	why      string
}

// transitions is everything a lane's state may do. What is not here panics.
var transitions = [...]transition{
	{lane.Init, lane.Syncing, false, "start"},
	{lane.Init, lane.Fenced, false, "start of the writer, whose standby may take over"},
	{lane.Syncing, lane.Syncing, false, "park in a later epoch"},
	{lane.Syncing, lane.Standby, true, "named by the writer's epoch record"},
	{lane.Syncing, lane.Candidate, false, "claim: seed, sole member, greatest log"},
	{lane.Standby, lane.Syncing, true, "newer epoch, or restart"},
	{lane.Standby, lane.Candidate, true, "kernel proof or silence; the writer's ring is gone"},
	{lane.Candidate, lane.Active, false, "granted"},
	{lane.Candidate, lane.Syncing, true, "refused, or newer epoch"},
	{lane.Active, lane.Active, false, "new epoch: standby taken in or given up"},
	{lane.Active, lane.Fenced, true, "handover; dead or hung engine"},
	{lane.Active, lane.Syncing, true, "newer epoch, or restart of a sole member"},
	{lane.Fenced, lane.Fenced, false, "park in a later epoch"},
	{lane.Fenced, lane.Syncing, true, "the successor's epoch"},
	{lane.Fenced, lane.Candidate, false, "claim: greatest log"},
}

// legal reports whether the table has the change, made by the kernel or not.
func legal(from, to lane.State, kernel bool) bool {
	for i := range transitions {
		if t := &transitions[i]; t.from == from && t.to == to {
			return t.kernel || !kernel
		}
	}
	return false
}

// mustBeLegal panics on a change the table does not have: someone else wrote
// the word, or this program is wrong; going on could make two writers.
func mustBeLegal(from, to lane.Word, kernel bool) {
	if !legal(from.State(), to.State(), kernel) || to.Epoch() < from.Epoch() {
		panic(fmt.Sprintf("role: illegal transition %v -> %v (kernel %t)", from, to, kernel))
	}
}
