package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onebeat/bench/drill"
	"onebeat/bench/drill/report"
	"onebeat/bench/shapes"
)

func newDrill() *cobra.Command {
	var o drill.Options
	var all, asJSON, verbose, noKeepalived bool
	var dir string
	c := &cobra.Command{
		Use: "drill", Short: "Run a fault again and again and judge from the logs", Args: cobra.NoArgs,
		Long: "drill plays each run in a fresh lab: venue, nodes, arbiter and load clients, the fault in the\n" +
			"middle. Orders lost, doubled or refused, two nodes that serve at once, a history that is not that of\n" +
			"a book of record, or a change of epoch that no fault explains make it fail. --all plays every fault.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needRoot("drill"); err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Program = self
			o.Progress = func(line string) { fmt.Fprintln(os.Stderr, line) }
			if verbose {
				o.Log = os.Stderr
			}
			// Many short runs say more than few long ones.
			if f := c.Flags(); all && !f.Changed("duration") {
				o.Duration = time.Second
			}
			if f := c.Flags(); all && !f.Changed("rate") {
				o.RatePerSecond = 10_000
			}
			if f := c.Flags(); o.Client == drill.ClientFIX && !f.Changed("rate") {
				o.RatePerSecond = 0 // its own
			}
			if o.Fault == drill.FaultSite {
				return drillSite(c, &o, asJSON)
			}
			begin := time.Now()
			var summaries []drill.Summary
			if all {
				summaries, err = drill.Everything(&o, c.Context().Done())
			} else {
				var s drill.Summary
				s, err = drill.All(&o, c.Context().Done())
				summaries = append(summaries, s)
			}
			if err != nil {
				return err
			}
			if dir != "" {
				if err := writeReport(c, &o, dir, summaries, begin, !noKeepalived); err != nil {
					return err
				}
			}
			return printDrills(c.OutOrStdout(), summaries, all, asJSON)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Fault, "fault", drill.FaultKill, strings.Join(drill.Names(), ", ")+" (steady load, nothing may change), site (both nodes die, a far site's copy is promoted: RPO and RTO)")
	f.StringVar(&o.Arbitration, "arbitration", drill.Witness, "pair, links, witness, etcd or fence")
	f.Float64Var(&o.Percent, "percent", 2, "of the frames, for loss, dup, reorder and corrupt")
	f.IntVar(&o.Runs, "runs", 1, "how often")
	f.IntVar(&o.Records, "records", 300_000, "soak: how many records of the log")
	f.Uint64Var(&o.Seed, "seed", 0, "soak: plays the same harms again; 0: others")
	f.StringVar(&o.Policy, "policy", drill.PolicyMirrored, "mirrored; soak: none, too, whose losses are counted")
	f.StringVar(&o.Client, "client", drill.ClientFIXP, "fixp, or fix: an initiator on QuickFIX/C++ (needs g++ and libquickfix-dev), for kill, stop, panic-exit, power, handover and none")
	f.StringVar(&o.FIXVersion, "fix-version", "FIX.4.4", "client fix: FIX.4.4 or FIX.4.2")
	f.IntVar(&o.RatePerSecond, "rate", 20_000, "orders per second and lane; with --all 10000, with --client fix 500 by default")
	f.DurationVar(&o.Duration, "duration", 2*time.Second, "load of each run, half before and half after the fault; with --all 1s by default")
	f.BoolVar(&all, "all", false, "every fault; a report is worth having: --report")
	f.StringVar(&dir, "report", "", "write drill.html and drill.json into this directory")
	f.BoolVar(&noKeepalived, "no-keepalived", false, "do not measure keepalived beside it")
	f.DurationVar(&o.Asleep, "asleep", 200*time.Millisecond, "from a harm to its repair: SIGSTOP to SIGCONT, cable out to cable in")
	f.DurationVar(&o.Wait, "wait", 20*time.Millisecond, "for a lost standby's ACK, before going on alone; not with pair, links and fence")
	f.DurationVar(&o.Heartbeat, "heartbeat", 5*time.Millisecond, "the lane's heartbeat")
	f.DurationVar(&o.HangBudget, "hang-budget", 10*time.Millisecond, "how long an engine may show no progress")
	f.StringVar(&o.App, "app", "gateway", "gateway (with a venue) or book")
	f.StringVar(&o.Idle, "idle", "backoff", "idle strategy of the nodes' loops")
	f.StringVar(&o.ClientIdle, "client-idle", "sleep", "idle strategy of the client")
	f.StringVar(&o.RingSize, "ring-size", "16MiB", "ring of each lane")
	f.StringVar(&o.Release, "release", "ride", "ride, chain or user")
	f.BoolVar(&o.IPv6, "ipv6", false, "the addresses of lanes, venues and clients are IPv6 ones")
	f.StringVar(&o.KeepDir, "keep", "", "keep the logs of bad runs under this directory")
	f.BoolVarP(&verbose, "verbose", "v", false, "show what the lab's processes log")
	f.BoolVar(&asJSON, "json", false, "print JSON: an object, with --all an array of them")
	c.MarkFlagsMutuallyExclusive("all", "fault")
	return c
}

// writeReport measures keepalived and writes the report's files.
func writeReport(c *cobra.Command, o *drill.Options, dir string, summaries []drill.Summary, begin time.Time, beside bool) error {
	r := report.Report{Time: begin, Version: version(), Command: strings.Join(os.Args, " "), Machine: shapes.ThisMachine(),
		Settings: report.SettingsOf(o), Faults: summaries}
	if beside {
		k, err := drill.MeasureKeepalived(o, o.Runs, c.Context().Done())
		if errors.Is(err, drill.ErrStopped) {
			return err
		}
		if err != nil {
			k.Problem = err.Error()
		}
		k.Compare(summaries)
		r.Keepalived = &k
	}
	r.TookNs = time.Since(begin).Nanoseconds()
	if err := r.Write(dir); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "report: %s\n", filepath.Join(dir, report.HTMLFile))
	return nil
}

func printDrills(w io.Writer, summaries []drill.Summary, all, asJSON bool) error {
	ok := true
	for i := range summaries {
		ok = ok && summaries[i].OK
		if asJSON {
			continue
		}
		if err := summaries[i].WriteText(w); err != nil {
			return err
		}
	}
	if asJSON {
		var out any = summaries
		if !all {
			out = summaries[0]
		}
		if err := json.NewEncoder(w).Encode(out); err != nil {
			return err
		}
	}
	if !ok {
		return errSilent
	}
	return nil
}

// drillSite kills a whole site, again and again, and prints RPO and RTO.
func drillSite(c *cobra.Command, o *drill.Options, asJSON bool) error {
	if f := c.Flags(); !f.Changed("rate") {
		o.RatePerSecond = 2_000
	}
	o.Fault = ""
	if err := o.Defaults(); err != nil {
		return err
	}
	var results []*drill.SiteResult
	ok := true
	for range o.Runs {
		r, err := drill.RunSite(o, c.Context().Done())
		if err != nil {
			return err
		}
		results = append(results, r)
		ok = ok && r.OK()
		if !asJSON {
			if err := r.WriteText(c.OutOrStdout()); err != nil {
				return err
			}
		}
	}
	if asJSON {
		if err := json.NewEncoder(c.OutOrStdout()).Encode(results); err != nil {
			return err
		}
	}
	if !ok {
		return errSilent
	}
	return nil
}
