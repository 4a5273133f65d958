package sim

import "testing"

// Rings that turn over: what they no longer hold comes from archives, their own and
// the other's, and a ring that begins behind a snapshot is another one.
func TestStreams(t *testing.T) {
	memory := NewMemory(ringBytes)
	runs := uint64(96)
	if testing.Short() {
		runs = 16
	}
	var total Result
	for n := range runs {
		cfg := Draw(32*n + 24)
		r := memory.Run(cfg)
		if r.Failure != "" {
			report(t, cfg, r)
		}
		total.Adopted += r.Adopted
		total.Failovers += r.Failovers
		total.Released += r.Released
		total.Lost += r.Lost
	}
	t.Logf("%+v", total)
	if total.Adopted == 0 || total.Failovers == 0 {
		t.Errorf("nothing happened: %+v", total)
	}
}
