package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/xdp"
)

const tcpPort = 9500

// tcpAt is where the lane is served over TCP.
func (w *world) tcpAt(port uint16) netip.AddrPort {
	ip := w.set.address(lab.LaneIP)
	return netip.AddrPortFrom(netip.AddrFrom16(ip).Unmap(), port)
}

// stacks6 gives the kernels of a lab's hosts IPv6, with an address of their own on the
// order network: a lab has none.
func (w *world) stacks6() {
	w.t.Helper()
	for place, ip := range map[string][4]byte{lab.NodeA: lab.OrderIP(lab.NodeA), lab.NodeB: lab.OrderIP(lab.NodeB), lab.Venue: lab.VenueIP, lab.Client: lab.ClientIP} {
		if err := w.in(place, func() (err error) { // a NIC that was up for seconds has its link-local address
			for _, scope := range []string{"all", lab.OrderNIC} {
				err = errors.Join(err, os.WriteFile("/proc/sys/net/ipv6/conf/"+scope+"/accept_dad", []byte("0"), 0))
			}
			return err
		}); err != nil {
			w.t.Fatal(err)
		}
		w.kernel6(place, lab.InIPv6(ip), unix.IFA_F_NODAD)
	}
}

// serveEcho lets a node send back what it gets at its lane, as long as it lives.
func (w *world) serveEcho(place string) {
	for _, l := range w.nodes[place].lanes[0].tcp {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					io.Copy(c, c)
				}()
			}
		}()
	}
}

// tcpClient sends numbers over TCP, one after the other, and connects again as
// soon as it learns that it has to.
type tcpClient struct {
	w     *world
	place string
	stop  chan struct{}
	ended sync.WaitGroup

	mu       sync.Mutex
	connects int
	echoed   uint64
	echoedNs int64   // when the last number came back
	ends     []error // why connections ended
}

const (
	tcpEvery       = 2 * time.Millisecond
	tcpDialTimeout = 30 * time.Millisecond // far less than the stack's first retransmission
)

func (w *world) newTCPClient(place string) *tcpClient {
	c := &tcpClient{w: w, place: place, stop: make(chan struct{})}
	c.ended.Go(func() {
		for !c.stopped() {
			if err := c.session(); err != nil {
				c.mu.Lock()
				c.ends = append(c.ends, err)
				c.mu.Unlock()
				time.Sleep(time.Millisecond)
			}
		}
	})
	w.t.Cleanup(func() { close(c.stop); c.ended.Wait() })
	return c
}

func (c *tcpClient) stopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// session is one connection. Only reading finds out about its end, as a client
// does that waits for answers.
func (c *tcpClient) session() error {
	conn, err := c.w.dialTCP(c.place, c.w.tcpAt(tcpPort))
	if err != nil {
		return err
	}
	defer conn.Close()
	c.mu.Lock()
	c.connects++
	c.mu.Unlock()
	end := make(chan error, 1)
	go func() { end <- c.read(conn) }()
	tick := time.NewTicker(tcpEvery)
	defer tick.Stop()
	for n := uint64(1); ; n++ {
		select {
		case err := <-end:
			return err
		case <-c.stop:
			conn.Close()
			<-end
			return nil
		case <-tick.C:
			conn.Write(binary.BigEndian.AppendUint64(nil, n))
		}
	}
}

func (c *tcpClient) read(conn net.Conn) error {
	var b [8]byte
	for {
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			return err
		}
		c.mu.Lock()
		c.echoed++
		c.echoedNs = c.w.clock.NowNs()
		c.mu.Unlock()
	}
}

func (w *world) dialTCP(place string, at netip.AddrPort) (conn net.Conn, err error) {
	err = w.in(place, func() error {
		conn, err = net.DialTimeout("tcp", at.String(), tcpDialTimeout)
		return err
	})
	return conn, err
}

func (c *tcpClient) state() (connects int, echoed uint64, echoedNs int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connects, c.echoed, c.echoedNs
}

func (c *tcpClient) firstEnd() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ends[0]
}

