package node

import (
	"errors"
	"fmt"
	"net"
	"time"

	"onebeat/tools/config"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// claimantResolve is how long a peer may take to say its order MAC once somebody
// has claimed a lane address.
const claimantResolve = 300 * time.Millisecond

// ErrAddressTaken means that a stranger answers for a lane address.
var ErrAddressTaken = errors.New("a lane address is somebody else's")

// findClaimants begins to look whether a stranger has a lane address; nil where
// the file says not to. It runs while the node opens.
func (n *Node) findClaimants() (*xdp.Claimants, error) {
	wait := time.Duration(n.cfg.Order.AddressProbe)
	if wait == 0 {
		return nil, nil
	}
	var ips []frame.IP
	for i := range n.cfg.Lanes {
		ips = append(ips, frame.IP(n.cfg.Lanes[i].Address))
	}
	return xdp.FindClaimants(n.order.Interface, n.vlan(), ips, wait)
}

// refuseStrangers ends the look. The peer may have a lane's address: it serves
// the lane. Anybody else who answers for it would take the lane's traffic.
func (n *Node) refuseStrangers(c *xdp.Claimants) error {
	if c == nil {
		return nil
	}
	found, err := c.Wait()
	if err != nil {
		return err
	}
	var errs []error
	for i := range n.cfg.Lanes {
		l := &n.cfg.Lanes[i]
		mac, ok := found[frame.IP(l.Address)]
		if !ok {
			continue
		}
		peer, known := n.peerOrderMAC(l)
		switch {
		case l.Peer == 0 || known && mac != peer:
			errs = append(errs, fmt.Errorf("%w: %v answers for %v of lane %d on %s; remove the address there, or set order.address_probe = \"0s\" if that host is right",
				ErrAddressTaken, net.HardwareAddr(mac[:]), l.Address, l.ID, n.order.Name))
		case !known:
			n.log.Warn("somebody has the lane address: the peer, or a stranger", "lane", l.ID, "address", l.Address.String(), "mac", net.HardwareAddr(mac[:]).String())
		}
	}
	return errors.Join(errs...)
}

// peerOrderMAC is the peer's order NIC, where its address there is configured.
func (n *Node) peerOrderMAC(l *config.Lane) (mac [6]byte, known bool) {
	link := n.secondLink(l)
	if link == nil {
		return mac, false
	}
	mac, err := n.resolveOrder(link.PeerOrderAddress.Addr(), claimantResolve)
	return mac, err == nil
}
