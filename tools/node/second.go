package node

import (
	"fmt"

	"onebeat/mirror/wire"
	"onebeat/tools/config"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// secondLink returns the link of a lane that has two paths to its peer, or nil.
func (n *Node) secondLink(l *config.Lane) *config.Link {
	if link := n.cfg.Link(l.Peer); l.Peer != 0 && link != nil && link.TwoPaths() {
		return link
	}
	return nil
}

// listenSeconds opens the sockets of the second paths, one for each lane that
// has one. Links may share an address on the order network. With kernel
// programs the steering program takes these frames.
func (n *Node) listenSeconds() (map[int]xdp.Port, error) {
	type place struct {
		ip   config.IP
		port config.Port
	}
	var places []place
	lanes := map[place][]byte{}
	for i := range n.cfg.Lanes {
		l := &n.cfg.Lanes[i]
		if link := n.secondLink(l); link != nil {
			at := place{link.OrderAddress, link.Port}
			if lanes[at] == nil {
				places = append(places, at)
			}
			lanes[at] = append(lanes[at], byte(l.ID))
		}
	}
	ports := map[int]xdp.Port{}
	for _, at := range places {
		sockets, err := xdp.ListenUDPShared(at.ip.Addr(), uint16(at.port), wire.LaneOffset, lanes[at])
		if err != nil {
			return nil, fmt.Errorf("second path: %w", err)
		}
		for i, s := range sockets {
			n.closer = append(n.closer, s.Close)
			ports[int(lanes[at][i])] = s
		}
	}
	return ports, nil
}

// useSecond lets the replica speak by the order NIC too.
func (n *Node) useSecond(p *laneParts) {
	link := n.secondLink(p.cfg)
	if link == nil {
		return
	}
	local := frame.Endpoint{MAC: p.local.MAC, IP: frame.IPv4(link.OrderAddress), Port: uint16(link.Port)}
	remote := frame.Endpoint{IP: frame.IPv4(link.PeerOrderAddress), Port: uint16(link.Port)}
	port := p.order
	if p.second != nil {
		port, local.MAC = p.second, xdp.StandInMAC(local.IP)
	}
	p.replica.UseSecond(port, local, remote, n.vlan())
}
