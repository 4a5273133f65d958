package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"onebeat/xdp/frame"
)

// ResolveDirect is Resolve in a VLAN of the interface, or in IPv6. It asks itself:
// the kernel needs no interface for the VLAN, and knows no route in it, so that ip
// is a host of the interface's own network.
func ResolveDirect(iface Interface, vlan frame.VLAN, ip netip.Addr, timeout time.Duration) (mac [6]byte, err error) {
	s, err := openAsker(iface, vlan)
	if err != nil {
		return mac, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	known := false
	for deadline := time.Now().Add(timeout); !known && time.Now().Before(deadline); {
		if err := s.ask(ip.As16()); err != nil {
			return mac, err
		}
		err := s.listen(earlier(time.Now().Add(neighReprobe), deadline), func(at frame.IP, who [6]byte) bool {
			if at == ip.As16() {
				mac, known = who, true
			}
			return !known
		})
		if err != nil {
			return mac, err
		}
	}
	if !known {
		return mac, noAnswer(iface, vlan, ip, timeout)
	}
	return mac, nil
}

func noAnswer(iface Interface, vlan frame.VLAN, ip netip.Addr, timeout time.Duration) error {
	asked, where, remedy := "ARP", "on "+iface.Name, "check the cable, the address and the other host"
	if !ip.Is4() {
		asked = "Neighbour Discovery"
	}
	if vlan != 0 {
		where = fmt.Sprintf("in VLAN %d of %s", vlan, iface.Name)
		remedy = "check the address, the other host, and that the switch's port carries the VLAN with its tag"
	}
	return refuse(ErrNoNeighbour, fmt.Sprintf("%s does not answer %s %s within %v", ip, asked, where, timeout), remedy)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// watchStep is how long a closed watch may go on.
const watchStep = 50 * time.Millisecond

// WatchDirect calls moved with each MAC that claims ip on the interface, in a VLAN
// of it if vlan is not 0, whether asked or of its own accord, until stop is closed.
func WatchDirect(iface Interface, vlan frame.VLAN, ip netip.Addr, stop <-chan struct{}, moved func(mac [6]byte)) error {
	s, err := openAsker(iface, vlan)
	if err != nil {
		return err
	}
	go func() {
		defer s.close()
		for {
			select {
			case <-stop:
				return
			default:
			}
			err := s.listen(time.Now().Add(watchStep), func(at frame.IP, who [6]byte) bool {
				if at == ip.As16() {
					moved(who)
				}
				return true
			})
			if err != nil {
				return // the interface is gone
			}
		}
	}()
	return nil
}
