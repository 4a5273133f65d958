package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"onebeat/bpf"
	"onebeat/engine/app"
	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/tools/lanetcp"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// nic is one of the node's network interfaces.
type nic struct {
	xdp.Interface
	mode    xdp.Mode
	peerMAC [6]byte // of a link: the other end's
}

// forwardOverhead is what a FORWARD puts around an order frame.
const forwardOverhead = bpf.LinkHeaders

// openXDP loads the programs, opens the sockets and puts both together.
func (n *Node) openXDP(ctx context.Context) error {
	if err := xdp.CheckHost(); err != nil {
		return err
	}
	if err := pin.RaiseMemoryLimit(); err != nil {
		return err
	}
	if err := n.inspect(); err != nil {
		return err
	}
	if err := n.joinGroups(); err != nil {
		return err
	}
	claimants, err := n.findClaimants()
	if err != nil {
		return err
	}
	if err := n.loadKernel(); err != nil {
		return err
	}
	if err := n.retireLanes(); err != nil {
		return err
	}
	if err := n.resolvePeers(ctx); err != nil {
		return err
	}
	var lanes []*laneParts
	for i := range n.cfg.Lanes {
		l := &n.cfg.Lanes[i]
		p, err := n.prepareLane(ctx, l)
		if err != nil {
			return fmt.Errorf("lane %d: %w", l.ID, err)
		}
		lanes = append(lanes, p)
	}
	if err := n.openSockets(lanes); err != nil {
		return err
	}
	for _, p := range lanes {
		if err := n.openLaneXDP(p); err != nil {
			return fmt.Errorf("lane %d: %w", p.cfg.ID, err)
		}
	}
	if err := n.refuseStrangers(claimants); err != nil {
		return err
	}
	if err := errors.Join(n.attach(), n.attachStack()); err != nil {
		return err
	}
	return n.openTCP()
}

// vlan is the tag of the order network.
func (n *Node) vlan() frame.VLAN { return frame.VLAN(n.cfg.Order.VLAN) }

// inspect refuses NICs that cannot do what the configuration wants of them.
func (n *Node) inspect() error {
	order, err := inspectNIC("[order]", n.cfg.Order.Interface, n.cfg.Order.Mode)
	if err != nil {
		return err
	}
	for i := range n.cfg.Lanes {
		l := &n.cfg.Lanes[i]
		ip := frame.IP(l.Address)
		if err := order.Check(xdp.Need{Queue: l.Queue, MinFrameBytes: ip.HeaderBytes() + app.MaxDatagramBytes}); err != nil {
			return fmt.Errorf("lane %d: %w", l.ID, err)
		}
	}
	n.order, n.links = order, map[int]nic{}
	// A frame that is too long for the link vanishes while XDP counts success.
	longest := order.MTU + 14 + n.vlan().Bytes() + forwardOverhead
	for i := range n.cfg.Links {
		l := &n.cfg.Links[i]
		section := fmt.Sprintf("[[link]] to node %d", l.Peer)
		link, err := inspectNIC(section, l.Interface, l.Mode)
		if err != nil {
			return err
		}
		if err := errors.Join(link.Check(xdp.Need{Queue: l.Queue, MinFrameBytes: longest}), link.CheckAddress(l.Address.Addr())); err != nil {
			return fmt.Errorf("%s: %w", section, err)
		}
		// With a tag the steering program alone must know the address, and what
		// is on the NIC itself belongs to another network.
		if l.TwoPaths() && n.cfg.Order.VLAN == 0 {
			if err := order.CheckAddress(l.OrderAddress.Addr()); err != nil {
				return fmt.Errorf("%s: order_address: %w", section, err)
			}
		}
		n.links[l.Peer] = link
	}
	return nil
}

func inspectNIC(section, name, mode string) (nic, error) {
	iface, err := xdp.Inspect(name)
	if err != nil {
		return nic{}, fmt.Errorf("%s: %w", section, err)
	}
	m, err := xdp.ParseMode(mode)
	if err != nil {
		return nic{}, fmt.Errorf("%s: %w", section, err)
	}
	if err := iface.Check(xdp.Need{Native: m == xdp.ModeNative}); err != nil {
		return nic{}, fmt.Errorf("%s: %w", section, err)
	}
	return nic{Interface: iface, mode: m}, nil
}

func (n *Node) loadKernel() error {
	o := bpf.Options{Dir: n.cfg.Node.BPFFS, OrderVLAN: uint16(n.cfg.Order.VLAN)}
	for i := range n.cfg.Lanes {
		l := &n.cfg.Lanes[i]
		if o.RingBytes != 0 && o.RingBytes != uint64(l.RingSize) {
			return fmt.Errorf("lane %d: ring_size differs from another lane's: all rings of a node have one size", l.ID)
		}
		o.RingBytes = uint64(l.RingSize)
		o.LaneIP[l.ID] = frame.IP(l.Address)
		if link := n.secondLink(l); link != nil {
			o.OrderIP[l.ID] = link.OrderAddress
		}
	}
	if err := n.setTCPPorts(&o); err != nil {
		return err
	}
	if len(n.cfg.Links) > 0 {
		o.LinkPort = uint16(n.cfg.Links[0].Port) // the same for all
	}
	var err error
	if n.kernel, err = bpf.Load(o); err != nil {
		return err
	}
	n.closer = append(n.closer, n.kernel.Close)
	return nil
}

