package peers

import (
	"errors"
	"net/netip"
)

// Env is where a peer serves. Start must be called on a thread that is in the
// interface's network namespace.
type Env struct {
	Interface string
	Queue     int
	IP        netip.Addr // address of the interface
	Port      uint16
	Core      int // -1: not pinned
}

// Peer is an echo server on one queue.
type Peer interface {
	Name() string
	// Start returns when the peer serves.
	Start(env Env) error
	// Stop ends it and takes its program off the interface.
	Stop() error
}

// ErrNoCompiler says that the C yardstick cannot be built here.
var ErrNoCompiler = errors.New("no C compiler: install gcc or clang, or set CC")
