package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"onebeat/tools/config"
	"onebeat/tools/mirrord"
)

func newMirrord() *cobra.Command {
	var configPath string
	var check bool
	c := &cobra.Command{
		Use: "mirrord", Short: "Keep copies of lanes' logs without an engine: on a node's host, on a third one, at a far site", Args: cobra.NoArgs,
		Long: "With a node's file it runs on that node's host: it archives the lanes' memory (archive.by = \"mirrord\"), also while no\n" +
			"node runs, gives a successor the end of a dead engine's log, and ships closed segments to stores.\n" +
			"With a file of its own ([mirrord], [[source]]) it follows the lanes from another host.",
		RunE: func(c *cobra.Command, _ []string) error {
			doc, err := os.ReadFile(configPath)
			if err != nil {
				return fmt.Errorf("read configuration: %w", err)
			}
			o := mirrord.Options{Version: version()}
			if config.HasSources(doc) {
				file, err := config.ParseMirrord(configPath, doc)
				if err != nil {
					return err
				}
				if check {
					_, err = fmt.Fprintf(c.OutOrStdout(), "%s is good: %s (%d) follows %d lanes from %d sources\n", configPath, file.Mirrord.Name, file.Mirrord.Number, len(file.Lanes), len(file.Sources))
					return err
				}
				if o.Log, err = logTo(file.Mirrord.LogLevel); err != nil {
					return err
				}
				return mirrord.RunHost(c.Context(), file, o)
			}
			cfg, err := config.Parse(configPath, doc)
			if err != nil {
				return err
			}
			if check {
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s is good: the daemon of node %s (%d), %d lanes\n", configPath, cfg.Node.Name, cfg.Node.Number, len(cfg.Lanes))
				return err
			}
			if o.Log, err = logTo(cfg.Node.LogLevel); err != nil {
				return err
			}
			return mirrord.RunLocal(c.Context(), cfg, o)
		},
	}
	c.Flags().StringVar(&configPath, "config", "", "the file of the node on this host, or the daemon's own")
	c.Flags().BoolVar(&check, "check", false, "check the configuration file and end")
	cobra.CheckErr(c.MarkFlagRequired("config"))
	return c
}

// logTo logs to stderr from a level on.
func logTo(name string) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return nil, err // config allows only what slog knows
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}
