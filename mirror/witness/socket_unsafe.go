package witness

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is a UDP socket that never blocks. Its calls are raw and its address
// memory its own: those of x/sys would allocate and tell the scheduler.
type socket struct {
	fd          int
	name        unix.RawSockaddrInet4
	lengthBytes uint32
}

// to sets where send sends to; recv sets it to where a datagram came from.
func (s *socket) to(a netip.AddrPort) {
	s.name.Family = unix.AF_INET
	s.name.Addr = a.Addr().As4()
	p := (*[2]byte)(unsafe.Pointer(&s.name.Port))
	p[0], p[1] = byte(a.Port()>>8), byte(a.Port())
}

// recv reads a datagram; a longer one than b counts with its whole length.
func (s *socket) recv(b []byte) (n int, errno unix.Errno) {
	s.lengthBytes = uint32(unsafe.Sizeof(s.name))
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_TRUNC,
		uintptr(unsafe.Pointer(&s.name)), uintptr(unsafe.Pointer(&s.lengthBytes)))
	return int(r), errno
}

// recvFromAny is recv that leaves the address alone.
func (s *socket) recvFromAny(b []byte) (n int, errno unix.Errno) {
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
	return int(r), errno
}

func (s *socket) send(b []byte) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT,
		uintptr(unsafe.Pointer(&s.name)), unsafe.Sizeof(s.name))
	return errno
}
