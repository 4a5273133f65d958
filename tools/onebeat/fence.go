package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"onebeat/mirror/fence"
	"onebeat/tools/config"
	"onebeat/tools/node"
)

func newFence() *cobra.Command {
	var configPath string
	var peer int
	var verbose bool
	c := &cobra.Command{
		Use:   "fence status|off|on|monitor",
		Short: "Try a peer's fence devices by hand; off TAKES ITS POWER",
		Long: `Runs the fence agents of a peer, as the file configures them.

  status   says whether each device's host has power; ends with 2 if one is off
  monitor  asks whether each device answers
  off      takes the peer's power as a failover would: the devices in their
           order, until one says so and its status agrees
  on       gives it back

It needs no running node and asks none: off takes the power of a node that
serves, too.`,
		Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), ValidArgs: []string{fence.ActionStatus, fence.ActionOff, fence.ActionOn, fence.ActionMonitor},
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := config.Load(configPath)
			if err != nil {
				return err
			}
			if peer == 0 {
				if peer, err = onlyFenced(cfg); err != nil {
					return err
				}
			}
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelDebug
			}
			log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
			return runFence(c.Context(), c.OutOrStdout(), cfg, peer, args[0], log)
		},
	}
	c.Flags().StringVar(&configPath, "config", "", "the node's configuration file")
	c.Flags().IntVar(&peer, "peer", 0, "node number; not needed where only one has devices")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show what the agents print")
	cobra.CheckErr(c.MarkFlagRequired("config"))
	return c
}

// onlyFenced returns the one peer that has fence devices.
func onlyFenced(cfg *config.Config) (int, error) {
	peer := 0
	for _, f := range cfg.Fences {
		if peer != 0 && f.Peer != peer {
			return 0, fmt.Errorf("%s has fence devices of several nodes: say which with --peer", cfg.File)
		}
		peer = f.Peer
	}
	if peer == 0 {
		return 0, fmt.Errorf("%s has no section [[fence]]", cfg.File)
	}
	return peer, nil
}

func runFence(ctx context.Context, w io.Writer, cfg *config.Config, peer int, action string, log *slog.Logger) (err error) {
	devices, err := node.OpenFenceDevices(ctx, cfg, peer, log)
	if err != nil {
		return err
	}
	if len(devices) == 0 {
		return fmt.Errorf("%s has no [[fence]] of node %d", cfg.File, peer)
	}
	defer func() {
		for _, d := range devices {
			err = errors.Join(err, d.Close())
		}
	}()
	off := false
	var errs []error
	for _, d := range devices {
		text, err := "ok", error(nil)
		switch action {
		case fence.ActionStatus:
			var power fence.Power
			power, err = d.Status(ctx)
			text = power.String()
			off = off || power == fence.PowerOff
		case fence.ActionMonitor:
			err, text = d.Monitor(ctx), "answers"
		case fence.ActionOn:
			err, text = d.On(ctx), "on"
		case fence.ActionOff:
			err, text = d.Off(ctx), "off"
		}
		if err != nil {
			errs = append(errs, err)
			fmt.Fprintf(w, "node %d by %s: failed\n", peer, d.Name())
			continue
		}
		fmt.Fprintf(w, "node %d by %s: %s\n", peer, d.Name(), text)
		if action == fence.ActionOff {
			return nil // as in a failover: one device is enough
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if off {
		return errPowerOff
	}
	return nil
}

// errPowerOff ends `fence status` with 2, as the agent API does.
var errPowerOff = errors.New("a host has no power")
