package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/tools/node"
)

func newNode() *cobra.Command {
	var configPath, forceFrom string
	var cleanup, check bool
	c := &cobra.Command{
		Use: "node", Short: "Run a node", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(configPath)
			if err != nil {
				return err
			}
			switch {
			case check:
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s is good: node %s (%d), %d lanes\n", configPath, cfg.Node.Name, cfg.Node.Number, len(cfg.Lanes))
				return err
			case cleanup:
				return node.Cleanup(cfg)
			}
			return runNode(c, cfg, forceFrom)
		},
	}
	c.Flags().StringVar(&configPath, "config", "", "the node's configuration file")
	c.Flags().BoolVar(&cleanup, "cleanup", false, "remove what the node has pinned and left, and end; it must not run")
	c.Flags().BoolVar(&check, "check", false, "check the configuration file and end")
	c.Flags().StringVar(&forceFrom, "force-from", "", forceFromUsage)
	cobra.CheckErr(c.MarkFlagRequired("config"))
	c.MarkFlagsMutuallyExclusive("cleanup", "check", "force-from")
	return c
}

func newVenue() *cobra.Command {
	var configPath string
	c := &cobra.Command{
		Use: "venue", Short: "Run the exchange simulator: a node whose lanes are unreplicated books", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(configPath)
			if err != nil {
				return err
			}
			for i := range cfg.Lanes {
				if l := &cfg.Lanes[i]; l.App != config.AppBook || l.Peer != 0 {
					return fmt.Errorf("%s: lane %d is no venue: it needs app = \"book\" and no peer", configPath, l.ID)
				}
			}
			return runNode(c, cfg, "")
		},
	}
	c.Flags().StringVar(&configPath, "config", "", "the venue's configuration file")
	cobra.CheckErr(c.MarkFlagRequired("config"))
	return c
}

// forceFromUsage is of node and of promote.
const forceFromUsage = "\"who: why\": go on from the log this node has, once the peer is parked or silent; what only the other one had is lost"

// runNode runs until a signal or a lane ends it.
func runNode(c *cobra.Command, cfg *config.Config, forceFrom string) error {
	if forceFrom != "" {
		if err := node.CheckForce(forceFrom); err != nil {
			return err
		}
	}
	if err := pin.Reexec(); err != nil {
		return err
	}
	defer pin.CollectByNeed()()
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Node.LogLevel)); err != nil {
		return err // config allows only what slog knows
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	node.Version = version()
	return node.Run(c.Context(), cfg, node.Options{Log: log, ForceFrom: forceFrom})
}
