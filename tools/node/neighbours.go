package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netns"

	"onebeat/xdp"
)

const (
	// A venue is asked for that long before its lane goes on without it, and
	// looked for so often then.
	resolveVenueFor = 300 * time.Millisecond
	resolveEvery    = time.Second

	// Peers are asked in turn, and not for long: a lane whose peer's host is dead
	// must hold up neither its own start nor the other lanes.
	resolvePeerEvery = 200 * time.Millisecond
	resolvePeerFor   = 5 * time.Second
)

// broadcastMAC reaches the only other end of a cable, whoever that will be; its
// first HELLO tells the replica its MAC.
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
		return xdp.ResolveDirect(n.order.Interface, vlan, ip, timeout)
	}
	return xdp.Resolve(n.order.Name, ip, timeout)
}

// findVenue looks for one of a lane's venues. One that does not answer at once, its host
// may boot later, is looked for beside the order path: neither this lane's part
// in the mirror nor the other lanes wait for it.
func (n *Node) findVenue(ctx context.Context, p *laneParts, i int) error {
	v, at := &p.cfg.Venues[i], &p.venueAt[i]
	ip := v.Address.Addr()
	mac, err := n.resolveOrder(ip, resolveVenueFor)
	if err == nil {
		at.Store(macBits(mac))
		return nil
	}
	if !errors.Is(err, xdp.ErrNoNeighbour) || ctx.Err() != nil {
		return fmt.Errorf("venue %s: %w", v.Name, err)
	}
	n.log.Warn("the venue does not answer yet: the lane goes on without it", "lane", p.cfg.ID, "venue", v.Name, "address", ip)
	here, err := netns.Get()
	if err != nil {
		return fmt.Errorf("this network namespace: %w", err)
	}
	looking, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		defer here.Close()
		// A thread is bound to a namespace, and this one ends with the search.
		runtime.LockOSThread()
		if err := netns.Set(here); err != nil {
			n.log.Error("the venue is not looked for", "lane", p.cfg.ID, "venue", v.Name, "error", err)
			return
		}
		n.lookForVenue(looking, p, v.Name, ip, at)
	})
	n.closer = append(n.closer, func() error { stop(); done.Wait(); return nil })
	return nil
}

func (n *Node) lookForVenue(ctx context.Context, p *laneParts, name string, ip netip.Addr, at *atomic.Uint64) {
	said := ""
	for ctx.Err() == nil {
		mac, err := n.resolveOrder(ip, resolveEvery)
		if err == nil {
			at.Store(macBits(mac))
			n.log.Info("the venue answers", "lane", p.cfg.ID, "venue", name, "address", ip)
			return
		}
		if text := err.Error(); text != said && !errors.Is(err, xdp.ErrNoNeighbour) {
			said = text
			n.log.Warn("the venue cannot be looked for", "lane", p.cfg.ID, "venue", name, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(resolveVenueFor):
		}
	}
}

// joinGroups lets the order NIC hear who asks for the lanes' IPv6 addresses, on a
// standby too: it may have to answer at any moment.
func (n *Node) joinGroups() error {
	var ips []netip.Addr
	for i := range n.cfg.Lanes {
		if ip := n.cfg.Lanes[i].Address.Addr(); !ip.Is4() {
			ips = append(ips, ip)
		}
	}
	if len(ips) == 0 {
		return nil
	}
	groups, told, err := xdp.JoinGroups(n.order.Interface, n.vlan(), ips)
	if err != nil {
		return err
	}
	n.closer = append(n.closer, groups.Close)
	if !told {
		n.log.Warn("switches are not told of the multicast groups of the lane addresses (MLD): where one snoops, let it flood ff02::1:ff00:0/104",
			"interface", n.order.Name, "vlan", n.cfg.Order.VLAN)
	}
	return nil
}

// macBits is a MAC as engine.VenueConfig.Resolved has it.
func macBits(mac [6]byte) uint64 {
	bits := uint64(0)
	for i, b := range mac {
		bits |= uint64(b) << (8 * i)
	}
	return bits
}
