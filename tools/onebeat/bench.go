package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onebeat/bench/crowd"
	"onebeat/bench/fixload"
	"onebeat/bench/logs"
	"onebeat/bench/shapes"
	"onebeat/pin"
	"onebeat/tools/config"
)

// benchFlags are what a bench is told.
type benchFlags struct {
	setting shapes.Setting
	options shapes.Options
	layout  string
	compare bool
	rounds  int
	check   bool
	asJSON  bool
	profile string // file of a CPU profile; empty: none
	logs    logs.Options
	fix     fixload.BenchOptions
}

const benchLong = `bench measures what one order costs from the client's send to its answer, one in
flight, over veth pairs between network namespaces it builds and removes again.

Shapes
  cecho     an AF_XDP echo in C, the yardstick (needs a C compiler)
  echo      onebeat's AF_XDP echo of the same frames
  asavie    an echo on the per-packet path of github.com/asavie/xdp
  order     an order to one node, policy none
  mirrored  an order to a pair of nodes, answered once the standby's kernel holds it
  applied   the same, answered once the standby's engine has applied it
  archived  the same, answered once the standby has synced it to its disk
  udp       mirrored over UDP sockets, without kernel programs
  goudp     an echo on a kernel UDP socket in Go
  cudp      the same in C (needs a C compiler)
  all       each of them in turn

Shapes of the log, beside the order path (--shape logs: each of them in turn)
  append    records of 64 bytes into a ring, nothing else
  reader    from a record's append to its arrival in another process that spins
  archive   ring to disk, memory meanwhile, and mirrored orders without and with it
  replay    the gateway's state rebuilt from its archive
  catchup   a log of 1 GiB over TLS on the loopback, checked and archived again
  rejoin    orders to a primary that is alone, in turns with such while a standby with an
            empty ring fetches the log; paced, and one in flight

FIX over TCP
  fix          an order to its report by the loopback, mirrored, beside plain quickfixgo
               with its file store; and how many orders one session bears
  fix-hostile  a session of FIX and one of FIXP beside strangers and a bad client of FIX,
               each at a fixed rate: connections that say nothing, 10,000 half-open ones
               a second, garbage, wrong Logons, certificates and numbers; in turns alone,
               and while a plain listener of another host is attacked so
  fixp-hostile the same beside strangers and a bad client of FIXP

FIXP
  crowd        1,000 live sessions of 10,000 over one AF_XDP socket: an order beside that
               of a lane of one session, memory, and the primary killed under all

All other shapes are measured by the same client: its clock is read right before the
system call that sends and right after the receive ring shows the answer. With
--app gateway the answer is PendingNew and the order goes to the venue as well.

--compare measures them all in interleaved rounds and prints the ratios that
onebeat promises. allocs and gc_cycles are those of the whole process while it
measures; both must be 0.`

