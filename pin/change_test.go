package pin

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeNIC keeps the structures of ethtool's commands, by the first word of what
// they are got with.
type fakeNIC struct {
	values map[uint32][]byte
	fail   uint32 // this command is refused
}

func newFakeNIC() *fakeNIC { return &fakeNIC{values: map[uint32][]byte{}} }

// with sets a value, and with it makes the driver have the structure.
func (n *fakeNIC) with(name string, value uint32) *fakeNIC {
	s := nicSettings[name]
	if n.values[s.get] == nil {
		n.values[s.get] = make([]byte, 4*s.words)
	}
	at := n.values[s.get][4*s.word:]
	if s.bit == 0 {
		binary.NativeEndian.PutUint32(at, value)
	} else if value != 0 {
		binary.NativeEndian.PutUint32(at, binary.NativeEndian.Uint32(at)|s.bit)
	}
	return n
}

func (n *fakeNIC) do(_ string, buf []byte) error {
	cmd := binary.NativeEndian.Uint32(buf)
	if cmd == n.fail {
		return unix.EINVAL
	}
	for _, s := range nicSettings {
		switch have := n.values[s.get]; {
		case have == nil:
		case cmd == s.get:
			copy(buf[4:], have[4:])
			return nil
		case cmd == s.set && s.set != 0:
			copy(have[4:], buf[4:])
			return nil
		}
	}
	return unix.EOPNOTSUPP
}

// tuned is a host with something to change of every kind.
func tuned(t *testing.T) (Host, *fakeNIC) {
	t.Helper()
	h := fakeHost(t, map[string]string{
		"/sys/devices/system/cpu/online":                                   "0-3\n",
		"/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor":            "powersave\n",
		"/sys/devices/system/cpu/cpuidle/current_driver":                   "intel_idle\n",
		"/sys/devices/system/cpu/cpu2/cpuidle/state0/latency":              "0\n",
		"/sys/devices/system/cpu/cpu2/cpuidle/state0/disable":              "0\n",
		"/sys/devices/system/cpu/cpu2/cpuidle/state3/latency":              "85\n",
		"/sys/devices/system/cpu/cpu2/cpuidle/state3/disable":              "0\n",
		"/sys/devices/system/cpu/cpu2/topology/thread_siblings_list":       "2,3\n",
		"/sys/devices/virtual/workqueue/cpumask":                           "f\n",
		"/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
		"/sys/kernel/mm/transparent_hugepage/enabled":                      "[always] madvise never\n",
		"/sys/class/net/eth0/napi_defer_hard_irqs":                         "2\n",
		"/sys/class/net/eth0/device/numa_node":                             "1\n",
		"/sys/devices/system/node/node1/cpulist":                           "0-1\n",
		"/proc/sys/kernel/sched_rt_runtime_us":                             "950000\n",
		"/proc/sys/kernel/osrelease":                                       "6.1.0\n",
		"/proc/sys/kernel/random/boot_id":                                  "one\n",
		"/proc/mounts":                                                     "bpf /sys/fs/bpf bpf rw 0 0\n",
		"/proc/interrupts":                                                 "  CPU0 CPU1 CPU2 CPU3\n 27: 1 2 3 4 PCI-MSI 5-edge eth0-TxRx-0\n",
		"/proc/irq/27/smp_affinity_list":                                   "0-3\n",
	})
	nic := newFakeNIC().with("adaptive-rx", 1).with("rx-usecs", 50).with("tx-usecs", 8).with("lro", 1).with("rx-ring", 4096).with("combined-queues", 8).with("gro", 1)
	h.tool = nic
	return h, nic
}

func changesOf(findings []Finding) []Change {
	var all []Change
	for i := range findings {
		all = append(all, findings[i].Changes...)
	}
	return all
}

