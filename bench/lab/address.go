package lab

import (
	"fmt"
	"net"
	"slices"
)

// Addresses of a lab; they exist only inside its namespaces.
var (
	ClientIP    = [4]byte{10, 10, 0, 10}
	NodeAIP     = [4]byte{10, 10, 0, 1}
	NodeBIP     = [4]byte{10, 10, 0, 2}
	NodeCIP     = [4]byte{10, 10, 0, 3}
	VenueIP     = [4]byte{10, 10, 0, 20}
	LaneIP      = LaneAddress(0)
	VenueLaneIP = VenueLaneAddress(0)
	NodeALinkIP = [4]byte{10, 99, 0, 1}
	NodeBLinkIP = [4]byte{10, 99, 0, 2}
	// WitnessIP is the arbiter's, on the third network.
	WitnessIP = [4]byte{10, 98, 0, 100}
)

// LaneAddress is what clients of a lane speak to; it is on no interface but, where
// the lane is served over TCP, the nodes' lo.
func LaneAddress(lane int) [4]byte { return [4]byte{10, 10, 0, byte(100 + lane)} }

// VenueLaneAddress is the venue of a lane; it is never on an interface.
func VenueLaneAddress(lane int) [4]byte { return [4]byte{10, 10, 0, byte(200 + lane)} }

// InIPv6 is an address of the order network where that is an IPv6 one: fd00:: and
// the IPv4 address. It is never on an interface.
func InIPv6(ip [4]byte) [16]byte {
	return [16]byte{0: 0xfd, 12: ip[0], 13: ip[1], 14: ip[2], 15: ip[3]}
}

// NodeNumber is a node's number in configuration files, 0 for other places.
func NodeNumber(place string) int {
	return map[string]int{NodeA: 1, NodeB: 2, NodeC: 3}[place]
}

// maxClients is how many addresses there are for them.
const maxClients = 4

// ClientPlace returns the i-th place for a client; the first is Client.
func ClientPlace(i int) string {
	if i == 0 {
		return Client
	}
	return fmt.Sprintf("%s-%d", Client, i)
}

// OrderIP returns a place's own address on the order network.
func OrderIP(place string) [4]byte {
	for i := range maxClients {
		if place == ClientPlace(i) {
			return [4]byte{ClientIP[0], ClientIP[1], ClientIP[2], ClientIP[3] + byte(i)}
		}
	}
	return map[string][4]byte{NodeA: NodeAIP, NodeB: NodeBIP, NodeC: NodeCIP, Venue: VenueIP}[place]
}

// OrderMAC returns the MAC address of a place's order NIC; the last byte is
// that of its address.
func OrderMAC(place string) net.HardwareAddr {
	last := OrderIP(place)[3]
	if last == 0 {
		panic("lab: no order NIC in " + place)
	}
	return net.HardwareAddr{0x02, 0x0b, 0xea, 0x10, 0x00, last}
}

// NodeWitnessIP returns a node's address on the network of the witness.
func NodeWitnessIP(place string) [4]byte { return [4]byte{10, 98, 0, byte(NodeNumber(place))} }

// LinkEnd is one end of a cable between two nodes.
type LinkEnd struct {
	Place, Peer string
	NIC         string
	IP, PeerIP  [4]byte
}

func (e LinkEnd) mac() net.HardwareAddr {
	mac := slices.Clone(OrderMAC(e.Place))
	mac[3], mac[4] = 0x99, e.IP[2]
	return mac
}

// cables returns both ends of every cable between nodes.
func (l *Lab) cables() [][2]LinkEnd {
	join := func(a, nicA string, ipA [4]byte, b, nicB string, ipB [4]byte) [2]LinkEnd {
		return [2]LinkEnd{{a, b, nicA, ipA, ipB}, {b, a, nicB, ipB, ipA}}
	}
	if l.Topology == NPlusOne {
		return [][2]LinkEnd{
			join(NodeA, LinkNIC, [4]byte{10, 99, 1, 1}, NodeC, LinkNIC, [4]byte{10, 99, 1, 3}),
			join(NodeB, LinkNIC, [4]byte{10, 99, 2, 2}, NodeC, SecondLinkNIC, [4]byte{10, 99, 2, 3}),
		}
	}
	return [][2]LinkEnd{join(NodeA, LinkNIC, NodeALinkIP, NodeB, LinkNIC, NodeBLinkIP)}
}

// Links returns a node's ends of its cables, one for each peer.
func (l *Lab) Links(place string) []LinkEnd {
	var ends []LinkEnd
	for _, c := range l.cables() {
		for _, e := range c {
			if e.Place == place {
				ends = append(ends, e)
			}
		}
	}
	return ends
}
