package track

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Carriers hears from the kernel when an interface loses or gets its carrier. On
// a host where any interface's carrier changed within the last second the kernel
// holds the message back until that second is over (net/core/link_watch.c, one
// run a second), so it also looks by itself.
type Carriers struct {
	stop    chan struct{}
	handle  *netlink.Handle
	fd      int               // asks ends with it
	asks    map[string]*glink // never changed after the start
	updates chan netlink.LinkUpdate
	done    sync.WaitGroup
	changed func(name string, up bool)
	telling sync.Mutex

	mu    sync.Mutex
	links map[string]*carrier
}

type carrier struct {
	known  bool
	up     bool
	losses []time.Time // of the last flapWindow
}

// lookEvery is how long a message that the kernel holds back is waited for.
const lookEvery = 10 * time.Millisecond

// flapWindow is how long a lost carrier counts as a flap.
const flapWindow = time.Minute

// WatchCarriers subscribes in the network namespace of the calling thread.
// changed is called for each change of one of the names, and for what is found
// down at the start, on a goroutine of its own; it must be quick.
func WatchCarriers(names []string, changed func(name string, up bool)) (*Carriers, error) {
	c := &Carriers{stop: make(chan struct{}), updates: make(chan netlink.LinkUpdate, 64), changed: changed,
		links: map[string]*carrier{}, asks: map[string]*glink{}}
	for _, name := range names {
		c.links[name] = new(carrier)
	}
	if err := c.open(); err != nil {
		return nil, err
	}
	c.done.Go(c.listen)
	c.done.Go(c.look)
	return c, nil
}

// open makes the sockets.
func (c *Carriers) open() error {
	var err error
	if c.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("ask for carriers: %w", err)
	}
	if c.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return errors.Join(fmt.Errorf("ask for carriers: %w", err), unix.Close(c.fd))
	}
	for name := range c.links {
		if _, err := c.handle.LinkByName(name); err != nil {
			return errors.Join(fmt.Errorf("tracked interface %s: %w", name, err), c.closeSockets())
		}
		c.asks[name] = newGlink(c.fd, name)
	}
	if err := netlink.LinkSubscribeWithOptions(c.updates, c.stop, netlink.LinkSubscribeOptions{ListExisting: true}); err != nil {
		return errors.Join(fmt.Errorf("listen for carrier changes: %w", err), c.closeSockets())
	}
	return nil
}

func (c *Carriers) closeSockets() error {
	c.handle.Close()
	return unix.Close(c.fd)
}

// Close ends it.
func (c *Carriers) Close() error {
	close(c.stop)
	c.done.Wait()
	return c.closeSockets()
}

func (c *Carriers) listen() {
	// The subscription closes the channel once its socket is closed.
	for u := range c.updates {
		c.note(u.Link.Attrs().Name, u.Header.Type != unix.RTM_DELLINK && carrierIn(u.IfInfomsg.Flags))
	}
}

// look asks the drivers for losses that listen will hear of later. That a lost
// carrier is back it asks netlink, which costs more and is rare.
func (c *Carriers) look() {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-ticker.C:
		}
		for name, g := range c.asks {
			switch up := c.Up(name); {
			case g.lost():
				if up {
					c.note(name, false)
				}
			case !up:
				if link, err := c.handle.LinkByName(name); err == nil {
					c.note(name, carrierIn(link.Attrs().RawFlags))
				}
			}
		}
	}
}

func carrierIn(flags uint32) bool { return flags&unix.IFF_UP != 0 && flags&unix.IFF_LOWER_UP != 0 }

// note keeps a state and tells of news, one after the other: what is told last
// is true.
func (c *Carriers) note(name string, up bool) {
	c.telling.Lock()
	defer c.telling.Unlock()
	if c.news(name, up) {
		c.changed(name, up)
	}
}

// news keeps a state and reports whether it is another one.
func (c *Carriers) news(name string, up bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.links[name]
	if l == nil || l.known && l.up == up {
		return false
	}
	first := !l.known
	l.known, l.up = true, up
	if !up && !first {
		l.losses = append(recent(l.losses), time.Now())
	}
	return !first || !up
}

func recent(losses []time.Time) []time.Time {
	for len(losses) > 0 && time.Since(losses[0]) > flapWindow {
		losses = losses[1:]
	}
	return losses
}

// Up reports whether an interface has its carrier; one that was not heard of yet
// counts as up.
func (c *Carriers) Up(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.links[name]
	return l == nil || !l.known || l.up
}

// Flaps returns how often a carrier was lost within the last minute, of the
// interface that lost it most often.
func (c *Carriers) Flaps() (name string, count int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, l := range c.links {
		l.losses = recent(l.losses)
		if len(l.losses) > count {
			name, count = n, len(l.losses)
		}
	}
	return name, count
}
