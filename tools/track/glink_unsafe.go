package track

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is struct ethtool_value (linux/ethtool.h).
type ethtoolValue struct{ cmd, data uint32 }

// ifreq is struct ifreq with a pointer for its union.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// glink asks one interface for its carrier, without an allocation: a hundred
// looks a second must not make the garbage collector run beside the order path.
type glink struct {
	fd    int // a socket in the interface's network namespace
	req   ifreq
	value ethtoolValue
}

func newGlink(fd int, name string) *glink {
	g := &glink{fd: fd}
	copy(g.req.name[:unix.IFNAMSIZ-1], name)
	g.req.data = unsafe.Pointer(&g.value)
	return g
}

// lost reports whether the driver says that there is no carrier. One that
// cannot say has not lost it.
func (g *glink) lost() bool {
	g.value = ethtoolValue{cmd: unix.ETHTOOL_GLINK}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(g.fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&g.req)))
	return errno == 0 && g.value.data == 0
}
