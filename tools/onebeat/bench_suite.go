package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onebeat/bench/shapes"
	"onebeat/bench/suite"
	"onebeat/pin"
)

// suiteFlags are what a suite is told.
type suiteFlags struct {
	quick     bool
	rounds    int
	count     int
	long      time.Duration
	failovers int
	peers     bool
	dir       string
	layout    string
	check     bool
	asJSON    bool
}

const suiteLong = `suite measures every shape and every peer in turns, round after round, FIX over
TCP beside plain quickfixgo among them; then a ramp of rates to where the lane no
longer keeps up, failovers beside keepalived's, and a long run second by second. The peers are Redis, PostgreSQL,
etcd and hashicorp/raft with a copy on the second host, started from what is
installed; what is missing is left out, and said.

--report writes report.html, report.json and a histogram (.hgrm) of every entry.
The whole suite takes about twenty minutes, --quick less than one: on a machine that
is busy with other things with fewer rounds, and it says what it left out.`

func newBenchSuite() *cobra.Command {
	var s suiteFlags
	c := &cobra.Command{
		Use: "suite", Short: "Measure everything beside its peers and write a report", Args: cobra.NoArgs, Long: suiteLong,
		Example: "  onebeat bench suite --report bin/bench\n  onebeat bench suite --quick",
		RunE:    func(c *cobra.Command, _ []string) error { return s.run(c) },
	}
	full := suite.Full()
	f := c.Flags()
	f.BoolVar(&s.quick, "quick", false, "few frames, no peers, no failovers, no long run")
	f.IntVar(&s.rounds, "rounds", full.Rounds, "rounds; each percentile is the median of them")
	f.IntVar(&s.count, "count", full.Shapes.Count, "frames measured, of each shape and round")
	f.DurationVar(&s.long, "long", full.Long, "length of the long run; 0: none")
	f.IntVar(&s.failovers, "failovers", full.Failovers, "kills of the primary, and as often its power; 0: none")
	f.BoolVar(&s.peers, "peers", true, "measure Redis, PostgreSQL, etcd and raft")
	f.StringVar(&s.dir, "report", "", "write page, data and histograms into this directory")
	f.StringVar(&s.layout, "layout", "", "cores, as for bench")
	f.BoolVar(&s.check, "check", false, "exit with status 1 when a promise does not hold")
	f.BoolVar(&s.asJSON, "json", false, "print the report as JSON")
	return c
}

// options are those of the flags: --quick's, unless a flag says otherwise.
func (s *suiteFlags) options(c *cobra.Command) (suite.Options, error) {
	o := suite.Full()
	set := c.Flags().Changed
	if s.quick {
		o = suite.Quick()
	}
	if set("rounds") {
		o.Rounds = s.rounds
	}
	if set("count") {
		o.Shapes.Count = s.count
	}
	if set("long") {
		o.Long = s.long
	}
	if set("failovers") {
		o.Failovers = s.failovers
	}
	if !s.peers {
		o.StoreCount = 0
	}
	if o.Rounds < 1 || o.Failovers < 0 || o.Long < 0 {
		return o, fmt.Errorf("rounds %d, failovers %d, long %v: at least one round, and nothing negative", o.Rounds, o.Failovers, o.Long)
	}
	var err error
	if s.layout == "" {
		o.Shapes.Layout, err = shapes.DefaultLayout()
	} else {
		o.Shapes.Layout, err = shapes.ParseLayout(s.layout)
	}
	o.Shapes.Progress = func(line string) { fmt.Fprintln(os.Stderr, "measuring "+line) }
	o.Version, o.Command = version(), strings.Join(os.Args, " ")
	return o, err
}

func (s *suiteFlags) run(c *cobra.Command) error {
	if err := needRoot("bench suite"); err != nil {
		return err
	}
	o, err := s.options(c)
	if err != nil {
		return err
	}
	if err := pin.Reexec(); err != nil {
		return err
	}
	defer pin.CollectByNeed()()
	if o.Program, err = os.Executable(); err != nil {
		return err
	}
	r, err := suite.Run(c.Context(), o)
	if err != nil {
		return err
	}
	if s.dir != "" {
		if err := r.Write(s.dir); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "report: %s\n", filepath.Join(s.dir, suite.HTMLFile))
	}
	if s.asJSON {
		err = json.NewEncoder(c.OutOrStdout()).Encode(r)
	} else {
		err = r.WriteText(c.OutOrStdout())
	}
	if err == nil && s.check && r.Broken() > 0 {
		return errSilent
	}
	return err
}
