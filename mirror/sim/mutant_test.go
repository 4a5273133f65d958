package sim

import (
	"testing"
	"time"

	"onebeat/mirror/internal/mutant"
)

// mutantBudget bounds the search for one planted bug.
const mutantBudget = 60 * time.Second

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
			start := time.Now()
			for seed := uint64(0); time.Since(start) < mutantBudget; seed++ {
				mutant.Plant(rule)
				cfg := Draw(seed)
				cfg.TwoPaths = false // silence comes easier
				if r := memory.Run(cfg); r.Failure != "" {
					t.Logf("seed %d (%s), %v: %s", seed, cfg.Mode.Name, time.Since(start).Round(time.Millisecond), r.Failure)
					return
				}
			}
			t.Errorf("nobody noticed in %v", mutantBudget)
		})
	}
}