// prepareLane opens a lane's memory and tells the kernel what it must know.
func (n *Node) prepareLane(ctx context.Context, l *config.Lane) (*laneParts, error) {
	p := &laneParts{cfg: l, venueAt: make([]atomic.Uint64, len(l.Venues))}
	mem, created, err := n.kernel.OpenRing(l.ID)
	if err != nil {
		return nil, err
	}
	p.mem = shared{table: lane.At(n.kernel.Lane(l.ID)), authority: lane.WordAt(n.kernel.Authority(l.ID)),
		ringMem: mem, fresh: created}
	if p.ring, err = p.mem.open(int(l.RingSize)); err != nil {
		return nil, err
	}
	p.local = frame.Endpoint{MAC: n.order.MAC, IP: frame.IP(l.Address), Port: uint16(l.Port)}
	if p.mirror, err = n.mirrorConfig(l); err != nil {
		return nil, err
	}
	if l.Peer != 0 {
		link, nic := n.cfg.Link(l.Peer), n.links[l.Peer]
		p.mirror.Local = frame.Endpoint{MAC: nic.MAC, IP: frame.IPv4(link.Address), Port: uint16(link.Port)}
		p.mirror.Remote = frame.Endpoint{MAC: nic.peerMAC, IP: frame.IPv4(link.PeerAddress), Port: uint16(link.Port)}
		p.mirror.LinkFrameMax = nic.MTU + 14
	}
	for i := range l.Venues {
		if l.Venues[i].FIX != nil {
			continue // the kernel's stack finds it
		}
		if err := n.findVenue(ctx, p, i); err != nil {
			return nil, err
		}
	}
	n.configureTable(p.mem.table, l, &p.mirror, n.order.MAC)
	return p, nil
}

// openLaneXDP lets a prepared lane with its sockets live.
func (n *Node) openLaneXDP(p *laneParts) error {
	linkIndex := 0
	if p.cfg.Peer != 0 {
		linkIndex = n.links[p.cfg.Peer].Index
	}
	if err := n.kernel.SetDevices(p.cfg.ID, n.order.Index, linkIndex); err != nil {
		return err
	}
	if err := n.kernel.StartTimer(p.cfg.ID); err != nil {
		return err
	}
	setNHKey := func(key *[bpf.NHWords]uint32) error { return n.kernel.SetNHKey(p.cfg.ID, key) }
	return n.addLane(p, mirror.Memory{Table: p.mem.table, Authority: p.mem.authority, Ring: p.ring, SetNHKey: setNHKey})
}

// attach puts the programs on the NICs, or exchanges those of an earlier
// process without losing a frame.
func (n *Node) attach() error {
	attach := func(section string, prog *ebpf.Program, i nic, pinName string) error {
		a, err := xdp.Attach(prog, i.Interface, i.mode, filepath.Join(n.cfg.Node.BPFFS, pinName))
		if err != nil {
			return fmt.Errorf("%s: %w", section, err)
		}
		n.closer = append(n.closer, a.Close)
		return nil
	}
	if err := n.detachFormerLinks(); err != nil {
		return err
	}
	for peer, link := range n.links {
		if err := attach(fmt.Sprintf("[[link]] to node %d", peer), n.kernel.Link, link, bpf.LinkLinkPin(peer)); err != nil {
			return err
		}
	}
	if err := attach("[order]", n.kernel.Steer, n.order, bpf.OrderLinkPin); err != nil {
		return err
	}
	// Rides and ARP answers leave by a redirect to the order NIC.
	if err := n.order.CheckRedirectTarget(); err != nil {
		return fmt.Errorf("[order]: %w", err)
	}
	return nil
}

// leave is the orderly end of the lanes: a kernel without its engine is a
// standby that cannot take over, so it is none.
func (n *Node) leave() {
	for _, p := range n.lanes {
		if w := lane.Load(p.mem.authority); w.State() == lane.Standby || w.State() == lane.Candidate {
			lane.Swap(p.mem.authority, w, w.With(lane.Syncing))
		}
	}
}

// Cleanup removes what a node left on the host: programs, maps, rings, control
// socket. A running node is refused.
func Cleanup(cfg *config.Config) error {
	held, err := lock(cfg)
	if err != nil {
		return err
	}
	var errs []error
	if cfg.Node.Transport == config.TransportXDP {
		// While the programs keep the kernel from speaking for them.
		for i := range cfg.Lanes {
			errs = append(errs, lanetcp.RemoveAddress(cfg.Lanes[i].Address.Addr()))
		}
		errs = append(errs, bpf.Cleanup(cfg.Node.BPFFS))
	}
	for i := range cfg.Lanes {
		errs = append(errs, removeIfThere(filePath(cfg, cfg.Lanes[i].ID)))
	}
	for _, suffix := range []string{".sock", ".lock"} {
		errs = append(errs, removeIfThere(filepath.Join(cfg.Node.RunDir, cfg.Node.Name+suffix)))
	}
	return errors.Join(append(errs, unlock(held))...)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
