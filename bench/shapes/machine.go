package shapes

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onebeat/pin"
)

// Machine is where something was measured.
type Machine struct {
	CPU           string `json:"cpu"`
	Cores         int    `json:"cores"`
	Kernel        string `json:"kernel"`
	Go            string `json:"go"`
	Clock         string `json:"clock_source"`
	Hypervisor    bool   `json:"hypervisor"`
	PreemptionOff bool   `json:"async_preemption_off"`
}

// ThisMachine describes the machine. What cannot be read is "unknown".
func ThisMachine() Machine {
	m := Machine{CPU: "unknown", Cores: runtime.NumCPU(), Kernel: "unknown", Go: runtime.Version(), Clock: "unknown",
		PreemptionOff: pin.PreemptionOff()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU, m.Hypervisor = parseCPUInfo(string(b))
	}
	if b, err := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource"); err == nil {
		m.Clock = strings.TrimSpace(string(b))
	}
	return m
}

// parseCPUInfo finds the first model name and the hypervisor flag in the text
// of /proc/cpuinfo.
func parseCPUInfo(text string) (model string, hypervisor bool) {
	model = "unknown"
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(name) {
		case "model name":
			model = strings.TrimSpace(value)
		case "flags":
			return model, strings.Contains(value+" ", " hypervisor ")
		}
	}
	return model, false
}

// residentBytes is this process's memory: 0 if it cannot be read.
func residentBytes() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
