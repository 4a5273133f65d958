package fence

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"onebeat/bench/lab/labtest"
	"onebeat/mirror/child"
)

// need fails a test whose programs are not installed: `make setup` names them.
func need(t *testing.T, programs ...string) {
	t.Helper()
	labtest.NeedRoot(t)
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("%s is not installed: apt-get install --no-install-recommends fence-agents openipmi ipmitool", p)
		}
	}
}

// TestFenceDummy runs the agent that the package fence-agents ships for tests.
func TestFenceDummy(t *testing.T) {
	need(t, "fence_dummy")
	file := filepath.Join(t.TempDir(), "power")
	if err := os.WriteFile(file, []byte("on"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, j := open(t, Config{Agent: "fence_dummy", Options: []Option{{"status_file", file}}, Timeout: 20 * time.Second, Tries: 1})
	ctx := context.Background()
	steps := func(want Power) {
		t.Helper()
		if p, err := a.Status(ctx); p != want || err != nil {
			t.Fatalf("power %v, %v\n%s", p, err, j)
		}
	}
	steps(PowerOn)
	if err := errors.Join(a.Monitor(ctx), a.Off(ctx)); err != nil {
		t.Fatal(err)
	}
	steps(PowerOff)
	if err := a.Off(ctx); err != nil {
		t.Errorf("off twice: %v", err)
	}
	if err := a.On(ctx); err != nil {
		t.Fatal(err)
	}
	steps(PowerOn)

	if _, err := Open(ctx, Config{Agent: "fence_dummy", Options: []Option{{"ip", "x"}}, Timeout: 20 * time.Second}, j.logger()); err == nil ||
		!strings.Contains(err.Error(), "it knows: ") || !strings.Contains(err.Error(), "status_file") {
		t.Errorf("got %v", err)
	}
}

// TestFenceDummyFails: its type "fail" never reaches a known state.
func TestFenceDummyFails(t *testing.T) {
	need(t, "fence_dummy")
	a, _ := open(t, Config{Agent: "fence_dummy", Options: []Option{{"type", "fail"}, {"power_timeout", "1"}}, Timeout: 20 * time.Second, Tries: 1})
	if err := a.Off(context.Background()); !errors.Is(err, ErrFailed) {
		t.Errorf("got %v", err)
	}
}

// TestFenceDummySleeps: with a random sleep beyond the time limit the agent is
// killed.
func TestFenceDummySleeps(t *testing.T) {
	need(t, "fence_dummy")
	a, _ := open(t, Config{Agent: "fence_dummy", Options: []Option{{"random_sleep_range", "1"}}, Timeout: 20 * time.Second, Tries: 1})
	a.cfg.Timeout = 500 * time.Millisecond
	if err := a.Off(context.Background()); !errors.Is(err, child.ErrTimeout) {
		t.Errorf("got %v", err)
	}
}

// bmc is OpenIPMI's simulator of a management controller, in a network
// namespace of its own, on loopback. Its power is a file.
type bmc struct {
	dir string
	sim *exec.Cmd
}

const bmcPassword = "b'mc-s3cr3t&"

func startBMC(t *testing.T) *bmc {
	t.Helper()
	need(t, "ipmi_sim", "ipmitool", "fence_ipmilan")
	// The thread stays in the namespace, and dies with the test's goroutine.
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	b := &bmc{dir: t.TempDir()}
	b.write(t, "power", "1\n", 0o600)
	b.write(t, "chassis", `#!/bin/sh
P=`+b.dir+`/power
shift; op=$1; shift
while [ $# -gt 0 ]; do
	case $op,$1 in
	get,power) echo power:$(cat $P);;
	set,power) [ -e `+b.dir+`/stuck ] || echo $2 > $P; shift;;
	get,*) echo "$1:0";;
	set,*) shift;;
	esac
	shift
done
`, 0o700)
	b.write(t, "lan.conf", `name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 623
    priv_limit admin
    allowed_auths_callback md5
    allowed_auths_user md5
    allowed_auths_operator md5
    allowed_auths_admin md5
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "`+b.dir+`/chassis 0x20"
  user 2 true "fencer" "`+bmcPassword+`" admin 10 md5
`, 0o600)
	b.write(t, "sim.emu", `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
`, 0o600)
	b.sim = exec.Command("ipmi_sim", "-c", filepath.Join(b.dir, "lan.conf"), "-f", filepath.Join(b.dir, "sim.emu"), "-s", b.dir, "-n")
	if err := b.sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.sim.Process.Kill(); err == nil {
			_ = b.sim.Wait()
		}
	})
	return b
}

