package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/reader"
	"onebeat/tools/config"
	"onebeat/tools/inspect"
	"onebeat/tools/node"
)

// ringFlags say which log a command reads: a node's ring, or an archive.
type ringFlags struct {
	configPath, bpffs, archive string
	archived                   bool
	lane                       int
	asJSON                     bool
}

func (f *ringFlags) register(c *cobra.Command) {
	c.PersistentFlags().StringVar(&f.configPath, "config", "", "the node's configuration file")
	c.PersistentFlags().StringVar(&f.bpffs, "bpffs", "", "the node's pin directory, instead of --config")
	c.PersistentFlags().StringVar(&f.archive, "archive", "", "a lane's archive directory, instead of a ring")
	c.PersistentFlags().BoolVar(&f.archived, "archived", false, "with --config: the lane's archive, not its ring")
	c.PersistentFlags().IntVar(&f.lane, "lane", 0, "lane id")
	c.PersistentFlags().BoolVar(&f.asJSON, "json", false, "print JSON")
}

func (f *ringFlags) config() (*config.Config, error) {
	if f.configPath == "" {
		return nil, errors.New("say which node: --config FILE, --bpffs DIRECTORY or --archive DIRECTORY")
	}
	return config.Load(f.configPath)
}

// archiveDir returns the lane's archive; empty: a ring is meant.
func (f *ringFlags) archiveDir() (string, error) {
	if f.archive != "" || !f.archived {
		return f.archive, nil
	}
	cfg, err := f.config()
	if err != nil {
		return "", err
	}
	if cfg.Archive == nil {
		return "", fmt.Errorf("%s has no [archive]", f.configPath)
	}
	return archive.LaneDir(cfg.Archive.Dir, cfg.Node.Name, f.lane), nil
}

// memory returns where the lane's ring is.
func (f *ringFlags) memory() (reader.Config, error) {
	if f.bpffs != "" {
		return reader.Config{BPFFS: f.bpffs, Lane: f.lane}, nil
	}
	cfg, err := f.config()
	if err != nil {
		return reader.Config{}, err
	}
	return node.ReaderConfig(cfg, f.lane)
}

func (f *ringFlags) ring() (*inspect.Ring, error) {
	c, err := f.memory()
	if err != nil {
		return nil, err
	}
	if c.File != "" {
		return inspect.OpenRingFile(c.File)
	}
	return inspect.OpenRing(c.BPFFS, c.Lane)
}

// source opens what the flags name.
func (f *ringFlags) source() (inspect.Source, error) {
	dir, err := f.archiveDir()
	if err != nil {
		return nil, err
	}
	if dir != "" {
		return archive.OpenReader(disk.OS{}, dir)
	}
	return f.ring()
}

// filterFlags say which records a command wants.
type filterFlags struct {
	sessions, symbols []uint
	types             []string
	since, until      string
	from, to          uint64
}

func (f *filterFlags) register(c *cobra.Command) {
	c.Flags().UintSliceVar(&f.sessions, "session", nil, "only records of these clients, by their index in the configuration")
	c.Flags().UintSliceVar(&f.symbols, "symbol", nil, "only messages about these symbols")
	c.Flags().StringSliceVar(&f.types, "type", nil, "only records of these types: "+strings.Join(inspect.Types(), ", "))
	c.Flags().StringVar(&f.since, "since", "", "from this lane time on: RFC 3339, or ns since 1970")
	c.Flags().StringVar(&f.until, "until", "", "up to this lane time")
	c.Flags().Uint64Var(&f.from, "from", 0, "from this position on")
	c.Flags().Uint64Var(&f.to, "to", 0, "up to before this position; 0: the end")
}

func (f *filterFlags) filter() (*inspect.Filter, error) {
	x := &inspect.Filter{Types: f.types, From: f.from, Position: f.to, HasTo: f.to != 0}
	for _, n := range f.sessions {
		x.Sessions = append(x.Sessions, uint32(n))
	}
	for _, n := range f.symbols {
		x.Symbols = append(x.Symbols, uint32(n))
	}
	for _, name := range f.types {
		if !slices.Contains(inspect.Types(), name) {
			return nil, fmt.Errorf("--type %s: use %s", name, strings.Join(inspect.Types(), ", "))
		}
	}
	var err error
	if f.since != "" {
		if x.SinceNs, err = inspect.ParseTime(f.since); err != nil {
			return nil, err
		}
	}
	if f.until != "" {
		x.ToNs, err = inspect.ParseTime(f.until)
	}
	return x, err
}

func newRing() *cobra.Command {
	flags := &ringFlags{}
	c := &cobra.Command{Use: "ring", Short: "Read a lane's log: its ring, also that of a dead node, or its archive"}
	flags.register(c)
	c.AddCommand(newRingLs(flags), newRingDump(flags), newRingTail(flags), newRingVerify(flags), newRingDiff(flags), newRingReplay(flags))
	return c
}

// tellGap says on the error output that records are missing.
func tellGap(c *cobra.Command) func(*archive.Gap) {
	return func(g *archive.Gap) { fmt.Fprintln(c.ErrOrStderr(), "onebeat: "+g.Error()) }
}

// progressEvery is how often a long work says how far it is.
const progressEvery = 200 * time.Millisecond

// progress is a line on a terminal that says how far a long work is; elsewhere it
// says nothing.
type progress struct {
	w     io.Writer
	start time.Time
	next  time.Time
	shown bool
}

func newProgress() *progress {
	p := &progress{start: time.Now(), next: time.Now().Add(progressEvery)}
	if st, err := os.Stderr.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		p.w = os.Stderr
	}
	return p
}

// tell shows bytes done of all.
func (p *progress) tell(done, all int64) {
	now := time.Now()
	if p.w == nil || now.Before(p.next) {
		return
	}
	p.next, p.shown = now.Add(progressEvery), true
	const width = 30
	full := int(width * done / max(all, 1))
	rate := float64(done) / max(now.Sub(p.start).Seconds(), 1e-3)
	fmt.Fprintf(p.w, "\r[%s%s] %3d %%  %.0f of %.0f MiB  %.0f MiB/s ", strings.Repeat("=", full), strings.Repeat(" ", width-full),
		100*done/max(all, 1), float64(done)/(1<<20), float64(all)/(1<<20), rate/(1<<20))
}

// end takes the line away.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\033[K")
	}
}

// archiveDirs returns the lanes' archives under a common directory, or the
// directory itself if it is one.
func archiveDirs(dir string) ([]string, error) {
	if list, err := archive.List(disk.OS{}, dir); err != nil || len(list) > 0 {
		return []string{dir}, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if list, err := archive.List(disk.OS{}, path); e.IsDir() && err == nil && len(list) > 0 {
			dirs = append(dirs, path)
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("%w in %s", archive.ErrEmpty, dir)
	}
	return dirs, nil
}
