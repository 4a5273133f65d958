package lanetcp

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	loopback = "lo"
	// label marks addresses that a node put there: no other is ever removed.
	label = "lo:onebeat"

	arpIgnorePath = "/proc/sys/net/ipv4/conf/all/arp_ignore"
	// arpIgnoreHost lets the kernel answer for no address of scope host
	// (arp_ignore() in net/ipv4/arp.c).
	arpIgnoreHost = "3"
)

// ErrElsewhere means that a lane address is on an interface of this host already.
var ErrElsewhere = errors.New("a lane address is on an interface")

// flags6 are those of IPv6 addresses that a node put there, which have no labels: nobody
// asks whether others have it, which the node did before, and no route comes with it.
const flags6 = unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE

// laneAddress is a host's own, of which no interface's ARP speaks and that no
// other connection takes for its source: that is what scope host is for. An IPv6
// address on lo is in no interface's neighbour discovery (ndisc_recv_ns() in
// net/ipv6/ndisc.c); one that is deprecated is nobody's source (RFC 6724, rule 3).
func laneAddress(ip netip.Addr) *netlink.Addr {
	a := &netlink.Addr{IPNet: netlink.NewIPNet(ip.AsSlice())}
	if ip.Is4() {
		a.Label, a.Scope = label, unix.RT_SCOPE_HOST
		return a
	}
	a.Flags, a.ValidLft = flags6, math.MaxUint32 // for ever; PreferedLft 0: deprecated
	return a
}

// isOurs reports whether a node put an address of lo there, this one or an earlier one.
func isOurs(a *netlink.Addr) bool {
	if a.IP.To4() != nil {
		return a.Label == label
	}
	const all = flags6 | unix.IFA_F_DEPRECATED
	return a.Flags&all == all
}

// Address is a lane address that this process gave to the stack of a network
// namespace. It remembers that namespace.
type Address struct {
	ip     netip.Addr
	handle *netlink.Handle
}

// AddAddress gives the stack of the thread's network namespace a lane address.
// The programs must be on the order NIC by then: they keep the kernel from
// speaking for it out of turn. One that an earlier process left is taken over.
func AddAddress(ip netip.Addr) (*Address, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("lane address %v: %w", ip, err)
	}
	a := &Address{ip: ip, handle: h}
	if err := a.add(); err != nil {
		h.Close()
		return nil, fmt.Errorf("lane address %v on %s: %w", ip, loopback, err)
	}
	return a, nil
}

func (a *Address) add() error {
	if err := a.refuseElsewhere(); err != nil {
		return err
	}
	lo, err := a.handle.LinkByName(loopback)
	if err != nil {
		return err
	}
	err = errors.Join(a.handle.LinkSetUp(lo), a.handle.AddrReplace(lo, laneAddress(a.ip)))
	if !a.ip.Is4() && errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: the kernel's IPv6 is off there: set net.ipv6.conf.%s.disable_ipv6=0", err, loopback)
	}
	return err
}

func (a *Address) refuseElsewhere() error {
	all, err := a.handle.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for i := range all {
		if at, ok := netip.AddrFromSlice(all[i].IP); ok && at.Unmap() == a.ip && !isOurs(&all[i]) {
			return fmt.Errorf("%w: interface %d (%s), whose kernel answers for it whether this node serves the lane or not; remove it there (ip addr del)",
				ErrElsewhere, all[i].LinkIndex, all[i].Label)
		}
	}
	return nil
}

// Remove takes the address away again.
func (a *Address) Remove() error {
	defer a.handle.Close()
	return remove(a.handle, a.ip)
}

// RemoveAddress takes away what an earlier process left in this network
// namespace. An address that is not there is no error.
func RemoveAddress(ip netip.Addr) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("lane address %v: %w", ip, err)
	}
	defer h.Close()
	return remove(h, ip)
}

func remove(h *netlink.Handle, ip netip.Addr) error {
	lo, err := h.LinkByName(loopback)
	if err != nil {
		return fmt.Errorf("lane address %v: %w", ip, err)
	}
	all, err := h.AddrList(lo, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("addresses of %s: %w", loopback, err)
	}
	for i := range all {
		if at, ok := netip.AddrFromSlice(all[i].IP); !ok || at.Unmap() != ip || !isOurs(&all[i]) {
			continue
		}
		if err := h.AddrDel(lo, laneAddress(ip)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove lane address %v from %s: %w", ip, loopback, err)
		}
	}
	return nil
}

// KeepARPQuiet keeps the kernel from answering for lane addresses on other NICs
// than the order NIC, where no program of ours does it: one of them may lead into
// the same network. It concerns addresses of scope host only, of which a host
// has none but these and 127/8; a stricter setting stays.
func KeepARPQuiet() error {
	b, err := os.ReadFile(arpIgnorePath)
	if err != nil {
		return fmt.Errorf("arp_ignore: %w", err)
	}
	if strings.TrimSpace(string(b)) != "0" {
		return nil
	}
	if err := os.WriteFile(arpIgnorePath, []byte(arpIgnoreHost), 0); errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return fmt.Errorf("%s cannot be written here (%w): set net.ipv4.conf.all.arp_ignore=%s on the host", arpIgnorePath, err, arpIgnoreHost)
	} else if err != nil {
		return fmt.Errorf("arp_ignore: %w", err)
	}
	return nil
}