func (b *bmc) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func (b *bmc) power(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "power"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// TestIPMI takes a simulated host's power with fence_ipmilan and ipmitool over
// RMCP+, while all processes' arguments and environments are searched for the
// password.
func TestIPMI(t *testing.T) {
	b := startBMC(t)
	cfg := Config{Agent: "fence_ipmilan", Timeout: 20 * time.Second, Tries: 2,
		Options:     []Option{{"ip", "127.0.0.1"}, {"lanplus", "1"}, {"username", "fencer"}, {"cipher", "3"}, {"power_wait", "0"}},
		SecretsFile: secretsFile(t, "password="+bmcPassword+"\n")}
	a, j := open(t, cfg)
	ctx := context.Background()
	untilReady(t, a)

	leaks := watchProcesses("s3cr3t")
	if err := a.Off(ctx); err != nil {
		t.Fatalf("%v\n%s", err, j)
	}
	if b.power(t) != "0" {
		t.Error("the host has power")
	}
	if p, err := a.Status(ctx); p != PowerOff || err != nil {
		t.Errorf("%v, %v", p, err)
	}
	if err := a.On(ctx); err != nil || b.power(t) != "1" {
		t.Errorf("on: %v, power %s", err, b.power(t))
	}
	found, seen := leaks()
	for _, leak := range found {
		t.Errorf("the password is in %s", leak)
	}
	if !seen {
		t.Error("ipmitool was never seen running: the search proves nothing")
	}
	if strings.Contains(j.String(), "s3cr3t") {
		t.Errorf("log: %s", j)
	}

	// A controller that says yes and does nothing.
	b.write(t, "stuck", "", 0o600)
	a.cfg.Tries = 1
	a.cfg.Options = append(a.cfg.Options, Option{"power_timeout", "2"})
	if err := a.Off(ctx); err == nil {
		t.Error("a host that stays on was taken for off")
	}

	wrong := cfg
	wrong.SecretsFile = secretsFile(t, "password=other\n")
	w, _ := open(t, wrong)
	if err := w.Monitor(ctx); !errors.Is(err, ErrFailed) {
		t.Errorf("wrong password: %v", err)
	}
}

func untilReady(t *testing.T, a *Agent) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		p, err := a.Status(context.Background())
		if err == nil && p == PowerOn {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the simulator does not answer: %v, %v", p, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// watchProcesses looks through /proc until the function it returns is called,
// which says where a word was seen, and whether ipmitool ran meanwhile.
func watchProcesses(word string) func() (found []string, sawTool bool) {
	stop, result := make(chan struct{}), make(chan struct{})
	leaks, sawTool := map[string]bool{}, false
	look := func() {
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			for _, what := range []string{"cmdline", "environ"} {
				text, err := os.ReadFile(filepath.Join("/proc", e.Name(), what))
				if err != nil {
					continue
				}
				if strings.Contains(string(text), word) {
					leaks[what+" of "+string(text[:min(20, len(text))])] = true
				}
				sawTool = sawTool || what == "cmdline" && strings.Contains(string(text), "ipmitool\x00-f")
			}
		}
	}
	go func() {
		defer close(result)
		for {
			look()
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() ([]string, bool) {
		close(stop)
		<-result
		var found []string
		for l := range leaks {
			found = append(found, l)
		}
		return found, sawTool
	}
}
