package pin

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// minLockedBytes is what a node with default sizes locks at least.
const minLockedBytes = 64 << 20

func checkMemoryLimit() Finding {
	const subject = "memlock limit"
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return unreadable(subject, err)
	}
	if unix.Geteuid() != 0 && limit.Max < minLockedBytes {
		return Finding{Problem, subject, fmt.Sprintf("is %d KiB", limit.Max>>10), "LimitMEMLOCK=infinity in the unit, or memlock in /etc/security/limits.conf"}
	}
	return Finding{Note, subject, "high enough", ""}
}

func checkPreemption() Finding {
	const subject = "Go preemption"
	if PreemptionOff() {
		return Finding{Note, subject, "asynchronous preemption is off", ""}
	}
	return Finding{Warning, subject, "signals interrupt a spinning loop about 100 times a second",
		"start with " + godebug + "=" + noPreemption + " in the environment; `onebeat node` does so by itself"}
}
