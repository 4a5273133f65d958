package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"onebeat/bpf"
	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// nic is one of the node's network interfaces.
type nic struct {
	xdp.Interface
	mode  xdp.Mode
	queue int
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
	if err := n.loadKernel(); err != nil {
		return err
	}
	for i := range n.cfg.Lanes {
		if err := n.openLaneXDP(ctx, &n.cfg.Lanes[i]); err != nil {
			return fmt.Errorf("lane %d: %w", n.cfg.Lanes[i].ID, err)
		}
	}
	return n.attach()
}

// inspect refuses NICs that cannot do what the configuration wants of them.
func (n *Node) inspect() error {
	order, err := inspectNIC("order", n.cfg.Order.Interface, n.cfg.Order.Mode, n.cfg.Order.Queue, 0)
	if err != nil {
		return err
	}
	n.order = order
	if n.cfg.Link == nil {
		return nil
	}
	// A frame that is too long for the link vanishes while XDP counts success.
	longest := order.MTU + 14 + forwardOverhead
	if n.link, err = inspectNIC("link", n.cfg.Link.Interface, n.cfg.Link.Mode, n.cfg.Link.Queue, longest); err != nil {
		return err
	}
	return n.link.CheckAddress(n.cfg.Link.Address.Addr())
}

func inspectNIC(section, name, mode string, queue, minFrameBytes int) (nic, error) {
	iface, err := xdp.Inspect(name)
	if err != nil {
		return nic{}, fmt.Errorf("[%s]: %w", section, err)
	}
	m, err := xdp.ParseMode(mode)
	if err != nil {
		return nic{}, fmt.Errorf("[%s]: %w", section, err)
	}
	need := xdp.Need{Queue: queue, MinFrameBytes: minFrameBytes, Native: m == xdp.ModeNative}
	if err := iface.Check(need); err != nil {
		return nic{}, fmt.Errorf("[%s]: %w", section, err)
	}
	return nic{iface, m, queue}, nil
}

func (n *Node) loadKernel() error {
	o := bpf.Options{Dir: n.cfg.Node.BPFFS}
	for i := range n.cfg.Lanes {
		l := &n.cfg.Lanes[i]
		if o.RingBytes != 0 && o.RingBytes != uint64(l.RingSize) {
			return fmt.Errorf("lane %d: ring_size differs from another lane's: all rings of a node have one size", l.ID)
		}
		o.RingBytes = uint64(l.RingSize)
		o.LaneIP[l.ID] = l.Address
	}
	if n.cfg.Link != nil {
		o.LinkPort = uint16(n.cfg.Link.Port)
	}
	var err error
	if n.kernel, err = bpf.Load(o); err != nil {
		return err
	}
	n.closer = append(n.closer, n.kernel.Close)
	return nil
}

func (n *Node) openLaneXDP(ctx context.Context, l *config.Lane) error {
	p := &laneParts{cfg: l}
	mem, created, err := n.kernel.OpenRing(l.ID)
	if err != nil {
		return err
	}
	p.mem = shared{table: lane.At(n.kernel.Lane(l.ID)), authority: lane.WordAt(n.kernel.Authority(l.ID)),
		ringMem: mem, fresh: created}
	ring, err := p.mem.open(int(l.RingSize))
	if err != nil {
		return err
	}
	local := frame.Endpoint{MAC: n.order.MAC, IP: l.Address, Port: uint16(l.Port)}
	c, err := n.mirrorConfig(l)
	if err != nil {
		return err
	}
	if l.Peer != 0 {
		mac, err := resolve(ctx, n.link.Name, n.cfg.Link.PeerAddress.Addr())
		if err != nil {
			return fmt.Errorf("peer on the link: %w", err)
		}
		c.Local = frame.Endpoint{MAC: n.link.MAC, IP: n.cfg.Link.Address, Port: uint16(n.cfg.Link.Port)}
		c.Remote = frame.Endpoint{MAC: mac, IP: n.cfg.Link.PeerAddress, Port: uint16(n.cfg.Link.Port)}
		c.LinkFrameMax = n.link.MTU + 14
	}
	venueMAC, err := n.venueMAC(ctx, l)
	if err != nil {
		return err
	}
	n.configureTable(p.mem.table, l, &c, n.order.MAC)
	if err := n.openSockets(p); err != nil {
		return err
	}
	if err := n.kernel.StartTimer(l.ID); err != nil {
		return err
	}
	n.closer = append(n.closer, func() error { return n.leave(p) })
	setNHKey := func(key *[bpf.NHWords]uint32) error { return n.kernel.SetNHKey(l.ID, key) }
	return n.addLane(p, c, mirror.Memory{Table: p.mem.table, Authority: p.mem.authority, Ring: ring, SetNHKey: setNHKey}, local, venueMAC)
}

