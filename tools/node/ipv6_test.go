package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/bench/lab/labtest"
	"onebeat/bench/load"
	"onebeat/bench/scene"
	"onebeat/engine/fixp"
	"onebeat/mirror/lane"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

var lane6 = frame.IP(lab.InIPv6(lab.LaneIP))

func (w *world) order6(t *testing.T, n int) {
	t.Helper()
	for range n { // in turn: of a burst only a few ride
		id := w.client.order()
		w.until("answer", func() bool { return len(w.client.answered[id]) > 0 })
	}
}

// untilAnnounced waits until a node says that it has the lane address.
func (w *world) untilAnnounced(claims <-chan [6]byte, place string) {
	w.t.Helper()
	w.until("announcement of "+place, func() bool {
		select {
		case mac := <-claims:
			return mac == [6]byte(lab.OrderMAC(place))
		default:
			return false
		}
	})
}

// Orders to a lane with an IPv6 address: taken, answered by rides and by user
// space, traded at a venue, mirrored, served by the other node after the first
// one's death and handed back; each place is announced, and found by who asks.
func TestOrdersOverIPv6(t *testing.T) {
	for _, c := range []struct {
		release string
		vlan    frame.VLAN
	}{{"ride", 0}, {"chain", 0}, {"user", 0}, {"ride", testVLAN}} {
		t.Run(fmt.Sprint(c.release, " VLAN ", c.vlan), func(t *testing.T) {
			w := newWorld(t, setting{app: "gateway", release: c.release, vlan: c.vlan, ipv6: true, calm: true})
			w.untilState(lab.NodeA, lane.Active)
			w.untilState(lab.NodeB, lane.Standby)
			w.until("session", w.client.c.Ready)
			w.orders(200)
			left := func() uint64 { return w.reason(lab.NodeA, "ride_released") + w.reason(lab.NodeB, "ride_chained") }
			before, chained := left(), w.reason(lab.NodeB, "ride_chained")
			w.order6(t, 100)
			// An order to the venue, and an answer, for each.
			if rides := left() - before; (c.release == "user") != (rides == 0) || c.release != "user" && rides < 150 {
				t.Errorf("%d outputs left as rides", rides)
			}
			if chained = w.reason(lab.NodeB, "ride_chained") - chained; (c.release == "chain") != (chained >= 75) {
				t.Errorf("the standby let %d outputs out", chained)
			}

			claims, others := w.hears(c.vlan, lane6), w.hears(testVLAN+1, lane6)
			w.kill(lab.NodeA)
			w.untilState(lab.NodeB, lane.Active)
			w.orders(100)
			w.untilAnnounced(claims, lab.NodeB)
			w.checkOnce()
			if len(others) != 0 {
				t.Error("heard in another VLAN")
			}
			if mac := w.find6(c.vlan); mac != [6]byte(lab.OrderMAC(lab.NodeB)) {
				t.Errorf("the lane address is at %x", mac)
			}
			w.restart(lab.NodeA) // its own questions find the peer, which is no stranger
			w.untilState(lab.NodeA, lane.Standby)
			w.orders(50)
			w.giveLane(lab.NodeB, lab.NodeA)
			w.untilAnnounced(claims, lab.NodeA)
			w.orders(100)
			w.checkOnce()
			w.sameState()
		})
	}
}

// find6 asks for the lane address from the client's place.
func (w *world) find6(vlan frame.VLAN) (mac [6]byte) {
	w.t.Helper()
	if err := w.in(lab.Client, func() error {
		nic, err := xdp.Inspect(lab.OrderNIC)
		if err == nil {
			mac, err = xdp.ResolveDirect(nic, vlan, netip.AddrFrom16(lane6), time.Second)
		}
		if err != nil {
			return err
		}
		if _, err := xdp.ResolveDirect(nic, testVLAN+1, netip.AddrFrom16(lane6), 50*time.Millisecond); !errors.Is(err, xdp.ErrNoNeighbour) {
			w.t.Errorf("in another VLAN: %v", err)
		}
		return nil
	}); err != nil {
		w.t.Error(err)
	}
	return mac
}

