package pin

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const cpuDir = "/sys/devices/system/cpu/"

func (h Host) checkCores(p Plan) []Finding {
	i, err := h.Isolation()
	if err != nil {
		return []Finding{unreadable("cores", err)}
	}
	var f []Finding
	if len(i.Online) < 4 {
		f = append(f, warning("cores", fmt.Sprintf("only %d online: loops, kernel and clients share them", len(i.Online)),
			"an engine that waits for its core stands still for milliseconds: the greatest part of every tail, and of false failovers",
			"use a host with 4 cores or more, or idle = \"backoff\" and a heartbeat of 5 ms or more"))
	}
	for _, core := range p.Cores {
		f = append(f, checkCore(core, &i))
	}
	return f
}

func checkCore(core int, i *Isolation) Finding {
	subject := fmt.Sprintf("core %d", core)
	switch {
	case core == NoCore:
		return warning("cores", "a loop is not pinned", "the scheduler moves it: caches are cold for some 10 us each time", "set core in [loop] of the configuration")
	case !slices.Contains(i.Online, core):
		return problem(subject, "is not online", "the node does not start", "choose one of "+formatCPUs(i.Online))
	case core == 0 && len(i.Online) > 1:
		return warning(subject, "does the kernel's own work, and cannot be isolated", "its timers, callbacks and interrupts take 2 to 100 us from a loop there",
			"choose one of "+formatCPUs(i.Online[1:]))
	case !slices.Contains(i.Isolated, core):
		return warning(subject, "is shared with other tasks", "any task that runs there takes up to a time slice, 1 to 4 ms",
			fmt.Sprintf("boot with isolcpus=%d nohz_full=%d rcu_nocbs=%d", core, core, core))
	case !slices.Contains(i.NoHzFull, core): // which keeps RCU callbacks off it, too
		return warning(subject, "is isolated but still gets the timer tick", "2 to 10 us, 100 to 1000 times a second: p99",
			fmt.Sprintf("boot with nohz_full=%d rcu_nocbs=%d", core, core))
	}
	return note(subject, "isolated, no timer tick")
}

// checkSiblings: two threads of one core share its execution units.
func (h Host) checkSiblings(p Plan) []Finding {
	var f []Finding
	for _, core := range p.Cores {
		text, err := h.read(fmt.Sprintf("%scpu%d/topology/thread_siblings_list", cpuDir, core))
		siblings, bad := parseCPUs(text)
		if err != nil || bad != nil || len(siblings) < 2 {
			continue
		}
		others := slices.DeleteFunc(siblings, func(c int) bool { return c == core })
		f = append(f, warning(fmt.Sprintf("core %d", core), fmt.Sprintf("shares its execution units with %s (SMT)", formatCPUs(others)),
			"whatever runs there slows the loop by a third to a half, and evicts its first-level caches",
			fmt.Sprintf("echo 0 > %scpu%d/online, or boot with nosmt", cpuDir, others[0])))
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
		return note(subject, "%s, read without a system call", source)
	}
	return problem(subject, fmt.Sprintf("source is %q: reading it is a system call", source), "0.2 to 1 us for each look at the time instead of 0.03",
		"boot with clocksource=tsc tsc=reliable")
}

func (h Host) checkGovernor(p Plan) Finding {
	const subject = "frequency"
	var changes []Change
	what := ""
	for _, core := range p.Cores {
		path := fmt.Sprintf("%scpu%d/cpufreq/scaling_governor", cpuDir, core)
		governor, err := h.read(path)
		if err != nil {
			return unreadable(subject, err)
		}
		if governor != "" && governor != "performance" {
			what = fmt.Sprintf("core %d scales with governor %s", core, governor)
			changes = append(changes, h.fileChange(path, "performance")...)
		}
	}
	if what == "" {
		return note(subject, "not scaled by this kernel, or governor performance")
	}
	return warning(subject, what, "a core that has slowed down takes twice as long until it has sped up again, some ms later",
		"cpupower frequency-set -g performance", changes...)
}

// ShallowUs is the wakeup that a loop's core may have.
const ShallowUs = 2

