package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Up builds a lab. When it fails nothing of it is left.
func Up(spec Spec) (*Lab, error) {
	if err := spec.defaults(); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, ErrRoot
	}
	if err := Reap(spec.Dir); err != nil {
		return nil, fmt.Errorf("remove a dead lab: %w", err)
	}
	l := &Lab{
		Name: spec.Name, Topology: spec.Topology, dir: spec.Dir, orderQueues: spec.OrderQueues,
		FaultBox: spec.FaultBox, Clients: spec.Clients,
		RunDir: filepath.Join(spec.Dir, spec.Name),
		PinDir: filepath.Join(bpffsRoot, "onebeat-lab", spec.Name),
	}
	if !spec.Detached {
		l.OwnerPID = os.Getpid()
		l.OwnerStart = startOf(l.OwnerPID)
	}
	if err := l.claim(); err != nil {
		return nil, err
	}
	if err := l.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("lab %s: %w", l.Name, err), l.Down())
	}
	return l, nil
}

func (l *Lab) build() error {
	if err := mountBPFFS(); err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(l.RunDir, 0o700), os.MkdirAll(l.PinDir, 0o700)); err != nil {
		return err
	}
	for _, place := range l.Places() {
		if err := l.makeNamespace(place); err != nil {
			return err
		}
	}
	if l.Topology == Pair {
		return l.wirePair()
	}
	return l.wireSwitched()
}

func (l *Lab) wireSwitched() error {
	if err := l.Do(Switch, makeBridge); err != nil {
		return err
	}
	for _, place := range append(append(l.clients(), Venue), l.Nodes()...) {
		near := end{place: place, name: OrderNIC, mac: OrderMAC(place), ips: []string{cidr(OrderIP(place))}}
		far := end{place: Switch, name: place, bridge: true, pass: true}
		near.txQueues = l.orderQueues
		if NodeNumber(place) != 0 {
			near.rxQueues = l.orderQueues
		} else if l.orderQueues > 1 {
			near.txQueues = SendQueue(l.orderQueues)
		}
		if err := l.cable(near, far, OrderMTU); err != nil {
			return err
		}
	}
	return errors.Join(l.wireWitness(), l.wireLinks())
}

// wireWitness joins the nodes and the witness to a third network.
func (l *Lab) wireWitness() error {
	if err := l.Do(Witness, makeBridge); err != nil {
		return err
	}
	for _, place := range l.Nodes() {
		mac := OrderMAC(place)
		mac[3] = 0x98
		near := end{place: place, name: WitnessNIC, mac: mac, ips: []string{cidr(NodeWitnessIP(place))}}
		if err := l.cable(near, end{place: Witness, name: place, bridge: true}, OrderMTU); err != nil {
			return err
		}
	}
	return l.Do(Witness, func() error { return addAddress(bridgeName, cidr(WitnessIP)) })
}

func (l *Lab) wirePair() error {
	// The client's NIC also has the venue's address: in this topology one
	// process plays both.
	client := end{place: Client, name: OrderNIC, mac: OrderMAC(Client), ips: []string{cidr(ClientIP), cidr(VenueIP)}}
	nodeA := end{place: NodeA, name: OrderNIC, mac: OrderMAC(NodeA), ips: []string{cidr(NodeAIP)}}
	if err := l.cable(client, nodeA, PairMTU); err != nil {
		return err
	}
	nodeB := end{place: NodeB, name: OrderNIC, mac: OrderMAC(NodeB), ips: []string{cidr(NodeBIP)}}
	if err := l.cable(nodeB, end{place: Client, name: SecondOrderNIC, mac: OrderMAC(Client)}, PairMTU); err != nil {
		return err
	}
	if err := l.Do(NodeB, knowClient); err != nil {
		return err
	}
	return l.wireLinks()
}

// knowClient tells a node that cannot ask who the client and the venue are.
func knowClient() error {
	nic, err := netlink.LinkByName(OrderNIC)
	if err != nil {
		return err
	}
	for _, ip := range [][4]byte{ClientIP, VenueIP} {
		err := netlink.NeighSet(&netlink.Neigh{LinkIndex: nic.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: net.IP(ip[:]), HardwareAddr: OrderMAC(Client)})
		if err != nil {
			return fmt.Errorf("neighbour entry: %w", err)
		}
	}
	return nil
}

