package scene

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"onebeat/bench/lab"
	"onebeat/tools/config"
)

// What the processes of a lab agree on.
const (
	LanePort       = 9000
	LaneVenuePort  = 9001 // of the lane address, towards the venue
	VenuePort      = 9100
	SymbolID       = 1
	ReferencePrice = 10_000

	// FIX clients find a lane at FIXPort and call it FIXNode.
	FIXPort   = 9500
	FIXNode   = "ONEBEAT"
	FIXClient = "DESK-1"

	// Credentials are those of every lane's client.
	Credentials      = "client-1-secret"
	venueCredentials = "gateway-secret"
	venueNumber      = 9
	keyFile          = "link.key"
)

// Lane is one lane of a lab. Its lines, and those of a scene, are TOML as a
// configuration file has it.
type Lane struct {
	ID           int
	Primary      string // the place that seeds it
	Standby      string // empty: the lane has no peer
	App          string // default gateway
	Lines        string // further keys of [[lane]]
	SessionLines string // of its [[lane.session]]
	VenueLines   string // of its [[lane.venue]]; further tables of the lane may follow
	FIX          string // its [lane.fix], of FIXText; empty: none
}

// FIXText is the section of a lane whose clients speak FIX, too.
func FIXText(version string, clients ...string) string {
	text := fmt.Sprintf("[lane.fix]\nport = %d\n", FIXPort)
	for _, c := range clients {
		text += fmt.Sprintf("[[lane.fix.session]]\nname = %q\nversion = %q\nsender_comp_id = %q\ntarget_comp_id = %q\n", c, version, FIXNode, c)
	}
	return text
}

// Scene is what a lab's nodes run.
type Scene struct {
	Lab   *lab.Lab
	Lanes []Lane
	// NodeLines are further sections of every node's file, LoopLines keys of
	// [loop], LinkLines of every [[link]] ($PEER in them is its peer's number).
	NodeLines, LoopLines, LinkLines string
	// OrderLines are further keys of every [order].
	OrderLines string
	// VenueLines are further keys of the venue's [[lane]]s.
	VenueLines string
	// IPv6: the lanes' and venues' addresses are IPv6 ones.
	IPv6     bool
	LogLevel string // default info
}

// OneLane is the lane of a pair: node-a seeds it, node-b stands by.
func OneLane(app, lines string) []Lane {
	return []Lane{{ID: 0, Primary: lab.NodeA, Standby: lab.NodeB, App: app, Lines: lines}}
}

// ActiveActive is two lanes with opposite primaries on two nodes.
func ActiveActive(app, lines string) []Lane {
	return []Lane{
		{ID: 0, Primary: lab.NodeA, Standby: lab.NodeB, App: app, Lines: lines},
		{ID: 1, Primary: lab.NodeB, Standby: lab.NodeA, App: app, Lines: lines},
	}
}

// NPlusOne is three lanes on two nodes that share a third as their standby.
func NPlusOne(app, lines string) []Lane {
	return []Lane{
		{ID: 0, Primary: lab.NodeA, Standby: lab.NodeC, App: app, Lines: lines},
		{ID: 1, Primary: lab.NodeB, Standby: lab.NodeC, App: app, Lines: lines},
		{ID: 2, Primary: lab.NodeB, Standby: lab.NodeC, App: app, Lines: lines},
	}
}

// Write writes the key and the configuration files of nodes and venue into the
// lab's run directory.
func (s *Scene) Write() error {
	key := make([]byte, config.KeyBytes)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	errs := []error{s.writeFile(keyFile, hex.EncodeToString(key)+"\n")}
	for _, place := range s.Places() {
		text, err := s.NodeText(place)
		if place == lab.Venue {
			text = s.VenueText()
		}
		errs = append(errs, err, s.writeFile(place+".toml", text))
	}
	return errors.Join(errs...)
}

func (s *Scene) writeFile(name, text string) error {
	return os.WriteFile(filepath.Join(s.Lab.RunDir, name), []byte(text), 0o600)
}

// Places returns where this scene has a process: the nodes with lanes, and the
// venue before them if a lane needs it.
func (s *Scene) Places() []string {
	var places []string
	if slices.ContainsFunc(s.Lanes, func(l Lane) bool { return l.app() == config.AppGateway }) {
		places = append(places, lab.Venue)
	}
	for _, place := range s.Lab.Nodes() {
		if slices.ContainsFunc(s.Lanes, func(l Lane) bool { return l.On(place) }) {
			places = append(places, place)
		}
	}
	return places
}

// ConfigPath returns a place's configuration file.
func ConfigPath(l *lab.Lab, place string) string { return filepath.Join(l.RunDir, place+".toml") }

// VenueOrders returns the order log of a lane's venue.
func VenueOrders(l *lab.Lab, lane int) string {
	return filepath.Join(l.RunDir, fmt.Sprintf("venue-orders-%d.csv", lane))
}

// On is whether a node takes part in the lane.
func (l *Lane) On(place string) bool { return place == l.Primary || place == l.Standby }

// Peer returns the other node's place, empty if there is none.
func (l *Lane) Peer(place string) string {
	if place == l.Primary {
		return l.Standby
	}
	return l.Primary
}

func (l *Lane) app() string {
	if l.App == "" {
		return config.AppGateway
	}
	return l.App
}

// Target is a lane as its clients see it.
func (s *Scene) Target(lane int) netip.AddrPort {
	return netip.AddrPortFrom(s.address(lab.LaneAddress(lane)), LanePort)
}

// Client is where the client of a place speaks from; its port is for it to choose.
func (s *Scene) Client(place string) netip.AddrPort {
	return netip.AddrPortFrom(s.address(lab.OrderIP(place)), 0)
}

// address is one on the order network.
func (s *Scene) address(ip [4]byte) netip.Addr {
	if s.IPv6 {
		return netip.AddrFrom16(lab.InIPv6(ip))
	}
	return netip.AddrFrom4(ip)
}

// Session is that of a lane's client.
func Session(lane int) string {
	return fmt.Sprintf("6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a%02x", lane+1)
}

// VenueSession is a lane's at its venue.
func VenueSession(lane int) string {
	return fmt.Sprintf("6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1b%02x", lane+1)
}
