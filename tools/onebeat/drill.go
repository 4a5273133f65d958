package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onebeat/bench/drill"
)

func newDrill() *cobra.Command {
	var o drill.Options
	var asJSON, verbose bool
	c := &cobra.Command{
		Use: "drill", Short: "Run a fault again and again and judge from the logs", Args: cobra.NoArgs,
		Long: "drill plays each run in a fresh lab: venue, two nodes and a load client, the fault in the\n" +
			"middle. Orders lost, doubled, refused or served by two nodes at once make it fail.",
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
			s, err := drill.All(&o, c.Context().Done())
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(s)
			} else {
				err = s.WriteText(c.OutOrStdout())
			}
			if err == nil && !s.OK {
				return errSilent
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&o.Fault, "fault", drill.FaultKill, strings.Join(drill.Names(), ", ")+" (steady load, nothing may change)")
	f.StringVar(&o.Arbitration, "arbitration", drill.Witness, "pair, links, witness or etcd")
	f.Float64Var(&o.Percent, "percent", 2, "of the frames, for loss, dup, reorder and corrupt")
	f.IntVar(&o.Runs, "runs", 1, "how often")
	f.IntVar(&o.RatePerSecond, "rate", 20_000, "orders per second")
	f.DurationVar(&o.Duration, "duration", 2*time.Second, "load of each run; the fault comes in its middle")
	f.DurationVar(&o.Asleep, "asleep", 200*time.Millisecond, "stop: from SIGSTOP to SIGCONT")
	f.DurationVar(&o.Heartbeat, "heartbeat", 5*time.Millisecond, "the lane's heartbeat")
	f.DurationVar(&o.HangBudget, "hang-budget", 10*time.Millisecond, "how long an engine may show no progress")
	f.StringVar(&o.App, "app", "gateway", "gateway (with a venue) or book")
	f.StringVar(&o.Idle, "idle", "backoff", "idle strategy of the nodes' loops")
	f.StringVar(&o.ClientIdle, "client-idle", "sleep", "idle strategy of the client")
	f.StringVar(&o.RingSize, "ring-size", "16MiB", "ring of each lane")
	f.StringVar(&o.Release, "release", "ride", "ride or user")
	f.StringVar(&o.KeepDir, "keep", "", "keep the logs of bad runs under this directory")
	f.BoolVarP(&verbose, "verbose", "v", false, "show what the lab's processes log")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}
