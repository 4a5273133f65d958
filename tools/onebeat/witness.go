package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"onebeat/mirror/lane"
	"onebeat/tools/config"
	"onebeat/tools/control"
	"onebeat/tools/witness"
)

// witnessFlags are the settings of a witness on the command line.
type witnessFlags struct {
	configPath         string
	listen             string
	keyFiles           []string
	name, runDir, idle string
	logLevel           string
	core               int
	check              bool
	etcd               bool
	member             etcdFlags
}

func newWitness() *cobra.Command {
	var o witnessFlags
	c := &cobra.Command{
		Use: "witness", Short: "Run a witness: the tie-breaker that keeps lanes' records in memory", Args: cobra.NoArgs,
		Long: "witness keeps the record of each lane (who writes it, and who must hold what is written) for any\n" +
			"number of pairs of nodes. It answers one authenticated UDP datagram each way. Run it on a third host,\n" +
			"best on a network of its own: it must not die with a node, nor be cut off together with one.\n\n" +
			"Its memory is all it has. After a restart it knows no lane and refuses all changes until the lane's\n" +
			"ACTIVE node has told it, which takes a moment and needs nobody; lanes go on serving meanwhile. Only\n" +
			"if a node dies before that, `onebeat witness seed` says what the register held.\n\n" +
			"With --etcd-embedded it is a member of an etcd cluster instead, for lanes with arbitration = \"etcd\": the\n" +
			"record is on disk and survives restarts; with three members it survives the loss of one. A change takes\n" +
			"milliseconds where a witness takes microseconds.",
		Example: "  openssl rand -hex 32 > desk-1.key; chmod 600 desk-1.key   # the same on both nodes and the witness\n" +
			"  onebeat witness --listen 10.98.0.100:7500 --key-file desk-1.key\n" +
			"  onebeat witness --config witness.toml\n" +
			"  onebeat witness --etcd-embedded --name m1 --listen 10.98.0.1:2379 --data-dir /var/lib/onebeat/etcd \\\n" +
			"    --cluster m1=http://10.98.0.1:2380,m2=http://10.98.0.2:2380,m3=http://10.98.0.3:2380\n" +
			"  onebeat witness status\n" +
			"  ssh node-a onebeat status --config a.toml --json | onebeat witness seed --lane 0 --from - --who alice --why 'witness replaced'",
		RunE: func(c *cobra.Command, _ []string) error {
			if o.etcd {
				return o.runEtcd(c)
			}
			cfg, err := o.load()
			if err != nil {
				return err
			}
			if o.check {
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s is good: witness %s at %v, %d groups\n", o.configPath, cfg.Witness.Name, cfg.Witness.Listen, len(cfg.Groups))
				return err
			}
			log, err := witnessLog(cfg.Witness.LogLevel)
			if err != nil {
				return err
			}
			return witness.Run(c.Context(), cfg, log)
		},
	}
	f := c.Flags()
	f.StringVar(&o.configPath, "config", "", "the witness's configuration file, instead of --listen and --key-file")
	f.StringVar(&o.listen, "listen", "", "address and port to answer at, like 10.98.0.100:7500")
	f.StringArrayVar(&o.keyFiles, "key-file", nil, "key shared with a pair of nodes (64 hexadecimal digits, mode 0600); once for each pair, its name names the group")
	f.StringVar(&o.name, "name", "witness", "name of the control socket")
	f.StringVar(&o.runDir, "run-dir", "/run/onebeat", "directory of the control socket")
	f.StringVar(&o.idle, "idle", config.IdleBackoff, "what the loop does while nobody asks: backoff (sleeps), yield or spin")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.IntVar(&o.core, "core", -1, "pin the loop to this core; -1: the scheduler's choice")
	f.BoolVar(&o.check, "check", false, "check the configuration file and end")
	o.member.register(f)
	f.BoolVar(&o.etcd, "etcd-embedded", false, "run a member of an etcd cluster")
	c.MarkFlagsMutuallyExclusive("etcd-embedded", "config")
	c.MarkFlagsMutuallyExclusive("etcd-embedded", "key-file")
	for _, other := range []string{"listen", "key-file", "name", "run-dir", "idle", "log-level", "core"} {
		c.MarkFlagsMutuallyExclusive("config", other)
	}
	c.AddCommand(newWitnessStatus(), newWitnessSeed())
	return c
}