func newBenchCommand() *cobra.Command {
	var b benchFlags
	c := &cobra.Command{
		Use: "bench", Short: "Measure the latency shapes of the order path", Args: cobra.NoArgs, Long: benchLong,
		Example: "  onebeat bench --shape mirrored --app gateway --json\n  onebeat bench --compare --rounds 5",
		RunE:    func(c *cobra.Command, _ []string) error { return b.run(c) },
	}
	f := c.Flags()
	f.StringVar(&b.setting.Shape, "shape", "all", "all, "+strings.Join(shapes.All, ", ")+"; logs, "+strings.Join(logs.All, ", ")+"; "+strings.Join(fixload.All, ", ")+"; "+crowd.Shape)
	f.StringVar(&b.setting.App, "app", config.AppBook, "book (one output) or gateway (all checks, two outputs)")
	f.StringVar(&b.setting.Release, "release", config.ReleaseRide, "mirrored, udp: ride (the kernel releases), chain (the standby's kernel does; not udp) or user")
	f.BoolVar(&b.setting.Auth, "auth", true, "mirrored, udp: authenticate link frames")
	f.IntVar(&b.setting.Lanes, "lanes", 1, "order, mirrored: lanes that the nodes serve on one thread, each sent an order in turn")
	f.IntVar(&b.options.Count, "count", 200_000, "frames measured, of each shape and round")
	f.IntVar(&b.options.Warmup, "warmup", 20_000, "frames before them")
	f.DurationVar(&b.options.Limit, "limit", 3*time.Second, "end a measurement after this long whatever its count")
	f.StringVar(&b.layout, "layout", "", "cores of primary, client and, where there is a third, standby, like 0,1; on two cores the\nclient's thread runs the standby between two orders (default: the first cores allowed)")
	f.StringVar(&b.logs.Dir, "dir", "", "archive, replay, rejoin, fix: where archives and stores are made (default: the directory for temporary files)")
	f.DurationVar(&b.logs.For, "for", 0, "append, reader, archive, replay: how long one measurement takes (default: as the shape needs)")
	f.BoolVar(&b.compare, "compare", false, "measure all shapes in turns and print the promised ratios")
	f.IntVar(&b.rounds, "rounds", 5, "compare and shapes of the log: rounds; each percentile printed is the median of them")
	f.BoolVar(&b.check, "check", false, "compare and shapes of the log: exit with status 1 when a bound does not hold")
	f.StringVar(&b.profile, "cpuprofile", "", "write a CPU profile of the measurements (make profile)")
	f.BoolVar(&b.asJSON, "json", false, "print JSON: one object, with --shape all one a line")
	c.AddCommand(newBenchSuite(), newBenchBreakdown(), newBenchInstructions())
	return c
}

// startProfile writes a CPU profile to a file until stop.
func startProfile(name string) (stop func() error, err error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

func (b *benchFlags) run(c *cobra.Command) (err error) {
	if err := needRoot("bench"); err != nil {
		return err
	}
	if err := pin.Reexec(); err != nil {
		return err
	}
	defer pin.CollectByNeed()()
	if b.options.Layout, err = b.parseLayout(); err != nil {
		return err
	}
	b.options.Progress = func(line string) { fmt.Fprintln(os.Stderr, "measuring "+line) }
	if b.setting.Shape == "logs" || slices.Contains(logs.All, b.setting.Shape) {
		return b.runLogs(c)
	}
	if slices.Contains(fixload.All, b.setting.Shape) {
		return b.runFIX(c)
	}
	if b.setting.Shape == crowd.Shape {
		return b.runCrowd(c)
	}
	settings, err := b.settings()
	if err != nil {
		return err
	}
	bench, err := shapes.New(b.options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bench.Close()) }()
	if b.profile != "" {
		stop, errProfile := startProfile(b.profile)
		if errProfile != nil {
			return errProfile
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	if b.compare {
		return b.runCompare(c, bench)
	}
	var results []shapes.Result
	for _, s := range settings {
		if s.Compiled() && !bench.HasYardstick() && len(settings) > 1 {
			fmt.Fprintf(os.Stderr, "no C compiler: %s is left out\n", s.Shape)
			continue
		}
		r, err := bench.Measure(c.Context(), s)
		if err != nil {
			return err
		}
		if b.asJSON {
			if err := json.NewEncoder(c.OutOrStdout()).Encode(r); err != nil {
				return err
			}
		}
		results = append(results, r)
	}
	if b.asJSON {
		return nil
	}
	return shapes.WriteText(c.OutOrStdout(), results)
}

// runLogs measures shapes of the log.
func (b *benchFlags) runLogs(c *cobra.Command) error {
	o := b.logs
	o.Layout, o.Rounds, o.Orders, o.Progress = b.options.Layout, b.rounds, b.options.Count, b.options.Progress
	wanted := logs.All
	if b.setting.Shape != "logs" {
		wanted = []string{b.setting.Shape}
	}
	holds := true
	for _, shape := range wanted {
		r, err := logs.Measure(c.Context(), shape, o)
		if err != nil {
			return err
		}
		if b.asJSON {
			err = json.NewEncoder(c.OutOrStdout()).Encode(&r)
		} else {
			err = r.WriteText(c.OutOrStdout())
		}
		if err != nil {
			return err
		}
		holds = holds && r.Holds()
	}
	if b.check && !holds {
		return errSilent
	}
	return nil
}

// runFIX measures shapes of FIX.
func (b *benchFlags) runFIX(c *cobra.Command) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	o := b.fix
	o.Program, o.App, o.Dir, o.Rounds, o.Progress = self, b.setting.App, b.logs.Dir, b.rounds, b.options.Progress
	o.Count, o.Warmup, o.Limit = b.options.Count, b.options.Warmup, b.options.Limit
	r, err := fixload.Measure(c.Context(), b.setting.Shape, o)
	if err != nil {
		return err
	}
	return b.print(c, &r, r.Holds())
}

// runCrowd measures a lane of many sessions.
func (b *benchFlags) runCrowd(c *cobra.Command) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, err := crowd.Measure(c.Context(), crowd.Options{Program: self, Rounds: b.rounds, Count: b.options.Count, Limit: b.options.Limit, Progress: b.options.Progress})
	if err != nil {
		return err
	}
	return b.print(c, &r, r.Sound())
}

