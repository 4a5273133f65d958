package pin

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	godebug        = "GODEBUG"
	noPreemption   = "asyncpreemptoff=1"
	reexecGuard    = "ONEBEAT_REEXEC"
	reexecGuardSet = reexecGuard + "=1"
)

// Reexec executes the program again with asynchronous preemption off and does
// not return, unless it is off already. The runtime reads the setting only at
// its start and would otherwise interrupt a spinning loop about 100 times a
// second. A loop must then pass a safepoint (a function call is one) in every
// cycle, or each stop-the-world waits for it.
//
// Call it first in main: descriptors without close-on-exec survive it, and
// everything else is done again.
func Reexec() error {
	if PreemptionOff() {
		return nil
	}
	if os.Getenv(reexecGuard) != "" {
		return fmt.Errorf("asynchronous preemption is still on after executing again: %s=%q", godebug, os.Getenv(godebug))
	}
	// The link keeps working when the file was replaced in the meantime.
	if err := unix.Exec("/proc/self/exe", os.Args, reexecEnviron(os.Environ())); err != nil {
		return fmt.Errorf("execute again with %s: %w; remedy: start with %s=%s in the environment", noPreemption, err, godebug, noPreemption)
	}
	return nil
}

// PreemptionOff says that the environment at start had the setting.
func PreemptionOff() bool {
	// the last one of a name wins, as the runtime reads it
	off := false
	for _, s := range strings.Split(os.Getenv(godebug), ",") {
		if strings.HasPrefix(s, "asyncpreemptoff=") {
			off = s == noPreemption
		}
	}
	return off
}

// reexecEnviron is the environment with the setting added to what GODEBUG
// says, and the guard.
func reexecEnviron(environ []string) []string {
	out := make([]string, 0, len(environ)+2)
	setting := noPreemption
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		switch {
		case name == godebug && value != "":
			setting = value + "," + noPreemption
		case name != godebug && name != reexecGuard:
			out = append(out, e)
		}
	}
	return append(out, godebug+"="+setting, reexecGuardSet)
}