// checkCStates looks for idle states that a loop's core wakes up from slowly.
func (h Host) checkCStates(p Plan) Finding {
	const subject = "C-states"
	driver, err := h.read(cpuDir + "cpuidle/current_driver")
	if err != nil {
		return unreadable(subject, err)
	}
	if driver == "" || driver == "none" {
		return note(subject, "no idle driver")
	}
	var changes []Change
	deepest := 0
	for _, core := range p.Cores {
		states, _ := filepath.Glob(h.path(fmt.Sprintf("%scpu%d/cpuidle/state*", cpuDir, core)))
		for _, dir := range states {
			dir := strings.TrimPrefix(dir, strings.TrimSuffix(h.path("/"), "/"))
			latency, _ := h.read(dir + "/latency")
			if us, err := strconv.Atoi(latency); err == nil && us > ShallowUs {
				if change := h.fileChange(dir+"/disable", "1"); change != nil {
					deepest, changes = max(deepest, us), append(changes, change...)
				}
			}
		}
	}
	_, missing := os.Stat(h.path("/dev/cpu_dma_latency"))
	switch {
	case len(changes) > 0:
		return warning(subject, fmt.Sprintf("idle driver %s: a loop's core may take %d us to wake up", driver, deepest),
			"a loop that sleeps (idle = \"backoff\") pays that for the first order after a pause; a node holds the states shallow while it runs",
			"boot with processor.max_cstate=1, for Intel intel_idle.max_cstate=0", changes...)
	case missing != nil:
		return warning(subject, "idle driver "+driver+" and no /dev/cpu_dma_latency", "a node cannot keep the cores awake",
			"boot with processor.max_cstate=1, for Intel intel_idle.max_cstate=0")
	}
	return note(subject, "idle driver %s; held shallow through /dev/cpu_dma_latency while a node runs", driver)
}

// checkScheduler: what takes a core from a spinning loop by the clock.
func (h Host) checkScheduler(p Plan) []Finding {
	var f []Finding
	knob := func(path, want, subject, what, why string) {
		if changes := h.fileChange(path, want); changes != nil {
			f = append(f, warning(subject, fmt.Sprintf(what, changes[0].Old), why, fmt.Sprintf("echo %s > %s", want, path), changes...))
		}
	}
	knob("/proc/sys/kernel/sched_rt_runtime_us", "-1", "RT throttling", "real-time tasks get %s us of each second at most",
		"a loop with a real-time priority stands still for the rest, 50 ms in each second; others are not concerned")
	knob("/proc/sys/kernel/nmi_watchdog", "0", "watchdog", "the NMI watchdog is %s", "a perf counter's interrupt on each core every few seconds, some us")
	knob("/proc/sys/kernel/numa_balancing", "0", "NUMA balancing", "is %s", "it unmaps pages to see who uses them: page faults in the loop, 1 to 10 us each")
	knob("/proc/sys/kernel/bpf_stats_enabled", "0", "BPF statistics", "are on (%s)", "every run of a program reads the clock twice: some 50 ns a frame")
	if mask, err := h.read("/sys/devices/virtual/workqueue/cpumask"); err == nil && mask != "" && len(p.Cores) > 0 {
		f = append(f, h.checkWorkqueues(mask, p)...)
	}
	return f
}

// checkWorkqueues: unbound kernel work may run anywhere in the mask.
func (h Host) checkWorkqueues(mask string, p Plan) []Finding {
	cpus, err := parseMask(mask)
	online, err2 := h.Isolation()
	if err != nil || err2 != nil {
		return nil
	}
	left := slices.DeleteFunc(slices.Clone(online.Online), func(c int) bool { return slices.Contains(p.Cores, c) })
	if len(left) == 0 || !slices.ContainsFunc(p.Cores, func(c int) bool { return slices.Contains(cpus, c) }) {
		return nil
	}
	const path = "/sys/devices/virtual/workqueue/cpumask"
	return []Finding{warning("kernel work", "unbound work of the kernel may run on a loop's core", "some 10 us to 1 ms now and then",
		fmt.Sprintf("echo %s > %s", formatMask(left), path), h.fileChange(path, formatMask(left))...)}
}