// kernel6 switches a place's own IPv6 on and gives its order NIC an address, as
// any host has one; flags are unix.IFA_F_NODAD or none.
func (w *world) kernel6(place string, ip frame.IP, flags int) (change func(f func(netlink.Link, *netlink.Addr) error)) {
	w.t.Helper()
	address := &netlink.Addr{IPNet: &net.IPNet{IP: ip[:], Mask: net.CIDRMask(64, 128)}, Flags: flags}
	change = func(f func(netlink.Link, *netlink.Addr) error) {
		w.t.Helper()
		if err := w.in(place, func() error {
			nic, err := netlink.LinkByName(lab.OrderNIC)
			if err != nil {
				return err
			}
			return f(nic, address)
		}); err != nil {
			w.t.Fatal(err)
		}
	}
	change(func(nic netlink.Link, a *netlink.Addr) error {
		for _, scope := range []string{"all", lab.OrderNIC} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+scope+"/disable_ipv6", []byte("0"), 0); err != nil {
				return err
			}
		}
		return netlink.AddrAdd(nic, a)
	})
	return change
}

// A host that has a lane's IPv6 address keeps a node from starting, and a lane
// that is served keeps a host from taking it: each finds the other as RFC 4862
// has it.
func TestIPv6AddressTwice(t *testing.T) {
	w := steady(t, setting{app: "book", ipv6: true})
	w.steps(200 * time.Millisecond) // the promotion's announcements would do, too
	// Linux, on its way to take it: no IFA_F_NODAD.
	taken := w.kernel6(lab.Venue, lane6, 0)
	w.until("Linux finds the lane address taken", func() (failed bool) {
		taken(func(nic netlink.Link, _ *netlink.Addr) error {
			all, err := netlink.AddrList(nic, netlink.FAMILY_V6)
			failed = slices.ContainsFunc(all, func(a netlink.Addr) bool {
				return a.IP.Equal(lane6[:]) && a.Flags&unix.IFA_F_DADFAILED != 0
			})
			return err
		})
		return failed
	})
	if w.reason(lab.NodeA, "nd_answered") == 0 {
		t.Errorf("not by what the node answered; %s", w.describe())
	}
	taken(netlink.AddrDel)

	w.kill(lab.NodeB)
	w.kill(lab.NodeA)
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		w.cleanup(place)
	}
	has := w.kernel6(lab.Venue, lane6, unix.IFA_F_NODAD)
	err := w.start(lab.NodeA)
	if !errors.Is(err, ErrAddressTaken) {
		t.Errorf("got %v", err)
	}
	t.Log(err)
	has(netlink.AddrDel)
	if err := w.start(lab.NodeA); err != nil {
		t.Error(err)
	}
}

// An ordinary host finds the lane, and follows it when it moves: its kernel takes
// the announcement.
func TestNeighbourTableFollowsIPv6(t *testing.T) {
	w := steady(t, setting{app: "book", ipv6: true})
	own := lab.InIPv6(lab.VenueIP)
	at := w.kernel6(lab.Venue, own, unix.IFA_F_NODAD)
	var conn net.Conn
	if err := w.in(lab.Venue, func() (err error) {
		conn, err = net.DialUDP("udp6", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16(lane6), scene.LanePort)))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	knows := func(place string) func() bool {
		return func() (known bool) {
			at(func(nic netlink.Link, _ *netlink.Addr) error {
				table, err := netlink.NeighList(nic.Attrs().Index, netlink.FAMILY_V6)
				known = slices.ContainsFunc(table, func(n netlink.Neigh) bool {
					return n.IP.Equal(lane6[:]) && n.HardwareAddr.String() == lab.OrderMAC(place).String()
				})
				return err
			})
			return known
		}
	}
	if _, err := conn.Write([]byte("no order")); err != nil {
		t.Fatal(err)
	}
	w.until("the host finds the lane", knows(lab.NodeA))
	w.until("its datagram", func() bool { return w.laneCounts(lab.NodeA)["session_truncated"] > 0 })
	w.giveLane(lab.NodeA, lab.NodeB)
	w.until("the host follows the lane", knows(lab.NodeB))
	if _, err := conn.Write([]byte("no order")); err != nil {
		t.Fatal(err)
	}
	w.until("its datagram, there", func() bool { return w.laneCounts(lab.NodeB)["session_truncated"] > 0 })
}

