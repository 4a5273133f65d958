package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Mode is where an XDP program runs.
type Mode int

const (
	// ModeNative runs in the driver, or is refused.
	ModeNative Mode = iota
	// ModeGeneric prefers the driver and falls back to the network stack.
	ModeGeneric
)

func (m Mode) String() string {
	switch m {
	case ModeNative:
		return "native"
	case ModeGeneric:
		return "generic"
	}
	return fmt.Sprintf("Mode(%d)", int(m))
}

// ParseMode reads a mode as a configuration file has it.
func ParseMode(s string) (Mode, error) {
	for _, m := range []Mode{ModeNative, ModeGeneric} {
		if s == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("mode %q: want native or generic", s)
}

// The kernel frees an unpinned link in the background; until then its
// interface counts as taken.
const (
	detachTimeout = 500 * time.Millisecond
	detachPause   = 2 * time.Millisecond
)

// Attachment is a program on an interface. Pinned, it stays when the process
// ends; Detach takes it off.
type Attachment struct {
	Mode    Mode // how it runs in fact
	Adopted bool // a pinned link was found and got the new program

	link    link.Link
	pinPath string
}

// Attach puts prog on the interface. With a pinPath (a file on bpffs) the link
// outlives the process, and one that is found there gets the new program in
// one step: not a frame sees neither. A link found there that is on another
// interface, dead, or generic where native is wanted is replaced.
func Attach(prog *ebpf.Program, iface Interface, mode Mode, pinPath string) (*Attachment, error) {
	if pinPath != "" {
		a, err := adopt(prog, iface, mode, pinPath)
		if a != nil || err != nil {
			return a, err
		}
	}
	l, actual, err := attachNew(prog, iface, mode)
	if err != nil {
		return nil, err
	}
	a := &Attachment{Mode: actual, link: l, pinPath: pinPath}
	if pinPath == "" {
		return a, nil
	}
	if err := os.MkdirAll(filepath.Dir(pinPath), 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("directory of link pin: %w", err), l.Close())
	}
	if err := l.Pin(pinPath); err != nil {
		return nil, errors.Join(fmt.Errorf("pin XDP link at %s (is it on bpffs? mount -t bpf bpf /sys/fs/bpf): %w", pinPath, err), l.Close())
	}
	return a, nil
}

// adopt returns nil, nil when there is nothing to adopt any more.
func adopt(prog *ebpf.Program, iface Interface, mode Mode, pinPath string) (*Attachment, error) {
	l, err := link.LoadPinnedLink(pinPath, nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load pinned link %s: %w", pinPath, err)
	}
	if actual, fits := linkFits(l, iface, mode); fits {
		if err := l.Update(prog); err == nil {
			return &Attachment{Mode: actual, Adopted: true, link: l, pinPath: pinPath}, nil
		}
		// The interface is gone, or the link was detached by force.
	}
	return nil, remove(l, pinPath)
}

// linkFits says whether a link is on this interface in a mode that will do.
func linkFits(l link.Link, iface Interface, mode Mode) (Mode, bool) {
	info, err := l.Info()
	if err != nil || info.XDP() == nil || int(info.XDP().Ifindex) != iface.Index {
		return 0, false
	}
	attached, err := attachedMode(iface.Index)
	if err != nil || attached == 0 {
		return 0, false
	}
	actual := ModeGeneric
	if attached == attachedDriver {
		actual = ModeNative
	}
	return actual, actual == ModeNative || mode == ModeGeneric
}

func attachNew(prog *ebpf.Program, iface Interface, mode Mode) (link.Link, Mode, error) {
	l, err := attachFlags(prog, iface, link.XDPDriverMode)
	if err == nil {
		return l, ModeNative, nil
	}
	unsupported := errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, link.ErrNotSupported)
	if unsupported && mode == ModeGeneric {
		l, err = attachFlags(prog, iface, link.XDPGenericMode)
		if err == nil {
			return l, ModeGeneric, nil
		}
		unsupported = false
	}
	return nil, 0, explainAttach(iface, err, unsupported)
}

func attachFlags(prog *ebpf.Program, iface Interface, flags link.XDPAttachFlags) (link.Link, error) {
	deadline := time.Now().Add(detachTimeout)
	for {
		l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: iface.Index, Flags: flags})
		if err == nil || !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return l, err
		}
		time.Sleep(detachPause)
	}
}

func explainAttach(iface Interface, err error, unsupported bool) error {
	what := fmt.Sprintf("attach XDP program to %s: %v", iface.Name, err)
	switch {
	case unsupported:
		return iface.noNative("it refuses XDP programs")
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return refuse(ErrProgramPresent, what,
			fmt.Sprintf("find its owner with `bpftool net show dev %s`; `ip link set dev %s xdp off` removes one without a link", iface.Name, iface.Name))
	case errors.Is(err, unix.EPERM):
		return refuse(ErrNoPrivilege, what, privilegeRemedy)
	case errors.Is(err, unix.ENODEV), !exists(iface.Index):
		return refuse(ErrNoInterface, what, "the interface went away: look at `ip -br link`")
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE):
		return refuse(ErrMTUTooSmall, what,
			fmt.Sprintf("native XDP needs a frame in one page: lower the MTU of %s (now %d) to 3498 or less; `dmesg` has the driver's own words", iface.Name, iface.MTU))
	}
	return errors.New(what)
}

// exists is asked because a link to an absent interface is only EINVAL.
func exists(ifindex int) bool {
	_, err := netlink.LinkByIndex(ifindex)
	return err == nil
}

// Close lets go of the attachment: a pinned program stays, another one goes.
func (a *Attachment) Close() error { return a.link.Close() }

// Detach takes the program off the interface and removes the pin.
func (a *Attachment) Detach() error { return remove(a.link, a.pinPath) }

// DetachPinned removes what an earlier process left at pinPath. Nothing there
// is no error.
func DetachPinned(pinPath string) error {
	l, err := link.LoadPinnedLink(pinPath, nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load pinned link %s: %w", pinPath, err)
	}
	return remove(l, pinPath)
}

// remove detaches at once: closing alone would leave that to the kernel's
// background work while other descriptors of the link live.
func remove(l link.Link, pinPath string) error {
	var errs []error
	if err := l.Detach(); err != nil && !errors.Is(err, unix.ENOLINK) {
		errs = append(errs, fmt.Errorf("detach XDP link: %w", err))
	}
	if pinPath != "" {
		if err := os.Remove(pinPath); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove link pin: %w", err))
		}
	}
	return errors.Join(append(errs, l.Close())...)
}
