package sim

import "testing"

// Whatever order things go wrong in, and whichever frames pass meanwhile: each mode
// lives through each script.
func TestScripts(t *testing.T) {
	memory := NewMemory(ringBytes)
	runs := uint64(180)
	if testing.Short() {
		runs = 18
	}
	failovers := 0
	for n := range runs {
		cfg := drawScripted(n)
		r := memory.Run(cfg)
		if r.Failure != "" {
			report(t, cfg, r)
		}
		failovers += r.Failovers
	}
	t.Logf("%d failovers in %d runs", failovers, runs)
	if failovers == 0 {
		t.Error("the lane never changed hands")
	}
}