func witnessLog(text string) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return nil, fmt.Errorf("--log-level %q is not known; use debug, info, warn or error", text)
	}
	witness.Version = version()
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}

// load makes the configuration of a file or of flags.
func (o *witnessFlags) load() (*config.WitnessFile, error) {
	if o.configPath != "" {
		return config.LoadWitness(o.configPath)
	}
	if o.listen == "" || len(o.keyFiles) == 0 || o.check {
		return nil, errors.New("give --config, or --listen and at least one --key-file (see onebeat witness --help)")
	}
	if !slices.Contains([]string{config.IdleBackoff, config.IdleYield, config.IdleSpin}, o.idle) {
		return nil, fmt.Errorf("--idle %q is not known; use backoff, yield or spin", o.idle)
	}
	cfg, err := config.WitnessOfKeys(o.listen, o.keyFiles)
	if err != nil {
		return nil, err
	}
	w := &cfg.Witness
	w.Name, w.RunDir, w.Idle, w.LogLevel, w.Core = o.name, o.runDir, o.idle, o.logLevel, o.core
	return cfg, nil
}

// witnessPlace says which witness a command speaks to.
type witnessPlace struct{ configPath, socket, name, runDir string }

func (p *witnessPlace) register(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&p.configPath, "config", "", "the witness's configuration file")
	f.StringVar(&p.socket, "socket", "", "the witness's control socket")
	f.StringVar(&p.name, "name", "witness", "name of the control socket")
	f.StringVar(&p.runDir, "run-dir", "/run/onebeat", "directory of the control socket")
	c.MarkFlagsMutuallyExclusive("config", "socket", "name")
	c.MarkFlagsMutuallyExclusive("config", "socket", "run-dir")
}

func (p *witnessPlace) path() (string, error) {
	switch {
	case p.socket != "":
		return p.socket, nil
	case p.configPath != "":
		cfg, err := config.LoadWitness(p.configPath)
		if err != nil {
			return "", err
		}
		return control.SocketPath(cfg.Witness.RunDir, cfg.Witness.Name), nil
	}
	return control.SocketPath(p.runDir, p.name), nil
}

func newWitnessStatus() *cobra.Command {
	var place witnessPlace
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show what a running witness keeps", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := place.path()
			if err != nil {
				return err
			}
			var s control.WitnessStatus
			if err := control.Call(path, control.Request{Cmd: control.CmdStatus}, &s, controlTimeout); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(s)
			}
			printWitness(c.OutOrStdout(), &s)
			return nil
		},
	}
	place.register(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printWitness(w io.Writer, s *control.WitnessStatus) {
	fmt.Fprintf(w, "%s, process %d, at %s since %s, boot %s\n", s.Name, s.PID, s.Listen, s.Since.Format("2006-01-02 15:04:05 MST"), s.Boot)
	if e := s.Etcd; e != nil {
		fmt.Fprintf(w, "  etcd member %s, leader %s, data %s\n", e.Member, e.Leader, e.DataDir)
	}
	for _, r := range s.Registers {
		text := r.Record
		if !r.Known {
			text = "NO RECORD: its ACTIVE node seeds it, or `onebeat witness seed`"
		}
		fmt.Fprintf(w, "  %-16s lane %-2d  %s\n", r.Group, r.Lane, text)
	}
	for _, seed := range s.Seeds {
		fmt.Fprintf(w, "  seeded %s  %s lane %d  %s  by %s\n", seed.At.Format("2006-01-02 15:04:05"), seed.Group, seed.Lane, seed.Record, seed.By)
	}
	names := make([]string, 0, len(s.Counters))
	for name, count := range s.Counters {
		if count > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "  %-20s %d\n", name, s.Counters[name])
	}
}

