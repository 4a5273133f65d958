package xdp

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"onebeat/xdp/frame"
)

// sockaddr is the address memory of every receive and send: x/sys would
// allocate one for each.
type sockaddr struct {
	raw         unix.RawSockaddrInet6 // with room for the shorter one of IPv4
	lengthBytes uint32
}

// v4 is the same memory as an IPv4 address; the port stands where it did.
func (a *sockaddr) v4() *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
}

func (a *sockaddr) set(ip *frame.IP, port uint16) {
	if ip.Is4() {
		a.raw.Family, a.lengthBytes = unix.AF_INET, unix.SizeofSockaddrInet4
		a.v4().Addr = ip.As4()
	} else {
		a.raw.Family, a.lengthBytes = unix.AF_INET6, unix.SizeofSockaddrInet6
		a.raw.Addr, a.raw.Flowinfo, a.raw.Scope_id = *ip, 0, 0
	}
	p := (*[2]byte)(unsafe.Pointer(&a.raw.Port))
	p[0], p[1] = byte(port>>8), byte(port)
}

func (a *sockaddr) endpoint() frame.Endpoint {
	p, ip := (*[2]byte)(unsafe.Pointer(&a.raw.Port)), frame.IP(a.raw.Addr)
	if a.raw.Family == unix.AF_INET {
		ip = frame.IPv4(a.v4().Addr)
	}
	return frame.Endpoint{MAC: StandInMAC(ip), IP: ip, Port: uint16(p[0])<<8 | uint16(p[1])}
}

// Recv implements Port. Sockets are read in turn until nothing is left or the
// batch is full.
func (u *UDPSocket) Recv(max int) int {
	u.taken = 0
	if max > udpFrames {
		max = udpFrames
	}
	for range u.fds {
		for u.taken < max && u.recvOne(u.turn) {
		}
		if u.taken == max {
			break
		}
		u.turn++
		if u.turn == len(u.fds) {
			u.turn = 0
		}
	}
	u.stats.Received += uint64(u.taken)
	return u.taken
}

// recvOne reads a datagram of socket i. A datagram that does not fit is
// dropped and counted, as a NIC drops a frame beyond its MTU.
func (u *UDPSocket) recvOne(i int) bool {
	buffer := u.in[u.taken]
	payload := buffer[u.headerBytes:]
	u.name.lengthBytes = uint32(unsafe.Sizeof(u.name.raw))
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(u.fds[i]),
		uintptr(unsafe.Pointer(&payload[0])), uintptr(len(payload)), unix.MSG_DONTWAIT|unix.MSG_TRUNC,
		uintptr(unsafe.Pointer(&u.name.raw)), uintptr(unsafe.Pointer(&u.name.lengthBytes)))
	switch errno {
	case 0:
	case unix.ECONNREFUSED, unix.EINTR:
		return true // news of an earlier send: the next read has the datagram
	default:
		return false
	}
	if n > uintptr(len(payload)) {
		u.stats.RxInvalid++
		return true
	}
	from := u.name.endpoint()
	to := frame.Endpoint{MAC: StandInMAC(u.ip), IP: u.ip, Port: u.ports[i]}
	u.headers.Put(buffer, &from, from.Port, &to, int(n))
	u.inBytes[u.taken] = u.headerBytes + int(n)
	u.taken++
	return true
}

// Frame implements Port.
func (u *UDPSocket) Frame(i int) []byte {
	if i >= u.taken {
		panic("xdp: Frame outside of the last Recv")
	}
	return u.in[i][:u.inBytes[i]]
}

// Done implements Port.
func (u *UDPSocket) Done() { u.taken = 0 }

// Reserve implements Port.
func (u *UDPSocket) Reserve() []byte {
	if u.outCount == udpFrames {
		u.stats.TxFull++
		return nil
	}
	return u.out[(u.outHead+u.outCount)%udpFrames]
}

// Submit implements Port.
func (u *UDPSocket) Submit(lengthBytes int) {
	if u.outCount == udpFrames || lengthBytes > DefaultFrameBytes {
		panic("xdp: Submit without Reserve or longer than the buffer")
	}
	u.outBytes[(u.outHead+u.outCount)%udpFrames] = lengthBytes
	u.outCount++
}

// Kick implements Port: every frame leaves through the socket of its source
// port. What cannot be sent at all is dropped and counted as TxInvalid.
func (u *UDPSocket) Kick() int {
	for u.outCount > 0 {
		i := u.outHead
		errno := u.sendOne(u.out[i][:u.outBytes[i]])
		switch errno {
		case 0:
			u.stats.Sent++
		case unix.EINTR:
			continue
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
			u.stats.Retries++
			return 0 // the socket is full: the next Kick goes on here
		case unix.ECONNREFUSED:
			continue // news of an earlier datagram; this one was not sent yet
		case unix.ENETDOWN, unix.ENXIO, unix.EBADF:
			return int(errno)
		default:
			u.stats.TxInvalid++ // no route, too long, forbidden, not our port
		}
		u.outHead = (u.outHead + 1) % udpFrames
		u.outCount--
	}
	return 0
}

func (u *UDPSocket) sendOne(b []byte) unix.Errno {
	if len(b) < u.headerBytes {
		return unix.EINVAL
	}
	ip, port, srcPort := frame.Destination(b)
	fd := -1
	for i, p := range u.ports {
		if p == srcPort {
			fd = u.fds[i]
			break
		}
	}
	if fd < 0 {
		return unix.EINVAL
	}
	u.name.set(&ip, port)
	payload := b[u.headerBytes:]
	u.stats.Kicks++
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(payload))), uintptr(len(payload)), unix.MSG_DONTWAIT,
		uintptr(unsafe.Pointer(&u.name.raw)), uintptr(u.name.lengthBytes))
	return errno
}
