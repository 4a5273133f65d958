package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/tools/config"
	"onebeat/tools/inspect"
	"onebeat/tools/node"
)

func newRingVerify(flags *ringFlags) *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Check every record of a ring or an archive, and an archive's index and hash chain", Args: cobra.NoArgs,
		Long: "Check every record. Of an archive also both ends of its files, its index and its hash chain.\n" +
			"The exit status is 1 if anything is harmed; what is whole all the same is said.",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := flags.archiveDir()
			if err != nil {
				return err
			}
			if dir == "" {
				return verifyRing(c, flags)
			}
			p := newProgress()
			v, err := archive.Verify(disk.OS{}, dir, p.tell)
			p.end()
			if err != nil {
				return err
			}
			if flags.asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(v)
			} else {
				err = printVerified(c.OutOrStdout(), v)
			}
			if err == nil && len(v.Problems) > 0 {
				err = errSilent
			}
			return err
		},
	}
}

func verifyRing(c *cobra.Command, flags *ringFlags) error {
	r, err := flags.ring()
	if err != nil {
		return err
	}
	v, bad := r.Verify()
	if flags.asJSON {
		err = json.NewEncoder(c.OutOrStdout()).Encode(v)
	} else {
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d records from %d to %d (tail %d), epochs %d to %d\n",
			v.Authority, v.Records, v.From, v.End, v.Tail, v.FirstEpoch, v.LastEpoch)
	}
	return errors.Join(bad, err, r.Close())
}

func printVerified(w io.Writer, v *archive.Verified) error {
	_, err := fmt.Fprintf(w, "%s: %d records in %d segments from %d to %d, epochs %d to %d\nlane %s\nchain %s\n",
		v.Dir, v.Records, v.Segments, v.Begin, v.End, v.Epochs.From, v.Epochs.To, v.Identity, v.Chain)
	for _, g := range v.Gaps {
		_, e := fmt.Fprintf(w, "missing: %d to %d, the ring was faster\n", g.From, g.To)
		err = errors.Join(err, e)
	}
	for _, p := range v.Problems {
		_, e := fmt.Fprintln(w, "HARMED:", p)
		err = errors.Join(err, e)
	}
	if len(v.Problems) == 0 {
		_, e := fmt.Fprintln(w, "nothing was altered")
		return errors.Join(err, e)
	}
	for _, r := range v.Salvageable {
		_, e := fmt.Fprintf(w, "salvageable: %d to %d\n", r.From, r.To)
		err = errors.Join(err, e)
	}
	return err
}

func newRingDiff(flags *ringFlags) *cobra.Command {
	return &cobra.Command{
		Use: "diff ARCHIVE ARCHIVE", Short: "Find the first difference of two archives", Args: cobra.ExactArgs(2),
		Long: "Compare two archives from the first position that both have. The exit status is 1 if they differ;\n" +
			"one that only ends earlier does not.",
		RunE: func(c *cobra.Command, args []string) error {
			a, err := archive.OpenReader(disk.OS{}, args[0])
			if err != nil {
				return err
			}
			b, err := archive.OpenReader(disk.OS{}, args[1])
			if err != nil {
				return errors.Join(err, a.Close())
			}
			p := newProgress()
			all := int64(0)
			for _, s := range a.Segments() {
				all += int64(s.Header.DataBytes)
			}
			d, err := inspect.Diff(a, b, func(position uint64) { p.tell(int64(position-a.Begin()), all) })
			p.end()
			if err = errors.Join(err, a.Close(), b.Close()); err != nil {
				return err
			}
			if flags.asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(d)
			} else {
				err = printDifference(c.OutOrStdout(), d, args)
			}
			if err == nil && !d.Same {
				err = errSilent
			}
			return err
		},
	}
}

func printDifference(w io.Writer, d *inspect.Difference, args []string) error {
	if d.Same {
		text := "both end there"
		switch d.Longer {
		case "a":
			text = args[0] + " goes on"
		case "b":
			text = args[1] + " goes on"
		}
		_, err := fmt.Fprintf(w, "the same: %d records from %d to the one at %d; %s\n", d.Records, d.From, d.Last, text)
		return err
	}
	_, err := fmt.Fprintf(w, "DIFFERENT after %d records from %d, the last same one at %d: %s\n", d.Records, d.From, d.Last, d.Reason)
	for i, l := range []*inspect.Line{d.A, d.B} {
		if l != nil {
			_, e := fmt.Fprintf(w, "%s:\n  %s\n", args[i], l)
			err = errors.Join(err, e)
		}
	}
	return err
}

// replayed is what a replay ended with.
type replayed struct {
	Snapshot string  `json:"snapshot,omitempty"` // that it began with
	From     uint64  `json:"from"`
	Records  uint64  `json:"records"`
	Position uint64  `json:"position"` // of the last record
	TimeNs   int64   `json:"time_ns"`  // lane time of it
	Epoch    uint32  `json:"epoch"`
	Digest   string  `json:"digest"`
	Diverged bool    `json:"diverged"`
	Seconds  float64 `json:"seconds"`
	Rate     float64 `json:"records_per_second"`
}

