package pin

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	// A child of TestReexec: says what became of its environment.
	if os.Getenv("PIN_TEST_REEXEC") != "" {
		if err := Reexec(); err != nil {
			os.Stdout.WriteString("error: " + err.Error())
			os.Exit(1)
		}
		os.Stdout.WriteString(os.Getenv("GODEBUG") + " guard=" + os.Getenv("ONEBEAT_REEXEC") + " arg=" + os.Args[len(os.Args)-1])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fakeHost is a host made of files.
func fakeHost(t *testing.T, files map[string]string) Host {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Host{Root: root}
}

func TestCPUList(t *testing.T) {
	for _, c := range []struct {
		text string
		cpus []int
		back string
	}{
		{"", nil, ""}, {"\n", nil, ""}, {"(null)", nil, ""}, {"3", []int{3}, "3"},
		{"0-2,5\n", []int{0, 1, 2, 5}, "0-2,5"}, {"1,2,3,7-8", []int{1, 2, 3, 7, 8}, "1-3,7-8"},
	} {
		got, err := parseCPUs(c.text)
		if err != nil || !reflect.DeepEqual(got, c.cpus) || formatCPUs(got) != c.back {
			t.Errorf("%q: %v %v, back %q", c.text, got, err, formatCPUs(got))
		}
	}
	if got := formatCPUs([]int{5, 1, 0, 1}); got != "0-1,5" {
		t.Errorf("unsorted: %q", got)
	}
	for _, bad := range []string{"a", "1-", "3-1", "-1", "1,,2", "0-99999999", "9999999999999999999"} {
		if got, err := parseCPUs(bad); err == nil {
			t.Errorf("%q accepted as %v", bad, got)
		}
	}
}

func FuzzCPUList(f *testing.F) {
	for _, s := range []string{"0-2,5", "", "1-", "7"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cpus, err := parseCPUs(s)
		if err != nil {
			return
		}
		if _, err := parseCPUs(formatCPUs(cpus)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLockThread(t *testing.T) {
	cores, err := AllowedCores()
	if err != nil || len(cores) == 0 {
		t.Fatal(cores, err)
	}
	core := cores[len(cores)-1]
	unlock, err := LockThread(core)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := AllowedCores(); !reflect.DeepEqual(got, []int{core}) {
		t.Errorf("pinned to %v, want %d", got, core)
	}
	unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, bad := range []int{1000, -5} {
		if _, err := LockThread(bad); err == nil || !strings.Contains(err.Error(), "remedy") {
			t.Errorf("core %d: %v", bad, err)
		}
	}
	if unlock, err = LockThread(NoCore); err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestIsolation(t *testing.T) {
	h := fakeHost(t, map[string]string{
		"/sys/devices/system/cpu/online":    "0-7\n",
		"/sys/devices/system/cpu/isolated":  "2-3\n",
		"/sys/devices/system/cpu/nohz_full": "2\n",
		"/proc/cmdline":                     "quiet isolcpus=2-3 rcu_nocbs=2-4\n",
	})
	i, err := h.Isolation()
	want := Isolation{Online: []int{0, 1, 2, 3, 4, 5, 6, 7}, Isolated: []int{2, 3}, NoHzFull: []int{2}, NoRCU: []int{2, 3, 4}}
	if err != nil || !reflect.DeepEqual(i, want) {
		t.Fatalf("%+v, %v", i, err)
	}
	if i, err = (Host{}).Isolation(); err != nil || len(i.Online) == 0 {
		t.Fatalf("this machine: %+v, %v", i, err)
	}
	if _, err := fakeHost(t, map[string]string{"/sys/devices/system/cpu/online": "x"}).Isolation(); err == nil {
		t.Error("nonsense accepted")
	}
}

func TestLockMemory(t *testing.T) {
	err := LockMemory()
	if os.Geteuid() == 0 && err != nil {
		t.Fatal(err)
	}
	if err != nil {
		if !strings.Contains(err.Error(), "remedy") {
			t.Fatal(err)
		}
		return
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil || usage.Maxrss > 200<<10 {
		t.Errorf("%d KiB resident after locking, %v", usage.Maxrss, err)
	}
	if err := UnlockMemory(); err != nil {
		t.Fatal(err)
	}
}

func TestHugepages(t *testing.T) {
	h := fakeHost(t, map[string]string{
		hugepageDir + "nr_hugepages":                  "16\n",
		hugepageDir + "free_hugepages":                "12\n",
		"/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
	})
	if p, err := h.Hugepages(); err != nil || p != (Hugepages{16, 12, "madvise"}) {
		t.Fatalf("%+v, %v", p, err)
	}
	if p, err := fakeHost(t, nil).Hugepages(); err != nil || p != (Hugepages{}) {
		t.Fatalf("without support: %+v, %v", p, err)
	}
	if _, err := (Host{}).Hugepages(); err != nil {
		t.Fatal(err)
	}
}

func TestHoldLatency(t *testing.T) {
	h := fakeHost(t, map[string]string{"/dev/cpu_dma_latency": "????"})
	hold, err := h.HoldLatency(3)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(h.Root, "/dev/cpu_dma_latency")); string(b) != "\x03\x00\x00\x00" {
		t.Errorf("asked for %x", b)
	}
	if err := hold.Ask(0); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(h.Root, "/dev/cpu_dma_latency")); string(b) != "\x00\x00\x00\x00" {
		t.Errorf("asked for %x", b)
	}
	if err := hold.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := fakeHost(t, nil).HoldLatency(0); err == nil || !strings.Contains(err.Error(), "remedy") {
		t.Errorf("no device: %v", err)
	}
}

func TestIRQs(t *testing.T) {
	h := fakeHost(t, map[string]string{
		"/sys/class/net/eth0/device/msi_irqs/27": "msix",
		"/proc/interrupts": "            CPU0       CPU1\n" +
			"  1:          9          0   IO-APIC   1-edge      i8042\n" +
			" 27:        100          2   PCI-MSI 524289-edge      eth0-TxRx-0\n" +
			" 28:        100          2   PCI-MSI 524290-edge      eth0-TxRx-1\n" +
			" 29:        100          2   PCI-MSI 524290-edge      eth01-TxRx-1\n" +
			"NMI:          0          0   Non-maskable interrupts\n",
		"/proc/irq/27/smp_affinity_list": "0-1\n",
		"/proc/irq/28/smp_affinity_list": "1\n",
	})
	irqs, err := h.IRQs("eth0")
	want := []IRQ{{27, "eth0-TxRx-0", []int{0, 1}}, {28, "eth0-TxRx-1", []int{1}}}
	if err != nil || !reflect.DeepEqual(irqs, want) {
		t.Fatalf("%+v, %v", irqs, err)
	}
	if _, err := h.IRQs("../eth0"); err == nil {
		t.Error("a path accepted")
	}
	if irqs, err := (Host{}).IRQs("lo"); err != nil || len(irqs) != 0 {
		t.Errorf("loopback: %v, %v", irqs, err)
	}
}

func TestReexec(t *testing.T) {
	run := func(env ...string) string {
		cmd := exec.Command(os.Args[0], "last")
		cmd.Env = append([]string{"PIN_TEST_REEXEC=1"}, env...)
		out, _ := cmd.Output()
		return string(out)
	}
	if got := run(); got != "asyncpreemptoff=1 guard=1 arg=last" {
		t.Errorf("plain: %q", got)
	}
	if got := run("GODEBUG=madvdontneed=1"); got != "madvdontneed=1,asyncpreemptoff=1 guard=1 arg=last" {
		t.Errorf("added: %q", got)
	}
	if got := run("GODEBUG=asyncpreemptoff=1"); got != "asyncpreemptoff=1 guard= arg=last" {
		t.Errorf("already set: %q", got)
	}
	if got := run("ONEBEAT_REEXEC=1"); !strings.HasPrefix(got, "error: ") {
		t.Errorf("guarded: %q", got)
	}
	t.Setenv("GODEBUG", "asyncpreemptoff=1,asyncpreemptoff=0")
	if PreemptionOff() {
		t.Error("the last setting wins")
	}
}

func TestCheckUp(t *testing.T) {
	bad := fakeHost(t, map[string]string{
		"/sys/devices/system/cpu/online":                                   "0-1\n",
		"/sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n",
		"/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor":            "powersave\n",
		"/sys/devices/system/cpu/cpuidle/current_driver":                   "intel_idle\n",
		"/sys/kernel/mm/transparent_hugepage/enabled":                      "[always] madvise never\n",
		"/proc/42/comm":                  "irqbalance\n",
		"/proc/interrupts":               " 27: 1 2 PCI-MSI 5-edge eth0-TxRx-0\n",
		"/proc/irq/27/smp_affinity_list": "0-1\n",
	})
	found := map[string]Severity{}
	for _, f := range bad.CheckUp(Plan{Cores: []int{1, 9}, Interfaces: []string{"eth0"}, LockMemory: true}) {
		if f.Severity != Note && (f.Remedy == "" || f.Why == "") {
			t.Errorf("no remedy, or not why: %+v", f)
		}
		found[f.Subject] = max(found[f.Subject], f.Severity)
	}
	for subject, want := range map[string]Severity{
		"cores": Warning, "core 1": Warning, "core 9": Problem, "clock": Problem, "frequency": Warning,
		"C-states": Warning, "huge pages": Warning, "irqbalance": Warning,
	} {
		if got, ok := found[subject]; !ok || got != want {
			t.Errorf("%s: %v, want %v", subject, got, want)
		}
	}
	good := fakeHost(t, map[string]string{
		"/sys/devices/system/cpu/online":                                   "0-7\n",
		"/sys/devices/system/cpu/isolated":                                 "2\n",
		"/sys/devices/system/cpu/nohz_full":                                "2\n",
		"/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
		"/proc/interrupts":                                                 "",
	})
	t.Setenv("GODEBUG", "asyncpreemptoff=1")
	for _, f := range good.CheckUp(Plan{Cores: []int{2}, Interfaces: []string{"eth0"}}) {
		if f.Severity != Note {
			t.Errorf("%v: %+v", f.Severity, f)
		}
	}
	for _, f := range (Host{}).CheckUp(Plan{Cores: []int{NoCore}, Interfaces: []string{"lo"}, LockMemory: true}) {
		if strings.HasPrefix(f.What, "cannot be read") && os.Geteuid() == 0 {
			t.Errorf("this machine: %+v", f)
		}
	}
}
