package xdp

import (
	"errors"
	"fmt"
	"time"

	"onebeat/xdp/frame"
)

// probesPerWait is how often each address is asked for: a probe may be lost.
const probesPerWait = 3

// Claimants listens whether somebody on a network has one of some addresses, by
// ARP probes as RFC 5227 has them for a host that is about to take an address:
// their sender address is 0, so that they disturb no neighbour table. The RFC's
// seconds are shortened to what the caller can wait.
type Claimants struct {
	arp   *arpSocket
	ips   [][4]byte
	found map[[4]byte][6]byte
	err   error
	done  chan struct{}
}

// FindClaimants begins to ask for addresses on an interface of the calling
// thread's network namespace, in frames of a VLAN, for so long; Wait returns who
// answered.
func FindClaimants(iface Interface, vlan frame.VLAN, ips [][4]byte, wait time.Duration) (*Claimants, error) {
	s, err := openARP(iface, vlan)
	if err != nil {
		return nil, fmt.Errorf("probe for lane addresses: %w", err)
	}
	c := &Claimants{arp: s, ips: ips, found: map[[4]byte][6]byte{}, done: make(chan struct{})}
	go c.run(wait)
	return c, nil
}

// Wait returns the MAC that answered for each address that somebody has.
func (c *Claimants) Wait() (map[[4]byte][6]byte, error) {
	<-c.done
	return c.found, c.err
}

func (c *Claimants) run(wait time.Duration) {
	defer close(c.done)
	defer func() { c.err = errors.Join(c.err, c.arp.close()) }()
	began := time.Now()
	for probe := range probesPerWait {
		for _, ip := range c.ips {
			if c.err = c.arp.probe(ip); c.err != nil {
				return
			}
		}
		until := began.Add(wait * time.Duration(probe+1) / probesPerWait)
		if c.err = c.arp.listen(until, c.take); c.err != nil {
			return
		}
	}
}

// take notes a claim: a frame whose sender says that it has the address. A probe
// of another host for the same one says nothing of the kind.
func (c *Claimants) take(a *frame.ARP) (more bool) {
	for _, ip := range c.ips {
		if a.SenderIP == ip {
			c.found[ip] = a.SenderMAC
		}
	}
	return true
}
