package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"onebeat/bench/drill"
)

func newDemo() *cobra.Command {
	o := drill.Options{Fault: drill.FaultKill, Arbitration: drill.Pair}
	var verbose bool
	c := &cobra.Command{
		Use: "demo", Short: "Watch a primary die under load and nothing be lost", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needRoot("demo"); err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			begin := time.Now()
			o.Program = self
			// What the processes say is the progress; it belongs to stderr.
			o.Log = os.Stderr
			o.LogLevel = "warn"
			if verbose {
				o.LogLevel = "info"
			}
			o.Progress = func(line string) { fmt.Fprintf(out, "%6.2f s  %s\n", time.Since(begin).Seconds(), line) }
			if err := o.Defaults(); err != nil {
				return err
			}
			o.Progress(fmt.Sprintf("lab of five namespaces; %d orders/s for %v, SIGKILL of the primary at the middle", o.RatePerSecond, o.Duration))
			r, err := drill.Run(&o, 0, c.Context().Done())
			if errors.Is(err, drill.ErrStopped) {
				fmt.Fprintln(out, "stopped; the lab is taken down")
				return errSilent
			}
			if err != nil {
				return err
			}
			r.WriteReport(out, &o)
			if !r.OK() {
				return errSilent
			}
			fmt.Fprintf(out, "Nothing lost, nothing doubled. The lab is taken down; %.1f s in all.\n", time.Since(begin).Seconds())
			return nil
		},
	}
	c.Flags().IntVar(&o.RatePerSecond, "rate", 20_000, "orders per second")
	c.Flags().DurationVar(&o.Duration, "duration", 10*time.Second, "how long orders are due")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show what the lab's processes log")
	return c
}
