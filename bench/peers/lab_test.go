package peers

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"onebeat/xdp"
	"onebeat/xdp/frame"
)

const (
	clientPort = 4001
	serverPort = 4002
)

var (
	names = [2]string{"pr0", "pr1"}
	ips   = [2]netip.Addr{netip.MustParseAddr("192.168.78.1"), netip.MustParseAddr("192.168.78.2")}
)

// cable is a veth pair between two namespaces of its own.
type cable struct {
	t    *testing.T
	host netns.NsHandle
	ns   [2]netns.NsHandle
	name [2]string
}

func newCable(t *testing.T) *cable {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root, and cores for itself: left out by -short, `make test` runs it")
	}
	if os.Geteuid() != 0 {
		t.Fatal("needs root for network namespaces and BPF programs: run with sudo, or with -short to leave the kernel tests out")
	}
	runtime.LockOSThread()
	host, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{t: t, host: host}
	t.Cleanup(c.close)
	for i := range c.ns {
		c.name[i] = fmt.Sprintf("obpeer-%d-%d", os.Getpid(), i)
		if c.ns[i], err = netns.NewNamed(c.name[i]); err != nil {
			t.Fatal(err)
		}
	}
	c.in(1, func() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = names[1]
		c.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: names[0], PeerNamespace: netlink.NsFd(c.ns[0])}))
	})
	for i := range c.ns {
		c.in(i, func() {
			_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+names[i]+"/disable_ipv6", []byte("1"), 0)
			dev, err := netlink.LinkByName(names[i])
			c.must(err)
			addr, err := netlink.ParseAddr(ips[i].String() + "/24")
			c.must(err)
			c.must(netlink.AddrAdd(dev, addr))
			c.must(netlink.LinkSetUp(dev))
		})
	}
	return c
}

func (c *cable) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cable) in(i int, f func()) {
	c.t.Helper()
	// A subtest is another goroutine than the one newCable locked.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.must(netns.Set(c.ns[i]))
	defer func() { _ = netns.Set(c.host) }()
	f()
}

func (c *cable) close() {
	_ = netns.Set(c.host)
	for i := range c.ns {
		if c.ns[i] > 0 {
			_ = c.ns[i].Close()
			if err := netns.DeleteNamed(c.name[i]); err != nil {
				c.t.Errorf("namespace left behind: %v", err)
			}
		}
	}
	_ = c.host.Close()
	runtime.UnlockOSThread()
}

func env(i int) Env {
	port := uint16(clientPort)
	if i == 1 {
		port = serverPort
	}
	return Env{Interface: names[i], IP: ips[i], Port: port, Core: -1}
}

// datagram is a frame from client to server with payloadBytes of payload.
func (c *cable) datagram(payloadBytes int) []byte {
	c.t.Helper()
	var ends [2]frame.Endpoint
	for i := range ends {
		c.in(i, func() {
			iface, err := xdp.Inspect(names[i])
			c.must(err)
			ends[i] = frame.Endpoint{MAC: iface.MAC, IP: ips[i].As16(), Port: env(i).Port}
		})
	}
	b := make([]byte, frame.HeaderBytes+payloadBytes)
	var headers frame.Template
	headers.Put(b, &ends[0], ends[0].Port, &ends[1], payloadBytes)
	return b
}
