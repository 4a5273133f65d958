package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"onebeat/tools/control"
)

func newPolicy() *cobra.Command {
	c := &cobra.Command{
		Use: "policy", Short: "Show or change what a lane's answers wait for",
		Long: `policy shows and changes what a lane's answers wait for: none, mirrored, applied,
archived, or a policy that the program has besides. A change is a record of the
lane's log: it counts on both nodes from there on, for every answer that has not
left yet, and outlives failovers and restarts, whatever the configuration files
say. Changing those is for new lanes.`,
	}
	c.AddCommand(newPolicyShow(), newPolicySet())
	return c
}

func newPolicyShow() *cobra.Command {
	var node nodeFlags
	var lane int
	var asJSON bool
	c := &cobra.Command{
		Use: "show", Short: "Show what answers wait for, and how that stands", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := node.path()
			if err != nil {
				return err
			}
			var s control.Status
			if err := control.Call(path, control.Request{Cmd: control.CmdStatus}, &s, controlTimeout); err != nil {
				return err
			}
			shown := 0
			for i := range s.Lanes {
				l := &s.Lanes[i]
				if lane >= 0 && l.ID != lane {
					continue
				}
				shown++
				if err := printPolicy(c.OutOrStdout(), l, asJSON); err != nil {
					return err
				}
			}
			if shown == 0 {
				return fmt.Errorf("%s has no lane %d", s.Name, lane)
			}
			return nil
		},
	}
	node.register(c)
	c.Flags().IntVar(&lane, "lane", -1, "lane id; -1: all")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, a line for each lane")
	return c
}

func printPolicy(w io.Writer, l *control.LaneStatus, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Lane int `json:"lane"`
			control.Release
		}{l.ID, l.Release})
	}
	fmt.Fprintf(w, "lane %d   ", l.ID)
	printRelease(w, l)
	return nil
}

// printRelease shows a lane's policy, and aloud what it goes without.
func printRelease(w io.Writer, l *control.LaneStatus) {
	r := &l.Release
	fmt.Fprintf(w, "policy %s", r.Policy)
	if r.Waits() {
		if r.Copies > 0 {
			fmt.Fprintf(w, ", %d copies", r.Copies)
		}
		fmt.Fprintf(w, ", waits %s", r.Wait)
		if r.OnTimeout != "" {
			fmt.Fprintf(w, ", then %s", r.OnTimeout)
		}
	}
	if r.Revision > 0 {
		fmt.Fprintf(w, " (change %d at %d, %s)", r.Revision, r.Position, r.By)
	}
	fmt.Fprintln(w)
	if r.Waits() && l.State == "ACTIVE" && l.Peer != 0 && l.InSync {
		fmt.Fprintf(w, "  held     standby %d of %d, applied %d, on its disk %d\n", l.PeerTail, l.Tail, r.PeerApplied, r.PeerArchived)
	}
	if r.Degraded != "" {
		fmt.Fprintf(w, "  DEGRADED answers leave with %s\n", r.Degraded)
	}
	if r.Refusing {
		fmt.Fprintln(w, "  REFUSING orders are refused: who must hold them was waited for too long")
	}
}

func newPolicySet() *cobra.Command {
	var node nodeFlags
	var set control.SetPolicy
	var copies int
	c := &cobra.Command{
		Use: "set", Short: "Change it; ask the ACTIVE node", Args: cobra.NoArgs,
		Example: "  onebeat policy set --config F --lane 0 --policy archived --by \"jane@desk: audit asks for it\"\n" +
			"  onebeat policy set --config F --lane 0 --wait 20ms --on-timeout reject --by \"jane@desk: no orders without a standby\"",
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("copies") {
				set.Copies = &copies
			}
			if set.Policy+set.Wait+set.OnTimeout == "" && set.Copies == nil {
				return errors.New("nothing to change: give --policy, --wait, --on-timeout or --copies")
			}
			path, err := node.path()
			if err != nil {
				return err
			}
			var r control.Release
			if err := control.Call(path, control.Request{Cmd: control.CmdPolicy, SetPolicy: &set}, &r, controlTimeout); err != nil {
				return err
			}
			printRelease(c.OutOrStdout(), &control.LaneStatus{Release: r})
			return nil
		},
	}
	node.register(c)
	f := c.Flags()
	f.IntVar(&set.Lane, "lane", 0, "lane id")
	f.StringVar(&set.Policy, "policy", "", "none, mirrored, applied, archived, or another that both nodes' program knows")
	f.StringVar(&set.Wait, "wait", "", "how long an answer waits for its holders: a duration, or forever")
	f.StringVar(&set.OnTimeout, "on-timeout", "", "what then: degrade, reject or stop")
	f.IntVar(&copies, "copies", 0, "nodes beside the writer that must hold a record, the standby counted; 0: the standby while it is there")
	f.StringVar(&set.By, "by", "", "who says so, and why, as in \"jane@desk: the disk is slow\"; it stays in the log")
	cobra.CheckErr(c.MarkFlagRequired("by"))
	return c
}
