package xdp

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"onebeat/xdp/frame"
)

const (
	// udpFrames is how many frames a stand-in holds in each direction.
	udpFrames = 64
	// udpSocketBytes is the kernel buffer asked for, each way; the kernel
	// gives less where net.core.rmem_max says so.
	udpSocketBytes = 1 << 20
)

// UDPSocket is the stand-in for hosts without XDP or privileges: ordinary UDP
// sockets whose datagrams are dressed in the headers the rest of the system
// expects. MAC addresses are made up from IP addresses (02:00 and the last four
// bytes). It is a Port.
type UDPSocket struct {
	local netip.Addr
	ip    frame.IP
	// headerBytes is what the datagrams are dressed in.
	headerBytes int
	ports       []uint16
	fds         []int
	turn        int // socket to read first, so that none starves

	in      [udpFrames][]byte
	inBytes [udpFrames]int
	taken   int

	out      [udpFrames][]byte
	outBytes [udpFrames]int
	outHead  int // oldest frame to send
	outCount int

	headers frame.Template
	name    sockaddr
	stats   PortStats
	epoll   int
	poll    []unix.PollFd
}

var _ Port = (*UDPSocket)(nil)

// ListenUDP opens one socket for each port of a local address. Port 0 lets the
// kernel choose; Ports tells which.
func ListenUDP(ip netip.Addr, ports ...uint16) (*UDPSocket, error) {
	return newUDP(ip, false, ports...)
}

// newUDP opens a stand-in, whose ports others may share.
func newUDP(ip netip.Addr, shared bool, ports ...uint16) (*UDPSocket, error) {
	if ip = ip.Unmap(); !ip.IsValid() || ip.IsUnspecified() || ip.Zone() != "" || len(ports) == 0 {
		return nil, fmt.Errorf("listen on UDP: want one address without a zone and at least one port, have %s %v", ip, ports)
	}
	u := &UDPSocket{local: ip, ip: ip.As16(), epoll: -1}
	u.headerBytes = u.ip.HeaderBytes()
	memory := make([]byte, 2*udpFrames*DefaultFrameBytes)
	for i := range udpFrames {
		u.in[i], memory = memory[:DefaultFrameBytes:DefaultFrameBytes], memory[DefaultFrameBytes:]
		u.out[i], memory = memory[:DefaultFrameBytes:DefaultFrameBytes], memory[DefaultFrameBytes:]
	}
	var err error
	if u.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("listen on UDP: epoll: %w", err)
	}
	for _, port := range ports {
		if err := u.listen(port, shared); err != nil {
			return nil, errors.Join(err, u.Close())
		}
	}
	u.poll = []unix.PollFd{{Fd: int32(u.epoll), Events: unix.POLLIN}}
	return u, nil
}

func (u *UDPSocket) listen(port uint16, shared bool) error {
	family := unix.AF_INET6
	if u.local.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("listen on UDP: %w", err)
	}
	u.fds = append(u.fds, fd)
	for _, name := range []int{unix.SO_RCVBUF, unix.SO_SNDBUF} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, name, udpSocketBytes); err != nil {
			return fmt.Errorf("UDP socket buffer: %w", err)
		}
	}
	if shared {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return fmt.Errorf("share UDP port: %w", err)
		}
	}
	if err := unix.Bind(fd, socketName(u.local, port)); err != nil {
		return u.explainBind(port, err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("UDP socket name: %w", err)
	}
	u.ports = append(u.ports, portOf(name))
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(u.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("UDP socket into epoll: %w", err)
	}
	return nil
}

func socketName(ip netip.Addr, port uint16) unix.Sockaddr {
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(port), Addr: ip.As4()}
	}
	return &unix.SockaddrInet6{Port: int(port), Addr: ip.As16()}
}

func portOf(name unix.Sockaddr) uint16 {
	if six, ok := name.(*unix.SockaddrInet6); ok {
		return uint16(six.Port)
	}
	return uint16(name.(*unix.SockaddrInet4).Port)
}

func (u *UDPSocket) explainBind(port uint16, err error) error {
	what := fmt.Sprintf("bind UDP %s: %v", netip.AddrPortFrom(u.local, port), err)
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return refuse(ErrNoAddress, what, "give this host the address (ip addr add), or correct the configuration")
	case errors.Is(err, unix.EADDRINUSE):
		return refuse(ErrQueueBusy, what, "stop the process that has the port (ss -ulpn), or choose another")
	case errors.Is(err, unix.EACCES):
		return refuse(ErrNoPrivilege, what, "choose a port from 1024 on")
	}
	return errors.New(what)
}

// Ports returns the local ports in the order they were asked for.
func (u *UDPSocket) Ports() []uint16 { return u.ports }

// Local returns the endpoint the stand-in's frames are addressed to.
func (u *UDPSocket) Local() frame.Endpoint {
	return frame.Endpoint{MAC: StandInMAC(u.ip), IP: u.ip, Port: u.ports[0]}
}

// StandInMAC is the MAC by which an address is known without Ethernet: locally
// administered, unicast.
func StandInMAC(ip frame.IP) [6]byte { return [6]byte{0x02, 0x00, ip[12], ip[13], ip[14], ip[15]} }

// FD implements Port: it is readable when any of the sockets is.
func (u *UDPSocket) FD() int { return u.epoll }

// Wait implements Port.
func (u *UDPSocket) Wait(timeoutNs int64) { waitFDs(u.poll, timeoutNs) }

// Stats implements Port.
func (u *UDPSocket) Stats() PortStats {
	st := u.stats
	for _, fd := range u.fds {
		st.RxDropped += socketDrops(fd)
	}
	return st
}

// Close implements Port.
func (u *UDPSocket) Close() error {
	var errs []error
	for _, fd := range u.fds {
		errs = append(errs, unix.Close(fd))
	}
	if u.epoll >= 0 {
		errs = append(errs, unix.Close(u.epoll))
	}
	u.fds, u.epoll = nil, -1
	return errors.Join(errs...)
}
