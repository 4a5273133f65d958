package xdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Tried is what an interface did when it was tried. Both trials interrupt the
// link of some NICs for a moment.
type Tried struct {
	Interface Interface
	Native    bool
	ZeroCopy  bool
	// Why says what the kernel answered where something did not work.
	Why error
}

// Try attaches a program that passes everything, natively, and binds a
// zero-copy socket to a queue, and takes both away again. Where a program is
// attached already, as a running node's is, that one is looked at.
func Try(name string, queue int) (*Tried, error) {
	iface, err := Inspect(name)
	if err != nil {
		return nil, err
	}
	t := &Tried{Interface: iface}
	if t.Native, err = tryNative(iface.Index); err != nil {
		t.Why = fmt.Errorf("native XDP: %w", err)
	}
	s, err := Open(Options{Interface: name, Queue: queue, RxFrames: 64, TxFrames: 64, ZeroCopy: ZeroCopyRequired})
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			err = fmt.Errorf("queue %d has a socket already, stop the node to try: %w", queue, err)
		}
		t.Why = errors.Join(t.Why, fmt.Errorf("zero-copy: %w", err))
		return t, nil
	}
	t.ZeroCopy = true
	return t, s.Close()
}

func tryNative(ifindex int) (bool, error) {
	attached, err := attachedMode(ifindex)
	if err != nil {
		return false, err
	}
	if attached != 0 {
		if attached != attachedDriver {
			return false, errors.New("the program that is attached runs generically")
		}
		return true, nil
	}
	prog, err := passProgram()
	if err != nil {
		return false, err
	}
	defer prog.Close()
	l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: ifindex, Flags: link.XDPDriverMode})
	if err != nil {
		return false, err
	}
	return true, l.Close()
}
