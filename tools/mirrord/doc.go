// Package mirrord is the mirror daemon: it keeps copies of lanes' logs and serves
// them, without an engine.
//
// On a node's host it looks at the lanes' memory, which outlives the node: it
// archives it (archive.by = "mirrord"), also while no node runs, and gives a
// successor what an engine that died had not yet mirrored. On a host of its own it
// follows the lanes' nodes by stream. In both places it ships closed segments to
// stores.
//
// Files: local.go is the daemon on a node's host, host.go the one on a host of its
// own, ship.go the stores, daemon.go what both have, ceased.go how a copy stops
// being one.
package mirrord
