package scene

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"onebeat/bench/lab"
	"onebeat/tools/config"
)

func dotted(ip [4]byte) string { return netip.AddrFrom4(ip).String() }

func (s *Scene) header(b *strings.Builder, place string, number int) {
	level := s.LogLevel
	if level == "" {
		level = "info"
	}
	fmt.Fprintf(b, "[node]\nname = %q\nnumber = %d\nbpffs = %q\nrun_dir = %q\nlog_level = %q\n[order]\ninterface = %q\n%s\n[loop]\n%s\n",
		place, number, s.Lab.BPFFS(place), s.Lab.RunDir, level, lab.OrderNIC, s.OrderLines, s.LoopLines)
}

// NodeText is a node's configuration file.
func (s *Scene) NodeText(place string) (string, error) {
	var b strings.Builder
	s.header(&b, place, lab.NodeNumber(place))
	fmt.Fprintln(&b, strings.ReplaceAll(s.NodeLines, "$NODE", strconv.Itoa(lab.NodeNumber(place))))
	peers := map[string]bool{}
	for _, end := range s.Lab.Links(place) {
		if s.shares(place, end.Peer) {
			peers[end.Peer] = true
			s.link(&b, end)
		}
	}
	for i := range s.Lanes {
		l := &s.Lanes[i]
		if !l.On(place) {
			continue
		}
		if peer := l.Peer(place); peer != "" && !peers[peer] {
			return "", fmt.Errorf("lane %d: no cable of topology %s leads from %s to %s", l.ID, s.Lab.Topology, place, peer)
		}
		s.laneText(&b, l, place)
	}
	return b.String(), nil
}

// shares is whether two nodes have a lane together.
func (s *Scene) shares(place, peer string) bool {
	for i := range s.Lanes {
		if l := &s.Lanes[i]; l.On(place) && l.Peer(place) == peer {
			return true
		}
	}
	return false
}

func (s *Scene) link(b *strings.Builder, e lab.LinkEnd) {
	fmt.Fprintf(b, `[[link]]
peer = %d
interface = %q
address = %q
peer_address = %q
order_address = %q
peer_order_address = %q
key_file = %q
%s
`, lab.NodeNumber(e.Peer), e.NIC, dotted(e.IP), dotted(e.PeerIP), dotted(lab.OrderIP(e.Place)), dotted(lab.OrderIP(e.Peer)), keyFile,
		strings.ReplaceAll(s.LinkLines, "$PEER", strconv.Itoa(lab.NodeNumber(e.Peer))))
}

func (s *Scene) laneText(b *strings.Builder, l *Lane, place string) {
	fmt.Fprintf(b, "[[lane]]\nid = %d\naddress = %q\nport = %d\nfirst = %v\napp = %q\n",
		l.ID, s.address(lab.LaneAddress(l.ID)).String(), LanePort, place == l.Primary, l.app())
	if peer := l.Peer(place); peer != "" {
		fmt.Fprintf(b, "peer = %d\n", lab.NodeNumber(peer))
	}
	fmt.Fprintf(b, "%s\n[[lane.session]]\nid = %q\nname = \"client-%d\"\nkey = %q\n%s\n", l.Lines, Session(l.ID), l.ID+1, Credentials, l.SessionLines)
	b.WriteString(l.FIX)
	if l.app() == config.AppGateway {
		// All checks are on; none of a load's orders fails one.
		fmt.Fprintf(b, `[[lane.venue]]
name = "exchange"
address = %q
port = %d
local_port = %d
session = %q
key = %q
%s
[lane.risk]
max_qty_lots = 1000
max_notional = 50000000
collar_percent = 10
max_position_lots = 1000000000
`, s.address(lab.VenueLaneAddress(l.ID)).String(), VenuePort, LaneVenuePort, VenueSession(l.ID), venueCredentials, l.VenueLines)
	}
	b.WriteString(symbol)
}

var symbol = fmt.Sprintf("[[lane.symbol]]\nid = %d\nname = \"ONEB\"\nreference_price_ticks = %d\n", SymbolID, ReferencePrice)

// VenueText is the venue's configuration file: a book for every gateway.
func (s *Scene) VenueText() string {
	var b strings.Builder
	s.header(&b, lab.Venue, venueNumber)
	for i := range s.Lanes {
		l := &s.Lanes[i]
		if l.app() != config.AppGateway {
			continue
		}
		fmt.Fprintf(&b, `[[lane]]
id = %d
address = %q
port = %d
first = true
app = "book"
order_log = %q
%s
[[lane.session]]
id = %q
name = "gateway-%d"
key = %q
%s`, l.ID, s.address(lab.VenueLaneAddress(l.ID)).String(), VenuePort, VenueOrders(s.Lab, l.ID), s.VenueLines, VenueSession(l.ID), l.ID, venueCredentials, symbol)
	}
	return b.String()
}
