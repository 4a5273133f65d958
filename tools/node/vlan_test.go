package node

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/bench/load"
	"onebeat/bench/scene"
	"onebeat/engine/fixp"
	"onebeat/mirror/lane"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

const testVLAN = 77

// hears collects who claims an address in a VLAN of the client's network.
func (w *world) hears(vlan frame.VLAN, ip frame.IP) <-chan [6]byte {
	w.t.Helper()
	claims, stop := make(chan [6]byte, 64), make(chan struct{})
	w.t.Cleanup(func() { close(stop) })
	if err := w.in(lab.Client, func() error {
		nic, err := xdp.Inspect(lab.OrderNIC)
		if err != nil {
			return err
		}
		return xdp.WatchDirect(nic, vlan, netip.AddrFrom16(ip).Unmap(), stop, func(mac [6]byte) {
			select {
			case claims <- mac:
			default:
			}
		})
	}); err != nil {
		w.t.Fatal(err)
	}
	return claims
}

// untagged taps a place's order NIC: count is how many frames, but for IPv6,
// came up to the host without a tag.
func (w *world) untagged(place string) (count func() int) {
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
		return errors.Join(unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: nic.Index}))
	}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { unix.Close(fd) })
	return func() int {
		n, b, control := 0, make([]byte, 2048), make([]byte, 128)
		for {
			length, controlLength, _, _, err := unix.Recvmsg(fd, b, control, unix.MSG_DONTWAIT)
			if err != nil {
				return n
			}
			messages, err := unix.ParseSocketControlMessage(control[:controlLength])
			if err != nil {
				w.t.Fatal(err)
			}
			tagged := length > 14 && b[12] == 0x81 && b[13] == 0
			for _, m := range messages {
				// struct tpacket_auxdata begins with its status.
				tagged = tagged || len(m.Data) > 0 && m.Data[0]&unix.TP_STATUS_VLAN_VALID != 0
			}
			if ipv6 := b[12] == 0x86; !tagged && !ipv6 && length > 14 {
				n++
			}
		}
	}
}

// Orders in a network with 802.1Q tags: taken, answered by rides and by user
// space, traded at a venue, mirrored, and served by the other node after the
// first one's death; the new place is announced with the tag.
func TestTaggedOrderNetwork(t *testing.T) {
	for _, release := range []string{"ride", "chain", "user"} {
		t.Run(release, func(t *testing.T) {
			w := newWorld(t, setting{app: "gateway", release: release, vlan: testVLAN})
			plain := w.untagged(lab.Client)
			w.untilState(lab.NodeA, lane.Active)
			w.untilState(lab.NodeB, lane.Standby)
			w.until("session", w.client.c.Ready)
			w.orders(200)
			for _, place := range []string{lab.NodeA, lab.NodeB} {
				w.until(place+" hears both paths", func() bool {
					link, order := w.lastHeard(place)
					return link != 0 && order != 0
				})
			}
			left := func() uint64 { return w.reason(lab.NodeA, "ride_released") + w.reason(lab.NodeB, "ride_chained") }
			before, chained := left(), w.reason(lab.NodeB, "ride_chained")
			for range 100 { // in turn: of a burst only a few ride
				id := w.client.order()
				w.until("answer", func() bool { return len(w.client.answered[id]) > 0 })
			}
			// An order to the venue, and an answer, for each.
			rides := left() - before
			if release != "user" && rides < 150 || release == "user" && rides != 0 {
				t.Errorf("release %s: %d outputs left as rides", release, rides)
			}
			if chained = w.reason(lab.NodeB, "ride_chained") - chained; (release == "chain") != (chained >= 75) {
				t.Errorf("release %s: the standby let %d outputs out", release, chained)
			}

			claims := w.hears(testVLAN, frame.IPv4(lab.LaneIP))
			others := w.hears(testVLAN+1, frame.IPv4(lab.LaneIP))
			w.kill(lab.NodeA)
			w.untilState(lab.NodeB, lane.Active)
			w.orders(100)
			w.until("gratuitous ARP with the tag", func() bool {
				select {
				case mac := <-claims:
					return mac == [6]byte(lab.OrderMAC(lab.NodeB))
				default:
					return false
				}
			})
			w.checkOnce()
			if len(others) != 0 {
				t.Error("heard in another VLAN")
			}
			if n := plain(); n != 0 {
				t.Errorf("%d frames without a tag", n)
			}
			if mac := w.resolveTagged(t); mac != [6]byte(lab.OrderMAC(lab.NodeB)) {
				t.Errorf("the lane address is at %x", mac)
			}
			w.restart(lab.NodeA) // its own probes find the peer, which is no stranger
			w.untilState(lab.NodeA, lane.Standby)
			w.orders(100)
			w.checkOnce()
			w.sameState()
		})
	}
}

