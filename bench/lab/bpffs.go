package lab

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const bpffsRoot = "/sys/fs/bpf"

// mountBPFFS mounts the BPF file system where it belongs if nobody has.
func mountBPFFS() error {
	if err := os.MkdirAll(bpffsRoot, 0o700); err != nil {
		return fmt.Errorf("bpffs: %w; mount sysfs first", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(bpffsRoot, &st); err != nil {
		return fmt.Errorf("bpffs: %w", err)
	}
	if st.Type == unix.BPF_FS_MAGIC {
		return nil
	}
	if err := unix.Mount("bpf", bpffsRoot, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("mount bpffs on %s: %w; the kernel needs CONFIG_BPF_SYSCALL", bpffsRoot, err)
	}
	return nil
}
