package xdp

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestInspect(t *testing.T) {
	l := newLab(t, 2)
	l.in(0, func() {
		i, err := Inspect(labNames[0])
		l.must(err)
		dev, err := netlink.LinkByName(labNames[0])
		l.must(err)
		if i.Index != dev.Attrs().Index || string(i.MAC[:]) != string(dev.Attrs().HardwareAddr) ||
			i.IPv4 != netip.PrefixFrom(labIPs[0], 24) || i.MTU != 1500 || i.RxQueues != 2 || i.TxQueues != 2 ||
			i.Driver != "veth" || !i.Up || !i.Carrier || !i.Native || i.ZeroCopy {
			t.Errorf("%+v", i)
		}
		if err := i.Check(Need{Queue: 1, MinFrameBytes: 1514, Native: true}); err != nil {
			t.Error(err)
		}
		if err := i.CheckAddress(labIPs[0]); err != nil {
			t.Error(err)
		}
		if err := i.CheckAddress(labIPs[1]); !errors.Is(err, ErrNoAddress) {
			t.Error(err)
		}
		// everything wrong, all at once
		bad := Interface{Name: "eth7", MTU: 1500, RxQueues: 4, TxQueues: 2, Driver: "slow"}
		err = bad.Check(Need{Queue: 4, MinFrameBytes: 1674, Native: true})
		for _, want := range []error{ErrInterfaceDown, ErrQueueRange, ErrMTUTooSmall, ErrNoNativeXDP} {
			if !errors.Is(err, want) {
				t.Errorf("%v is not in %v", want, err)
			}
		}
		for _, want := range []string{"ip link set dev eth7 up", "combined 5", "mtu 1660", `mode = "generic"`} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %v", want, err)
			}
		}
		l.must(netlink.LinkSetDown(dev))
		if i, err = Inspect(labNames[0]); err != nil || i.Up || i.Carrier {
			t.Errorf("down: %+v, %v", i, err)
		}
		if i, err = Inspect("lo"); err != nil || i.Native || i.IPv4.IsValid() {
			t.Errorf("lo: %+v, %v", i, err)
		}
		_, err = Inspect("nosuch0")
		if !errors.Is(err, ErrNoInterface) || !strings.Contains(err.Error(), "remedy") {
			t.Errorf("absent: %v", err)
		}
	})
	// the other end's carrier follows
	l.in(1, func() {
		if i, err := Inspect(labNames[1]); err != nil || !i.Up || i.Carrier {
			t.Errorf("far end: %+v, %v", i, err)
		}
	})
}

func TestNativeByAttaching(t *testing.T) {
	l := newLab(t, 1)
	l.in(0, func() {
		dev, err := netlink.LinkByName(labNames[0])
		l.must(err)
		lo, err := netlink.LinkByName("lo")
		l.must(err)
		if !triedNatively(t, dev.Attrs().Index) || triedNatively(t, lo.Attrs().Index) {
			t.Error("veth has native XDP and lo has not")
		}
		if l.attachedID(labNames[0]) != 0 {
			t.Error("the probe stays attached")
		}
	})
}

func TestCheckHost(t *testing.T) {
	needRoot(t)
	if err := CheckHost(); err != nil {
		t.Fatal(err)
	}
}

func TestMissingCapabilities(t *testing.T) {
	all := uint64(1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW)
	if err := missingCapabilities(all); err != nil {
		t.Error(err)
	}
	if err := missingCapabilities(1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW); err != nil {
		t.Errorf("before 5.8: %v", err)
	}
	for name, bit := range map[string]int{
		"CAP_BPF": unix.CAP_BPF, "CAP_PERFMON": unix.CAP_PERFMON, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_NET_RAW": unix.CAP_NET_RAW,
	} {
		err := missingCapabilities(all &^ (1 << bit))
		if !errors.Is(err, ErrNoPrivilege) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "setcap") {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if have, err := effectiveCapabilities(); err != nil || os.Geteuid() == 0 && have&(1<<unix.CAP_NET_RAW) == 0 {
		t.Errorf("own capabilities %x, %v", have, err)
	}
}

func TestResolve(t *testing.T) {
	l := newLab(t, 1)
	// With endpoint programs on both sides: they must leave ARP to the kernel.
	client, server := l.endpoint(0, Options{}, clientPort), l.endpoint(1, Options{}, serverPort)
	l.in(0, func() {
		mac, err := Resolve(labNames[0], labIPs[1], time.Second)
		if err != nil || mac != server.Interface().MAC {
			t.Errorf("%x, %v", mac, err)
		}
		// through a gateway
		dev, err := netlink.LinkByName(labNames[0])
		l.must(err)
		network, err := netlink.ParseIPNet("10.9.0.0/16")
		l.must(err)
		l.must(netlink.RouteAdd(&netlink.Route{LinkIndex: dev.Attrs().Index, Dst: network, Gw: labIPs[1].AsSlice()}))
		mac, err = Resolve(labNames[0], netip.MustParseAddr("10.9.1.1"), time.Second)
		if err != nil || mac != server.Interface().MAC {
			t.Errorf("through a gateway: %x, %v", mac, err)
		}
		silent := netip.MustParseAddr("192.168.77.99")
		if _, err := Resolve(labNames[0], silent, 30*time.Millisecond); !errors.Is(err, ErrNoNeighbour) {
			t.Errorf("nobody there: %v", err)
		}
		if _, err := Resolve(labNames[0], netip.MustParseAddr("172.30.0.1"), 30*time.Millisecond); !errors.Is(err, ErrNoRoute) {
			t.Errorf("no route: %v", err)
		}
		if _, err := Resolve("nosuch0", labIPs[1], time.Second); !errors.Is(err, ErrNoInterface) {
			t.Errorf("no interface: %v", err)
		}
	})
	if client.Recv(8)+server.Recv(8) != 0 {
		t.Error("ARP or the discard port reached a socket")
	}
}

func triedNatively(t *testing.T, ifindex int) bool {
	t.Helper()
	native, err := tryNative(ifindex)
	if native != (err == nil) {
		t.Errorf("%t, %v", native, err)
	}
	return native
}
