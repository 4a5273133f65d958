package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onebeat/tools/config"
	"onebeat/tools/control"
)

const controlTimeout = 5 * time.Second

// nodeFlags say which node a command speaks to.
type nodeFlags struct{ configPath, socket string }

func (f *nodeFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.configPath, "config", "", "the node's configuration file")
	c.Flags().StringVar(&f.socket, "socket", "", "the node's control socket, instead of --config")
	c.MarkFlagsOneRequired("config", "socket")
	c.MarkFlagsMutuallyExclusive("config", "socket")
}

func (f *nodeFlags) path() (string, error) {
	if f.socket != "" {
		return f.socket, nil
	}
	cfg, err := config.Load(f.configPath)
	if err != nil {
		return "", err
	}
	return control.SocketPath(cfg.Node.RunDir, cfg.Node.Name), nil
}

func newStatus() *cobra.Command {
	var node nodeFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show what a running node is doing", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := node.path()
			if err != nil {
				return err
			}
			var s control.Status
			if err := control.Call(path, control.Request{Cmd: control.CmdStatus}, &s, controlTimeout); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(s)
			}
			printStatus(c.OutOrStdout(), &s)
			return nil
		},
	}
	node.register(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printStatus(w io.Writer, s *control.Status) {
	fmt.Fprintf(w, "%s (node %d), process %d, transport %s\n", s.Name, s.Number, s.PID, s.Transport)
	printLanes(w, s)
	for i := range s.Lanes {
		l := &s.Lanes[i]
		fmt.Fprintf(w, "lane %d   %s, ", l.ID, l.App)
		printRelease(w, l)
		fmt.Fprintf(w, "  log      tail %d  applied %d  released %d  (%d records, %d outputs by user space)\n",
			l.Tail, l.Applied, l.Released, l.Records, l.Outputs)
		if l.Peer != 0 {
			fmt.Fprintf(w, "  peer     tail %d\n", l.PeerTail)
			fmt.Fprintf(w, "  paths    link heard %s", heard(s.NowNs, l.LinkHeardNs))
			if l.Paths > 1 {
				fmt.Fprintf(w, ", order network heard %s", heard(s.NowNs, l.OrderHeardNs))
			}
			fmt.Fprintln(w)
		}
		printArbiter(w, s.NowNs, l)
		if a := l.Archive; a != nil {
			fmt.Fprintf(w, "  archive  %s, up to %d of %d, from %d; %d segments, %.1f MiB; %d gaps, %d cuts, %d damages, %d failures %s\n",
				a.State, a.Archived, l.Tail, a.Begin, a.Segments, float64(a.FileBytes)/(1<<20), a.Gaps, a.Cuts, a.Damages, a.Failures, a.LastError)
		}
		if c := l.CatchUp; c != nil {
			fmt.Fprintf(w, "  catch-up %s, up to %d\n", c.Doing, c.Position)
		}
		for _, c := range l.Copies {
			state := "connected"
			if !c.Connected {
				state = "GONE"
			}
			fmt.Fprintf(w, "  copy     %s of node %d, %s: received %d, durable %d, heard %s\n", c.Name, c.Node, state, c.Received, c.Durable, heard(s.NowNs, c.HeardNs))
		}
		printSnapshots(w, l)
		for _, v := range l.Venues {
			fmt.Fprintf(w, "  venue    %s: session %s, breaker %s; %d sent, %d unanswered, %d waiting, %d refused\n",
				v.Name, v.State, v.Breaker, v.Sent, v.Unanswered, v.Queued, v.Refused)
		}
		printStops(w, l.Stops)
		fmt.Fprintf(w, "  engine   last progress %.1f us ago\n", float64(s.NowNs-l.ProgressNs)/1e3)
		printHealth(w, l.Health)
		if l.CandidateNs != 0 {
			fmt.Fprintf(w, "  failover candidate %.3f s ago (%s), ACTIVE %.1f us later\n", float64(s.NowNs-l.CandidateNs)/1e9,
				l.CandidateWhy, float64(l.ActiveNs-l.CandidateNs)/1e3)
		}
	}
	printOps(w, s)
}

// stopsMost bounds the names on a line of status.
const stopsMost = 8

// printStops says who may not order until a person ends it.
func printStops(w io.Writer, s *control.Stops) {
	if s == nil {
		return
	}
	line := func(label, remedy string, names []string) {
		if len(names) == 0 {
			return
		}
		more := ""
		if n := len(names) - stopsMost; n > 0 {
			names, more = names[:stopsMost], fmt.Sprintf(" and %d more", n)
		}
		fmt.Fprintf(w, "  %-8s %s%s  (%s)\n", label, strings.Join(names, ", "), more, remedy)
	}
	var killed, throttled []string
	if s.Everybody {
		killed = append(killed, "everybody")
	}
	for _, name := range s.Sessions {
		killed = append(killed, "session "+name)
	}
	for _, id := range s.Accounts {
		killed = append(killed, fmt.Sprintf("account %d", id))
	}
	for _, p := range s.Throttled {
		throttled = append(throttled, fmt.Sprintf("account %d in symbol %d after %d executions", p.Account, p.Symbol, p.Executions))
	}
	line("KILLED", "onebeat kill --release", killed)
	line("HALTED", "onebeat risk set restricted=no", s.Restricted)
	line("STOPPED", "onebeat risk enable", throttled)
	if s.Sweeping {
		fmt.Fprintln(w, "  sweep    open orders are being cancelled")
	}
}

// printLanes shows all lanes at a glance.
func printLanes(w io.Writer, s *control.Status) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LANE\tSTATE\tEPOCH\tPEER\tPEER STATE\tIN SYNC\tLINK\tQUEUE\tTHREAD\tAPP")
	for i := range s.Lanes {
		l := &s.Lanes[i]
		peer, peerState, link, inSync := "-", "-", "-", "-"
		if l.Peer != 0 {
			peer, link = fmt.Sprintf("node %d", l.Peer), l.Link
			if peerState = fmt.Sprintf("%s/%d", l.PeerState, l.PeerEpoch); l.Silent {
				peerState += ", silent"
			}
			switch {
			case !l.Answers:
				inSync = "?"
			case l.Alone:
				inSync = "no, alone"
			case l.InSync:
				inSync = "yes"
			default:
				inSync = "no"
			}
		}
		thread := fmt.Sprint(l.Thread)
		if l.Core >= 0 {
			thread += fmt.Sprintf(" on core %d", l.Core)
		}
		state := l.State
		if !l.Answers {
			state += ", does not answer"
		}
		fmt.Fprintf(t, "%d\t%s\t%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", l.ID, state, l.Epoch, peer, peerState, inSync, link, l.Queue, thread, l.App)
	}
	_ = t.Flush() // w reports what it cannot write with the lines that follow
}

