package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/reader"
	"onebeat/tools/inspect"
)

// segmentLine is one file of an archive for people and programs.
type segmentLine struct {
	Path       string `json:"path"`
	First      uint64 `json:"first"`
	End        uint64 `json:"end,omitempty"` // of a closed one
	Records    uint64 `json:"records,omitempty"`
	FirstNs    int64  `json:"first_ns"`
	LastNs     int64  `json:"last_ns,omitempty"`
	FileBytes  int64  `json:"file_bytes"`
	Compressed bool   `json:"compressed"`
	Closed     bool   `json:"closed"`
	Damage     string `json:"damage,omitempty"`
}

func lineOfSegment(s *archive.Segment) segmentLine {
	l := segmentLine{Path: s.Path, First: s.Header.First, FirstNs: s.Header.FirstNs, FileBytes: s.FileBytes, Compressed: s.Compressed, Closed: s.Sealed}
	if s.Sealed {
		l.End, l.Records, l.LastNs = s.Seal.End, s.Seal.Records, s.Seal.LastNs
	}
	if s.Damage != nil {
		l.Damage = s.Damage.Problem
	}
	return l
}

func (l *segmentLine) text() string {
	at := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.DateTime) }
	what := "being written"
	if l.Closed {
		what = fmt.Sprintf("up to %d, %d records, until %s", l.End, l.Records, at(l.LastNs))
	}
	if l.Damage != "" {
		what += "  DAMAGED: " + l.Damage
	}
	return fmt.Sprintf("%s  %8.1f MiB  from %d, %s, %s", l.Path, float64(l.FileBytes)/(1<<20), l.First, at(l.FirstNs), what)
}

func newRingLs(flags *ringFlags) *cobra.Command {
	return &cobra.Command{
		Use: "ls [DIRECTORY]", Short: "List the files of archives", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := lsDir(flags, args)
			if err != nil {
				return err
			}
			dirs, err := archiveDirs(dir)
			if err != nil {
				return err
			}
			for _, dir := range dirs {
				list, err := archive.List(disk.OS{}, dir)
				if err != nil {
					return err
				}
				for i := range list {
					l := lineOfSegment(&list[i])
					if flags.asJSON {
						err = json.NewEncoder(c.OutOrStdout()).Encode(l)
					} else {
						_, err = fmt.Fprintln(c.OutOrStdout(), l.text())
					}
					if err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

// lsDir: without a directory, that of the node's configuration.
func lsDir(flags *ringFlags, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	if flags.archive != "" {
		return flags.archive, nil
	}
	cfg, err := flags.config()
	if err != nil {
		return "", err
	}
	if cfg.Archive == nil {
		return "", fmt.Errorf("%s has no [archive]", flags.configPath)
	}
	return cfg.Archive.Dir, nil
}

func newRingDump(flags *ringFlags) *cobra.Command {
	var want filterFlags
	var payload bool
	c := &cobra.Command{
		Use: "dump", Short: "Print records, oldest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withSource(c, flags, &want, payload, func(s inspect.Source, f *inspect.Filter, p *inspect.Printer) error {
				return inspect.Dump(s, f, tellGap(c), p.Print)
			})
		},
	}
	want.register(c)
	c.Flags().BoolVar(&payload, "payload", false, "payloads too, in hexadecimal")
	return c
}

func newRingTail(flags *ringFlags) *cobra.Command {
	var want filterFlags
	var payload, follow, committed bool
	var count int
	c := &cobra.Command{
		Use: "tail", Short: "Print the newest records", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withSource(c, flags, &want, payload, func(s inspect.Source, f *inspect.Filter, p *inspect.Printer) error {
				err := inspect.Newest(s, f, count, tellGap(c), p.Print)
				if err != nil || !follow {
					return err
				}
				if r, ok := s.(*inspect.Ring); ok {
					return followRing(c, flags, committed, r.Position(), f, p)
				}
				return followSource(c, s, f, p)
			})
		},
	}
	want.register(c)
	c.Flags().IntVarP(&count, "count", "n", 20, "how many; 0: all there are")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is appended, until interrupted; what the ring has\noverwritten meanwhile comes from the archive")
	c.Flags().BoolVar(&committed, "committed", false, "follow: only what no failover can take back")
	c.Flags().BoolVar(&payload, "payload", false, "payloads too, in hexadecimal")
	return c
}

// followEvery is how often a log that had nothing new is looked at.
const followEvery = 5 * time.Millisecond

// followRing goes on behind a position, whatever becomes of the node.
func followRing(c *cobra.Command, flags *ringFlags, committed bool, position uint64, f *inspect.Filter, p *inspect.Printer) error {
	cfg, err := flags.memory()
	if err != nil {
		return err
	}
	cfg.Uncommitted = !committed
	r, err := reader.Open(cfg)
	if err != nil {
		return err
	}
	if err = r.Seek(position); err == nil {
		err = followSource(c, r, f, p)
	}
	return errors.Join(err, r.Close())
}

func followSource(c *cobra.Command, s inspect.Stream, f *inspect.Filter, p *inspect.Printer) error {
	out := p.W.(*bufio.Writer)
	for {
		err := inspect.Each(s, f, tellGap(c), p.Print)
		var cut *reader.Cut
		if errors.As(err, &cut) {
			fmt.Fprintln(c.ErrOrStderr(), "onebeat: "+cut.Error())
			err = nil
		}
		if err := errors.Join(err, out.Flush()); err != nil {
			return err
		}
		select {
		case <-c.Context().Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// withSource opens a log and a printer for a command.
func withSource(c *cobra.Command, flags *ringFlags, want *filterFlags, payload bool,
	run func(inspect.Source, *inspect.Filter, *inspect.Printer) error) error {
	f, err := want.filter()
	if err != nil {
		return err
	}
	s, err := flags.source()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(c.OutOrStdout())
	err = run(s, f, &inspect.Printer{W: out, JSON: flags.asJSON, Payload: payload})
	return errors.Join(err, out.Flush(), s.Close())
}
