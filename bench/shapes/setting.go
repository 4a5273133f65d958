package shapes

import (
	"fmt"
	"slices"
	"strings"

	"onebeat/mirror/policy"
	"onebeat/tools/config"
)

// Shapes.
const (
	Echo     = "echo"     // our AF_XDP echo
	CEcho    = "cecho"    // an AF_XDP echo in C: the yardstick
	Asavie   = "asavie"   // an echo on the per-packet path of asavie/xdp
	Order    = "order"    // an order to one node, policy none, no peer
	Mirrored = "mirrored" // an order to a pair of nodes, policy mirrored
	Applied  = "applied"  // the same, policy applied
	Archived = "archived" // the same, policy archived, a sync for each write
	UDP      = "udp"      // mirrored over UDP sockets, without kernel programs
	GoUDP    = "goudp"    // an echo on a kernel UDP socket in Go
	CUDP     = "cudp"     // the same in C
)

// All lists the shapes in the order they are measured.
var All = []string{CEcho, Echo, Asavie, Order, Mirrored, Applied, Archived, UDP, GoUDP, CUDP}

// Setting is what is measured.
type Setting struct {
	Shape   string
	App     string // book or gateway; echoes have none
	Release string // mirrored, udp: ride or user; mirrored: chain
	Auth    bool   // mirrored, udp: link frames carry a MAC
	// Batch is how many orders a datagram carries; 0: one. The time measured is
	// from its send to the last of their answers.
	Batch int
	// ToVenue measures to the venue's copy of the order, not to the answer; only
	// the gateway sends one.
	ToVenue bool
	// Lanes is how many lanes the nodes serve on one thread, one order in flight
	// over all of them, in turns; 0: one.
	Lanes int
	// Archive is where the primary archives its log; empty: it does not.
	Archive string
	// Beside: what nodes do beside their loops runs, too, in a runtime with room for it.
	// Set it in both of two settings that are compared.
	Beside bool

	rejoin bool // the primary serves alone; see Rejoins
}

// batchMax is how many orders fit into a datagram.
const batchMax = 32

// lanesMax is how many lanes are measured side by side.
const lanesMax = 2

// Check refuses what is not a shape.
func (s *Setting) Check() error {
	if !slices.Contains(All, s.Shape) {
		return fmt.Errorf("shape %q is not known; use %s or all", s.Shape, strings.Join(All, ", "))
	}
	if s.App != config.AppBook && s.App != config.AppGateway {
		return fmt.Errorf("app %q is not known; use %s or %s", s.App, config.AppBook, config.AppGateway)
	}
	switch {
	case s.Release != config.ReleaseRide && s.Release != config.ReleaseChain && s.Release != config.ReleaseUser:
		return fmt.Errorf("release %q is not known; use %s, %s or %s", s.Release, config.ReleaseRide, config.ReleaseChain, config.ReleaseUser)
	case s.Release == config.ReleaseChain && s.Shape == UDP:
		return fmt.Errorf("release %q needs kernel programs; use %s or %s with shape %s", s.Release, config.ReleaseRide, config.ReleaseUser, s.Shape)
	}
	if s.Batch < 0 || s.Batch > batchMax || s.Batch > 1 && (s.echo() || s.App == config.AppGateway) {
		return fmt.Errorf("batch %d: 1 to %d orders to a book", s.Batch, batchMax)
	}
	if s.Lanes < 0 || s.Lanes > lanesMax || s.Lanes > 1 && (s.echo() || s.sockets() || s.App == config.AppGateway || s.orders() > 1 || s.stronger()) {
		return fmt.Errorf("lanes %d: 1 to %d of a book, of shapes %s and %s, one order in a datagram", s.Lanes, lanesMax, Order, Mirrored)
	}
	if s.ToVenue && (s.echo() || s.App != config.AppGateway) {
		return fmt.Errorf("only a gateway sends orders to a venue")
	}
	return nil
}

// orders is how many a datagram carries.
func (s *Setting) orders() int { return max(s.Batch, 1) }

// beside reports whether more than loops runs.
func (s *Setting) beside() bool { return s.Beside || s.Archive != "" }

// lanes is how many lanes there are.
func (s *Setting) lanes() int { return max(s.Lanes, 1) }

// echo reports whether the shape does nothing but send frames back.
func (s *Setting) echo() bool {
	return s.Shape == Echo || s.Shape == CEcho || s.Shape == Asavie || s.Shape == GoUDP || s.Shape == CUDP
}

// sockets reports whether the client sends over a kernel socket.
func (s *Setting) sockets() bool { return s.Shape == UDP || s.Shape == GoUDP || s.Shape == CUDP }

// Compiled reports whether the shape needs a C compiler.
func (s *Setting) Compiled() bool { return s.Shape == CEcho || s.Shape == CUDP }

// peered reports whether a second node holds what the first has.
func (s *Setting) peered() bool { return s.Shape == Mirrored || s.Shape == UDP || s.stronger() }

// stronger reports whether the answer waits for more than the standby's kernel.
func (s *Setting) stronger() bool { return s.Shape == Applied || s.Shape == Archived }

// policy is the lane's.
func (s *Setting) policy() string {
	if s.stronger() {
		return s.Shape
	}
	return policy.NameMirrored
}

// Name tells settings apart: shape, then what is not the default of it.
func (s *Setting) Name() string {
	if s.echo() {
		return s.Shape
	}
	name := s.Shape + " " + s.App
	if s.peered() {
		if s.Release != config.ReleaseRide {
			name += " " + s.Release
		}
		if !s.Auth {
			name += " noauth"
		}
	}
	if s.ToVenue {
		name += " to venue"
	}
	if s.Batch > 1 {
		name += fmt.Sprintf(" x%d", s.Batch)
	}
	if s.Lanes > 1 {
		name += fmt.Sprintf(" %d lanes", s.Lanes)
	}
	if s.Archive != "" {
		name += " archived"
	}
	return name
}
