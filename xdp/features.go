package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Netlink family "netdev" (Linux 6.3, Documentation/netlink/specs/netdev.yaml).
const (
	netdevCmdDevGet     = 1
	netdevAttrIfindex   = 1
	netdevAttrXDP       = 3
	netdevXDPBasic      = 1 << 0
	netdevXDPRedirect   = 1 << 1
	netdevXDPTarget     = 1 << 2 // NETDEV_XDP_ACT_NDO_XMIT
	netdevXDPZeroCopy   = 1 << 3
	netdevVersion       = 1
	netdevFamily        = "netdev"
	attachedDriver      = 1 // XDP_ATTACHED_DRV
	probeProgramVerdict = 2 // XDP_PASS
)

// askFeatures finds out about native XDP: from netlink where the kernel has
// the family, else from a program that is attached already, else by attaching
// one that passes everything, for a moment.
func (i *Interface) askFeatures() error {
	bits, err := xdpFeatures(i.Index)
	if err == nil {
		i.Native = bits&(netdevXDPBasic|netdevXDPRedirect) == netdevXDPBasic|netdevXDPRedirect
		i.ZeroCopy = bits&netdevXDPZeroCopy != 0
		return nil
	}
	attached, err := attachedMode(i.Index)
	if err != nil {
		return fmt.Errorf("XDP state of %s: %w", i.Name, err)
	}
	if attached != 0 {
		i.Native = attached == attachedDriver
	} else if native, err := tryNative(i.Index); err == nil {
		i.Native = native
	}
	i.ZeroCopy = i.Native // not known: worth a try
	return nil
}

// genericHeader is struct genlmsghdr: command, version, and two reserved bytes
// that must be zero. netlink's own type has only the first two and sends what
// lies behind it in memory, which the kernel refuses.
type genericHeader [nl.SizeofGenlmsg]byte

func (genericHeader) Len() int            { return nl.SizeofGenlmsg }
func (h genericHeader) Serialize() []byte { return h[:] }

func xdpFeatures(ifindex int) (uint64, error) {
	family, err := netlink.GenlFamilyGet(netdevFamily)
	if err != nil {
		return 0, err
	}
	req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_REQUEST)
	req.AddData(genericHeader{netdevCmdDevGet, netdevVersion})
	req.AddData(nl.NewRtAttr(netdevAttrIfindex, nl.Uint32Attr(uint32(ifindex))))
	answers, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return 0, err
	}
	for _, b := range answers {
		if len(b) < nl.SizeofGenlmsg {
			continue
		}
		attrs, err := nl.ParseRouteAttr(b[nl.SizeofGenlmsg:])
		if err != nil {
			return 0, err
		}
		for _, a := range attrs {
			if a.Attr.Type&nl.NLA_TYPE_MASK == netdevAttrXDP && len(a.Value) >= 8 {
				return binary.NativeEndian.Uint64(a.Value), nil
			}
		}
	}
	return 0, errors.New("no xdp-features in the answer")
}

// attachedMode is XDP_ATTACHED_NONE (0), _DRV, _SKB, _HW or _MULTI.
func attachedMode(ifindex int) (uint32, error) {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return 0, err
	}
	if x := l.Attrs().Xdp; x != nil {
		return x.AttachMode, nil
	}
	return 0, nil
}

// passProgram passes everything.
func passProgram() (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "ob_probe",
		Type:         ebpf.XDP,
		License:      "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, probeProgramVerdict), asm.Return()},
	})
}

// CheckRedirectTarget refuses an interface that drops the frames which a
// program on another one redirects to it: the kernel counts them as sent. It
// is asked once a program is attached, which some drivers wait for.
func (i *Interface) CheckRedirectTarget() error {
	bits, err := xdpFeatures(i.Index)
	if err != nil {
		return nil // a kernel without the family does not tell
	}
	if bits&netdevXDPTarget != 0 {
		return nil
	}
	remedy := "use another NIC, or let user space release (release = \"user\")"
	if i.Driver == "veth" {
		remedy = "switch GRO on at its other end while that is up (ethtool -K PEER gro on), or attach an XDP program there"
	}
	return refuse(ErrNoRedirect, fmt.Sprintf("interface %s (driver %s) takes no redirected frames", i.Name, i.Driver), remedy)
}