// flows waits until numbers come back, over another connection than the first n.
func (c *tcpClient) flows(n int) (echoedNs int64) {
	c.w.t.Helper()
	c.w.until("an echo over TCP", func() bool {
		connects, echoed, _ := c.state()
		return connects > n && echoed > 0
	})
	_, before, _ := c.state()
	c.w.until("more of them", func() bool { _, now, _ := c.state(); return now > before })
	_, _, echoedNs = c.state()
	return echoedNs
}

// newTCPWorld is a pair that serves an echo at the lane address. The client is
// where a venue would be: at the client's place AF_XDP has the NIC.
func newTCPWorld(t *testing.T, s setting) (*world, *tcpClient) {
	t.Helper()
	s.app, s.tcp = "book", map[int][]uint16{0: {tcpPort}}
	w := newWorld(t, s)
	w.serveEcho(lab.NodeA)
	w.serveEcho(lab.NodeB)
	w.untilState(lab.NodeA, lane.Active)
	w.untilState(lab.NodeB, lane.Standby)
	c := w.newTCPClient(lab.Venue)
	c.flows(0)
	return w, c
}

// heardFrom taps a place's order NIC for what one MAC says in the name of the
// lane, resets left out: count is how many frames since the last call.
func (w *world) heardFrom(place string, mac net.HardwareAddr) (count func() int) {
	w.t.Helper()
	fd := -1
	if err := w.in(place, func() error {
		nic, err := xdp.Inspect(lab.OrderNIC)
		if err != nil {
			return err
		}
		const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: nic.Index})
	}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { unix.Close(fd) })
	b := make([]byte, 2048)
	return func() int {
		for n := 0; ; {
			length, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
			if err != nil {
				return n
			}
			f := b[:length]
			if len(f) < 42 || !bytes.Equal(f[6:12], mac) {
				continue
			}
			segment := f[12] == 8 && f[13] == 0 && bytes.Equal(f[26:30], lab.LaneIP[:]) && !(f[23] == 6 && len(f) > 47 && f[47]&4 != 0)
			arp := f[12] == 8 && f[13] == 6 && bytes.Equal(f[28:32], lab.LaneIP[:])
			segment6 := f[12] == 0x86 && f[13] == 0xdd && bytes.Equal(f[22:38], lane6[:]) && !(f[20] == 6 && len(f) > 67 && f[67]&4 != 0)
			if segment || arp || segment6 {
				n++
			}
		}
	}
}

// A client of a lane over TCP, whatever becomes of its node: the old connection is
// reset, the new one made by the same address, and the old node says nothing more.
func TestTCPFollowsTheLane(t *testing.T) {
	for _, c := range []struct {
		name    string
		witness bool
		ipv6    bool
		fault   func(w *world)
	}{
		{"kill", false, false, func(w *world) { w.kill(lab.NodeA) }},
		{"kill, IPv6", false, true, func(w *world) { w.kill(lab.NodeA) }},
		{"stop, IPv6", false, true, func(w *world) { w.frozen[lab.NodeA] = true }},
		{"stop", false, false, func(w *world) { w.frozen[lab.NodeA] = true }},
		{"handover", false, false, func(w *world) { w.giveLane(lab.NodeA, lab.NodeB) }},
		{"power", true, false, func(w *world) {
			for _, nic := range []string{lab.OrderNIC, lab.LinkNIC, lab.WitnessNIC} {
				if err := w.lab.SetCarrier(lab.NodeA, nic, false); err != nil {
					w.t.Fatal(err)
				}
			}
			w.frozen[lab.NodeA] = true
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, client := newTCPWorld(t, setting{witness: c.witness, ipv6: c.ipv6, stack6: c.ipv6})
			connects, _, _ := client.state()
			faultNs := w.clock.NowNs()
			c.fault(w)
			w.untilState(lab.NodeB, lane.Active)
			says := w.heardFrom(lab.Venue, lab.OrderMAC(lab.NodeA))
			tookNs := client.flows(connects) - faultNs
			t.Logf("first echo of the new primary %v after the fault", time.Duration(tookNs))
			if n := says(); n != 0 {
				t.Errorf("%d frames of the old primary in the name of the lane", n)
			}
			if err := client.firstEnd(); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
				t.Errorf("the old connection ended with %v", err)
			}
			if time.Duration(tookNs) > 3*time.Second {
				t.Errorf("it took %v", time.Duration(tookNs))
			}
		})
	}
}

