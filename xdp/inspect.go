package xdp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Interface is what the kernel says about a NIC.
type Interface struct {
	Name     string
	Index    int
	MAC      [6]byte
	IPv4     netip.Prefix // primary address with its prefix length; invalid when there is none
	IPv6     netip.Prefix // first address that is not link-local, likewise
	MTU      int          // bytes of the longest IP packet
	RxQueues int
	TxQueues int
	Driver   string
	Up       bool // administratively
	Carrier  bool
	Native   bool // the driver runs XDP programs itself
	ZeroCopy bool // the driver says that it has AF_XDP zero-copy
}

// Need is what a program wants of an interface.
type Need struct {
	Queue         int
	MinFrameBytes int  // longest Ethernet frame that must pass; 0: any
	Native        bool // generic XDP will not do
}

// etherHeaderBytes is what the MTU does not count.
const etherHeaderBytes = 14

// Inspect describes an interface of the caller's network namespace. It does
// not change anything, and does not refuse an interface that is down: Check does.
func Inspect(name string) (Interface, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		var absent netlink.LinkNotFoundError
		if errors.As(err, &absent) {
			return Interface{}, refuse(ErrNoInterface, fmt.Sprintf("there is no interface %q here", name),
				"look at `ip -br link`; an interface in another network namespace is not seen")
		}
		return Interface{}, fmt.Errorf("inspect interface %s: %w", name, err)
	}
	a := link.Attrs()
	i := Interface{
		Name:     a.Name,
		Index:    a.Index,
		MTU:      a.MTU,
		RxQueues: a.NumRxQueues,
		TxQueues: a.NumTxQueues,
		Driver:   link.Type(),
		Up:       a.Flags&net.FlagUp != 0,
		Carrier:  a.RawFlags&unix.IFF_LOWER_UP != 0,
	}
	copy(i.MAC[:], a.HardwareAddr)
	if i.IPv4, err = primaryIPv4(link); err != nil {
		return Interface{}, err
	}
	if i.IPv6, err = primaryIPv6(link); err != nil {
		return Interface{}, err
	}
	i.askEthtool()
	if err := i.askFeatures(); err != nil {
		return Interface{}, err
	}
	return i, nil
}

// primaryIPv4 is the first address that is not a secondary one.
func primaryIPv4(link netlink.Link) (netip.Prefix, error) {
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("addresses of %s: %w", link.Attrs().Name, err)
	}
	for _, a := range addrs {
		if a.Flags&unix.IFA_F_SECONDARY != 0 {
			continue
		}
		ip, ok := netip.AddrFromSlice(a.IP.To4())
		bits, _ := a.Mask.Size()
		if ok {
			return netip.PrefixFrom(ip, bits), nil
		}
	}
	return netip.Prefix{}, nil
}

// primaryIPv6 is the first address of more than one network's meaning that the
// kernel does not still, or for good, doubt.
func primaryIPv6(link netlink.Link) (netip.Prefix, error) {
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("addresses of %s: %w", link.Attrs().Name, err)
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		if ok && !ip.IsLinkLocalUnicast() && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			return netip.PrefixFrom(ip, bits), nil
		}
	}
	return netip.Prefix{}, nil
}

// Check refuses an interface that cannot do what is needed, all reasons at once.
func (i *Interface) Check(n Need) error {
	var errs []error
	if !i.Up {
		errs = append(errs, refuse(ErrInterfaceDown, i.Name+" is down", "ip link set dev "+i.Name+" up"))
	}
	// AF_XDP binds to a queue that exists in either direction (xp_assign_dev).
	if queues := max(i.RxQueues, i.TxQueues); n.Queue < 0 || n.Queue >= queues {
		errs = append(errs, refuse(ErrQueueRange, fmt.Sprintf("%s has queues 0 to %d, not %d", i.Name, queues-1, n.Queue),
			fmt.Sprintf("choose one of them, or ethtool -L %s combined %d", i.Name, n.Queue+1)))
	}
	if frameBytes := i.MTU + etherHeaderBytes; n.MinFrameBytes > frameBytes {
		errs = append(errs, refuse(ErrMTUTooSmall,
			fmt.Sprintf("%s passes frames of %d bytes (MTU %d), %d are needed", i.Name, frameBytes, i.MTU, n.MinFrameBytes),
			fmt.Sprintf("ip link set dev %s mtu %d, on both ends", i.Name, n.MinFrameBytes-etherHeaderBytes)))
	}
	if n.Native && !i.Native {
		errs = append(errs, i.noNative("the driver does not say that it has it"))
	}
	return errors.Join(errs...)
}

// CheckAddress refuses an address that is not the interface's primary one.
func (i *Interface) CheckAddress(ip netip.Addr) error {
	if i.IPv4.IsValid() && i.IPv4.Addr() == ip {
		return nil
	}
	return refuse(ErrNoAddress, fmt.Sprintf("%s is not the primary address of %s (%v)", ip, i.Name, i.IPv4),
		fmt.Sprintf("ip addr add %s/24 dev %s, or correct the address", ip, i.Name))
}

func (i *Interface) noNative(why string) error {
	return refuse(ErrNoNativeXDP, fmt.Sprintf("%s (driver %s): %s", i.Name, i.Driver, why),
		`use a NIC whose driver has native XDP, or accept slow generic XDP with mode = "generic"`)
}
