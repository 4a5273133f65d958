package drill

import (
	"fmt"
	"path/filepath"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
)

// sceneOf is what the lab of a run holds.
func sceneOf(l *lab.Lab, o *Options) *scene.Scene {
	lines := fmt.Sprintf("policy = \"mirrored\"\nrelease = %q\nheartbeat = %q\nhang_budget = %q\nring_size = %q\n",
		o.Release, o.Heartbeat, o.HangBudget, o.RingSize)
	return &scene.Scene{Lab: l, Lanes: scene.OneLane(o.App, lines), LoopLines: fmt.Sprintf("idle = %q", o.Idle), LogLevel: o.LogLevel}
}

func clientLogPath(l *lab.Lab) string { return filepath.Join(l.RunDir, "client-orders.csv") }