// openSockets binds the lane's sockets beforehand, standby or not: a queue that
// was just closed stays busy for tens of milliseconds.
func (n *Node) openSockets(p *laneParts) error {
	order, err := xdp.Open(xdp.Options{Interface: n.order.Name, Queue: n.order.queue})
	if err != nil {
		return fmt.Errorf("order socket: %w", err)
	}
	p.order = order
	n.closer = append(n.closer, order.Close)
	if err := n.kernel.SetOrderSocket(p.cfg.ID, n.order.queue, order.FD()); err != nil {
		return fmt.Errorf("order socket: %w", err)
	}
	linkIndex := 0
	if p.cfg.Peer != 0 {
		link, err := xdp.Open(xdp.Options{Interface: n.link.Name, Queue: n.link.queue})
		if err != nil {
			return fmt.Errorf("link socket: %w", err)
		}
		p.link = link
		n.closer = append(n.closer, link.Close)
		if err := n.kernel.SetLinkSocket(p.cfg.ID, n.link.queue, link.FD()); err != nil {
			return fmt.Errorf("link socket: %w", err)
		}
		linkIndex = n.link.Index
	}
	return n.kernel.SetDevices(p.cfg.ID, n.order.Index, linkIndex)
}

// attach puts the programs on the NICs, or exchanges those of an earlier
// process without losing a frame.
func (n *Node) attach() error {
	attach := func(which string, i *nic, pinName string) error {
		prog := n.kernel.Steer
		if pinName == bpf.LinkLinkPin {
			prog = n.kernel.Link
		}
		a, err := xdp.Attach(prog, i.Interface, i.mode, filepath.Join(n.cfg.Node.BPFFS, pinName))
		if err != nil {
			return fmt.Errorf("[%s]: %w", which, err)
		}
		n.closer = append(n.closer, a.Close)
		return nil
	}
	if n.cfg.Link != nil {
		if err := attach("link", &n.link, bpf.LinkLinkPin); err != nil {
			return err
		}
	}
	if err := attach("order", &n.order, bpf.OrderLinkPin); err != nil {
		return err
	}
	// Rides and ARP answers leave by a redirect to the order NIC.
	if err := n.order.CheckRedirectTarget(); err != nil {
		return fmt.Errorf("[order]: %w", err)
	}
	return nil
}

// leave is the orderly end of a lane: a writer without its engine is of no use
// to anybody, so its kernel stops steering to it.
func (n *Node) leave(p *laneParts) error {
	if w := lane.Load(p.mem.authority); w.State() == lane.Standby || w.State() == lane.Candidate {
		lane.Swap(p.mem.authority, w, w.With(lane.Syncing))
	}
	return nil
}

const (
	resolveEvery = time.Second
	resolveFor   = 60 * time.Second
)

// resolve waits for a neighbour to answer: the other host may boot later.
func resolve(ctx context.Context, iface string, ip netip.Addr) ([6]byte, error) {
	deadline := time.Now().Add(resolveFor)
	for {
		mac, err := xdp.Resolve(iface, ip, resolveEvery)
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
	mac, err := resolve(ctx, n.order.Name, l.Venue.Address.Addr())
	if err != nil {
		return [6]byte{}, fmt.Errorf("venue: %w", err)
	}
	return mac, nil
}

// Cleanup removes what a node left on the host: programs, maps, rings, control
// socket. A running node is refused.
func Cleanup(cfg *config.Config) error {
	held, err := lock(cfg)
	if err != nil {
		return err
	}
	errs := []error{held.Close()}
	if cfg.Node.Transport == config.TransportXDP {
		errs = append(errs, bpf.Cleanup(cfg.Node.BPFFS))
	}
	for i := range cfg.Lanes {
		errs = append(errs, removeIfThere(filePath(cfg, cfg.Lanes[i].ID)))
	}
	for _, suffix := range []string{".sock", ".lock"} {
		errs = append(errs, removeIfThere(filepath.Join(cfg.Node.RunDir, cfg.Node.Name+suffix)))
	}
	return errors.Join(errs...)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