func value(t *testing.T, h Host, path string) string {
	t.Helper()
	text, err := h.read(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// kept are the values that changes are about, as they are now.
func kept(t *testing.T, h Host, changes []Change) map[string]string {
	t.Helper()
	m := map[string]string{}
	for i := range changes {
		v, err := h.current(&changes[i])
		if err != nil {
			t.Fatal(err)
		}
		m[changes[i].Target+" "+changes[i].Setting] = v
	}
	return m
}

func TestApplyAndRevert(t *testing.T) {
	h, _ := tuned(t)
	file := filepath.Join(t.TempDir(), "new", "state.json")
	plan := Plan{Cores: []int{2}, Interfaces: []string{"eth0"}, XDP: map[string]XDPSupport{"eth0": {Driver: "ice", Native: true, ZeroCopy: true}}}
	findings := h.CheckUp(plan)
	changes := changesOf(findings)
	before := kept(t, h, changes)
	if len(changes) < 10 {
		t.Fatalf("%d changes: %v", len(changes), changes)
	}
	outcomes, err := h.Apply(file, changes)
	if err != nil {
		t.Fatal(err)
	}
	for i := range outcomes {
		if !outcomes[i].Done {
			t.Errorf("not done: %v: %s", outcomes[i].Change, outcomes[i].Why)
		}
	}
	for path, want := range map[string]string{
		"/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor": "performance", "/sys/devices/system/cpu/cpu2/cpuidle/state3/disable": "1",
		"/sys/devices/system/cpu/cpu2/cpuidle/state0/disable": "0", "/sys/class/net/eth0/napi_defer_hard_irqs": "0",
		"/proc/irq/27/smp_affinity_list": "0-1,3", "/sys/devices/virtual/workqueue/cpumask": "b", "/proc/sys/kernel/sched_rt_runtime_us": "-1",
	} {
		if got := value(t, h, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if left := changesOf(h.CheckUp(plan)); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := h.Revert(file); err != nil {
		t.Fatal(err)
	}
	for name, v := range kept(t, h, changes) {
		if v != before[name] {
			t.Errorf("%s is %q, was %q", name, v, before[name])
		}
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file stays: %v", err)
	}
	if outcomes, err := h.Revert(file); err != nil || len(outcomes) != 0 {
		t.Errorf("reverted twice: %v %v", outcomes, err)
	}
}

// Findings that take a reboot or a hand say so, and have no change.
func TestFindingsOfABadHost(t *testing.T) {
	h, _ := tuned(t)
	found := map[string]Finding{}
	for _, f := range h.CheckUp(Plan{Cores: []int{2}, Interfaces: []string{"eth0"}, XDP: map[string]XDPSupport{"eth0": {Driver: "e1000e", Why: "operation not supported"}}}) {
		if f.Severity != Note && (f.Why == "" || f.Remedy == "") {
			t.Errorf("not why, or no remedy: %+v", f)
		}
		found[f.Subject+": "+f.What] = f
	}
	for _, want := range []string{"shares its execution units with 3", "is 6.1.0", "NUMA node of eth0: is 1", "receive ring of 4096", "8 receive queues", "does not run programs natively: operation not supported"} {
		ok := false
		for text, f := range found {
			if strings.Contains(text, want) {
				ok = true
				if f.Severity == Note || len(f.Changes) != 0 {
					t.Errorf("%+v", f)
				}
			}
		}
		if !ok {
			t.Errorf("nothing says %q", want)
		}
	}
}

// A run that dies anywhere between its first write and its last can be undone.
func TestRevertAfterACrash(t *testing.T) {
	h, _ := tuned(t)
	changes := []Change{
		{ChangeFile, "/sys/class/net/eth0/napi_defer_hard_irqs", "", "2", "0"},
		{ChangeNIC, "eth0", "rx-usecs", "50", "0"},
		{ChangeNIC, "eth0", "lro", "1", "0"},
	}
	for done := range len(changes) + 1 {
		file := filepath.Join(t.TempDir(), "state.json")
		s, err := h.readState(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range changes {
			s.remember(&changes[i])
		}
		if err := s.write(file); err != nil {
			t.Fatal(err)
		}
		for i := range done {
			if err := h.put(&changes[i], changes[i].New); err != nil {
				t.Fatal(err)
			}
		}
		outcomes, err := h.Revert(file)
		if err != nil {
			t.Fatal(err)
		}
		undone := 0
		for _, o := range outcomes {
			if o.Done {
				undone++
			}
		}
		if undone != done {
			t.Errorf("%d made, %d undone: %+v", done, undone, outcomes)
		}
		for i := range changes {
			if v, err := h.current(&changes[i]); err != nil || v != changes[i].Old {
				t.Errorf("%d made: %v is %q, %v", done, changes[i], v, err)
			}
		}
	}
}

func TestRevertLeavesWhatOthersChanged(t *testing.T) {
	h, nic := tuned(t)
	file := filepath.Join(t.TempDir(), "state.json")
	c := []Change{{ChangeNIC, "eth0", "rx-usecs", "50", "0"}}
	if _, err := h.Apply(file, c); err != nil {
		t.Fatal(err)
	}
	nic.with("rx-usecs", 3)
	outcomes, err := h.Revert(file)
	if err != nil || len(outcomes) != 1 || outcomes[0].Done || !strings.Contains(outcomes[0].Why, "somebody else") {
		t.Errorf("%+v %v", outcomes, err)
	}
	if v, _ := getSetting(nic, "eth0", "rx-usecs"); v != 3 {
		t.Errorf("rx-usecs is %d", v)
	}
}

// Applied twice, what was before the first time is put back.
func TestApplyTwice(t *testing.T) {
	h, nic := tuned(t)
	file := filepath.Join(t.TempDir(), "state.json")
	for _, c := range []Change{{ChangeNIC, "eth0", "rx-usecs", "50", "10"}, {ChangeNIC, "eth0", "rx-usecs", "10", "0"}} {
		if o, err := h.Apply(file, []Change{c}); err != nil || !o[0].Done {
			t.Fatal(o, err)
		}
	}
	if _, err := h.Revert(file); err != nil {
		t.Fatal(err)
	}
	if v, _ := getSetting(nic, "eth0", "rx-usecs"); v != 50 {
		t.Errorf("rx-usecs is %d, was 50", v)
	}
}

// What cannot be put back stays noted; the rest is done.
func TestFailuresAreToldAndKept(t *testing.T) {
	h, nic := tuned(t)
	file := filepath.Join(t.TempDir(), "state.json")
	changes := []Change{{ChangeNIC, "eth0", "rx-usecs", "50", "0"}, {ChangeNIC, "eth0", "lro", "1", "0"}}
	if _, err := h.Apply(file, changes); err != nil {
		t.Fatal(err)
	}
	nic.fail = nicSettings["rx-usecs"].set
	outcomes, err := h.Revert(file)
	if err != nil || outcomes[0].Why != "" || outcomes[1].Why == "" {
		t.Errorf("%+v %v", outcomes, err)
	}
	nic.fail = 0
	if outcomes, err = h.Revert(file); err != nil || len(outcomes) != 1 || !outcomes[0].Done {
		t.Errorf("%+v %v", outcomes, err)
	}
}

// A host that was started anew has nothing to undo.
func TestRebootForgets(t *testing.T) {
	h, nic := tuned(t)
	file := filepath.Join(t.TempDir(), "state.json")
	if _, err := h.Apply(file, []Change{{ChangeNIC, "eth0", "rx-usecs", "50", "0"}}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.path("/proc/sys/kernel/random/boot_id"), []byte("two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if outcomes, err := h.Revert(file); err != nil || len(outcomes) != 0 {
		t.Errorf("%+v %v", outcomes, err)
	}
	if v, _ := getSetting(nic, "eth0", "rx-usecs"); v != 0 {
		t.Errorf("rx-usecs is %d", v)
	}
}

// A state file that was written by hand reaches the kernel's files only.
func TestOnlyTheKernelsFilesAreWritten(t *testing.T) {
	h, _ := tuned(t)
	for _, path := range []string{"/etc/passwd", "/sys/../etc/passwd", "sys/x", "/proc/1/mem", "/dev/sda"} {
		if err := h.put(&Change{Kind: ChangeFile, Target: path}, "x"); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	file := filepath.Join(t.TempDir(), "state.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Revert(file); err == nil || !strings.Contains(err.Error(), "harmed") {
		t.Error(err)
	}
}

func TestMasks(t *testing.T) {
	for text, want := range map[string]string{"0": "", "b": "0-1,3", "1,80000000": "31-32", "ffffffff,00000000": "32-63"} {
		cpus, err := parseMask(text)
		if err != nil || formatCPUs(cpus) != want || formatMask(cpus) != text {
			t.Errorf("%s: %v %v, back %s", text, cpus, err, formatMask(cpus))
		}
	}
	for _, bad := range []string{"", "x", "1,,2", "123456789"} {
		if _, err := parseMask(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestMeasureJitter(t *testing.T) {
	cores, err := AllowedCores()
	if err != nil {
		t.Fatal(err)
	}
	all, err := (Host{}).MeasureJitter(cores[:1], 50*time.Millisecond)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	j := &all[0]
	counted := uint64(0)
	for _, b := range j.Bars {
		counted += b.Count
	}
	if j.Core != cores[0] || j.SpanNs < int64(50*time.Millisecond) || j.Looks < 100 || counted != j.Looks || j.StolenNs > j.SpanNs {
		t.Errorf("%+v", j)
	}
	for i := 1; i < len(j.Longest); i++ {
		if j.Longest[i].LengthNs > j.Longest[i-1].LengthNs {
			t.Errorf("not the longest first: %v", j.Longest)
		}
	}
	if _, err := (Host{}).MeasureJitter([]int{4000}, time.Millisecond); err == nil {
		t.Error("a core that is not there is measured")
	}
}

func TestJitterFinding(t *testing.T) {
	for longest, want := range map[int64]Severity{20_000: Note, 300_000: Warning, 9_000_000: Problem} {
		j := Jitter{SpanNs: 1e9, Bars: make([]Bar, len(jitterEdgesNs)+1)}
		for i := range int64(30) {
			j.note(Gap{i, 2_000 + i})
		}
		j.note(Gap{99, longest})
		if f := j.Finding(); f.Severity != want || j.LongestNs() != longest || len(j.Longest) != gapsKept {
			t.Errorf("%d: %+v", longest, f)
		}
	}
}

func TestInterruptsOfACore(t *testing.T) {
	h, _ := tuned(t)
	before, err := h.interrupts()
	if err != nil {
		t.Fatal(err)
	}
	after := map[string][]uint64{"27 (eth0-TxRx-0)": {1, 2, 9, 4}, "LOC": {0, 0, 0, 0}}
	if got := moved(before, after, 2); len(got) != 1 || got[0].Count != 6 || got[0].Name != "27 (eth0-TxRx-0)" {
		t.Errorf("%v of %v", got, before)
	}
}
