package xdp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Words of SO_MEMINFO (linux/sock_diag.h).
const (
	meminfoDrops = 8
	meminfoWords = 9
)

// socketDrops is how many datagrams found the receive buffer of a socket full.
// A kernel that does not tell (before 4.12) counts as none.
func socketDrops(fd int) uint64 {
	var words [meminfoWords]uint32
	length := uint32(unsafe.Sizeof(words))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&words)), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(words[meminfoDrops])
}
