package conn

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"onebeat/xdp"
)

// watchNeighbour follows the kernel's neighbour entry of the lane address. The
// answers of a new primary already carry its address; this is for a primary
// that announces itself when nothing reaches the old one any more.
func (c *Conn) watchNeighbour(nic xdp.Interface, lane netip.Addr, known [6]byte) error {
	if c.vlan != 0 || !lane.Is4() {
		// The kernel's table need not know the VLAN, nor IPv6.
		c.unwatch = make(chan struct{})
		last := packMAC(known[:])
		return xdp.WatchDirect(nic, c.vlan, lane, c.unwatch, func(mac [6]byte) {
			if m := packMAC(mac[:]); m != last {
				last = m
				c.mac.Store(m)
			}
		})
	}
	updates := make(chan netlink.NeighUpdate, 16)
	end := make(chan struct{})
	if err := netlink.NeighSubscribe(updates, end); err != nil {
		return fmt.Errorf("watch neighbours: %w", err)
	}
	c.unwatch = end
	go func() {
		// The entry is also told of when only its age changed: an old address
		// must not overrule what the answers have shown since.
		last := packMAC(known[:])
		for u := range updates {
			ip, ok := netip.AddrFromSlice(u.IP.To4())
			if !ok || ip != lane || u.LinkIndex != nic.Index || len(u.HardwareAddr) != len(known) {
				continue
			}
			if mac := packMAC(u.HardwareAddr); mac != last {
				last = mac
				c.mac.Store(mac)
			}
		}
	}()
	return nil
}

// macIsSet tells a stored MAC address from none.
const macIsSet = 1 << 63

func packMAC(mac net.HardwareAddr) uint64 {
	m := uint64(macIsSet)
	for i, b := range mac {
		m |= uint64(b) << (8 * i)
	}
	return m
}