// What is wrong with a frame over IPv6 is counted where it is seen, and the log
// does not notice.
func TestBadIPv6FramesAreCountedByReason(t *testing.T) {
	w := steady(t, setting{app: "book", ipv6: true})
	a := newAttacker(w)
	for _, c := range []struct {
		name, engine, kernel string
		tweak                func(b []byte)
	}{
		{"checksum", "not_udp", "order_to_engine", func(b []byte) { b[60]++ }},
		{"no checksum", "not_udp", "order_to_engine", func(b []byte) { b[60], b[61] = 0, 0 }},
		{"payload", "not_udp", "order_to_engine", func(b []byte) { // spoilt under a sound checksum
			sum(b)
			b[80]++
		}},
		{"UDP length", "not_udp", "order_to_engine", func(b []byte) { binary.BigEndian.PutUint16(b[58:], 1400) }},
		{"payload length", "not_udp", "order_to_engine", func(b []byte) { b[19]-- }},
		{"routing header", "", "order_extension", func(b []byte) { b[20] = 43 }},
		{"fragment", "", "order_extension", func(b []byte) { b[20] = 44 }},
		{"destination options", "", "order_extension", func(b []byte) { b[20] = 60 }},
		{"wrong port", "machine_wrong_port", "order_to_engine", func(b []byte) { binary.BigEndian.PutUint16(b[56:], 9999); sum(b) }},
		{"from another address", "session_wrong_endpoint", "order_to_engine", func(b []byte) { b[37]++; sum(b) }},
		{"no lane's address", "", "", func(b []byte) { b[53]++ }},
		{"IPv4", "", "", func(b []byte) { b[12], b[13] = 8, 0 }},
	} {
		w.steps(0)
		w.client.step()
		tail := w.nodes[lab.NodeA].lanes[0].mem.table.Tail
		before, kernel := w.laneCounts(lab.NodeA), w.reasons(lab.NodeA)
		const repeats = 7
		for range repeats {
			a.send(a.orderDatagram(a.seqNo, 1<<40), clientPort, c.tweak)
		}
		a.flush()
		w.stepNodes()
		want := map[string]uint64{}
		if c.engine != "" {
			want[c.engine] = repeats
		}
		if got := risen(before, w.laneCounts(lab.NodeA), traffic); len(got) != len(want) || got[c.engine] != want[c.engine] {
			t.Errorf("%s: counted %v, want %v", c.name, got, want)
		}
		d := risen(kernel, w.reasons(lab.NodeA), func(name string) bool { return !strings.HasPrefix(name, "order_") })
		if c.kernel != "" && (d[c.kernel] != repeats || len(d) != 1) || c.kernel == "" && len(d) != 0 {
			t.Errorf("%s: the kernel counted %v", c.name, d)
		}
		if now := w.nodes[lab.NodeA].lanes[0].mem.table.Tail; now != tail {
			t.Fatalf("%s: the log grew from %d to %d", c.name, tail, now)
		}
	}
	w.orders(50)
	w.checkOnce()
	w.sameState()
}

// sum writes a frame's UDP checksum.
func sum(b []byte) {
	b[60], b[61] = 0, 0
	pseudo := append(append([]byte{}, b[22:54]...), 0, 0, b[58], b[59], 0, 0, 0, 17)
	all, s := append(pseudo, b[54:]...), uint32(0)
	for i := 0; i < len(all); i += 2 {
		s += uint32(all[i]) << 8
		if i+1 < len(all) {
			s += uint32(all[i+1])
		}
	}
	s = s&0xffff + s>>16
	binary.BigEndian.PutUint16(b[60:], ^uint16(s&0xffff+s>>16))
}

