package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"onebeat/tools/config"
	"onebeat/xdp"
)

const (
	resolveEvery = time.Second
	resolveFor   = 60 * time.Second

	// Peers are asked in turn, and not for long: a lane whose peer's host is dead
	// must hold up neither its own start nor the other lanes.
	resolvePeerEvery = 200 * time.Millisecond
	resolvePeerFor   = 5 * time.Second
)

// broadcastMAC reaches the only other end of a cable, whoever that will be.
var broadcastMAC = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// resolvePeers finds out who is at the other end of each cable.
func (n *Node) resolvePeers(ctx context.Context) error {
	missing := map[int]bool{}
	for peer := range n.links {
		missing[peer] = true
	}
	for deadline := time.Now().Add(resolvePeerFor); len(missing) > 0 && ctx.Err() == nil && time.Now().Before(deadline); {
		for peer := range missing {
			nic := n.links[peer]
			mac, err := xdp.Resolve(nic.Name, n.cfg.Link(peer).PeerAddress.Addr(), resolvePeerEvery)
			if err != nil && !errors.Is(err, xdp.ErrNoNeighbour) {
				return fmt.Errorf("[[link]] to node %d: %w", peer, err)
			}
			if err == nil {
				nic.peerMAC = mac
				n.links[peer] = nic
				delete(missing, peer)
			}
		}
	}
	for peer := range missing {
		nic := n.links[peer]
		nic.peerMAC = broadcastMAC
		n.links[peer] = nic
		n.log.Warn("nobody answers at the other end of the link: link frames go to whoever is there", "peer", peer, "interface", nic.Name)
	}
	return ctx.Err()
}

// resolveOrder finds who has an address on the order network.
func (n *Node) resolveOrder(ip netip.Addr, timeout time.Duration) ([6]byte, error) {
	if vlan := n.vlan(); vlan != 0 {
		return xdp.ResolveTagged(n.order.Interface, vlan, ip, timeout)
	}
	return xdp.Resolve(n.order.Name, ip, timeout)
}

// awaitOrder waits for a neighbour on the order network to answer: the other
// host may boot later.
func (n *Node) awaitOrder(ctx context.Context, ip netip.Addr) ([6]byte, error) {
	deadline := time.Now().Add(resolveFor)
	for {
		mac, err := n.resolveOrder(ip, resolveEvery)
		if err == nil {
			return mac, nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) || !errors.Is(err, xdp.ErrNoNeighbour) {
			return [6]byte{}, err
		}
	}
}

func (n *Node) venueMAC(ctx context.Context, l *config.Lane) ([6]byte, error) {
	if l.Venue == nil {
		return [6]byte{}, nil
	}
	mac, err := n.awaitOrder(ctx, l.Venue.Address.Addr())
	if err != nil {
		return [6]byte{}, fmt.Errorf("venue: %w", err)
	}
	return mac, nil
}