// laneAddressAt is whether the stack of a place has the lane address.
func (w *world) laneAddressAt(place string) (there bool) {
	w.t.Helper()
	if err := w.in(place, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		all, err := netlink.AddrList(lo, netlink.FAMILY_ALL)
		for i := range all {
			there = there || all[i].IP.Equal(w.tcpAt(0).Addr().AsSlice())
		}
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return there
}

// A standby hears and says nothing at the lane address, by any NIC, and another
// port than the lane's is closed at the primary.
func TestStandbyIsSilentOverTCP(t *testing.T) {
	w, client := newTCPWorld(t, setting{})
	before := w.reason(lab.NodeB, "tcp_not_active")
	if err := w.in(lab.Venue, func() error { return toMAC(lab.NodeB) }); err != nil {
		t.Fatal(err)
	}
	says := w.heardFrom(lab.Venue, lab.OrderMAC(lab.NodeB))
	if conn, err := w.dialTCP(lab.Venue, w.tcpAt(tcpPort)); err == nil {
		conn.Close()
		t.Error("a standby took a connection")
	}
	w.until("it is counted", func() bool { return w.reason(lab.NodeB, "tcp_not_active") > before })
	if n := says(); n != 0 {
		t.Errorf("a standby said %d things", n)
	}
	if err := w.in(lab.Venue, func() error { return toMAC(lab.NodeA) }); err != nil {
		t.Fatal(err)
	}
	connects, _, _ := client.state()
	client.flows(connects - 1)
	refused := w.reason(lab.NodeA, "tcp_refused")
	if conn, err := w.dialTCP(lab.Venue, w.tcpAt(tcpPort+1)); err == nil || errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("another port: %v, %v", conn, err)
	}
	if now := w.reason(lab.NodeA, "tcp_refused"); now == refused {
		t.Error("not counted")
	}
	// Who asks on another network for the lane address is not answered.
	if err := w.in(lab.Witness, func() error {
		if _, err := xdp.Resolve("br0", netip.AddrFrom4(lab.LaneIP), 100*time.Millisecond); err == nil {
			t.Error("the lane address answers on the witness's network")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// toMAC sends a place's frames for the lane address to a node; it runs there.
func toMAC(node string) error {
	nic, err := netlink.LinkByName(lab.OrderNIC)
	if err != nil {
		return err
	}
	return netlink.NeighSet(&netlink.Neigh{LinkIndex: nic.Attrs().Index, State: netlink.NUD_REACHABLE, IP: lab.LaneIP[:], HardwareAddr: lab.OrderMAC(node)})
}

// The lane address comes and goes with the node, and what a killed one left is
// taken over, or cleaned up.
func TestLaneAddressComesAndGoes(t *testing.T) {
	w, _ := newTCPWorld(t, setting{noPeer: false})
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		if !w.laneAddressAt(place) {
			t.Errorf("%s has no lane address", place)
		}
	}
	w.kill(lab.NodeB)
	if w.laneAddressAt(lab.NodeB) {
		t.Error("the address stayed after an orderly end")
	}
	leave := func() { // as a kill does
		t.Helper()
		if err := w.in(lab.NodeB, func() error {
			lo, err := netlink.LinkByName("lo")
			if err != nil {
				return err
			}
			return netlink.AddrAdd(lo, &netlink.Addr{IPNet: netlink.NewIPNet(lab.LaneIP[:]), Label: "lo:onebeat", Scope: unix.RT_SCOPE_HOST})
		}); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	w.restart(lab.NodeB)
	w.untilState(lab.NodeB, lane.Standby)
	w.kill(lab.NodeB)
	leave()
	if err := w.in(lab.NodeB, func() error { return Cleanup(w.config(lab.NodeB)) }); err != nil {
		t.Fatal(err)
	}
	if w.laneAddressAt(lab.NodeB) {
		t.Error("cleanup left the address")
	}
	leave()
	w.set.tcp = nil // served over TCP no more
	w.restart(lab.NodeB)
	if w.laneAddressAt(lab.NodeB) {
		t.Error("a lane without TCP has an address")
	}
	w.kill(lab.NodeB)
	w.set.tcp = map[int][]uint16{0: {tcpPort}}
	if err := w.in(lab.NodeB, func() error {
		nic, err := netlink.LinkByName(lab.OrderNIC)
		if err != nil {
			return err
		}
		return netlink.AddrAdd(nic, &netlink.Addr{IPNet: netlink.NewIPNet(lab.LaneIP[:])})
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.start(lab.NodeB); err == nil || !strings.Contains(err.Error(), "ip addr del") {
		t.Errorf("an address on the order NIC: %v", err)
	}
}

// An IPv6 one does the same: what a node put there is told from what others did.
func TestIPv6LaneAddressComesAndGoes(t *testing.T) {
	w, _ := newTCPWorld(t, setting{ipv6: true, stack6: true})
	if !w.laneAddressAt(lab.NodeB) {
		t.Error("no lane address")
	}
	w.kill(lab.NodeB)
	if w.laneAddressAt(lab.NodeB) {
		t.Error("the address stayed after an orderly end")
	}
	put := func(nic string, a netlink.Addr, change func(netlink.Link, *netlink.Addr) error) {
		t.Helper()
		a.IPNet = netlink.NewIPNet(lane6[:])
		if err := w.in(lab.NodeB, func() error {
			l, err := netlink.LinkByName(nic)
			if err != nil {
				return err
			}
			return change(l, &a)
		}); err != nil {
			t.Fatal(err)
		}
	}
	left := netlink.Addr{Flags: unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE, ValidLft: math.MaxUint32}
	put("lo", left, netlink.AddrAdd) // as a kill does
	if err := w.in(lab.NodeB, func() error { return Cleanup(w.config(lab.NodeB)) }); err != nil {
		t.Fatal(err)
	}
	if w.laneAddressAt(lab.NodeB) {
		t.Error("cleanup left the address")
	}
	put("lo", left, netlink.AddrAdd)
	w.restart(lab.NodeB)
	w.untilState(lab.NodeB, lane.Standby)
	w.kill(lab.NodeB)
	for _, nic := range []string{"lo", lab.OrderNIC} { // a person's
		by := netlink.Addr{Flags: unix.IFA_F_NODAD}
		put(nic, by, netlink.AddrAdd)
		if err := w.start(lab.NodeB); err == nil || !strings.Contains(err.Error(), "ip addr del") {
			t.Errorf("an address on %s: %v", nic, err)
		}
		put(nic, by, netlink.AddrDel)
	}
	if err := w.in(lab.NodeB, func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6", []byte("1"), 0)
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.start(lab.NodeB); err == nil || !strings.Contains(err.Error(), "net.ipv6.conf.lo.disable_ipv6=0") {
		t.Errorf("without IPv6: %v", err)
	}
}

// Without kernel programs the node's own address is served, and its role decides.
func TestTCPWithoutKernelPrograms(t *testing.T) {
	w := newUDPWorld(t, setting{app: "book", tcp: map[int][]uint16{0: {0}}})
	w.untilState(lab.NodeA, lane.Active)
	w.untilState(lab.NodeB, lane.Standby)
	w.serveEcho(lab.NodeA)
	w.serveEcho(lab.NodeB)
	echo := func(place string) error {
		c, err := net.DialTimeout("tcp", w.nodes[place].lanes[0].tcp[0].Addr().String(), time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := c.Write([]byte("hello")); err != nil {
			return err
		}
		_, err = io.ReadFull(c, make([]byte, 5))
		return err
	}
	if err := echo(lab.NodeA); err != nil {
		t.Errorf("the primary: %v", err)
	}
	if err := echo(lab.NodeB); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the standby: %v", err)
	}
	w.giveLane(lab.NodeA, lab.NodeB)
	if err := echo(lab.NodeB); err != nil {
		t.Errorf("the new primary: %v", err)
	}
	if c := w.nodes[lab.NodeB].lanes[0].tcp[0].Counts(); c.NotActive != 1 || c.Accepted != 1 {
		t.Errorf("%+v", c)
	}
}
