package drill

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
)

// maxSleep is how long an idle loop sleeps; short heartbeats need less.
const maxSleep = 500 * time.Microsecond

// sceneOf is what the lab of a run holds.
func sceneOf(l *lab.Lab, o *Options, f *fault) *scene.Scene {
	var lines, node, link strings.Builder
	fmt.Fprintf(&lines, "policy = %q\nheartbeat = %q\nhang_budget = %q\nring_size = %q\n", o.Policy, o.Heartbeat, o.HangBudget, o.RingSize)
	if o.Policy == PolicyMirrored {
		fmt.Fprintf(&lines, "release = %q\n", o.Release)
	}
	if o.Fault == FaultSoak {
		soakSections(l, &node, &link)
	}
	switch o.Arbitration {
	case Links:
		fmt.Fprintf(&lines, "arbitration = \"pair\"\nsilence = \"links\"\n")
	case Fence:
		fmt.Fprintf(&lines, "arbitration = \"fence\"\n")
		link.WriteString(agentSection(l))
	case Witness, Etcd:
		fmt.Fprintf(&lines, "arbitration = %q\n", o.Arbitration)
		if o.Policy != PolicyNone {
			fmt.Fprintf(&lines, "wait = %q\non_timeout = \"degrade\"\n", o.Wait)
		}
		node.WriteString(arbiterSection(o.Arbitration))
	}
	lanes := scene.OneLane
	if f.lanes != nil {
		lanes = f.lanes
	}
	all := lanes(o.App, lines.String())
	for i := range all {
		if o.Client == ClientFIX {
			all[i].FIX = scene.FIXText(o.FIXVersion, scene.FIXClient)
		}
	}
	return &scene.Scene{Lab: l, Lanes: all, NodeLines: node.String(), LinkLines: link.String(), IPv6: o.IPv6,
		LoopLines: fmt.Sprintf("idle = %q\nmax_sleep = %q", o.Idle, min(maxSleep, o.Heartbeat/5)), LogLevel: o.LogLevel}
}

func clientLogPath(l *lab.Lab, lane int) string {
	return filepath.Join(l.RunDir, fmt.Sprintf("client-orders-%d.csv", lane))
}

// commandOf is what runs in a place.
func (r *run) commandOf(place string) []string {
	command := "node"
	switch place {
	case lab.Witness:
		return r.arbiterCommand()
	case lab.Venue:
		command = "venue"
	}
	return []string{command, "--config", scene.ConfigPath(r.lab, place)}
}
