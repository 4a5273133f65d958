package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/ship"
	"onebeat/mirror/snapshot"
	"onebeat/tools/config"
	"onebeat/tools/dr"
	"onebeat/tools/mirrord"
)

func newDR() *cobra.Command {
	c := &cobra.Command{Use: "dr", Short: "Copies on other hosts: how far behind, go on from one, bring one back"}
	c.AddCommand(newDRStatus(), newDRPromote(), newDRFollow(), newDRRestore())
	return c
}

func newDRStatus() *cobra.Command {
	var configPath string
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "How far each copy of each lane is behind", Args: cobra.NoArgs,
		Long: "Asks the node and the mirror daemon on this host. Records are estimated by the bytes; the time is how long ago the copy last had\n" +
			"everything, of a store the age of the newest record there.",
		RunE: func(c *cobra.Command, _ []string) error {
			doc, err := os.ReadFile(configPath)
			if err != nil {
				return fmt.Errorf("read configuration: %w", err)
			}
			list, err := dr.Status(configPath, doc)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(list)
			}
			return dr.Print(c.OutOrStdout(), list)
		},
	}
	c.Flags().StringVar(&configPath, "config", "", "file of the node on this host, or of the mirror daemon")
	c.Flags().BoolVar(&asJSON, "json", false, "one list of JSON objects")
	cobra.CheckErr(c.MarkFlagRequired("config"))
	return c
}

func newDRPromote() *cobra.Command {
	var configPath, nodePath, by, forceFrom string
	var asJSON bool
	c := &cobra.Command{
		Use: "promote", Short: "Let a site's node go on from the copies on this host", Args: cobra.NoArgs,
		Long: "Refuses while a node or daemon of the main site answers. Ends the copies' following for good, and leaves word for the site's node,\n" +
			"which is started next: it begins behind the copies' end, in an epoch that the main site has not come to.",
		RunE: func(c *cobra.Command, _ []string) error {
			file, err := config.LoadMirrord(configPath)
			if err != nil {
				return err
			}
			site, err := config.Load(nodePath)
			if err != nil {
				return err
			}
			if forceFrom != "" {
				by = forceFrom
			}
			p, err := dr.Promote(c.Context(), file, site, by, forceFrom != "")
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(p)
			}
			for _, s := range p.Sources {
				fmt.Fprintln(c.OutOrStdout(), s)
			}
			for _, l := range p.Lanes {
				fmt.Fprintf(c.OutOrStdout(), "lane %d goes on from %d (epoch %d) in epoch %d; when it was last connected it lacked about %d records\n", l.ID, l.Position, l.Last, l.Epoch, l.BehindRecords)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "now start the node: onebeat node --config %s\n", nodePath)
			return err
		},
	}
	c.Flags().StringVar(&configPath, "config", "", "the mirror daemon's file")
	c.Flags().StringVar(&nodePath, "node-config", "", "the file of the site's node: its name and archive.dir are the daemon's")
	c.Flags().StringVar(&by, "by", "", "\"who: why\": it stays in the lane's log")
	c.Flags().StringVar(&forceFrom, "force-from", "", "\"who: why\": go on although the main site answers; two sites may then serve one lane")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	for _, name := range []string{"config", "node-config"} {
		cobra.CheckErr(c.MarkFlagRequired(name))
	}
	c.MarkFlagsOneRequired("by", "force-from")
	c.MarkFlagsMutuallyExclusive("by", "force-from")
	return c
}

func newDRFollow() *cobra.Command {
	var configPath string
	c := &cobra.Command{
		Use: "follow", Short: "Let copies that were promoted be copies again", Args: cobra.NoArgs,
		Long: "The site's node must have ended. What its log has beyond that of the sources is cut when the mirror daemon is started, and kept in a file.",
		RunE: func(c *cobra.Command, _ []string) error {
			file, err := config.LoadMirrord(configPath)
			if err != nil {
				return err
			}
			if err := dr.Follow(file); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "now start the daemon: onebeat mirrord --config %s\n", configPath)
			return err
		},
	}
	c.Flags().StringVar(&configPath, "config", "", "the mirror daemon's file")
	cobra.CheckErr(c.MarkFlagRequired("config"))
	return c
}

