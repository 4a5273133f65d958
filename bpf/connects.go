package bpf

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ErrConnects is wrapped by what keeps a listener from bounding its connections.
var ErrConnects = errors.New("bound of connections of an address")

// Connects bounds how many connections one address may begin at a listener, in the
// kernel, before one is answered. It needs no other program of this package.
type Connects struct {
	program *ebpf.Program
	dropped *ebpf.Map
	sources *ebpf.Map
}

// NewConnects lets an address begin perSecond connections, and burst at once.
func NewConnects(perSecond, burst int) (*Connects, error) {
	if perSecond < 1 || burst < 1 {
		return nil, fmt.Errorf("%w: %d a second, %d at once: give at least 1", ErrConnects, perSecond, burst)
	}
	spec, err := loadConnects()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnects, err)
	}
	interval := uint64(time.Second) / uint64(perSecond)
	for name, v := range map[string]uint64{"interval_ns": interval, "burst_ns": interval * uint64(burst-1)} {
		if err := spec.Variables[name].Set(v); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrConnects, name, err)
		}
	}
	var objects connectsObjects
	if err := spec.LoadAndAssign(&objects, nil); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnects, err)
	}
	return &Connects{program: objects.ObConnects, dropped: objects.Dropped, sources: objects.Sources}, nil
}

// Attach puts it before a listening socket; that keeps it as long as it lives.
func (c *Connects) Attach(listener syscall.Conn) error {
	raw, err := listener.SyscallConn()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConnects, err)
	}
	var set error
	if err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_BPF, c.program.FD())
	}); err != nil || set != nil {
		return fmt.Errorf("%w: %w", ErrConnects, errors.Join(err, set))
	}
	return nil
}

// Dropped is how many beginnings of connections were not heard.
func (c *Connects) Dropped() (n uint64) {
	if c == nil || c.dropped.Lookup(uint32(0), &n) != nil {
		return 0
	}
	return n
}

// Close lets go of it; sockets keep what they have.
func (c *Connects) Close() error {
	return errors.Join(c.program.Close(), c.dropped.Close(), c.sources.Close())
}
