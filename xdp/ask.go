package xdp

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/xdp/frame"
)

// asker sends and hears ARP and Neighbour Discovery past the kernel's neighbour
// table: for addresses that this host does not have, for VLANs that the kernel
// need not know, and for IPv6 where the kernel has none.
type asker struct {
	fd   int
	name string // of the interface
	mac  [6]byte
	vlan frame.VLAN
}

// allNodesMAC is where the answer to who has no address yet goes.
var allNodesMAC = [6]byte{0x33, 0x33, 0, 0, 0, 1}

func openAsker(iface Interface, vlan frame.VLAN) (*asker, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // silent until it is bound
	if err != nil {
		return nil, fmt.Errorf("ask for neighbours on %s: %w", iface.Name, err)
	}
	filter := onlyNeighbours(vlan)
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	if err == nil {
		// Not for ARP alone: such a socket hears no frame that a VLAN interface takes.
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(wire16(unix.ETH_P_ALL)), Ifindex: iface.Index})
	}
	if err == nil {
		err = hearMAC(fd, iface, allNodesMAC)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask for neighbours on %s: %w", iface.Name, err), unix.Close(fd))
	}
	return &asker{fd: fd, name: iface.Name, mac: iface.MAC, vlan: vlan}, nil
}

// hearMAC lets the interface take frames to a group, for as long as the socket
// lives.
func hearMAC(fd int, iface Interface, mac [6]byte) error {
	group := unix.PacketMreq{Ifindex: int32(iface.Index), Type: unix.PACKET_MR_MULTICAST, Alen: uint16(len(mac))}
	copy(group.Address[:], mac[:])
	return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &group)
}

// onlyNeighbours lets ARP and ICMPv6 of one VLAN pass, or those without a tag. The
// kernel has taken the tag out of the frame before a packet socket sees it
// (skb_vlan_untag in net/core/dev.c).
func onlyNeighbours(vlan frame.VLAN) []unix.SockFilter {
	const ancillary = 1<<32 - 0x1000                                         // SKF_AD_OFF (linux/filter.h)
	const protocol, tag, present = ancillary, ancillary + 44, ancillary + 48 // SKF_AD_PROTOCOL, _VLAN_TAG, _VLAN_TAG_PRESENT
	const atNextHeader, icmpv6 = 20, 58                                      // of IPv6
	const load, and, equal, end = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, unix.BPF_ALU | unix.BPF_AND | unix.BPF_K,
		unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	where := uint32(tag)
	if vlan == 0 {
		where = present
	}
	return []unix.SockFilter{
		{Code: load, K: where},
		{Code: and, K: 0x0fff},
		{Code: equal, Jf: 6, K: uint32(vlan)},
		{Code: load, K: protocol},
		{Code: equal, Jt: 3, K: unix.ETH_P_ARP},
		{Code: equal, Jf: 3, K: unix.ETH_P_IPV6},
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: atNextHeader},
		{Code: equal, Jf: 1, K: icmpv6},
		{Code: end, K: 1 << 16},
		{Code: end, K: 0},
	}
}

// probe asks who has an address, as a host does that is about to take it.
func (s *asker) probe(ip frame.IP) error {
	return s.send(func(b []byte) int {
		if ip.Is4() {
			return frame.PutARPRequest(b, s.mac, [4]byte{}, ip.As4())
		}
		return frame.PutDADSolicitation(b, s.mac, ip)
	})
}

// ask asks for the MAC of an address. Over IPv6 not as probe does: a host that is
// itself about to take the address would believe that it is a duplicate (RFC 4862,
// section 5.4.3).
func (s *asker) ask(ip frame.IP) error {
	if ip.Is4() {
		return s.probe(ip)
	}
	return s.send(func(b []byte) int { return frame.PutSolicitation(b, s.mac, frame.LinkLocal(s.mac), ip) })
}

func (s *asker) send(put func(b []byte) int) error {
	var b [frame.TagBytes + frame.NDBytes]byte
	n := s.vlan.Tag(b[:], put(b[:]))
	if _, err := unix.Write(s.fd, b[:n]); err != nil {
		return fmt.Errorf("ask for a neighbour on %s: %w", s.name, err)
	}
	return nil
}

// listen hands who says to have which address to take, until a moment or until
// take wants no more.
func (s *asker) listen(until time.Time, take func(ip frame.IP, mac [6]byte) (more bool)) error {
	b := make([]byte, 2048)
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	for {
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		n, err := unix.Poll(fds, int(left.Milliseconds())+1)
		if errors.Is(err, unix.EINTR) || n == 0 {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for neighbours on %s: %w", s.name, err)
		}
		if n, _, err = unix.Recvfrom(s.fd, b, unix.MSG_DONTWAIT); err != nil {
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENETDOWN) {
				continue
			}
			return fmt.Errorf("hear neighbours on %s: %w", s.name, err)
		}
		if ip, mac, ok := s.claim(b[:n]); ok && !take(ip, mac) {
			return nil
		}
	}
}

// claim reads who says in a frame to have which address; this host's own words,
// which the socket hears too, are none.
func (s *asker) claim(b []byte) (ip frame.IP, mac [6]byte, ok bool) {
	var a frame.ARP
	if frame.ParseARP(b, &a) {
		return frame.IPv4(a.SenderIP), a.SenderMAC, a.SenderMAC != s.mac
	}
	var n frame.ND
	if !frame.ParseND(b, &n) {
		return ip, mac, false
	}
	ip = n.Claimed()
	return ip, n.MAC, n.FrameMAC != s.mac && ip != frame.IP{}
}

func (s *asker) close() error { return unix.Close(s.fd) }
