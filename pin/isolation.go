package pin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Host is where the kernel shows itself. The zero value is this machine; tests
// put a directory of their own at Root.
type Host struct {
	Root string
	// tool is asked about NICs instead of their drivers.
	tool ethtool
}

func (h Host) path(p string) string { return filepath.Join("/", h.Root, p) }

// read returns a small file's text, "" for one that does not exist: what a
// kernel does not have it does not show.
func (h Host) read(p string) (string, error) {
	b, err := os.ReadFile(h.path(p))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

// Isolation is what the kernel keeps off certain cores.
type Isolation struct {
	Online   []int
	Isolated []int // isolcpus= or an isolated cpuset: no load balancing
	NoHzFull []int // nohz_full=: no timer tick while one task runs
	NoRCU    []int // rcu_nocbs=: no RCU callbacks
}

// Isolation reads which cores are kept free.
func (h Host) Isolation() (Isolation, error) {
	var i Isolation
	var errs []error
	list := func(p string) []int {
		text, err := h.read(p)
		if err == nil {
			var cpus []int
			if cpus, err = parseCPUs(text); err == nil {
				return cpus
			}
		}
		errs = append(errs, fmt.Errorf("read %s: %w", p, err))
		return nil
	}
	i.Online = list("/sys/devices/system/cpu/online")
	i.Isolated = list("/sys/devices/system/cpu/isolated")
	i.NoHzFull = list("/sys/devices/system/cpu/nohz_full")
	cmdline, err := h.read("/proc/cmdline")
	if err != nil {
		errs = append(errs, fmt.Errorf("read kernel command line: %w", err))
	}
	for _, word := range strings.Fields(cmdline) {
		if v, ok := strings.CutPrefix(word, "rcu_nocbs="); ok {
			if v == "all" {
				i.NoRCU = i.Online
				continue
			}
			cpus, err := parseCPUs(v)
			if err != nil {
				errs = append(errs, err)
			}
			i.NoRCU = cpus
		}
	}
	return i, errors.Join(errs...)
}
