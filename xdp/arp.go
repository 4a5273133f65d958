package xdp

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/xdp/frame"
)

// arpSocket sends and hears ARP past the kernel's neighbour table: for
// addresses that this host does not have, and for VLANs that the kernel need
// not know.
type arpSocket struct {
	fd   int
	name string // of the interface
	mac  [6]byte
	vlan frame.VLAN
}

func openARP(iface Interface, vlan frame.VLAN) (*arpSocket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // silent until it is bound
	if err != nil {
		return nil, fmt.Errorf("ARP on %s: %w", iface.Name, err)
	}
	protocol := uint16(unix.ETH_P_ARP)
	if vlan != 0 {
		// A socket for ARP hears no frame that a VLAN interface takes.
		protocol = unix.ETH_P_ALL
		filter := taggedARP(vlan)
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(wire16(protocol)), Ifindex: iface.Index})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ARP on %s: %w", iface.Name, err), unix.Close(fd))
	}
	return &arpSocket{fd: fd, name: iface.Name, mac: iface.MAC, vlan: vlan}, nil
}

// taggedARP lets ARP of one VLAN pass. The kernel has taken the tag out of the
// frame before a packet socket sees it (skb_vlan_untag in net/core/dev.c).
func taggedARP(vlan frame.VLAN) []unix.SockFilter {
	const protocol, tag = 1<<32 - 0x1000, 1<<32 - 0x1000 + 44 // SKF_AD_OFF, and SKF_AD_VLAN_TAG behind it (linux/filter.h)
	const load, and, equal, end = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, unix.BPF_ALU | unix.BPF_AND | unix.BPF_K,
		unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	return []unix.SockFilter{
		{Code: load, K: tag},
		{Code: and, K: 0x0fff},
		{Code: equal, Jf: 3, K: uint32(vlan)},
		{Code: load, K: protocol},
		{Code: equal, Jf: 1, K: unix.ETH_P_ARP},
		{Code: end, K: 1 << 16},
		{Code: end, K: 0},
	}
}

// probe asks who has an address, as a host does that is about to take it.
func (s *arpSocket) probe(ip [4]byte) error {
	var b [frame.TagBytes + frame.ARPBytes]byte
	n := s.vlan.Tag(b[:], frame.PutARPRequest(b[:], s.mac, [4]byte{}, ip))
	if _, err := unix.Write(s.fd, b[:n]); err != nil {
		return fmt.Errorf("ARP probe on %s: %w", s.name, err)
	}
	return nil
}

// listen hands what others say to take, until a moment or until take wants no
// more.
func (s *arpSocket) listen(until time.Time, take func(*frame.ARP) (more bool)) error {
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
			return fmt.Errorf("wait for ARP on %s: %w", s.name, err)
		}
		if n, _, err = unix.Recvfrom(s.fd, b, unix.MSG_DONTWAIT); err != nil {
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENETDOWN) {
				continue
			}
			return fmt.Errorf("ARP on %s: %w", s.name, err)
		}
		var a frame.ARP
		if frame.ParseARP(b[:n], &a) && a.SenderMAC != s.mac && !take(&a) {
			return nil
		}
	}
}

func (s *arpSocket) close() error { return unix.Close(s.fd) }