// print prints a report that can say itself whether it is as promised.
func (b *benchFlags) print(c *cobra.Command, report interface{ WriteText(io.Writer) error }, holds bool) (err error) {
	if b.asJSON {
		err = json.NewEncoder(c.OutOrStdout()).Encode(report)
	} else {
		err = report.WriteText(c.OutOrStdout())
	}
	if err == nil && b.check && !holds {
		return errSilent
	}
	return err
}

// newBenchAcceptor is a plain acceptor of the shape fix.
func newBenchAcceptor() *cobra.Command {
	return &cobra.Command{Use: "bench-acceptor ADDRESS DIRECTORY sync|nosync", Hidden: true, Args: cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error { return fixload.RunAcceptor(c.Context(), args) }}
}

// newBenchAttacker is who attacks in the shapes fix-hostile and fixp-hostile, and
// newBenchSink who is attacked for comparison.
func newBenchAttacker() *cobra.Command {
	return &cobra.Command{Use: "bench-attacker", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return fixload.RunAttacker(c.Context(), c.InOrStdin(), c.OutOrStdout())
		}}
}

func newBenchSink() *cobra.Command {
	return &cobra.Command{Use: "bench-sink ADDRESS", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return fixload.RunSink(c.Context(), args) }}
}

// newBenchReader is the other process of the shape reader.
func newBenchReader() *cobra.Command {
	return &cobra.Command{Use: "bench-reader FILE CORE COUNT", Hidden: true, Args: cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error { return logs.RunReader(args, c.OutOrStdout()) }}
}

func (b *benchFlags) runCompare(c *cobra.Command, bench *shapes.Bench) error {
	if !bench.HasYardstick() {
		fmt.Fprintln(os.Stderr, "no C compiler: cecho and its bound are left out")
	}
	r, err := bench.Compare(c.Context(), b.rounds)
	if err != nil {
		return err
	}
	if b.asJSON {
		err = json.NewEncoder(c.OutOrStdout()).Encode(r)
	} else {
		err = r.WriteText(c.OutOrStdout())
	}
	if err == nil && b.check && !r.Holds {
		return errSilent
	}
	return err
}

func (b *benchFlags) parseLayout() (shapes.Layout, error) {
	if b.layout == "" {
		return shapes.DefaultLayout()
	}
	return shapes.ParseLayout(b.layout)
}

// settings are the shapes asked for.
func (b *benchFlags) settings() ([]shapes.Setting, error) {
	if b.setting.Shape != "all" {
		return []shapes.Setting{b.setting}, b.setting.Check()
	}
	var all []shapes.Setting
	for _, name := range shapes.All {
		s := b.setting
		s.Shape = name
		if err := s.Check(); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