func newDRRestore() *cobra.Command {
	var configPath, storeName, prefix, identity, dir string
	var laneID int
	c := &cobra.Command{
		Use: "restore", Short: "Bring a lane's archive and snapshots back from a store", Args: cobra.NoArgs,
		Long: "Fetches what the newest manifest names, checks every digest, then every record. Interrupted, it goes on. Nothing else may write DIRECTORY.",
		RunE: func(c *cobra.Command, _ []string) error {
			stores, name, archives, err := storesOf(configPath)
			if err != nil {
				return err
			}
			o := ship.RestoreOptions{Prefix: prefix, Identity: identity, Dir: dir}
			if o.Prefix == "" {
				o.Prefix = filepath.Base(archive.LaneDir("", name, laneID))
			}
			if o.Dir == "" {
				o.Dir = archive.LaneDir(archives, name, laneID)
			}
			o.Snapshots = snapshot.Dir(o.Dir)
			for i := range stores {
				if stores[i].Name == storeName || storeName == "" && len(stores) == 1 {
					if o.Store, err = mirrord.OpenStore(&stores[i]); err != nil {
						return err
					}
				}
			}
			if o.Store == nil {
				return fmt.Errorf("%s has no [[store]] named %q", configPath, storeName)
			}
			release, err := archive.Lock(o.Dir)
			if err != nil {
				return err
			}
			defer func() { _ = release() }() // the process ends
			began, said := time.Now(), time.Now()
			o.Progress = func(done, all int64) {
				if time.Since(said) > time.Second {
					said = time.Now()
					fmt.Fprintf(c.ErrOrStderr(), "\r%d of %d MiB", done>>20, all>>20)
				}
			}
			r, err := ship.Restore(c.Context(), o)
			if err != nil {
				return err
			}
			v, err := archive.Verify(disk.OS{}, o.Dir, nil)
			if err != nil {
				return err
			}
			if len(v.Problems) > 0 {
				return fmt.Errorf("what came back is harmed: %v", v.Problems[0])
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: the log from %d to %d, %d records in %d segments, %d files fetched in %v; chain %s\n",
				o.Dir, r.Begin, r.End, v.Records, r.Segments, r.Fetched, time.Since(began).Round(time.Millisecond), v.Chain)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&configPath, "config", "", "the file with the [[store]]: of a node or of a mirror daemon")
	f.StringVar(&storeName, "store", "", "its name; may be left out if there is only one")
	f.IntVar(&laneID, "lane", 0, "the lane")
	f.StringVar(&prefix, "prefix", "", "of the lane in the store (default: <name>-lane<id> of the file)")
	f.StringVar(&identity, "identity", "", "of the lane's life (default: the one shipped last)")
	f.StringVar(&dir, "to", "", "directory of the archive (default: that of the file)")
	cobra.CheckErr(c.MarkFlagRequired("config"))
	return c
}

// storesOf reads the stores of either kind of file, and where its archives are.
func storesOf(path string) (stores []config.Store, name, archives string, err error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, "", "", fmt.Errorf("read configuration: %w", err)
	}
	if config.HasSources(doc) {
		file, err := config.ParseMirrord(path, doc)
		if err != nil {
			return nil, "", "", err
		}
		return file.Stores, file.Mirrord.Name, file.Archive.Dir, nil
	}
	cfg, err := config.Parse(path, doc)
	if err != nil {
		return nil, "", "", err
	}
	if cfg.Archive != nil {
		archives = cfg.Archive.Dir
	}
	return cfg.Stores, cfg.Node.Name, archives, nil
}
