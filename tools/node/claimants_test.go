package node

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// A host that has a lane's address keeps a node from starting; the peer that
// serves the lane does not.
func TestStrangerWithALaneAddress(t *testing.T) {
	w := steady(t, setting{app: "book"})
	w.kill(lab.NodeB)
	// While A serves, its kernel answers for the address.
	if err := w.start(lab.NodeB); err != nil {
		t.Fatalf("refused because of its peer: %v", err)
	}
	w.untilState(lab.NodeB, lane.Standby)

	w.kill(lab.NodeB)
	w.kill(lab.NodeA)
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		w.cleanup(place)
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: lab.LaneIP[:], Mask: net.CIDRMask(24, 32)}}
	change := func(f func(netlink.Link, *netlink.Addr) error) {
		t.Helper()
		if err := w.lab.Do(lab.Venue, func() error {
			nic, err := netlink.LinkByName(lab.OrderNIC)
			if err != nil {
				return err
			}
			return f(nic, address)
		}); err != nil {
			t.Fatal(err)
		}
	}
	change(netlink.AddrAdd)
	err := w.start(lab.NodeA)
	if !errors.Is(err, ErrAddressTaken) {
		t.Errorf("got %v", err)
	}
	t.Log(err)
	change(netlink.AddrDel)
	if err := w.start(lab.NodeA); err != nil {
		t.Error(err)
	}
}

// Nobody has it: the look ends in time.
func TestClaimantsWait(t *testing.T) {
	w := steady(t, setting{app: "book"})
	var found map[frame.IP][6]byte
	began := time.Now()
	if err := w.in(lab.Client, func() error {
		nic, err := xdp.Inspect(lab.OrderNIC)
		if err != nil {
			return err
		}
		c, err := xdp.FindClaimants(nic, 0, []frame.IP{frame.IPv4([4]byte{10, 10, 0, 77}), frame.IPv4(lab.LaneIP), frame.IPv4(lab.NodeBIP)}, 60*time.Millisecond)
		if err != nil {
			return err
		}
		found, err = c.Wait()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	if len(found) != 2 || found[frame.IPv4(lab.LaneIP)] != [6]byte(lab.OrderMAC(lab.NodeA)) || found[frame.IPv4(lab.NodeBIP)] != [6]byte(lab.OrderMAC(lab.NodeB)) {
		t.Errorf("found %v", found)
	}
	if _, err := xdp.FindClaimants(xdp.Interface{Name: "none", Index: 1 << 20}, 0, nil, time.Millisecond); err == nil {
		t.Error("an interface that is not there")
	}
}
