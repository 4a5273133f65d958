package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"onebeat/xdp/frame"
)

// ResolveTagged is Resolve in a VLAN of the interface. It asks itself: the
// kernel needs no interface for the VLAN, and knows no route in it, so that ip
// is a host of the VLAN's own network.
func ResolveTagged(iface Interface, vlan frame.VLAN, ip netip.Addr, timeout time.Duration) (mac [6]byte, err error) {
	s, err := openARP(iface, vlan)
	if err != nil {
		return mac, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	known := false
	for deadline := time.Now().Add(timeout); !known && time.Now().Before(deadline); {
		if err := s.probe(ip.As4()); err != nil {
			return mac, err
		}
		err := s.listen(earlier(time.Now().Add(neighReprobe), deadline), func(a *frame.ARP) bool {
			if a.SenderIP == ip.As4() {
				mac, known = a.SenderMAC, true
			}
			return !known
		})
		if err != nil {
			return mac, err
		}
	}
	if !known {
		return mac, refuse(ErrNoNeighbour, fmt.Sprintf("%s does not answer ARP in VLAN %d of %s within %v", ip, vlan, iface.Name, timeout),
			"check the address, the other host, and that the switch's port carries the VLAN with its tag")
	}
	return mac, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// watchStep is how long a closed watch may go on.
const watchStep = 50 * time.Millisecond

// WatchTagged calls moved with each MAC that claims ip in a VLAN of the
// interface, whether asked or of its own accord, until stop is closed.
func WatchTagged(iface Interface, vlan frame.VLAN, ip netip.Addr, stop <-chan struct{}, moved func(mac [6]byte)) error {
	s, err := openARP(iface, vlan)
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
			err := s.listen(time.Now().Add(watchStep), func(a *frame.ARP) bool {
				if a.SenderIP == ip.As4() {
					moved(a.SenderMAC)
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