// The load client over IPv6: it finds the lane by itself, follows it, and its
// orders are answered once each.
func TestLoadOverIPv6(t *testing.T) {
	w := newWorld(t, setting{app: "gateway", ipv6: true})
	w.untilState(lab.NodeB, lane.Standby)
	if err := w.client.port.Close(); err != nil { // the load has its NIC
		t.Fatal(err)
	}
	w.client = nil
	id, err := parseUUID(scene.Session(0))
	if err != nil {
		t.Fatal(err)
	}
	o := load.Options{Interface: lab.OrderNIC, Session: id, Key: fixp.NewKey(scene.Credentials),
		Local:         netip.AddrPortFrom(netip.AddrFrom16(lab.InIPv6(lab.ClientIP)), 0),
		Targets:       []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom16(lane6), scene.LanePort)},
		RatePerSecond: 500, Duration: time.Second, Resend: 50 * time.Millisecond}
	done := make(chan error, 1)
	var result *load.Result
	go func() {
		done <- w.in(lab.Client, func() (err error) {
			result, err = load.Run(o, nil)
			return err
		})
	}()
	for began, killed := time.Now(), false; ; w.step() {
		if !killed && time.Since(began) > 700*time.Millisecond {
			w.kill(lab.NodeA)
			killed = true
		}
		select {
		case err = <-done:
		default:
			if time.Since(began) > 20*time.Second {
				t.Fatal("the load does not end; " + w.describe())
			}
			continue
		}
		break
	}
	if err != nil {
		t.Fatal(err)
	}
	if result.Due != 500 || result.Accepted != 500 || result.Foreign != 0 {
		t.Errorf("%d due, %d accepted, %d foreign frames", result.Due, result.Accepted, result.Foreign)
	}
}

// The stand-in over IPv6: orders ride, a silent node's lane is taken over, and
// given back.
func TestUDPOverIPv6(t *testing.T) {
	loopback6(t)
	w := emptyUDPWorld(t)
	w.set = setting{app: "gateway", extra: `silence = "links"`, ipv6: true}
	w.startUDP(sceneOf(&lab.Lab{Topology: lab.Switched, RunDir: w.dir, PinDir: "/nowhere"}, w.set))
	w.untilState(lab.NodeA, lane.Active)
	w.untilState(lab.NodeB, lane.Standby)
	w.until("session", w.client.c.Ready)
	w.orders(100)
	before := w.laneCounts(lab.NodeA)["released_by_user"]
	w.order6(t, 50)
	if byUser := w.laneCounts(lab.NodeA)["released_by_user"] - before; byUser > 20 {
		t.Errorf("user space released %d of 100", byUser)
	}
	w.kill(lab.NodeA)
	w.orders(100)
	if w.word(lab.NodeB).State() != lane.Active {
		t.Fatal(w.describe())
	}
	w.restart(lab.NodeA)
	w.untilState(lab.NodeA, lane.Standby)
	w.giveLane(lab.NodeB, lab.NodeA)
	w.orders(100)
	w.checkOnce()
	w.sameState()
}

// loopback6 moves the test into a network namespace whose loopback has every
// address of 127/8, and those that stand for them in IPv6.
func loopback6(t *testing.T) {
	t.Helper()
	labtest.NeedRoot(t)
	runtime.LockOSThread()
	host, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	own, err := netns.New() // without a name: it goes with the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(netns.Set(host), own.Close(), host.Close()); err != nil {
			t.Error(err)
		}
		runtime.UnlockOSThread()
	})
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	local := netlink.Route{LinkIndex: lo.Attrs().Index, Dst: &net.IPNet{IP: net.ParseIP("fd00::"), Mask: net.CIDRMask(16, 128)},
		Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: unix.RT_SCOPE_HOST}
	bindAny := os.WriteFile("/proc/sys/net/ipv6/ip_nonlocal_bind", []byte("1"), 0)
	if err := errors.Join(netlink.LinkSetUp(lo), netlink.RouteAdd(&local), bindAny); err != nil {
		t.Fatal(err)
	}
}
