package pin

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func (h Host) checkHugepages() Finding {
	const subject = "huge pages"
	const path = "/sys/kernel/mm/transparent_hugepage/enabled"
	p, err := h.Hugepages()
	switch {
	case err != nil:
		return unreadable(subject, err)
	case p.Transparent == "always":
		return warning(subject, "transparent huge pages are always on: the kernel compacts memory behind running loops",
			"a fault that compacts takes 0.1 to 10 ms", "echo madvise > "+path, h.fileChange(path, "madvise")...)
	}
	return note(subject, "%d of %d free, transparent: %s", p.Free, p.Total, orNone(p.Transparent))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// checkMemoryWork: daemons that move or merge pages under a loop.
func (h Host) checkMemoryWork() Finding {
	const subject = "page merging"
	const path = "/sys/kernel/mm/ksm/run"
	if changes := h.fileChange(path, "0"); changes != nil {
		return warning(subject, "KSM is on", "a merged page that is written to faults: 1 to 10 us", "echo 0 > "+path, changes...)
	}
	return note(subject, "off")
}

// minLockedBytes is what a node with default sizes locks at least.
const minLockedBytes = 64 << 20

func checkMemoryLimit() Finding {
	const subject = "memlock limit"
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return unreadable(subject, err)
	}
	if unix.Geteuid() != 0 && limit.Max < minLockedBytes {
		return problem(subject, fmt.Sprintf("is %d KiB", limit.Max>>10), "rings and tables may be paged out: milliseconds for one fault, and AF_XDP memory is refused",
			"LimitMEMLOCK=infinity in the unit, or memlock in /etc/security/limits.conf")
	}
	return note(subject, "high enough")
}

func checkPreemption() Finding {
	const subject = "Go preemption"
	if PreemptionOff() {
		return note(subject, "asynchronous preemption is off")
	}
	return warning(subject, "signals interrupt a spinning loop about 100 times a second", "some us each",
		"start with "+godebug+"="+noPreemption+" in the environment; `onebeat node` does so by itself")
}
