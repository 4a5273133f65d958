package xdp

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// lab is two network namespaces joined by a veth pair, native XDP on both
// ends: a veth only takes frames from AF_XDP when its far end runs NAPI, which
// XDP there switches on.
type lab struct {
	t    testing.TB
	host netns.NsHandle
	ns   [2]netns.NsHandle
	name [2]string
}

var (
	labNames = [2]string{"ob0", "ob1"}
	labIPs   = [2]netip.Addr{netip.MustParseAddr("192.168.77.1"), netip.MustParseAddr("192.168.77.2")}
	labCount atomic.Int32
)

// needRoot fails the test where it cannot run: a kernel test that is passed
// over in silence proves nothing. Only -short leaves it out.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if testing.Short() {
		t.Skip("needs root for network namespaces and BPF programs")
	}
	t.Fatal("needs root for network namespaces and BPF programs: run with sudo, or with -short to leave the kernel tests out")
}

func newLab(t testing.TB, queues uint32) *lab {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread()
	host, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, host: host}
	t.Cleanup(l.close)
	for i := range l.ns {
		l.name[i] = fmt.Sprintf("obxdp-%d-%d-%d", os.Getpid(), labCount.Add(1), i)
		if l.ns[i], err = netns.NewNamed(l.name[i]); err != nil {
			t.Fatal(err)
		}
	}
	l.in(1, func() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.NumRxQueues, attrs.NumTxQueues = labNames[1], int(queues), int(queues)
		pair := &netlink.Veth{
			LinkAttrs: attrs, PeerName: labNames[0], PeerNamespace: netlink.NsFd(l.ns[0]),
			PeerNumRxQueues: queues, PeerNumTxQueues: queues,
		}
		l.must(netlink.LinkAdd(pair))
	})
	for i := range l.ns {
		l.in(i, func() {
			// A lab has no duplicate address detection or router talk to wait for.
			_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+labNames[i]+"/disable_ipv6", []byte("1"), 0)
			dev, err := netlink.LinkByName(labNames[i])
			l.must(err)
			addr, err := netlink.ParseAddr(labIPs[i].String() + "/24")
			l.must(err)
			l.must(netlink.AddrAdd(dev, addr))
			l.must(netlink.LinkSetUp(dev))
		})
	}
	return l
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// in runs f in namespace i.
func (l *lab) in(i int, f func()) {
	l.t.Helper()
	// A subtest is another goroutine than the one newLab locked.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.must(netns.Set(l.ns[i]))
	defer func() { _ = netns.Set(l.host) }()
	f()
}

func (l *lab) close() {
	_ = netns.Set(l.host)
	for i := range l.ns {
		if l.ns[i] > 0 {
			_ = l.ns[i].Close()
			if err := netns.DeleteNamed(l.name[i]); err != nil {
				l.t.Errorf("namespace left behind: %v", err)
			}
		}
	}
	_ = l.host.Close()
	runtime.UnlockOSThread()
}

// endpoint opens a socket in namespace i that receives UDP to port.
func (l *lab) endpoint(i int, o Options, port uint16) *Socket {
	l.t.Helper()
	o.Interface = labNames[i]
	var s *Socket
	l.in(i, func() {
		var err error
		s, err = OpenEndpoint(o, labIPs[i], port)
		l.must(err)
	})
	l.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			l.t.Error(err)
		}
	})
	return s
}
