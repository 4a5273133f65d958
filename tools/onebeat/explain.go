package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onebeat/tools/inspect"
	"onebeat/tools/node"
)

func newExplain() *cobra.Command {
	flags := &ringFlags{}
	c := &cobra.Command{
		Use: "explain ORDER", Short: "Say what the risk checks compared for an order, and where each limit came from", Args: cobra.ExactArgs(1),
		Long: `explain finds a request in a lane's log, rebuilds the state before it (from the newest
snapshot before it, or the log's beginning) and applies it again with the code and
the configuration of the node. It prints each check with the value compared, the
limit, whose limit it was, and the verdict. The node may be running or not; it is
not asked. ORDER is SESSION:CLORDID of an order, a replace or a cancel, as its client wrote it,
or the ClOrdID that the venue has.`,
		Example: "  onebeat explain --config F client-1:42\n  onebeat explain --config F desk:A-42",
		RunE: func(c *cobra.Command, args []string) (err error) {
			name, err := parseOrder(args[0])
			if err != nil {
				return err
			}
			cfg, err := flags.config()
			if err != nil {
				return err
			}
			var live inspect.Source
			ring, ringErr := flags.ring()
			if ringErr == nil {
				live = ring
				defer func() { err = errors.Join(err, ring.Close()) }()
			} else if cfg.Archive == nil {
				return ringErr
			}
			e, err := node.Explain(cfg, flags.lane, name, live)
			if err != nil {
				return err
			}
			if flags.asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(e)
			}
			printExplanation(c.OutOrStdout(), e)
			return nil
		},
	}
	c.Flags().StringVar(&flags.configPath, "config", "", "the node's configuration file")
	c.Flags().IntVar(&flags.lane, "lane", 0, "lane id")
	c.Flags().BoolVar(&flags.asJSON, "json", false, "print JSON")
	cobra.CheckErr(c.MarkFlagRequired("config"))
	return c
}

func printExplanation(w io.Writer, e *node.Explanation) {
	id := e.ClOrdIDText
	if id == "" {
		id = fmt.Sprint(e.ClOrdID)
	}
	fmt.Fprintf(w, "%s:%s  %s of account %d in symbol %d", e.Session, id, e.Message, e.Account, e.Symbol)
	if e.QtyLots != 0 {
		fmt.Fprintf(w, ": %s %d lots at %d", e.Side, e.QtyLots, e.PriceTicks)
	}
	fmt.Fprintf(w, "\nrecord at %d, epoch %d, lane time %s\n", e.Position, e.Epoch, time.Unix(0, e.TimeNs).UTC().Format(time.RFC3339Nano))
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(e.Checks) > 0 {
		fmt.Fprintln(t, "  check\tvalue\tlimit\tverdict\tset by")
	}
	for _, x := range e.Checks {
		limit := fmt.Sprint(x.Limit)
		if x.Verdict == "off" {
			limit = "-"
		}
		fmt.Fprintf(t, "  %s\t%d\t%s\t%s", x.Check, x.Value, limit, x.Verdict)
		if x.Name != "" {
			fmt.Fprintf(t, "\t%s = %s (%s)", x.Name, limitText(x.Name, x.Set), x.From)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	fmt.Fprintf(w, "answered %s", e.Answer)
	if e.Reason != "" {
		fmt.Fprintf(w, ": %s, %q", e.Reason, e.Text)
	}
	if e.Answer == "Reject" {
		fmt.Fprintf(w, ", value %d, limit %d", e.Value, e.Limit)
	}
	fmt.Fprintf(w, "; %d messages to a venue\n", e.Sent)
	began := "the log's beginning"
	if e.Snapshot != 0 {
		began = fmt.Sprintf("the snapshot at %d", e.Snapshot)
	}
	fmt.Fprintf(w, "replayed %d records from %s\n", e.Records, began)
}
