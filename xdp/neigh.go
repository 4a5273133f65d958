package xdp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	discardPort  = 9 // RFC 863
	neighPause   = 2 * time.Millisecond
	neighReprobe = 100 * time.Millisecond
)

// Resolve finds the MAC that frames to ip must carry when they leave through
// the interface: that of ip itself, or of the gateway towards it. The kernel's
// neighbour table answers; when it does not know, a datagram to the discard
// port makes it ask. Over IPv6 it is asked past the kernel, which may have none.
func Resolve(ifaceName string, ip netip.Addr, timeout time.Duration) ([6]byte, error) {
	iface, err := Inspect(ifaceName)
	if err != nil {
		return [6]byte{}, err
	}
	if !iface.Up {
		return [6]byte{}, iface.Check(Need{})
	}
	if !ip.Is4() {
		return ResolveDirect(iface, 0, nextHop6(iface, ip), timeout)
	}
	hop, err := nextHop(iface, ip)
	if err != nil {
		return [6]byte{}, err
	}
	deadline := time.Now().Add(timeout)
	var asked time.Time
	for {
		mac, known, err := neighbour(iface.Index, hop)
		if err != nil || known {
			return mac, err
		}
		now := time.Now()
		if now.After(deadline) {
			return [6]byte{}, refuse(ErrNoNeighbour, fmt.Sprintf("%s does not answer ARP on %s within %v", hop, iface.Name, timeout),
				fmt.Sprintf("check the cable, the address and the other host (arping -I %s %s)", iface.Name, hop))
		}
		if now.Sub(asked) >= neighReprobe {
			if err := provokeARP(iface, hop); err != nil {
				return [6]byte{}, err
			}
			asked = now
		}
		time.Sleep(neighPause)
	}
}

// nextHop is ip, or the gateway of the route to it through the interface.
func nextHop(iface Interface, ip netip.Addr) (netip.Addr, error) {
	routes, err := netlink.RouteGetWithOptions(ip.AsSlice(), &netlink.RouteGetOptions{OifIndex: iface.Index})
	if err != nil && !errors.Is(err, unix.ENETUNREACH) && !errors.Is(err, unix.EHOSTUNREACH) {
		return netip.Addr{}, fmt.Errorf("route to %s: %w", ip, err)
	}
	for _, r := range routes {
		if r.LinkIndex != iface.Index {
			continue
		}
		if gateway, ok := netip.AddrFromSlice(r.Gw.To4()); ok {
			return gateway, nil
		}
		return ip, nil
	}
	return netip.Addr{}, noRoute(iface, ip)
}

// nextHop6 is nextHop of IPv6: where the kernel knows no gateway, or no IPv6 at all,
// ip is a host of the interface's own network.
func nextHop6(iface Interface, ip netip.Addr) netip.Addr {
	routes, err := netlink.RouteGetWithOptions(ip.AsSlice(), &netlink.RouteGetOptions{OifIndex: iface.Index})
	if err != nil {
		return ip
	}
	for _, r := range routes {
		if gateway, ok := netip.AddrFromSlice(r.Gw); ok && r.LinkIndex == iface.Index {
			return gateway
		}
	}
	return ip
}

func noRoute(iface Interface, ip netip.Addr) error {
	return refuse(ErrNoRoute, fmt.Sprintf("%s cannot be reached through %s", ip, iface.Name),
		fmt.Sprintf("give %s an address in the network of %s, or add a route", iface.Name, ip))
}

func neighbour(ifindex int, ip netip.Addr) (mac [6]byte, known bool, err error) {
	table, err := netlink.NeighList(ifindex, netlink.FAMILY_V4)
	if err != nil {
		return mac, false, fmt.Errorf("neighbour table: %w", err)
	}
	const usable = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT
	for _, n := range table {
		at, ok := netip.AddrFromSlice(n.IP.To4())
		if ok && at == ip && n.State&usable != 0 && len(n.HardwareAddr) == len(mac) {
			copy(mac[:], n.HardwareAddr)
			return mac, true, nil
		}
	}
	return mac, false, nil
}

// provokeARP sends an empty datagram out of the interface.
func provokeARP(iface Interface, ip netip.Addr) error {
	var local *net.UDPAddr
	if iface.IPv4.IsValid() {
		local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(iface.IPv4.Addr(), 0))
	}
	conn, err := net.DialUDP("udp4", local, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, discardPort)))
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
		// The route looked up with an interface forced on it was not one.
		return noRoute(iface, ip)
	}
	if err != nil {
		return fmt.Errorf("ask for %s on %s: %w", ip, iface.Name, err)
	}
	// What becomes of the datagram does not matter: a refusal is an answer too.
	_, _ = conn.Write(nil)
	return conn.Close()
}
