package pin

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// sleep is nanosleep(2) without a word to the runtime. A signal only shortens it.
func sleep(t unix.Timespec) {
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}
