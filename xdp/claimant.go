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
// ARP probes (RFC 5227) or solicitations (RFC 4862, section 5.4) of a host that is
// about to take an address: their sender address is 0, so that they disturb no
// neighbour table. The RFCs' seconds are shortened to what the caller can wait.
type Claimants struct {
	asker *asker
	ips   []frame.IP
	found map[frame.IP][6]byte
	err   error
	done  chan struct{}
}

// FindClaimants begins to ask for addresses on an interface of the calling
// thread's network namespace, in frames of a VLAN, for so long; Wait returns who
// answered.
func FindClaimants(iface Interface, vlan frame.VLAN, ips []frame.IP, wait time.Duration) (*Claimants, error) {
	s, err := openAsker(iface, vlan)
	if err != nil {
		return nil, fmt.Errorf("probe for lane addresses: %w", err)
	}
	c := &Claimants{asker: s, ips: ips, found: map[frame.IP][6]byte{}, done: make(chan struct{})}
	go c.run(wait)
	return c, nil
}

// Wait returns the MAC that answered for each address that somebody has.
func (c *Claimants) Wait() (map[frame.IP][6]byte, error) {
	<-c.done
	return c.found, c.err
}

func (c *Claimants) run(wait time.Duration) {
	defer close(c.done)
	defer func() { c.err = errors.Join(c.err, c.asker.close()) }()
	began := time.Now()
	for probe := range probesPerWait {
		for _, ip := range c.ips {
			if c.err = c.asker.probe(ip); c.err != nil {
				return
			}
		}
		until := began.Add(wait * time.Duration(probe+1) / probesPerWait)
		if c.err = c.asker.listen(until, c.take); c.err != nil {
			return
		}
	}
}

// take notes a claim: a frame whose sender says that it has the address. A probe
// of another host for the same one says nothing of the kind.
func (c *Claimants) take(at frame.IP, who [6]byte) (more bool) {
	for _, ip := range c.ips {
		if at == ip {
			c.found[ip] = who
		}
	}
	return true
}
