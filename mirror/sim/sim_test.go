package sim

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fewRuns are enough for a failover in every mode.
const fewRuns = 256

// lasting reports whether the simulator goes on: for SIM_SECONDS, as `make sim`
// sets it, or for the same few runs on every machine.
func lasting(t *testing.T) func(runs int) bool {
	s := os.Getenv("SIM_SECONDS")
	if s == "" {
		few := fewRuns
		if testing.Short() {
			few = 32 // the race detector is ten times slower
		}
		return func(runs int) bool { return runs < few }
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n <= 0 {
		t.Fatalf("SIM_SECONDS=%q: a number of seconds", s)
	}
	end := time.Now().Add(time.Duration(n * float64(time.Second)))
	return func(int) bool { return time.Now().Before(end) }
}

// commit is what a failure is reported with: a seed means nothing without it.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return "unknown commit"
	}
	return strings.TrimSpace(string(out))
}

func report(t *testing.T, cfg Config, r Result) {
	t.Helper()
	t.Fatalf("seed %d (%s, gentle %t), commit %s: %s\nagain: SIM_SEED=%d make sim\n%s", cfg.Seed, cfg.Mode.Name, cfg.Gentle, commit(), r.Failure,
		cfg.Seed, strings.Join(r.Story, "\n"))
}

// Whatever happens: nothing acknowledged is lost, nothing is released twice, two
// never serve in one epoch, and when nothing happens any more the lane is in order.
func TestSimulation(t *testing.T) {
	seed := uint64(0)
	if s := os.Getenv("SIM_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("SIM_SEED=%q: a number", s)
		}
		cfg := Draw(seed)
		if r := NewMemory(cfg.RingBytes).Run(cfg); r.Failure != "" {
			report(t, cfg, r)
		}
		return
	}
	memory := NewMemory(ringBytes)
	start, goesOn := time.Now(), lasting(t)
	var total Result
	modes := map[string]int{}
	runs := 0
	all := slices.Concat(Modes, leaseModes, fenceModes, policyModes)
	// Which modes the first seeds draw is chance: a short run goes on until each
	// had its failover.
	lacking := func() bool {
		return total.Shots == 0 || slices.ContainsFunc(all, func(m Mode) bool { return modes[m.Name] == 0 })
	}
	for ; goesOn(runs) || runs < fewRuns && lacking(); seed++ {
		cfg := Draw(seed)
		r := memory.Run(cfg)
		if r.Failure != "" {
			report(t, cfg, r)
		}
		runs++
		total.Failovers += r.Failovers
		total.Promotions += r.Promotions
		total.Released += r.Released
		total.Forced += r.Forced
		total.Lost += r.Lost
		total.Shots += r.Shots
		total.Adopted += r.Adopted
		total.Diverged += r.Diverged
		modes[cfg.Mode.Name] += r.Failovers
	}
	took := time.Since(start).Seconds()
	fmt.Printf("simulated %d failovers (%d promotions) in %d runs, %d outputs released, %d words of an operator; %.1f s, %.0f failovers a second\n",
		total.Failovers, total.Promotions, runs, total.Released, total.Forced, took, float64(total.Failovers)/took)
	fmt.Printf("  with policy none %d bytes of released records were lost; %d hosts had their power taken; %d rings began behind a snapshot; %d standbys were quarantined\n", total.Lost, total.Shots, total.Adopted, total.Diverged)
	for _, m := range all {
		fmt.Printf("  %-16s %d\n", m.Name, modes[m.Name])
		if modes[m.Name] == 0 {
			t.Errorf("no failover in mode %s", m.Name)
		}
	}
	if total.Diverged == 0 {
		t.Error("no standby was quarantined")
	}
	if total.Shots == 0 {
		t.Error("no host had its power taken")
	}
}

// The same seed is the same run.
func TestSeedReproduces(t *testing.T) {
	memory := NewMemory(ringBytes)
	for seed := range uint64(12) {
		a, b := memory.run(Draw(seed), true), memory.run(Draw(seed), true)
		if strings.Join(a.Story, "\n") != strings.Join(b.Story, "\n") || a.Released != b.Released {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
}
