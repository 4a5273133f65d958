package shapes

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"onebeat/bench/lab"
	"onebeat/engine/sbe"
	"onebeat/tools/config"
)

// What client, nodes and venue agree on.
const (
	lanePort      = 9000
	laneVenuePort = 9001 // of the lane address, towards the venue
	clientPort    = 40000
	venuePort     = 9100 // of the client's address: one process plays both
	streamPort    = 7600 // of a node's link address
	symbolID      = 1
	priceTicks    = 10_000

	clientKey = "client-1-secret"
	venueKey  = "gateway-secret"
	linkKey   = "link.key"
)

var (
	clientSession = laneSession(0)
	venueSession  = sbe.UUID{0x6f, 0x9f, 0x0a, 0x52, 15: 2}
)

// laneSession is the client's session with a lane: no two lanes know the same.
func laneSession(lane int) sbe.UUID {
	return sbe.UUID{0x6f, 0x9f, 0x0a, 0x52, 14: byte(lane), 15: 1}
}

// Both are far above what a busy machine takes from a loop: a failover in the
// middle would measure something else.
const (
	heartbeat  = "20ms"
	hangBudget = "5s"
)

func dotted(ip [4]byte) string { return netip.AddrFrom4(ip).String() }

func dashed(u sbe.UUID) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// nodeConfig writes and reads a node's configuration file: what is measured is
// what a file can ask for.
func nodeConfig(l *lab.Lab, s *Setting, place string) (*config.Config, error) {
	path := filepath.Join(l.RunDir, place+".toml")
	if err := os.WriteFile(path, []byte(nodeText(l, s, place)), 0o600); err != nil {
		return nil, err
	}
	return config.Load(path)
}

// side is what differs between the two nodes.
type side struct {
	number, peer   int
	order          [4]byte
	link, peerLink [4]byte
	first          bool
}

var sides = map[string]side{
	lab.NodeA: {1, 2, lab.NodeAIP, lab.NodeALinkIP, lab.NodeBLinkIP, true},
	lab.NodeB: {2, 1, lab.NodeBIP, lab.NodeBLinkIP, lab.NodeALinkIP, false},
}

func nodeText(l *lab.Lab, s *Setting, place string) string {
	d := sides[place]
	var b strings.Builder
	transport, order, address := config.TransportXDP, fmt.Sprintf("interface = %q", lab.OrderNIC), lab.LaneIP
	link := fmt.Sprintf("interface = %q\n", lab.LinkNIC)
	if s.Shape == UDP {
		transport, order, address = config.TransportUDP, fmt.Sprintf("address = %q", dotted(d.order)), lab.NodeAIP
		link = ""
	}
	idle := config.IdleSpin
	if s.rejoin && !d.first {
		idle = config.IdleBackoff
	}
	fmt.Fprintf(&b, "[node]\nname = %q\nnumber = %d\nbpffs = %q\nrun_dir = %q\ntransport = %q\n[order]\n%s\n[loop]\nidle = %q\n",
		place, d.number, l.BPFFS(place), l.RunDir, transport, order, idle)
	if s.peered() {
		fmt.Fprintf(&b, "[[link]]\npeer = %d\n%saddress = %q\npeer_address = %q\nauth = %v\n", d.peer, link, dotted(d.link), dotted(d.peerLink), s.Auth)
		if s.Auth {
			fmt.Fprintf(&b, "key_file = %q\n", linkKey)
		}
		if s.rejoin {
			fmt.Fprintf(&b, "peer_stream = \"%s:%d\"\n[stream]\nlisten = \"%s:%d\"\ncertificate = \"node-%d.crt\"\nkey = \"node-%d.key\"\nauthorities = \"authority.crt\"\n",
				dotted(d.peerLink), streamPort, dotted(d.link), streamPort, d.number, d.number)
		}
	}
	if s.Shape == Archived {
		fmt.Fprintf(&b, "[archive]\ndir = %q\nsync = \"batch\"\ncompress = false\n", filepath.Join(l.RunDir, "archive"))
	} else if s.Archive != "" && d.first {
		fmt.Fprintf(&b, "[archive]\ndir = %q\n", s.Archive)
	}
	for id := range s.lanes() {
		if id > 0 {
			address = lab.LaneAddress(id)
		}
		writeLane(&b, s, &d, id, address)
	}
	return b.String()
}

func writeLane(b *strings.Builder, s *Setting, d *side, id int, address [4]byte) {
	fmt.Fprintf(b, "[[lane]]\nid = %d\naddress = %q\nport = %d\nfirst = %v\napp = %q\nheartbeat = %q\nhang_budget = %q\n",
		id, dotted(address), lanePort, d.first, s.App, heartbeat, hangBudget)
	if s.peered() {
		fmt.Fprintf(b, "peer = %d\npolicy = %q\n", d.peer, s.policy())
		if s.rejoin {
			fmt.Fprintf(b, "wait = \"100ms\"\non_timeout = \"degrade\"\n")
		}
		if !s.stronger() {
			fmt.Fprintf(b, "release = %q\n", s.Release)
		}
	}
	fmt.Fprintf(b, "[[lane.session]]\nid = %q\nname = \"client-1\"\nkey = %q\n", dashed(laneSession(id)), clientKey)
	if s.App == config.AppGateway {
		// All checks are on; none of the orders fails one.
		fmt.Fprintf(b, "[[lane.venue]]\nname = \"exchange\"\naddress = %q\nport = %d\nlocal_port = %d\nsession = %q\nkey = %q\n",
			dotted(lab.ClientIP), venuePort, laneVenuePort, dashed(venueSession), venueKey)
		b.WriteString("[lane.risk]\nmax_qty_lots = 1000\nmax_notional = 50000000\ncollar_percent = 10\nmax_position_lots = 1000000\n")
	}
	fmt.Fprintf(b, "[[lane.symbol]]\nid = %d\nname = \"ONEB\"\nreference_price_ticks = %d\n", symbolID, priceTicks)
}
