package xdp

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// bpffs mounts a BPF file system of the test's own.
func bpffs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("bpffs left behind: %v", err)
		}
	})
	return dir
}

// passing is a program that passes everything.
func passing(t *testing.T) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "pass", Type: ebpf.XDP, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func programID(t *testing.T, p *ebpf.Program) uint32 {
	t.Helper()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	return uint32(id)
}

// attachedID is the id of the program on an interface, 0 for none.
func (l *lab) attachedID(name string) uint32 {
	l.t.Helper()
	dev, err := netlink.LinkByName(name)
	l.must(err)
	if x := dev.Attrs().Xdp; x != nil && x.Attached {
		return x.ProgId
	}
	return 0
}

func TestAttachOutlivesAndIsAdopted(t *testing.T) {
	l := newLab(t, 1)
	pin := filepath.Join(bpffs(t), "lane", "order")
	l.in(0, func() {
		iface, err := Inspect(labNames[0])
		l.must(err)
		first, second := passing(t), passing(t)
		a, err := Attach(first, iface, ModeNative, pin)
		l.must(err)
		if a.Adopted || a.Mode != ModeNative || l.attachedID(iface.Name) != programID(t, first) {
			t.Fatalf("first: %+v", a)
		}
		l.must(a.Close())
		if l.attachedID(iface.Name) == 0 {
			t.Fatal("the pinned program went with the process")
		}
		b, err := Attach(second, iface, ModeNative, pin)
		l.must(err)
		if !b.Adopted || l.attachedID(iface.Name) != programID(t, second) {
			t.Fatalf("second: %+v", b)
		}
		// Without the pin the interface is taken.
		if _, err := Attach(first, iface, ModeNative, ""); !errors.Is(err, ErrProgramPresent) || !strings.Contains(err.Error(), "remedy") {
			t.Errorf("a second owner: %v", err)
		}
		l.must(b.Close())
		l.must(DetachPinned(pin))
		if _, err := os.Stat(pin); !errors.Is(err, os.ErrNotExist) || l.attachedID(iface.Name) != 0 {
			t.Error("cleanup left something behind")
		}
		l.must(DetachPinned(pin)) // nothing there is no error
	})
}

func TestAttachReplacesWhatDoesNotFit(t *testing.T) {
	l := newLab(t, 1)
	pin := filepath.Join(bpffs(t), "order")
	prog := passing(t)
	l.in(0, func() {
		lo, err := netlink.LinkByName("lo")
		l.must(err)
		l.must(netlink.LinkSetUp(lo))
		loopback, err := Inspect("lo")
		l.must(err)
		iface, err := Inspect(labNames[0])
		l.must(err)
		// lo has no native XDP: refused, or generic where that is accepted.
		if _, err := Attach(prog, loopback, ModeNative, pin); !errors.Is(err, ErrNoNativeXDP) {
			t.Errorf("native on lo: %v", err)
		}
		a, err := Attach(prog, loopback, ModeGeneric, pin)
		l.must(err)
		if a.Mode != ModeGeneric || a.Adopted {
			t.Errorf("generic on lo: %+v", a)
		}
		l.must(a.Close())
		// The same pin, another interface.
		a, err = Attach(prog, iface, ModeGeneric, pin)
		l.must(err)
		if a.Mode != ModeNative || a.Adopted || l.attachedID("lo") != 0 {
			t.Errorf("moved to the veth: %+v", a)
		}
		l.must(a.Close())
		// The interface is deleted and made again: the link is dead.
		l.remake()
		if iface, err = Inspect(labNames[0]); err != nil {
			t.Fatal(err)
		}
		a, err = Attach(prog, iface, ModeNative, pin)
		l.must(err)
		if a.Adopted || l.attachedID(iface.Name) == 0 {
			t.Errorf("after the interface was made again: %+v", a)
		}
		l.must(a.Detach())
		if l.attachedID(iface.Name) != 0 {
			t.Error("still attached")
		}
	})
}

// remake replaces the veth pair; the caller is in namespace 0.
func (l *lab) remake() {
	l.t.Helper()
	dev, err := netlink.LinkByName(labNames[0])
	l.must(err)
	l.must(netlink.LinkDel(dev))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = labNames[0]
	l.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: labNames[1], PeerNamespace: netlink.NsFd(l.ns[1])}))
	dev, err = netlink.LinkByName(labNames[0])
	l.must(err)
	l.must(netlink.LinkSetUp(dev))
}

func TestAttachRefusals(t *testing.T) {
	l := newLab(t, 1)
	l.in(0, func() {
		iface, err := Inspect(labNames[0])
		l.must(err)
		if _, err := Attach(passing(t), iface, ModeNative, filepath.Join(t.TempDir(), "pin")); err == nil || !strings.Contains(err.Error(), "bpffs") {
			t.Errorf("pin outside of bpffs: %v", err)
		}
		if l.attachedID(iface.Name) != 0 {
			t.Error("a failed pin leaves the program attached")
		}
		gone := iface
		gone.Index = 9999
		if _, err := Attach(passing(t), gone, ModeNative, ""); !errors.Is(err, ErrNoInterface) {
			t.Errorf("interface gone: %v", err)
		}
	})
	for text, want := range map[string]Mode{"native": ModeNative, "generic": ModeGeneric} {
		if m, err := ParseMode(text); err != nil || m != want || m.String() != text {
			t.Errorf("%s: %v, %v", text, m, err)
		}
	}
	if _, err := ParseMode("fast"); err == nil {
		t.Error("mode fast accepted")
	}
}
