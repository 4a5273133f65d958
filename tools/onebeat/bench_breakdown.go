package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"onebeat/bench/shapes"
	"onebeat/pin"
	"onebeat/tools/config"
)

func newBenchBreakdown() *cobra.Command {
	b := benchFlags{setting: shapes.Setting{Shape: shapes.Mirrored, Auth: true}}
	c := &cobra.Command{
		Use: "breakdown", Short: "Where the time of one order goes", Args: cobra.NoArgs,
		Long: "breakdown measures one order in flight and says what it spends between the places it passes. It takes\n" +
			"a program with marks: `make breakdown` builds one and runs this.",
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if err := needRoot("bench breakdown"); err != nil {
				return err
			}
			if err := pin.Reexec(); err != nil {
				return err
			}
			if b.options.Layout, err = b.parseLayout(); err != nil {
				return err
			}
			b.options.Limit = time.Minute
			b.options.Progress = func(line string) { fmt.Fprintln(os.Stderr, "measuring "+line) }
			bench, err := shapes.New(b.options)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, bench.Close()) }()
			d, err := bench.Breakdown(c.Context(), b.setting)
			if err != nil {
				return err
			}
			if b.asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(d)
			}
			return d.WriteText(c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&b.setting.Shape, "shape", shapes.Mirrored, "order or mirrored")
	f.StringVar(&b.setting.App, "app", config.AppBook, "book or gateway")
	f.StringVar(&b.setting.Release, "release", config.ReleaseRide, "mirrored: who releases, as for bench")
	f.BoolVar(&b.setting.Auth, "auth", true, "mirrored: authenticate link frames")
	f.IntVar(&b.options.Count, "count", 50_000, "orders measured")
	f.IntVar(&b.options.Warmup, "warmup", 5_000, "orders before them")
	f.StringVar(&b.layout, "layout", "", "cores, as for bench")
	f.BoolVar(&b.asJSON, "json", false, "print JSON")
	return c
}