func (l *Lab) wireLinks() error {
	for _, c := range l.cables() {
		var ends [2]end
		for i, e := range c {
			ends[i] = end{place: e.Place, name: e.NIC, mac: e.mac(), ips: []string{cidr(e.IP)}}
		}
		if err := l.cable(ends[0], ends[1], LinkMTU); err != nil {
			return err
		}
	}
	return nil
}

func cidr(ip [4]byte) string { return net.IP(ip[:]).String() + "/24" }

// end is one end of a veth cable.
type end struct {
	place, name string
	mac         net.HardwareAddr
	ips         []string
	bridge      bool // a port of the place's bridge
	pass        bool // nobody else will put a program here
	rxQueues    int  // 0: one; the far end sends on as many
	txQueues    int
}

// cable joins two ends, through the box if there is one and a node is at the
// cable.
func (l *Lab) cable(a, b end, mtuBytes int) error {
	if l.FaultBox && (NodeNumber(a.place) != 0 || NodeNumber(b.place) != 0) {
		return l.boxedCable(a, b, mtuBytes)
	}
	return l.plainCable(a, b, mtuBytes)
}

// plainCable joins two ends with a veth pair.
func (l *Lab) plainCable(a, b end, mtuBytes int) error {
	towardsA, towardsB := max(a.rxQueues, 1), max(a.txQueues, 1)
	peer, err := netns.GetFromPath(l.netnsPath(b.place))
	if err != nil {
		return fmt.Errorf("open namespace of %s: %w", b.place, err)
	}
	defer peer.Close()
	err = l.Do(a.place, func() error {
		veth := netlink.NewVeth(netlink.LinkAttrs{
			Name: a.name, MTU: mtuBytes, HardwareAddr: a.mac, NumTxQueues: towardsB, NumRxQueues: towardsA, TxQLen: -1,
		})
		veth.PeerName, veth.PeerHardwareAddr, veth.PeerNamespace = b.name, b.mac, netlink.NsFd(peer)
		veth.PeerMTU, veth.PeerNumTxQueues, veth.PeerNumRxQueues = uint32(mtuBytes), uint32(towardsA), uint32(towardsB)
		return netlink.LinkAdd(veth)
	})
	if err != nil {
		return fmt.Errorf("veth %s/%s - %s/%s: %w", a.place, a.name, b.place, b.name, err)
	}
	for _, e := range []end{a, b} {
		if err := l.Do(e.place, e.setUp); err != nil {
			return fmt.Errorf("set up %s/%s: %w", e.place, e.name, err)
		}
		if !l.FaultBox {
			continue
		}
		if err := l.Do(e.place, func() error { return sumByHand(e.name) }); err != nil {
			return err
		}
	}
	return nil
}

// setUp configures one end; it runs in the end's namespace.
func (e end) setUp() error {
	link, err := netlink.LinkByName(e.name)
	if err != nil {
		return err
	}
	// Else XDP behind a bridge does not see VLAN tags in the frame.
	if err := clearTxVLAN(e.name); err != nil {
		return err
	}
	if e.pass {
		if err := attachPass(link); err != nil {
			return err
		}
	}
	if e.bridge {
		bridge, err := netlink.LinkByName(bridgeName)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetMaster(link, bridge); err != nil {
			return fmt.Errorf("join the bridge: %w", err)
		}
	}
	for _, ip := range e.ips {
		if err := addAddress(e.name, ip); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	// Frames that the other end redirects here are taken in only by an end with
	// NAPI: one with GRO or a program of its own (veth_xdp_xmit in
	// drivers/net/veth.c). Without it they vanish and counters show success.
	// GRO must come after up: veth_set_features of an end that is down does not
	// make the other end a target of redirects.
	return setGRO(e.name, true)
}

// addAddress gives a NIC of this namespace an address.
func addAddress(nic, ip string) error {
	link, err := netlink.LinkByName(nic)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(ip)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("address %s: %w", ip, err)
	}
	return nil
}

const bridgeName = "br0"

// makeBridge makes the order switch. Spanning tree is off by default, and
// without it a port forwards at once whatever the forward delay says
// (br_make_forwarding in net/bridge/br_stp.c).
func makeBridge() error {
	snooping := false
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName, MTU: OrderMTU, TxQLen: -1}, MulticastSnooping: &snooping}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	return netlink.LinkSetUp(bridge)
}
