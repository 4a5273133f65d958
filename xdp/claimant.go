package xdp

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/xdp/frame"
)

// probesPerWait is how often each address is asked for: a probe may be lost.
const probesPerWait = 3

// Claimants listens whether somebody on a network has one of some addresses, by
// ARP probes as RFC 5227 has them for a host that is about to take an address:
// their sender address is 0, so that they disturb no neighbour table. The RFC's
// seconds are shortened to what the caller can wait.
type Claimants struct {
	fd    int
	mac   [6]byte
	ips   [][4]byte
	found map[[4]byte][6]byte
	err   error
	done  chan struct{}
}

// FindClaimants begins to ask for addresses on an interface of the calling
// thread's network namespace, for so long; Wait returns who answered.
func FindClaimants(iface Interface, ips [][4]byte, wait time.Duration) (*Claimants, error) {
	const arp = unix.ETH_P_ARP>>8 | unix.ETH_P_ARP&0xff<<8 // network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, arp)
	if err != nil {
		return nil, fmt.Errorf("probe for lane addresses on %s: %w", iface.Name, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arp, Ifindex: iface.Index}); err != nil {
		return nil, errors.Join(fmt.Errorf("probe for lane addresses on %s: %w", iface.Name, err), unix.Close(fd))
	}
	c := &Claimants{fd: fd, mac: iface.MAC, ips: ips, found: map[[4]byte][6]byte{}, done: make(chan struct{})}
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
	defer unix.Close(c.fd)
	var b [frame.ARPBytes]byte
	began := time.Now()
	for probe := range probesPerWait {
		for _, ip := range c.ips {
			n := frame.PutARPRequest(b[:], c.mac, [4]byte{}, ip)
			if _, err := unix.Write(c.fd, b[:n]); err != nil {
				c.err = fmt.Errorf("ARP probe: %w", err)
				return
			}
		}
		if c.err = c.listen(began.Add(wait * time.Duration(probe+1) / probesPerWait)); c.err != nil {
			return
		}
	}
}

// listen takes in what comes until a moment.
func (c *Claimants) listen(until time.Time) error {
	b := make([]byte, 2048)
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
	for {
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		n, err := unix.Poll(fds, int(left.Milliseconds())+1)
		if errors.Is(err, unix.EINTR) || n == 0 {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for ARP answers: %w", err)
		}
		if n, _, err = unix.Recvfrom(c.fd, b, unix.MSG_DONTWAIT); err != nil {
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENETDOWN) {
				continue
			}
			return fmt.Errorf("ARP answers: %w", err)
		}
		c.take(b[:n])
	}
}

// take notes a claim: a frame whose sender says that it has the address. A probe
// of another host for the same one says nothing of the kind.
func (c *Claimants) take(b []byte) {
	var a frame.ARP
	if !frame.ParseARP(b, &a) || a.SenderMAC == c.mac {
		return
	}
	for _, ip := range c.ips {
		if a.SenderIP == ip {
			c.found[ip] = a.SenderMAC
		}
	}
}
