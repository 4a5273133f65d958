package pin

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// leastKernel is what the programs need: BPF links for XDP, timers, mmapable
// arrays, and their kfuncs.
var leastKernel = [2]int{6, 6}

// checkKernel looks for what the kernel programs cannot do without.
func (h Host) checkKernel() []Finding {
	var f []Finding
	release, err := h.read("/proc/sys/kernel/osrelease")
	if err != nil {
		return []Finding{unreadable("kernel", err)}
	}
	if v, ok := kernelVersion(release); ok && (v[0] < leastKernel[0] || v[0] == leastKernel[0] && v[1] < leastKernel[1]) {
		f = append(f, problem("kernel", "is "+release, "the kernel programs need Linux 6.6", "install a newer kernel"))
	} else if release != "" {
		f = append(f, note("kernel", "%s", release))
	}
	if release == "" {
		return f // a root without a kernel in it
	}
	if _, err := os.Stat(h.path("/sys/kernel/btf/vmlinux")); err != nil {
		f = append(f, problem("BTF", "the kernel describes no types of its own", "a dead engine is noted by its hang budget only, not at once", "use a kernel with CONFIG_DEBUG_INFO_BTF"))
	}
	mounts, err := h.read("/proc/mounts")
	if err == nil && !strings.Contains(mounts, " bpf ") {
		f = append(f, problem("bpffs", "is not mounted", "rings and programs cannot outlive a process", "mount -t bpf bpf /sys/fs/bpf"))
	}
	if changes := h.fileChange("/proc/sys/net/core/bpf_jit_enable", "1"); changes != nil && changes[0].Old == "0" {
		f = append(f, problem("BPF compiler", "is off", "interpreted programs are 10 times slower", "sysctl net.core.bpf_jit_enable=1", changes...))
	}
	if h.Root == "" {
		f = append(f, checkSockets())
	}
	return f
}

// checkSockets tries whether there are AF_XDP sockets.
func checkSockets() Finding {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd)
		return note("AF_XDP", "sockets can be made")
	}
	if err == unix.EPERM {
		return unreadable("AF_XDP", err)
	}
	return problem("AF_XDP", fmt.Sprintf("a socket cannot be made: %v", err), "orders would go through the kernel's network stack, 5 to 10 times slower",
		"use a kernel with CONFIG_XDP_SOCKETS, or transport = \"udp\"")
}

func kernelVersion(release string) (v [2]int, ok bool) {
	major, rest, found := strings.Cut(release, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	var err [2]error
	v[0], err[0] = strconv.Atoi(major)
	v[1], err[1] = strconv.Atoi(rest[:end])
	return v, found && err[0] == nil && err[1] == nil
}
