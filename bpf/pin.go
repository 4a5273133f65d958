package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Names of the pinned links in a node's directory.
const (
	OrderLinkPin = "link_order"
	StackLinkPin = "link_stack" // of the program for what the kernel's stack sends
	LinkLinkPins = "link_peer*" // a pattern for those of LinkLinkPin

	exitLinkPin   = "link_exit"
	linkPinPrefix = "link_"
)

// LinkLinkPin names the pin of the program on the link NIC to a peer.
func LinkLinkPin(peer int) string { return fmt.Sprintf("link_peer%d", peer) }

// RingPin names the pin of a lane's ring.
func RingPin(lane int) string { return fmt.Sprintf("ring_%d", lane) }

// prepareDir makes the pin directory and refuses one that is not on a bpffs.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("pin directory: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("pin directory %s: %w", dir, err)
	}
	if fs.Type != unix.BPF_FS_MAGIC {
		return fmt.Errorf("%s: %w: mount one (`mount -t bpf bpf /sys/fs/bpf`) and set node.bpffs to a directory on it", dir, ErrNoBPFFS)
	}
	return nil
}

// Cleanup removes everything pinned under dir: links first, so that the NICs
// forget the programs, then rings and maps. What is not there is no error.
func Cleanup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read pin directory: %w", err)
	}
	var errs []error
	for _, links := range []bool{true, false} {
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), linkPinPrefix) != links {
				continue
			}
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(append(errs, os.Remove(dir))...)
}
