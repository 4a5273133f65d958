package sim

import (
	"os"
	"strconv"
	"testing"

	"onebeat/mirror/internal/mutant"
)

// mutantRuns is how many runs a planted bug may take to be seen: runs, not time,
// so that a loaded machine sees what a quiet one does.
const mutantRuns = 192

// mutantFrom is the seed that the search begins with, where the runs from seed 0
// on would be too many. When a change of the code makes other runs of the seeds,
// MUTANT_RUNS=10000 searches from seed 0 on for as long as it takes.
var mutantFrom = map[mutant.Rule]uint64{
	mutant.SeedsBlindly:   1100,
	mutant.LeaseUnwatched: 300,
	mutant.OldAppends:     250,
	mutant.ActiveAppends:  200,
	mutant.OldRides:       1000,
}

// modelled are rules that the replica keeps twice by now: that the role machine
// keeps them is seen without a replica, by its exploration (TestModelFindsMutants).
//
// FollowsOlder has a schedule here, but none that a random walk meets. The older
// writer must be ACTIVE still, so cut off from peer and register from the moment the
// lane went on; the node that took it must have let outputs out alone, and be
// SYNCING again with that log, so its process has been restarted, its ring kept. In
// the round trip to the register after that start, the paths heal and two HELLOs
// cross, the second with the cut that the first asked for (Hello.CutFor: a cut for
// another log is not believed), while every frame of the older writer before them,
// at least four in a heartbeat, is lost or overtaken: the kernel of whoever knows
// the newer epoch answers it with STALE, process or none, which parks it for good. A
// search of 100 s from seed 0 on saw nothing.
var modelled = map[mutant.Rule]bool{mutant.FollowsOlder: true}

// mutantSeeds returns the seeds that a planted bug is looked for with.
func mutantSeeds(t *testing.T, rule mutant.Rule) (from, to uint64) {
	t.Helper()
	s := os.Getenv("MUTANT_RUNS")
	if s == "" {
		from = mutantFrom[rule]
		return from, from + mutantRuns
	}
	to, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("MUTANT_RUNS=%q: a number", s)
	}
	return 0, to
}

// Each bug planted on purpose is found: the judges see it, whatever rule of the
// design it stands for.
func TestMutants(t *testing.T) {
	memory := NewMemory(ringBytes)
	defer mutant.Plant(mutant.None)
	for rule := mutant.None + 1; rule < mutant.Count; rule++ {
		if testing.Short() && rule > mutant.AnyIncarnation {
			break // the race detector is ten times slower
		}
		if modelled[rule] {
			continue
		}
		t.Run(rule.String(), func(t *testing.T) {
			mutant.Plant(rule)
			from, to := mutantSeeds(t, rule)
			for seed := from; seed < to; seed++ {
				cfg := Draw(seed)
				cfg.TwoPaths = false // silence comes easier
				if r := memory.Run(cfg); r.Failure != "" {
					t.Logf("seed %d (%s): %s", seed, cfg.Mode.Name, r.Failure)
					return
				}
			}
			t.Errorf("nobody noticed in the runs of seeds %d to %d", from, to-1)
		})
	}
}
