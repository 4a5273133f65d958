package config

import "reflect"

// Fence is a device that can take a peer's power, and the fence agent that
// speaks to it. Several of one peer are tried in the order of the file.
type Fence struct {
	Peer int `toml:"peer" required:"true" range:"1..255"`
	// Agent is the agent's name, as in /usr/sbin, or its absolute path.
	Agent string `toml:"agent" required:"true"`
	// Options are the agent's parameters, "name=value" each; none of them secret.
	Options []string `toml:"options"`
	// SecretsFile holds those that are: name=value lines, mode 0600.
	SecretsFile string `toml:"secrets_file"`
	// Timeout bounds one action of the agent.
	Timeout Duration `toml:"timeout" default:"20s" range:"100ms..5m"`
	Tries   int      `toml:"tries" default:"2" range:"1..10"`
	// Delay before the first try; the greatest of a peer's devices counts.
	Delay Duration `toml:"delay" default:"0s" range:"0s..1m"`
	// Monitor is how often the device is asked whether it answers; 0s: never.
	Monitor Duration `toml:"monitor" default:"1m" range:"0s..24h"`
}

// Track is a check; exactly one of Interface, Process, PIDFile and Script.
type Track struct {
	Name      string   `toml:"name" required:"true"`
	Interface string   `toml:"interface"` // its carrier, as the kernel tells it
	Process   string   `toml:"process"`   // name of a process that must be there
	PIDFile   string   `toml:"pid_file"`  // of a process that must be there
	Script    string   `toml:"script"`    // 0 is good
	Args      []string `toml:"args"`      // of the script

	Interval Duration `toml:"interval" default:"1s" range:"10ms..1h"` // not of an interface
	Timeout  Duration `toml:"timeout" default:"1s" range:"10ms..5m"`  // of a script
	// Weight is what the check adds to the node's score while it is down.
	Weight int `toml:"weight" default:"100" range:"1..1000"`
	Rise   int `toml:"rise" default:"2" range:"1..100"` // good results until it is up again
	Fall   int `toml:"fall" default:"3" range:"1..100"` // bad results until it is down
}

// Predict is when a node that is about to fail hands its lanes over.
type Predict struct {
	// HandoverAt is the score at which it does; 0: never, the score is shown.
	HandoverAt int `toml:"handover_at" default:"100" range:"0..10000"`
	// ClearAt is what the score must fall to before the line counts anew.
	ClearAt int `toml:"clear_at" default:"60" range:"0..10000"`
	// Hold is how long the score must stay at the line.
	Hold Duration `toml:"hold" default:"1s" range:"0s..1h"`
	// MinInterval lies between two handovers by this node and doubles each time
	// the lane comes back before the score was clear.
	MinInterval Duration `toml:"min_interval" default:"10s" range:"1s..24h"`

	// Latency is how long a record may wait for the standby's ACK.
	Latency       Duration `toml:"latency" default:"2ms" range:"100us..9ms"`
	LatencyWeight int      `toml:"latency_weight" default:"40" range:"0..1000"`
	RingWeight    int      `toml:"ring_weight" default:"20" range:"0..1000"`
	// Flaps of one carrier within a minute make that part full.
	Flaps       int `toml:"flaps" default:"3" range:"1..1000"`
	FlapsWeight int `toml:"flaps_weight" default:"40" range:"0..1000"`
	LateWeight  int `toml:"late_weight" default:"20" range:"0..1000"`
}

// Hook is a program that is told of events.
type Hook struct {
	Path    string   `toml:"path" required:"true"`
	Args    []string `toml:"args"`
	Timeout Duration `toml:"timeout" default:"5s" range:"10ms..10m"`
	On      string   `toml:"on" default:"role" oneof:"role|all"`
}

// DefaultPredict is what an empty section [predict] means.
func DefaultPredict() Predict {
	var p Predict
	d := &decoder{places: map[string]place{}, failed: map[string]bool{}}
	d.table(newTable(place{1, 1}), reflect.ValueOf(&p).Elem(), "predict")
	return p
}