// printHealth shows the score and the parts that add to it.
func printHealth(w io.Writer, h *control.Health) {
	if h == nil {
		return
	}
	line := "shown only"
	switch {
	case h.HandoverAt != 0 && h.ChecksOnly:
		line = fmt.Sprintf("handover when failing checks add %d", h.HandoverAt)
	case h.HandoverAt != 0:
		line = fmt.Sprintf("handover at %d", h.HandoverAt)
	}
	fmt.Fprintf(w, "  health   score %d (0 is healthy; %s)\n", h.Points, line)
	for _, p := range h.Parts {
		if p.Points > 0 {
			fmt.Fprintf(w, "           %3d of %3d  %s: %s\n", p.Points, p.Max, p.Name, p.Detail)
		}
	}
	if h.Reason != "" {
		fmt.Fprintf(w, "           %s\n", h.Reason)
	}
}

// printOps shows checks, fence devices and hooks.
func printOps(w io.Writer, s *control.Status) {
	for _, c := range s.Checks {
		state := "up"
		if !c.Up {
			state = "DOWN: " + c.Why
		}
		fmt.Fprintf(w, "check    %s (%s, weight %d)  %s, since %s\n", c.Name, c.Kind, c.Weight, state, c.Since.Format(time.RFC3339))
	}
	for _, f := range s.Fences {
		state := "not asked yet"
		switch {
		case f.Running:
			state = "TAKING ITS POWER"
		case !f.Monitored.IsZero() && f.Reachable:
			state = "answers"
		case !f.Monitored.IsZero():
			state = "DOES NOT ANSWER: " + f.LastError
		}
		fmt.Fprintf(w, "fence    node %d by %s  %s; %d attempts, %d times off\n", f.Peer, strings.Join(f.Devices, ", "), state, f.Attempts, f.Successes)
	}
	for _, h := range s.Hooks {
		fmt.Fprintf(w, "hook     %s  %d runs, %d failed, %d killed at their limit, %d events dropped\n", h.Path, h.Runs, h.Failed, h.Killed, h.Dropped)
	}
}

