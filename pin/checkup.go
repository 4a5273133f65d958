package pin

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Severity says how much a finding matters.
type Severity int

const (
	// Note is as it should be, or a matter of taste.
	Note Severity = iota
	// Warning costs latency now and then.
	Warning
	// Problem makes the latency goals unreachable.
	Problem
)

func (s Severity) String() string {
	switch s {
	case Note:
		return "note"
	case Warning:
		return "warning"
	case Problem:
		return "problem"
	}
	return fmt.Sprintf("Severity(%d)", int(s))
}

// Finding is one line of a check-up.
type Finding struct {
	Severity Severity
	Subject  string
	What     string
	Remedy   string // empty for a Note
}

// Plan is what a host is meant to run.
type Plan struct {
	Cores      []int    // cores of engine loops
	Interfaces []string // order and link NICs
	LockMemory bool
}

// CheckUp looks at everything this package can change, and some things only an
// operator can, in a fixed order. What cannot be read becomes a finding.
func (h Host) CheckUp(p Plan) []Finding {
	var f []Finding
	f = append(f, h.checkCores(p)...)
	f = append(f, h.checkClock(), h.checkGovernor(p), h.checkCStates())
	f = append(f, h.checkHugepages(), h.checkIRQBalance())
	for _, iface := range p.Interfaces {
		f = append(f, h.checkIRQs(iface, p.Cores)...)
	}
	if p.LockMemory {
		f = append(f, checkMemoryLimit())
	}
	return append(f, checkPreemption())
}

func unreadable(subject string, err error) Finding {
	return Finding{Warning, subject, "cannot be read: " + err.Error(), "run as root"}
}

func (h Host) checkCores(p Plan) []Finding {
	i, err := h.Isolation()
	if err != nil {
		return []Finding{unreadable("cores", err)}
	}
	var f []Finding
	if len(i.Online) < 4 {
		f = append(f, Finding{Warning, "cores", fmt.Sprintf("only %d online: loops, kernel and clients share them", len(i.Online)),
			"use a host with 4 cores or more, or idle = \"backoff\" and a heartbeat of 5 ms or more"})
	}
	for _, core := range p.Cores {
		subject := fmt.Sprintf("core %d", core)
		switch {
		case core == NoCore:
			f = append(f, Finding{Warning, "cores", "a loop is not pinned", "set core in [loop] of the configuration"})
		case !slices.Contains(i.Online, core):
			f = append(f, Finding{Problem, subject, "is not online", "choose one of " + formatCPUs(i.Online)})
		case !slices.Contains(i.Isolated, core):
			f = append(f, Finding{Warning, subject, "is shared with other tasks",
				fmt.Sprintf("boot with isolcpus=%d nohz_full=%d rcu_nocbs=%d", core, core, core)})
		case !slices.Contains(i.NoHzFull, core):
			f = append(f, Finding{Warning, subject, "is isolated but still gets the timer tick", fmt.Sprintf("boot with nohz_full=%d rcu_nocbs=%d", core, core)})
		default:
			f = append(f, Finding{Note, subject, "isolated, no timer tick", ""})
		}
	}
	return f
}

func (h Host) checkClock() Finding {
	const subject = "clock"
	source, err := h.read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	switch {
	case err != nil:
		return unreadable(subject, err)
	case source == "tsc", source == "kvm-clock", source == "arch_sys_counter", source == "hyperv_clocksource_tsc_page":
		return Finding{Note, subject, source + ", read without a system call", ""}
	}
	return Finding{Problem, subject, fmt.Sprintf("source is %q: reading it is a system call", source), "boot with clocksource=tsc tsc=reliable"}
}

func (h Host) checkGovernor(p Plan) Finding {
	const subject = "frequency"
	for _, core := range p.Cores {
		governor, err := h.read(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", core))
		if err != nil {
			return unreadable(subject, err)
		}
		if governor != "" && governor != "performance" {
			return Finding{Warning, subject, fmt.Sprintf("core %d scales with governor %s", core, governor), "cpupower frequency-set -g performance"}
		}
	}
	return Finding{Note, subject, "not scaled by this kernel, or governor performance", ""}
}

func (h Host) checkCStates() Finding {
	const subject = "C-states"
	driver, err := h.read("/sys/devices/system/cpu/cpuidle/current_driver")
	if err != nil {
		return unreadable(subject, err)
	}
	if driver == "" || driver == "none" {
		return Finding{Note, subject, "no idle driver", ""}
	}
	if _, err := os.Stat(h.path("/dev/cpu_dma_latency")); err != nil {
		return Finding{Warning, subject, "idle driver " + driver + " and no /dev/cpu_dma_latency", "boot with processor.max_cstate=1, for Intel intel_idle.max_cstate=0"}
	}
	return Finding{Note, subject, "idle driver " + driver + "; held shallow through /dev/cpu_dma_latency while a node runs", ""}
}

func (h Host) checkHugepages() Finding {
	const subject = "huge pages"
	p, err := h.Hugepages()
	switch {
	case err != nil:
		return unreadable(subject, err)
	case p.Transparent == "always":
		return Finding{Warning, subject, "transparent huge pages are always on: the kernel compacts memory behind running loops",
			"echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"}
	}
	return Finding{Note, subject, fmt.Sprintf("%d of %d free, transparent: %s", p.Free, p.Total, orNone(p.Transparent)), ""}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// checkIRQBalance looks for the daemon that moves interrupts about.
func (h Host) checkIRQBalance() Finding {
	const subject = "irqbalance"
	comms, err := filepath.Glob(h.path("/proc/[0-9]*/comm"))
	if err != nil {
		return unreadable(subject, err)
	}
	for _, path := range comms {
		// a process that ends meanwhile is not the one
		if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) == "irqbalance" {
			return Finding{Warning, subject, "runs, and will move interrupts onto loop cores", "systemctl disable --now irqbalance"}
		}
	}
	return Finding{Note, subject, "does not run", ""}
}

func (h Host) checkIRQs(iface string, cores []int) []Finding {
	subject := "interrupts of " + iface
	irqs, err := h.IRQs(iface)
	if err != nil {
		return []Finding{unreadable(subject, err)}
	}
	var f []Finding
	for _, irq := range irqs {
		for _, core := range cores {
			if slices.Contains(irq.CPUs, core) && len(cores) < len(irq.CPUs) {
				f = append(f, Finding{Warning, subject, fmt.Sprintf("%d (%s) may interrupt loop core %d", irq.Number, irq.Name, core),
					fmt.Sprintf("echo the other cores into /proc/irq/%d/smp_affinity_list", irq.Number)})
			}
		}
	}
	if len(f) == 0 {
		f = append(f, Finding{Note, subject, fmt.Sprintf("%d, none on a loop core", len(irqs)), ""})
	}
	return f
}
