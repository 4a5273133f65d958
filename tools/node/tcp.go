package node

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"onebeat/bpf"
	"onebeat/mirror/lane"
	"onebeat/tools/config"
	"onebeat/tools/lanetcp"
	"onebeat/xdp"
)

// tcpPorts are the ports of a lane's address that are served over TCP, FIX's first.
func (n *Node) tcpPorts(l *config.Lane) []uint16 {
	if l.FIX == nil {
		return n.tcp[l.ID]
	}
	return append([]uint16{uint16(l.FIX.Port)}, n.tcp[l.ID]...)
}

func (n *Node) anyTCP() bool {
	for i := range n.cfg.Lanes {
		if len(n.tcpPorts(&n.cfg.Lanes[i])) > 0 {
			return true
		}
	}
	return false
}

// setTCPPorts tells the kernel programs of the ports.
func (n *Node) setTCPPorts(o *bpf.Options) error {
	for i := range n.cfg.Lanes {
		l := &n.cfg.Lanes[i]
		ports := n.tcpPorts(l)
		if len(ports) > bpf.TCPPorts {
			return fmt.Errorf("lane %d: %d TCP ports: at most %d", l.ID, len(ports), bpf.TCPPorts)
		}
		copy(o.TCPPorts[l.ID][:], ports)
	}
	return nil
}

// attachStack puts the program before what the kernel's stack sends, if any lane
// is served over TCP. It comes before the addresses: the stack must at no time
// speak for a lane that it does not serve.
func (n *Node) attachStack() error {
	pin := filepath.Join(n.cfg.Node.BPFFS, bpf.StackLinkPin)
	if !n.anyTCP() {
		return xdp.DetachPinned(pin)
	}
	a, err := xdp.AttachEgress(n.kernel.Stack, n.order.Interface, pin)
	if err != nil {
		return fmt.Errorf("[order]: %w", err)
	}
	n.closer = append(n.closer, a.Close)
	if err := lanetcp.KeepARPQuiet(); err != nil {
		n.log.Warn("another NIC in the order network would answer for the lane addresses", "error", err)
	}
	return nil
}

// openTCP gives the lanes that are served over TCP their addresses and listeners,
// on every node and whatever its role. Lanes that are not lose an address that an
// earlier process left.
func (n *Node) openTCP() error {
	for _, p := range n.lanes {
		ip := p.cfg.Address.Addr()
		if len(n.tcpPorts(p.cfg)) == 0 {
			if err := lanetcp.RemoveAddress(ip); err != nil {
				return err
			}
			continue
		}
		address, err := lanetcp.AddAddress(ip)
		if err != nil {
			return fmt.Errorf("lane %d: %w", p.cfg.ID, err)
		}
		n.closer = append(n.closer, address.Remove)
		if err := n.listenTCP(p, ip); err != nil {
			return err
		}
	}
	return nil
}

// listenTCP opens a lane's listeners: at its own address, or with transport udp
// at the node's.
func (n *Node) listenTCP(p *laneParts, ip netip.Addr) error {
	for _, port := range n.tcpPorts(p.cfg) {
		active := func() bool { return lane.Load(p.mem.authority).State() == lane.Active }
		l, err := lanetcp.Listen(netip.AddrPortFrom(ip, port), active)
		if err != nil {
			return fmt.Errorf("lane %d: %w", p.cfg.ID, err)
		}
		n.closer = append(n.closer, l.Close)
		p.tcp = append(p.tcp, l)
	}
	return nil
}