// CheckHost refuses a host that cannot run the programs, all reasons at once:
// privileges, kernel features by name, the address family.
func CheckHost() error {
	if err := CheckPrivileges(); err != nil {
		return err // without them the probes below only say EPERM
	}
	return errors.Join(CheckKernel(), CheckAddressFamily())
}

// feature is something of the kernel that the programs cannot do without.
type feature struct {
	what, since string
	probe       func() error
}

var kernelFeatures = []feature{
	{"XDP programs", "4.8", func() error { return features.HaveProgramType(ebpf.XDP) }},
	{"AF_XDP socket maps", "4.18", func() error { return features.HaveMapType(ebpf.XSKMap) }},
	{"device hash maps for redirects", "5.4", func() error { return features.HaveMapType(ebpf.DevMapHash) }},
	{"mmapable arrays", "5.5", func() error { return features.HaveMapFlag(features.BPF_F_MMAPABLE) }},
	{"programs started by a system call", "5.14", func() error { return features.HaveProgramType(ebpf.Syscall) }},
	{"bpf_timer in XDP", "5.15", func() error { return features.HaveProgramHelper(ebpf.XDP, asm.FnTimerStart) }},
	{"bpf_xdp_load_bytes", "5.18", func() error { return features.HaveProgramHelper(ebpf.XDP, asm.FnXdpLoadBytes) }},
}

// CheckKernel names every BPF feature that is missing.
func CheckKernel() error { return missingFeatures(kernelFeatures) }

func missingFeatures(wanted []feature) error {
	var errs []error
	for _, f := range wanted {
		err := f.probe()
		switch {
		case err == nil:
		case errors.Is(err, ebpf.ErrNotSupported):
			errs = append(errs, refuse(ErrKernelTooOld, "no "+f.what, "run Linux "+f.since+" or newer (6.1 recommended)"))
		case errors.Is(err, unix.EPERM):
			errs = append(errs, refuse(ErrNoPrivilege, "looking for "+f.what, privilegeRemedy))
		default:
			errs = append(errs, fmt.Errorf("look for %s: %w", f.what, err))
		}
	}
	return errors.Join(errs...)
}

// CheckAddressFamily refuses a kernel built without AF_XDP.
func CheckAddressFamily() error {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return explainFamily(err)
	}
	return unix.Close(fd)
}

func explainFamily(err error) error {
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		return refuse(ErrNoAddressFamily, "the kernel has no AF_XDP sockets", "use a kernel with CONFIG_XDP_SOCKETS=y (4.18 or newer)")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return refuse(ErrNoPrivilege, "opening an AF_XDP socket needs CAP_NET_RAW", privilegeRemedy)
	}
	return fmt.Errorf("open AF_XDP socket: %w", err)
}

const privilegeRemedy = `run as root, or setcap cap_bpf,cap_net_admin,cap_net_raw,cap_perfmon,cap_ipc_lock+ep on the program, or use transport = "udp"`

// CheckPrivileges names every capability that is missing.
func CheckPrivileges() error {
	have, err := effectiveCapabilities()
	if err != nil {
		return fmt.Errorf("read own capabilities: %w", err)
	}
	return missingCapabilities(have)
}

func missingCapabilities(have uint64) error {
	has := func(c int) bool { return have&(1<<c) != 0 }
	if has(unix.CAP_SYS_ADMIN) && has(unix.CAP_NET_ADMIN) && has(unix.CAP_NET_RAW) {
		return nil // before 5.8 SYS_ADMIN was what BPF and PERFMON are
	}
	var errs []error
	for _, c := range []struct {
		bit  int
		name string
		what string
	}{
		{unix.CAP_BPF, "CAP_BPF", "loading BPF programs"},
		{unix.CAP_PERFMON, "CAP_PERFMON", "BPF programs with pointer arithmetic"},
		{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "attaching XDP programs"},
		{unix.CAP_NET_RAW, "CAP_NET_RAW", "opening AF_XDP sockets"},
	} {
		if !has(c.bit) {
			errs = append(errs, refuse(ErrNoPrivilege, c.what+" needs "+c.name, privilegeRemedy))
		}
	}
	return errors.Join(errs...)
}
