package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"onebeat/mirror/disk"
	"onebeat/mirror/snapshot"
	"onebeat/tools/config"
	"onebeat/tools/node"
)

// snapshotFlags say which snapshots a command is about.
type snapshotFlags struct {
	configPath string
	lane       int
	asJSON     bool
}

func newSnapshot() *cobra.Command {
	var flags snapshotFlags
	c := &cobra.Command{Use: "snapshot", Short: "Look at the saved states of a lane"}
	c.PersistentFlags().StringVar(&flags.configPath, "config", "", "the node's configuration file, instead of a directory")
	c.PersistentFlags().IntVar(&flags.lane, "lane", 0, "lane id, with --config")
	c.PersistentFlags().BoolVar(&flags.asJSON, "json", false, "print JSON")
	c.AddCommand(newSnapshotLs(&flags), newSnapshotVerify(&flags))
	return c
}

// files returns the snapshots of an argument, a directory or one file, or of the
// configuration.
func (f *snapshotFlags) files(args []string) ([]snapshot.File, error) {
	dir := ""
	switch {
	case len(args) > 0:
		dir = args[0]
	case f.configPath == "":
		return nil, errors.New("say which snapshots: a directory, a file, or --config FILE")
	default:
		cfg, err := config.Load(f.configPath)
		if err != nil {
			return nil, err
		}
		if dir = node.SnapshotDir(cfg, f.lane); dir == "" {
			return nil, fmt.Errorf("%s has no [snapshot]", f.configPath)
		}
	}
	st, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return snapshot.List(disk.OS{}, dir)
	}
	files, err := snapshot.List(disk.OS{}, filepath.Dir(dir))
	for _, x := range files {
		if filepath.Base(x.Path) == filepath.Base(dir) {
			return []snapshot.File{x}, err
		}
	}
	return nil, errors.Join(err, fmt.Errorf("%s is no snapshot: its name is not <position>.snap", dir))
}

// snapshotLine is one file for people and programs.
type snapshotLine struct {
	Path      string `json:"path"`
	Position  uint64 `json:"position"`
	Epoch     uint32 `json:"epoch"`
	Records   uint64 `json:"records"`
	TimeNs    int64  `json:"time_ns"` // lane time of the last record
	WallNs    int64  `json:"wall_ns"`
	Lane      uint8  `json:"lane"`
	Node      uint8  `json:"node"`
	App       string `json:"app"`
	Digest    string `json:"digest"`
	Identity  string `json:"identity"`
	FileBytes int64  `json:"file_bytes"`
	Verified  bool   `json:"verified"`
	Damage    string `json:"damage,omitempty"`
	DamageAt  int64  `json:"damage_offset,omitempty"`
}

func lineOfSnapshot(f *snapshot.File) snapshotLine {
	h := &f.Header
	l := snapshotLine{Path: f.Path, Position: h.Position, Epoch: h.Epoch, Records: h.Records, TimeNs: h.TimeNs, WallNs: h.WallNs,
		Lane: h.Lane, Node: h.Node, App: h.App, Digest: fmt.Sprintf("%016x", h.Digest), Identity: h.Identity.String(), FileBytes: f.FileBytes}
	if f.Damage != nil {
		l.Damage, l.DamageAt = f.Damage.Problem, f.Damage.Offset
	}
	return l
}

func (l *snapshotLine) text() string {
	if l.Damage != "" {
		return fmt.Sprintf("%s  %8.1f MiB  DAMAGED at offset %d: %s", l.Path, float64(l.FileBytes)/(1<<20), l.DamageAt, l.Damage)
	}
	whole := ""
	if l.Verified {
		whole = ", whole"
	}
	return fmt.Sprintf("%s  %8.1f MiB  %s, %d records up to %d in epoch %d, lane time %s, digest %s%s", l.Path, float64(l.FileBytes)/(1<<20),
		l.App, l.Records, l.Position, l.Epoch, time.Unix(0, l.TimeNs).UTC().Format(time.DateTime), l.Digest, whole)
}

func (l *snapshotLine) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(l)
	}
	_, err := fmt.Fprintln(w, l.text())
	return err
}

func newSnapshotLs(flags *snapshotFlags) *cobra.Command {
	return &cobra.Command{
		Use: "ls [DIRECTORY]", Short: "List snapshots, oldest first, by their headers", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			files, err := flags.files(args)
			for i := range files {
				l := lineOfSnapshot(&files[i])
				err = errors.Join(err, l.print(c.OutOrStdout(), flags.asJSON))
			}
			return err
		},
	}
}

func newSnapshotVerify(flags *snapshotFlags) *cobra.Command {
	return &cobra.Command{
		Use: "verify [DIRECTORY | FILE]", Short: "Read every byte of snapshots; the exit status is 1 if any is harmed", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			files, err := flags.files(args)
			if err != nil {
				return err
			}
			harmed := false
			for i := range files {
				p := newProgress()
				bad := files[i].Verify(p.tell)
				p.end()
				l := lineOfSnapshot(&files[i])
				var d *snapshot.Damage
				switch {
				case errors.As(bad, &d):
					l.Damage, l.DamageAt, harmed = d.Problem, d.Offset, true
				case bad != nil:
					return bad
				default:
					l.Verified = true
				}
				if err := l.print(c.OutOrStdout(), flags.asJSON); err != nil {
					return err
				}
			}
			if harmed {
				return errSilent
			}
			return nil
		},
	}
}
