package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// AttachEgress puts a tc program before everything that the network stack sends
// by an interface; what XDP and AF_XDP send does not pass it. As with Attach a
// link that is found at pinPath gets the new program in one step, and a pinned
// one stays when the process ends.
func AttachEgress(prog *ebpf.Program, iface Interface, pinPath string) (*Attachment, error) {
	if l, err := link.LoadPinnedLink(pinPath, nil); err == nil {
		if info, err := l.Info(); err == nil && info.TCX() != nil && int(info.TCX().Ifindex) == iface.Index && l.Update(prog) == nil {
			return &Attachment{Adopted: true, link: l, pinPath: pinPath}, nil
		}
		if err := remove(l, pinPath); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("load pinned link %s: %w", pinPath, err)
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: iface.Index, Program: prog, Attach: ebpf.AttachTCXEgress, Anchor: link.Head()})
	if errors.Is(err, link.ErrNotSupported) {
		return nil, refuse(ErrNoEgress, "attach a tc program to "+iface.Name, "TCP at a lane address needs Linux 6.6 or later with CONFIG_NET_XGRESS")
	}
	if err != nil {
		return nil, fmt.Errorf("attach tc program to %s: %w", iface.Name, err)
	}
	if err := os.MkdirAll(filepath.Dir(pinPath), 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("directory of link pin: %w", err), l.Close())
	}
	if err := l.Pin(pinPath); err != nil {
		return nil, errors.Join(fmt.Errorf("pin tc link at %s: %w", pinPath, err), l.Close())
	}
	return &Attachment{link: l, pinPath: pinPath}, nil
}
