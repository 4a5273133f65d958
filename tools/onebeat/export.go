package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onebeat/tools/config"
	"onebeat/tools/control"
	"onebeat/tools/export"
)

func newExport() *cobra.Command {
	var configPath string
	var check, reset bool
	var o export.Options
	c := &cobra.Command{
		Use: "export", Short: "Keep orders, executions and positions current in PostgreSQL and Redis", Args: cobra.NoArgs,
		Long: "export reads a node's archives and keeps read models of its lanes in databases, each record exactly\n" +
			"once: how far a read model is stands in the database and changes with the rows. It may be stopped,\n" +
			"killed and started again at any time, and the database, too. docs/export.md has tables and keys.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.LoadExport(configPath)
			if err != nil {
				return err
			}
			var level slog.Level
			if err := level.UnmarshalText([]byte(cfg.Export.LogLevel)); err != nil {
				return err // config allows only what slog knows
			}
			o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
			export.Version = version()
			switch {
			case check:
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s is good: lanes %v of node %s\n", configPath, cfg.Export.Lanes, cfg.Node.Node.Name)
				return err
			case reset:
				return export.Reset(c.Context(), cfg, o)
			}
			return export.Run(c.Context(), cfg, o)
		},
	}
	f := c.Flags()
	f.StringVar(&configPath, "config", "", "the exporter's configuration file")
	f.BoolVar(&check, "check", false, "check the configuration file and end")
	f.BoolVar(&reset, "reset", false, "remove the read models and end: the next start makes them anew, from the log's beginning")
	f.BoolVar(&o.Once, "once", false, "end where the logs end now")
	f.IntSliceVar(&o.Lanes, "lane", nil, "only these lanes")
	f.StringSliceVar(&o.Targets, "target", nil, "only these targets: "+export.KindPostgres+", "+export.KindRedis)
	cobra.CheckErr(c.MarkFlagRequired("config"))
	c.MarkFlagsMutuallyExclusive("check", "reset", "once")
	c.AddCommand(newExportStatus())
	return c
}

func newExportStatus() *cobra.Command {
	var configPath, socket string
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show how far a running exporter is", Args: cobra.NoArgs,
		Long: "status shows each read model. The exit status is 1 if one of them is refused or failing.",
		RunE: func(c *cobra.Command, _ []string) error {
			if socket == "" {
				cfg, err := config.LoadExport(configPath)
				if err != nil {
					return err
				}
				socket = control.SocketPath(cfg.Export.RunDir, cfg.Export.Name)
			}
			var s control.ExportStatus
			if err := control.Call(socket, control.Request{Cmd: control.CmdStatus}, &s, controlTimeout); err != nil {
				return err
			}
			if asJSON {
				if err := json.NewEncoder(c.OutOrStdout()).Encode(s); err != nil {
					return err
				}
			} else {
				printExport(c.OutOrStdout(), &s)
			}
			for i := range s.Feeds {
				if s.Feeds[i].Failing {
					return errSilent
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&configPath, "config", "", "the exporter's configuration file")
	c.Flags().StringVar(&socket, "socket", "", "the exporter's control socket, instead of --config")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.MarkFlagsOneRequired("config", "socket")
	c.MarkFlagsMutuallyExclusive("config", "socket")
	return c
}

func printExport(w io.Writer, s *control.ExportStatus) {
	fmt.Fprintf(w, "%s, process %d, since %s\n", s.Name, s.PID, s.Since.Format("2006-01-02 15:04:05 MST"))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LANE\tTARGET\tSTATE\tPOSITION\tRECORDS\tBEHIND\tORDERS\tEXECUTIONS\tWHERE")
	for i := range s.Feeds {
		f := &s.Feeds[i]
		behind := "-"
		if f.BehindBytes > 0 {
			behind = fmt.Sprintf("%d bytes, %s", f.BehindBytes, time.Duration(f.BehindNs).Round(time.Millisecond))
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%d\t%s\t%d\t%d\t%s\n", f.Lane, f.Target, f.State, f.Position, f.Records, behind, f.Orders, f.Executions, f.Where)
	}
	t.Flush()
	for i := range s.Feeds {
		if f := &s.Feeds[i]; f.Failing {
			fmt.Fprintf(w, "lane %d, %s: FAILING: %s\n", f.Lane, f.Target, f.LastError)
		}
	}
}