func newWitnessSeed() *cobra.Command {
	var place witnessPlace
	var r control.Request
	var from []string
	var who, why string
	c := &cobra.Command{
		Use: "seed", Short: "Tell a witness without memory a lane's record: an operator's word, logged", Args: cobra.NoArgs,
		Long: "seed gives a lane that the witness does not know its record. It is needed only when the lane has no\n" +
			"ACTIVE node that does it by itself: the witness lost its memory and the primary died before it was\n" +
			"back. Take the record from the nodes (--from, once for each that can be asked: the newest counts) and\n" +
			"be sure that no node which cannot be asked went on meanwhile: it would have a newer one.",
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := place.path()
			if err != nil {
				return err
			}
			if r.Record == "" {
				if r.Record, err = newestRecord(from, r.Lane, c.InOrStdin()); err != nil {
					return err
				}
			}
			r.Cmd, r.By = control.CmdSeed, who+": "+why
			if err := control.Call(path, r, nil, controlTimeout); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "lane %d: %s\n", r.Lane, r.Record)
			return err
		},
	}
	place.register(c)
	f := c.Flags()
	f.IntVar(&r.Lane, "lane", 0, "lane id")
	f.StringVar(&r.Group, "group", "", "group of the lane; needed if the witness has several")
	f.StringVar(&r.Record, "record", "", "the record, like \"epoch 4 writer 1 set 1:9f3c,2:51aa\"")
	f.StringArrayVar(&from, "from", nil, "take it from a node: its control socket, a file with `onebeat status --json`, or - for standard input")
	f.StringVar(&who, "who", "", "who says so")
	f.StringVar(&why, "why", "", "and why")
	for _, name := range []string{"lane", "who", "why"} {
		cobra.CheckErr(c.MarkFlagRequired(name))
	}
	c.MarkFlagsOneRequired("record", "from")
	c.MarkFlagsMutuallyExclusive("record", "from")
	return c
}

// newestRecord asks nodes for a lane's record and returns the newest.
func newestRecord(from []string, laneID int, stdin io.Reader) (string, error) {
	var newest lane.Record
	for _, source := range from {
		s, err := statusFrom(source, stdin)
		if err != nil {
			return "", fmt.Errorf("--from %s: %w", source, err)
		}
		l := s.Lane(laneID)
		switch {
		case l == nil:
			return "", fmt.Errorf("--from %s: node %s has no lane %d", source, s.Name, laneID)
		case l.Record == "":
			return "", fmt.Errorf("--from %s: node %s knows no record of lane %d (answers %v): ask the other node", source, s.Name, laneID, l.Answers)
		}
		r, err := lane.ParseRecord(l.Record)
		if err != nil {
			return "", fmt.Errorf("--from %s: %w", source, err)
		}
		if r.Epoch == newest.Epoch && r != newest {
			return "", fmt.Errorf("--from %s: says %v where another node says %v: two records of one epoch; give the right one with --record", source, r, newest)
		}
		if r.Epoch > newest.Epoch {
			newest = r
		}
	}
	return newest.String(), nil
}

// statusFrom reads a node's status from its control socket or as JSON.
func statusFrom(source string, stdin io.Reader) (*control.Status, error) {
	var s control.Status
	if source == "-" {
		return &s, json.NewDecoder(stdin).Decode(&s)
	}
	info, err := os.Stat(source)
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeSocket != 0 {
		return &s, control.Call(source, control.Request{Cmd: control.CmdStatus}, &s, controlTimeout)
	}
	b, err := os.ReadFile(source)
	if err != nil {
		return nil, err
	}
	return &s, json.Unmarshal(b, &s)
}