// printArbiter says who keeps the record of the lane, and what it last said.
func printArbiter(w io.Writer, nowNs int64, l *control.LaneStatus) {
	if l.Record != "" {
		fmt.Fprintf(w, "  record   %s\n", l.Record)
	}
	a := l.Arbiter
	switch {
	case a == nil:
		return
	case a.AnsweredNs == 0:
		fmt.Fprintf(w, "  %-8s has not answered yet\n", l.Arbitration)
		return
	}
	fmt.Fprintf(w, "  %-8s heard %s, in %.1f us, boot %s: ", l.Arbitration, heard(nowNs, a.AnsweredNs), float64(a.RoundNs)/1e3, a.Boot)
	switch {
	case !a.Known:
		fmt.Fprintln(w, "it has NO RECORD of this lane; its ACTIVE node seeds it, or `onebeat witness seed`")
	case a.Record != l.Record:
		fmt.Fprintln(w, a.Record)
	default:
		fmt.Fprintln(w, "the same record")
	}
}

// heard says when a path last brought a frame of the peer.
func heard(nowNs, heardNs int64) string {
	if heardNs == 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f ms ago", float64(nowNs-heardNs)/1e6)
}

func newPromote() *cobra.Command {
	var node nodeFlags
	var lane int
	var all bool
	var forceFrom string
	c := &cobra.Command{
		Use: "promote", Short: "Hand a lane, or all that a node serves, over to their standbys; ask the ACTIVE node", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := node.path()
			if err != nil {
				return err
			}
			if forceFrom != "" {
				return control.Call(path, control.Request{Cmd: control.CmdForce, Lane: lane, By: forceFrom}, nil, controlTimeout)
			}
			var given control.Promoted
			if err := control.Call(path, control.Request{Cmd: control.CmdPromote, Lane: lane, All: all}, &given, controlTimeout); err != nil {
				return err
			}
			for _, id := range given.Lanes {
				fmt.Fprintf(c.OutOrStdout(), "lane %d is handed over\n", id)
			}
			return nil
		},
	}
	node.register(c)
	c.Flags().IntVar(&lane, "lane", 0, "lane id")
	c.Flags().BoolVar(&all, "all", false, "every lane the node serves")
	c.Flags().StringVar(&forceFrom, "force-from", "", forceFromUsage)
	c.MarkFlagsMutuallyExclusive("lane", "all")
	c.MarkFlagsMutuallyExclusive("force-from", "all")
	return c
}

// printSnapshots says how a lane's saved states stand, and where its state is from.
func printSnapshots(w io.Writer, l *control.LaneStatus) {
	if l.Diverged {
		fmt.Fprintln(w, "  state    QUARANTINED: it is not the log's; this node does not stand by until it is started anew")
	}
	s := l.Snapshots
	if s == nil {
		return
	}
	if s.Dir != "" || s.LastError != "" {
		fmt.Fprintf(w, "  snapshot %s, replayed up to %d, %d bytes behind the archive; %d files, %.1f MiB", s.State, s.Position, s.Behind,
			s.Files, float64(s.FileBytes)/(1<<20))
		if s.Files > 0 {
			fmt.Fprintf(w, ", the newest of %d, %s", s.Newest, time.Unix(0, s.NewestNs).UTC().Format(time.DateTime))
		}
		if s.Spare > 0 {
			fmt.Fprintf(w, "; the archive takes nothing: a state of %d is in the run directory", s.Spare)
		}
		fmt.Fprintf(w, "; %d failures %s\n", s.Failures, s.LastError)
	}
	if r := s.Restored; r != nil {
		fmt.Fprintf(w, "  restored at %d, from the snapshot of %d (0: the log's beginning), %d records, %.2f s\n", r.Position, r.Snapshot, r.Records, r.Seconds)
	}
}
