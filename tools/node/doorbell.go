package node

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// doorbell ends another thread's sleep: an eventfd, so that it can be waited for
// together with sockets.
type doorbell struct{ fd int }

func newDoorbell() (*doorbell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &doorbell{fd}, nil
}

var one = binary.NativeEndian.AppendUint64(nil, 1)

// ring ends a wait, the present one or the next.
func (d *doorbell) ring() { _, _ = unix.Write(d.fd, one) }

// heard forgets that it rang.
func (d *doorbell) heard() {
	var b [8]byte
	_, _ = unix.Read(d.fd, b[:])
}

// wait sleeps until it rings, at most so long.
func (d *doorbell) wait(most time.Duration) {
	fds := []unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}}
	_, _ = unix.Poll(fds, int(most/time.Millisecond))
	d.heard()
}

func (d *doorbell) close() error { return unix.Close(d.fd) }
