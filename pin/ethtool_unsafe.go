package pin

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// drivers are asked by ioctl, in the calling thread's network namespace.
type drivers struct{}

// ifreq is struct ifreq with a pointer for its union.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

func (drivers) do(nic string, buf []byte) error {
	if len(nic) >= unix.IFNAMSIZ || len(buf) < 4 {
		return fmt.Errorf("interface name %q: %w", nic, unix.EINVAL)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req := ifreq{data: unsafe.Pointer(&buf[0])}
	copy(req.name[:], nic)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	runtime.KeepAlive(buf)
	if errno != 0 {
		return errno
	}
	return nil
}
