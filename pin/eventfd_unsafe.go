package pin

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Notify adds one to an eventfd's count, which does not block. The runtime is not told of
// the system call, so that a loop may make it that has a Grip.
func Notify(eventfd int) {
	one := uint64(1)
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(eventfd), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
}
