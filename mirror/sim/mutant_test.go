package sim

import (
	"os"
	"strconv"
	"testing"

	"onebeat/mirror/internal/mutant"
)

// mutantRuns is how many seeds a planted bug may take to be seen, each a run by the
// dice and one by scripts: runs, not time, so that a loaded machine sees what a quiet
// one does.
const mutantRuns = 96

// mutantFrom is the seed that the search begins with, where the runs from seed 0
// on would be too many. When a change of the code makes other runs of the seeds,
// MUTANT_RUNS=10000 searches from seed 0 on for as long as it takes.
var mutantFrom = map[mutant.Rule]uint64{
	mutant.SeedsBlindly:  150,
	mutant.FollowsOlder:  100,
	mutant.ParksLate:     1750,
	mutant.FrozenAccuses: 100,
}

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
		t.Run(rule.String(), func(t *testing.T) {
			mutant.Plant(rule)
			from, to := mutantSeeds(t, rule)
			for seed := from; seed < to; seed++ {
				cfg := Draw(seed)
				cfg.TwoPaths = false // silence comes easier
				for _, cfg := range []Config{cfg, drawScripted(seed)} {
					if r := memory.Run(cfg); r.Failure != "" {
						t.Logf("seed %d (%s, scripted %t): %s", seed, cfg.Mode.Name, cfg.Scripted, r.Failure)
						return
					}
				}
			}
			t.Errorf("nobody noticed in the runs of seeds %d to %d", from, to-1)
		})
	}
}
