package control

import (
	"onebeat/mirror/archive"
	"onebeat/mirror/pull"
	"onebeat/mirror/ship"
	"onebeat/mirror/stream"
)

// Commands of a mirror daemon.
const (
	// CmdCease ends the following of all lanes, for good: the copies are to be served
	// from now on, or belong to nobody. By says who and why.
	CmdCease = "cease"
)

// MirrordName is what a mirror daemon's control socket is named by.
func MirrordName(name string) string { return name + "-mirrord" }

// MirrordStatus is what a mirror daemon says about itself.
type MirrordStatus struct {
	Name    string        `json:"name"`
	Number  int           `json:"number"`
	PID     int           `json:"pid"`
	Version string        `json:"version"`
	Host    bool          `json:"host"`             // it has a host of its own, and follows
	Listen  string        `json:"listen,omitempty"` // empty: it serves nobody
	Lanes   []MirrordLane `json:"lanes"`
	// Ceased says who ended the following, and why; empty: it follows.
	Ceased   string            `json:"ceased,omitempty"`
	Counters map[string]uint64 `json:"counters,omitempty"`
}

// MirrordLane is one lane of a mirror daemon.
type MirrordLane struct {
	ID int `json:"id"`
	// Of a daemon on a node's host: what is in its memory.
	Pinned      bool   `json:"pinned,omitempty"`
	Incarnation uint64 `json:"incarnation,omitempty"`
	Authority   string `json:"authority,omitempty"`
	Tail        uint64 `json:"tail,omitempty"`
	Committed   uint64 `json:"committed,omitempty"`
	Problem     string `json:"problem,omitempty"`

	Dir     string          `json:"dir,omitempty"`     // of the archive
	Archive *archive.Status `json:"archive,omitempty"` // nil: another process writes it, or nobody
	Copy    *pull.Status    `json:"copy,omitempty"`
	Stores  []ship.Status   `json:"stores,omitempty"`
	Copies  []stream.Copy   `json:"copies,omitempty"` // that follow this daemon
}
