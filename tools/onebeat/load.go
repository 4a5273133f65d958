package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"onebeat/bench/load"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/pin"
	"onebeat/tools/config"
)

func newLoad() *cobra.Command {
	var o load.Options
	var targets []string
	var local, session, key, logPath string
	var asJSON bool
	c := &cobra.Command{
		Use: "load", Short: "Send orders at a fixed rate and log what became of each", Args: cobra.NoArgs,
		Long: "load is an open-loop client: an order is due at its time whatever became of the earlier ones,\n" +
			"and its latency counts from then. Unanswered orders are sent again.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := pin.Reexec(); err != nil {
				return err
			}
			var id config.UUID
			if err := id.UnmarshalText([]byte(session)); err != nil {
				return fmt.Errorf("--session: %w", err)
			}
			o.Session, o.Key = sbe.UUID(id), fixp.NewKey(key)
			if err := parseAddresses(&o, local, targets); err != nil {
				return err
			}
			o.Progress = func(p load.Progress) {
				fmt.Fprintf(os.Stderr, "%4.0f s  due %d  sent %d  answered %d\n", p.Elapsed.Seconds(), p.Due, p.Sent, p.Answered)
			}
			r, err := load.Run(o, c.Context().Done())
			if err != nil {
				return err
			}
			if logPath != "" {
				if err := writeOrderLog(logPath, r); err != nil {
					return err
				}
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(r)
			}
			printLoad(c.OutOrStdout(), r)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&o.Transport, "transport", load.TransportXDP, "xdp or udp")
	f.StringVar(&o.Interface, "interface", "", "NIC to send from (xdp)")
	f.IntVar(&o.Queue, "queue", 0, "queue of the NIC (xdp)")
	f.Uint16Var((*uint16)(&o.VLAN), "vlan", 0, "802.1Q tag of the order network (xdp); 0: none")
	f.StringVar(&local, "local", "", "own address:port (udp; with xdp the NIC's address is the default)")
	f.StringSliceVar(&targets, "target", nil, "lane address:port; with udp that of every node")
	f.StringVar(&session, "session", "", "session id, a UUID of the node's configuration")
	f.StringVar(&key, "key", "", "the session's key")
	f.IntVar(&o.RatePerSecond, "rate", 1000, "orders per second")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "how long orders are due")
	f.DurationVar(&o.Drain, "drain", 5*time.Second, "how long unanswered orders are waited for at the end")
	f.DurationVar(&o.Connect, "connect", 10*time.Second, "how long the session may take to come up")
	f.DurationVar(&o.Resend, "resend", 5*time.Millisecond, "after how long an unanswered order is sent again")
	f.Uint64Var(&o.FirstClOrdID, "first-clordid", 0, "first ClOrdID; 0: made of the time of day")
	f.Uint32Var(&o.SymbolID, "symbol", 1, "symbol id")
	f.Int64Var(&o.PriceTicks, "price", 10_000, "price in ticks")
	f.Uint32Var(&o.QtyLots, "qty", 1, "quantity in lots")
	f.DurationVar(&o.Mark, "mark", 0, "split the latencies this long after the start")
	f.StringVar(&o.Idle, "idle", load.IdleSleep, "spin, yield or sleep while nothing is due")
	f.StringVar(&logPath, "log", "", "write the order log, as CSV, to this file")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return c
}

func parseAddresses(o *load.Options, local string, targets []string) error {
	var err error
	if local != "" {
		if o.Local, err = netip.ParseAddrPort(local); err != nil {
			return fmt.Errorf("--local: %w; write it like 10.10.0.10:40000 or [fd00::10]:40000", err)
		}
	}
	for _, t := range targets {
		a, err := netip.ParseAddrPort(t)
		if err != nil {
			return fmt.Errorf("--target: %w; write it like 10.10.0.100:9000", err)
		}
		o.Targets = append(o.Targets, a)
	}
	return nil
}

func writeOrderLog(path string, r *load.Result) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("order log: %w", err)
	}
	return errors.Join(load.WriteCSV(f, r.Orders, r.Servers), f.Close())
}

func printLoad(w io.Writer, r *load.Result) {
	fmt.Fprintf(w, "orders due %d, sent %d, accepted %d, rejected %d, unanswered %d, sent again %d\n",
		r.Due, r.Sent, r.Accepted, r.Rejected, r.Unanswered, r.Client.Resent+r.Client.Renumbered)
	row := func(name string, l *load.Latency) {
		if l == nil {
			return
		}
		us := func(ns int64) float64 { return float64(ns) / 1e3 }
		fmt.Fprintf(w, "latency us %-11s p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  p99.99 %.1f  max %.1f  (%d)\n",
			name, us(l.P50), us(l.P90), us(l.P99), us(l.P999), us(l.P9999), us(l.Max), l.Count)
	}
	row("", &r.Latency)
	row("before mark", r.Before)
	row("after mark", r.After)
	for _, s := range r.ServerList {
		fmt.Fprintf(w, "answered by %s: %d datagrams in %.3f s\n", s.MAC, s.Datagrams, float64(s.LastNs-s.FirstNs)/1e9)
	}
}
