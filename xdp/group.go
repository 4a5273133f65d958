package xdp

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"onebeat/xdp/frame"
)

// Groups keeps an interface in the multicast groups in which IPv6 addresses that
// this host does not have are asked for: without, neither the NIC nor a switch
// that snoops would let the questions through.
type Groups struct{ fds []int }

// JoinGroups joins those of some addresses. A kernel with IPv6 on the interface
// also reports them to switches (MLD, RFC 3810); told is false where it does not:
// in a VLAN, whose network the kernel does not know, or without IPv6.
func JoinGroups(iface Interface, vlan frame.VLAN, ips []netip.Addr) (g *Groups, told bool, err error) {
	g = &Groups{}
	if told, err = g.join(iface, vlan, ips); err != nil {
		return nil, false, errors.Join(fmt.Errorf("join the groups of lane addresses on %s: %w", iface.Name, err), g.Close())
	}
	return g, told, nil
}

func (g *Groups) join(iface Interface, vlan frame.VLAN, ips []netip.Addr) (told bool, err error) {
	packets, err := g.open(unix.AF_PACKET, unix.SOCK_RAW)
	if err != nil {
		return false, err
	}
	reports := -1
	if vlan == 0 {
		// None where the kernel was started without IPv6.
		if reports, err = g.open(unix.AF_INET6, unix.SOCK_DGRAM); err != nil {
			reports = -1
		}
	}
	told = reports >= 0
	for _, ip := range ips {
		group, mac := frame.SolicitedNode(ip.As16())
		if err := hearMAC(packets, iface, mac); err != nil {
			return false, err
		}
		if reports < 0 {
			continue
		}
		err := unix.SetsockoptIPv6Mreq(reports, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: group, Interface: uint32(iface.Index)})
		// Two addresses may share a group.
		told = told && (err == nil || errors.Is(err, unix.EADDRINUSE))
	}
	return told, nil
}

func (g *Groups) open(family, kind int) (int, error) {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		g.fds = append(g.fds, fd)
	}
	return fd, err
}

// Close leaves the groups.
func (g *Groups) Close() error {
	var errs []error
	for _, fd := range g.fds {
		errs = append(errs, unix.Close(fd))
	}
	g.fds = nil
	return errors.Join(errs...)
}