func newRingReplay(flags *ringFlags) *cobra.Command {
	var want filterFlags
	var fromSnapshot string
	c := &cobra.Command{
		Use: "replay", Short: "Rebuild a lane's state from its log and print the digest; needs --config", Args: cobra.NoArgs,
		Long: "Rebuild a lane's state from its archive (--archived, or --archive DIRECTORY) or ring, from the log's\n" +
			"beginning or from a snapshot on. The exit status is 1 if a digest in the log is not that of the state.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := flags.config()
			if err != nil {
				return err
			}
			l := cfg.Lane(flags.lane)
			if l == nil {
				return fmt.Errorf("%s has no lane %d", flags.configPath, flags.lane)
			}
			s, err := flags.source()
			if err != nil {
				return err
			}
			state, err := node.NewReplay(l)
			if err != nil {
				return errors.Join(err, s.Close())
			}
			f := &inspect.Filter{Position: want.to, HasTo: want.to != 0}
			if want.until != "" {
				if f.ToNs, err = inspect.ParseTime(want.until); err != nil {
					return errors.Join(err, s.Close())
				}
			}
			r := &replayed{}
			if fromSnapshot != "" {
				if err := r.begin(cfg, flags.lane, fromSnapshot, s, state); err != nil {
					return errors.Join(err, s.Close())
				}
			}
			err = r.replay(s, f, state)
			if err = errors.Join(err, s.Close()); err != nil {
				return err
			}
			return r.print(c, flags.asJSON)
		},
	}
	c.Flags().StringVar(&want.until, "until", "", "up to this lane time: RFC 3339, or ns since 1970")
	c.Flags().Uint64Var(&want.to, "to", 0, "up to before this position; 0: the end")
	c.Flags().StringVar(&fromSnapshot, "from-snapshot", "", "begin with a saved state: a file, or \"newest\" for the newest good one of the configuration")
	return c
}

// replay applies a log from its beginning, or behind a snapshot: state without its
// beginning is another state.
func (r *replayed) replay(s inspect.Source, f *inspect.Filter, state *node.Replay) error {
	if begin := s.Begin(); begin != 0 && r.Snapshot == "" {
		return fmt.Errorf("the log is there from %d on only: its state cannot be rebuilt without what came before, or a snapshot of it (--from-snapshot)", begin)
	}
	starts := s.Starts()
	p, all := newProgress(), int64(starts[len(starts)-1])
	began := time.Now()
	var gap error
	err := inspect.Each(s, f, func(g *archive.Gap) { gap = g }, func(rec *app.Record) error {
		if gap != nil {
			return gap
		}
		state.Apply(rec)
		r.Records++
		r.Position, r.TimeNs, r.Epoch = rec.Position, rec.TimeNs, rec.Epoch
		if r.Records%65536 == 0 {
			p.tell(int64(rec.Position), max(all, int64(rec.Position)))
		}
		return nil
	})
	p.end()
	r.Seconds = time.Since(began).Seconds()
	r.Rate = float64(r.Records) / max(r.Seconds, 1e-9)
	r.Digest, r.Diverged = fmt.Sprintf("%016x", state.Digest()), state.Diverged()
	return errors.Join(gap, err)
}

func (r *replayed) print(c *cobra.Command, asJSON bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(c.OutOrStdout()).Encode(r)
	} else {
		_, err = fmt.Fprintf(c.OutOrStdout(), "digest %s after %d records, the last at %d in epoch %d; %.2f s, %.0f records/s\n",
			r.Digest, r.Records, r.Position, r.Epoch, r.Seconds, r.Rate)
	}
	if err == nil && r.Diverged {
		fmt.Fprintln(c.ErrOrStderr(), "onebeat: a digest in the log is not that of the rebuilt state: the configuration or the records are not those that made it")
		return errSilent
	}
	return err
}

// begin loads a snapshot and goes to where it ends in the log, if it is of that log.
func (r *replayed) begin(cfg *config.Config, lane int, name string, s inspect.Source, state *node.Replay) error {
	flags := snapshotFlags{configPath: cfg.File, lane: lane}
	var args []string
	if name != newestSnapshot {
		args = []string{name}
	}
	files, err := flags.files(args)
	if err != nil {
		return err
	}
	for i := len(files) - 1; i >= 0; i-- {
		f := &files[i]
		var fresh *node.Replay
		if fresh, err = node.NewReplay(cfg.Lane(lane)); err != nil {
			return err
		}
		if err = f.Verify(nil); err == nil {
			err = fresh.Restore(f, s)
		}
		if err == nil {
			*state = *fresh
			r.Snapshot, r.From = f.Path, f.Header.Position
			r.Position, r.TimeNs, r.Epoch = f.Header.Last, f.Header.TimeNs, f.Header.Epoch
			return nil
		}
		if name != newestSnapshot {
			break
		}
		fmt.Fprintln(os.Stderr, "onebeat: passed over:", err)
	}
	return errors.Join(errors.New("no snapshot to begin with"), err)
}

const newestSnapshot = "newest"