func (w *world) resolveTagged(t *testing.T) (mac [6]byte) {
	t.Helper()
	if err := w.in(lab.Client, func() error {
		nic, err := xdp.Inspect(lab.OrderNIC)
		if err == nil {
			mac, err = xdp.ResolveDirect(nic, testVLAN, netip.AddrFrom4(lab.LaneIP), time.Second)
		}
		if err != nil {
			return err
		}
		if _, err := xdp.ResolveDirect(nic, testVLAN+1, netip.AddrFrom4(lab.LaneIP), 50*time.Millisecond); !errors.Is(err, xdp.ErrNoNeighbour) {
			t.Errorf("in another VLAN: %v", err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	return mac
}

func (w *world) reason(place, name string) uint64 {
	w.t.Helper()
	reasons, err := w.nodes[place].kernel.Reasons()
	if err != nil {
		w.t.Fatal(err)
	}
	return reasons[name]
}

// A stranger who answers for a lane address with the tag keeps a node from
// starting; one in another VLAN does not.
func TestStrangerInTheVLAN(t *testing.T) {
	w := newWorld(t, setting{app: "book", vlan: testVLAN, noPeer: true})
	w.untilState(lab.NodeA, lane.Active)
	w.kill(lab.NodeA)
	w.cleanup(lab.NodeA)
	// The stranger announces itself all the time.
	announce := func(vlan frame.VLAN) (stop func()) {
		end, done := make(chan struct{}), make(chan struct{})
		fd := -1
		if err := w.in(lab.Venue, func() error {
			nic, err := xdp.Inspect(lab.OrderNIC)
			if err != nil {
				return err
			}
			if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: nic.Index})
		}); err != nil {
			t.Fatal(err)
		}
		go func() {
			defer close(done)
			var b [frame.TagBytes + frame.ARPBytes]byte
			n := vlan.Tag(b[:], frame.PutGratuitousARP(b[:], [6]byte(lab.OrderMAC(lab.Venue)), lab.LaneIP))
			for {
				select {
				case <-end:
					return
				case <-time.After(5 * time.Millisecond):
					unix.Write(fd, b[:n])
				}
			}
		}()
		return func() { close(end); <-done; unix.Close(fd) }
	}
	stop := announce(testVLAN)
	if err := w.start(lab.NodeA); !errors.Is(err, ErrAddressTaken) {
		t.Errorf("a stranger: %v", err)
	}
	stop()
	stop = announce(testVLAN + 1)
	if err := w.start(lab.NodeA); err != nil {
		t.Errorf("a host of another VLAN: %v", err)
	}
	stop()
}

// The load client in a VLAN: it finds the lane by tagged ARP, and its orders are
// answered.
func TestLoadInTheVLAN(t *testing.T) {
	w := newWorld(t, setting{app: "gateway", vlan: testVLAN})
	if err := w.client.port.Close(); err != nil { // the load has its NIC
		t.Fatal(err)
	}
	w.client = nil
	id, err := parseUUID(scene.Session(0))
	if err != nil {
		t.Fatal(err)
	}
	o := load.Options{Interface: lab.OrderNIC, VLAN: testVLAN, Session: id, Key: fixp.NewKey(scene.Credentials),
		Targets:       []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4(lab.LaneIP), scene.LanePort)},
		RatePerSecond: 500, Duration: time.Second, Resend: 50 * time.Millisecond}
	done := make(chan error, 1)
	var result *load.Result
	go func() {
		done <- w.in(lab.Client, func() (err error) {
			result, err = load.Run(o, nil)
			return err
		})
	}()
	w.until("load", func() bool {
		select {
		case err = <-done:
			return true
		default:
			return false
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Due != 500 || result.Accepted != 500 || result.Foreign != 0 {
		t.Errorf("%d due, %d accepted, %d foreign frames", result.Due, result.Accepted, result.Foreign)
	}
}

// Order frames with a tag are 4 bytes longer: a link that just takes a plain one
// is refused.
func TestLinkTakesTaggedOrders(t *testing.T) {
	w := newWorld(t, setting{app: "book", vlan: testVLAN})
	w.kill(lab.NodeB)
	setMTU := func(mtu int) {
		t.Helper()
		if err := w.in(lab.NodeB, func() error {
			nic, err := netlink.LinkByName(lab.LinkNIC)
			if err != nil {
				return err
			}
			return netlink.LinkSetMTU(nic, mtu)
		}); err != nil {
			t.Fatal(err)
		}
	}
	longest := 1500 + forwardOverhead // of a plain order frame's IP packet, in a FORWARD
	setMTU(longest)
	if err := w.start(lab.NodeB); !errors.Is(err, xdp.ErrMTUTooSmall) {
		t.Errorf("an MTU of %d: %v", longest, err)
	}
	setMTU(longest + frame.TagBytes)
	if err := w.start(lab.NodeB); err != nil {
		t.Errorf("an MTU of %d: %v", longest+frame.TagBytes, err)
	}
	w.untilState(lab.NodeB, lane.Standby)
}
