package fixload

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawRead is read(2) without telling the runtime, whose monitor would wake up every 20 us
// to look after a thread that waits in the kernel, and take a core from what is measured.
// Nothing else may have to run in this process until it returns.
func rawRead(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
