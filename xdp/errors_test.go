package xdp

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// checkRefusal wants an error of a kind whose text has a remedy and the words.
func checkRefusal(t *testing.T, name string, err, kind error, words string) {
	t.Helper()
	var r *Refusal
	if !errors.Is(err, kind) || !errors.As(err, &r) || r.Remedy == "" || !strings.Contains(err.Error(), words) {
		t.Errorf("%s: %v\nwant %v with %q", name, err, kind, words)
	}
}

// Some refusals cannot be provoked on the machine of a test: here is what the
// kernel says in each case, and what becomes of it.
func TestErrnosBecomeRefusals(t *testing.T) {
	iface := Interface{Name: "eth7", Index: 1, Driver: "slow", MTU: 9000}
	o := &Options{Interface: "eth7", Queue: 2}
	// asavie/xdp formats errnos away
	bind := func(errno unix.Errno) error {
		return explainBind(iface, o, fmt.Errorf("syscall.Bind SockaddrXDP failed: %v", errno))
	}
	attach := func(errno unix.Errno, unsupported bool) error {
		return explainAttach(iface, fmt.Errorf("create link: %w", errno), unsupported)
	}
	for _, c := range []struct {
		name  string
		err   error
		kind  error
		words string
	}{
		{"bind EBUSY", bind(unix.EBUSY), ErrQueueBusy, "ss --xdp"},
		{"bind EPERM", bind(unix.EPERM), ErrNoPrivilege, "CAP_NET_RAW"},
		{"bind ENOBUFS", bind(unix.ENOBUFS), ErrNoMemory, "ulimit"},
		{"bind EINVAL", bind(unix.EINVAL), ErrKernelTooOld, "need_wakeup"},
		{"bind ENETDOWN", bind(unix.ENETDOWN), ErrInterfaceDown, "ip link set dev eth7 up"},
		{"no family", explainFamily(unix.EAFNOSUPPORT), ErrNoAddressFamily, "CONFIG_XDP_SOCKETS"},
		{"family EPERM", explainFamily(unix.EPERM), ErrNoPrivilege, "CAP_NET_RAW"},
		{"attach unsupported", attach(unix.EOPNOTSUPP, true), ErrNoNativeXDP, "generic"},
		{"attach EBUSY", attach(unix.EBUSY, false), ErrProgramPresent, "bpftool net"},
		{"attach EPERM", attach(unix.EPERM, false), ErrNoPrivilege, "setcap"},
		{"attach EINVAL", attach(unix.EINVAL, false), ErrMTUTooSmall, "9000"},
		{"attach ENODEV", attach(unix.ENODEV, false), ErrNoInterface, "ip -br link"},
		{"load EPERM", explainLoad("load", unix.EPERM), ErrNoPrivilege, "setcap"},
	} {
		checkRefusal(t, c.name, c.err, c.kind, c.words)
	}
	for _, err := range []error{bind(unix.EIO), attach(unix.EIO, false), explainFamily(unix.EMFILE), explainLoad("load", unix.EIO)} {
		var r *Refusal
		if err == nil || errors.As(err, &r) {
			t.Errorf("an errno nobody knows a remedy for: %v", err)
		}
	}
}

func TestMissingFeaturesAreNamed(t *testing.T) {
	have := func(err error) func() error { return func() error { return err } }
	if err := missingFeatures([]feature{{"a", "1.0", have(nil)}}); err != nil {
		t.Error(err)
	}
	err := missingFeatures([]feature{
		{"bpf_timer in XDP", "5.15", have(fmt.Errorf("probe: %w", ebpf.ErrNotSupported))},
		{"b", "1.0", have(nil)},
		{"bpf_xdp_load_bytes", "5.18", have(ebpf.ErrNotSupported)},
	})
	checkRefusal(t, "two missing", err, ErrKernelTooOld, "no bpf_timer in XDP; remedy: run Linux 5.15")
	checkRefusal(t, "two missing", err, ErrKernelTooOld, "no bpf_xdp_load_bytes; remedy: run Linux 5.18")
	checkRefusal(t, "forbidden", missingFeatures([]feature{{"a", "1.0", have(unix.EPERM)}}), ErrNoPrivilege, "setcap")
	if err := missingFeatures([]feature{{"a", "1.0", have(unix.EIO)}}); err == nil || errors.Is(err, ErrKernelTooOld) {
		t.Errorf("a probe that fails: %v", err)
	}
}

// TestWithoutCapabilities takes all capabilities from one thread, which ends
// with its goroutine.
func TestWithoutCapabilities(t *testing.T) {
	l := newLab(t, 1)
	var iface Interface
	l.in(0, func() {
		var err error
		iface, err = Inspect(labNames[0])
		l.must(err)
	})
	type answer struct{ host, family, endpoint error }
	answers := make(chan answer)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is spoilt
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			answers <- answer{err, err, err}
			return
		}
		a := answer{host: CheckHost(), family: CheckAddressFamily()}
		_, a.endpoint = NewEndpoint(iface, ModeNative, labIPs[0], 1)
		answers <- a
	}()
	a := <-answers
	checkRefusal(t, "CheckHost", a.host, ErrNoPrivilege, "CAP_BPF")
	checkRefusal(t, "CheckHost", a.host, ErrNoPrivilege, "CAP_NET_ADMIN")
	checkRefusal(t, "CheckAddressFamily", a.family, ErrNoPrivilege, "CAP_NET_RAW")
	checkRefusal(t, "NewEndpoint", a.endpoint, ErrNoPrivilege, "setcap")
}
