package drill

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"onebeat/bench/lab"
)

// What the lab's processes agree on.
const (
	lanePort       = 9000
	laneVenuePort  = 9001 // of the lane address, towards the venue
	venuePort      = 9100
	symbolID       = 1
	referencePrice = 10_000

	// Session and Credentials are those of the drill's load client.
	Session     = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a01"
	Credentials = "client-1-secret"

	venueSession     = "6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1b01"
	venueCredentials = "gateway-secret"
)

// Target is the lane as the load client sees it.
func Target() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(lab.LaneIP), lanePort)
}

func dotted(ip [4]byte) string { return netip.AddrFrom4(ip).String() }

// WriteConfigs writes the key and the configuration files of a lab's nodes and
// venue into its run directory.
func WriteConfigs(l *lab.Lab, o *Options) error {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	files := map[string]string{
		"link.key":            hex.EncodeToString(key) + "\n",
		configName(lab.NodeA): nodeConfig(l, o, lab.NodeA, lab.NodeB),
		configName(lab.NodeB): nodeConfig(l, o, lab.NodeB, lab.NodeA),
		configName(lab.Venue): venueConfig(l, o),
	}
	var errs []error
	for name, text := range files {
		errs = append(errs, os.WriteFile(filepath.Join(l.RunDir, name), []byte(text), 0o600))
	}
	return errors.Join(errs...)
}

func configName(place string) string { return place + ".toml" }

// ConfigPath returns a place's configuration file.
func ConfigPath(l *lab.Lab, place string) string { return filepath.Join(l.RunDir, configName(place)) }

func orderLogPath(l *lab.Lab) string { return filepath.Join(l.RunDir, "venue-orders.csv") }

func clientLogPath(l *lab.Lab) string { return filepath.Join(l.RunDir, "client-orders.csv") }

func header(l *lab.Lab, o *Options, place string, number int) string {
	return fmt.Sprintf(`[node]
name = %q
number = %d
bpffs = %q
run_dir = %q
log_level = %q
[order]
interface = %q
[loop]
idle = %q
`, place, number, l.BPFFS(place), l.RunDir, o.LogLevel, lab.OrderNIC, o.Idle)
}

func nodeConfig(l *lab.Lab, o *Options, place, peer string) string {
	number := map[string]int{lab.NodeA: 1, lab.NodeB: 2}
	ip := map[string][4]byte{lab.NodeA: lab.NodeALinkIP, lab.NodeB: lab.NodeBLinkIP}
	orderIP := map[string][4]byte{lab.NodeA: lab.NodeAIP, lab.NodeB: lab.NodeBIP}
	var b strings.Builder
	b.WriteString(header(l, o, place, number[place]))
	fmt.Fprintf(&b, `[[link]]
peer = %d
interface = %q
address = %q
peer_address = %q
order_address = %q
peer_order_address = %q
key_file = "link.key"
[[lane]]
id = 0
address = %q
port = %d
first = %v
peer = %d
app = %q
policy = "mirrored"
release = %q
heartbeat = %q
hang_budget = %q
ring_size = %q
[[lane.session]]
id = %q
name = "client-1"
key = %q
`, number[peer], lab.LinkNIC, dotted(ip[place]), dotted(ip[peer]), dotted(orderIP[place]), dotted(orderIP[peer]), dotted(lab.LaneIP), lanePort, place == lab.NodeA, number[peer],
		o.App, o.Release, o.Heartbeat, o.HangBudget, o.RingSize, Session, Credentials)
	if o.App == "gateway" {
		// All checks are on; none of the load's orders fails one.
		fmt.Fprintf(&b, `[lane.venue]
address = %q
port = %d
local_port = %d
session = %q
key = %q
[lane.risk]
max_qty_lots = 1000
max_notional = 50000000
collar_percent = 10
max_position_lots = 1000000000
`, dotted(lab.VenueLaneIP), venuePort, laneVenuePort, venueSession, venueCredentials)
	}
	b.WriteString(symbol())
	return b.String()
}

func symbol() string {
	return fmt.Sprintf("[[lane.symbol]]\nid = %d\nname = \"ONEB\"\nreference_price_ticks = %d\n", symbolID, referencePrice)
}

func venueConfig(l *lab.Lab, o *Options) string {
	return header(l, o, lab.Venue, 9) + fmt.Sprintf(`[[lane]]
id = 0
address = %q
port = %d
first = true
app = "book"
order_log = %q
[[lane.session]]
id = %q
name = "gateway"
key = %q
`, dotted(lab.VenueLaneIP), venuePort, orderLogPath(l), venueSession, venueCredentials) + symbol()
}
