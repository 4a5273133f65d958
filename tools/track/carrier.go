package track

import (
	"fmt"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Carriers hears from the kernel when an interface loses or gets its carrier. The
// first change on a host that was quiet for a second is told at once, further
// ones up to a second later (net/core/link_watch.c).
type Carriers struct {
	stop    chan struct{}
	updates chan netlink.LinkUpdate
	done    sync.WaitGroup
	changed func(name string, up bool)

	mu    sync.Mutex
	links map[string]*carrier
}

type carrier struct {
	known  bool
	up     bool
	losses []time.Time // of the last flapWindow
}

// flapWindow is how long a lost carrier counts as a flap.
const flapWindow = time.Minute

// WatchCarriers subscribes in the network namespace of the calling thread.
// changed is called for each change of one of the names, and for what is found
// down at the start, on a goroutine of its own; it must be quick.
func WatchCarriers(names []string, changed func(name string, up bool)) (*Carriers, error) {
	c := &Carriers{stop: make(chan struct{}), updates: make(chan netlink.LinkUpdate, 64), changed: changed, links: map[string]*carrier{}}
	for _, name := range names {
		c.links[name] = new(carrier)
	}
	for name := range c.links {
		if _, err := netlink.LinkByName(name); err != nil {
			return nil, fmt.Errorf("tracked interface %s: %w", name, err)
		}
	}
	if err := netlink.LinkSubscribeWithOptions(c.updates, c.stop, netlink.LinkSubscribeOptions{ListExisting: true}); err != nil {
		return nil, fmt.Errorf("listen for carrier changes: %w", err)
	}
	c.done.Go(c.listen)
	return c, nil
}

// Close ends it.
func (c *Carriers) Close() error {
	close(c.stop)
	c.done.Wait()
	return nil
}

func (c *Carriers) listen() {
	// The subscription closes the channel once its socket is closed.
	for u := range c.updates {
		up := u.Header.Type != unix.RTM_DELLINK && u.IfInfomsg.Flags&unix.IFF_UP != 0 && u.IfInfomsg.Flags&unix.IFF_LOWER_UP != 0
		name := u.Link.Attrs().Name
		if c.note(name, up) {
			c.changed(name, up)
		}
	}
}

// note keeps a state and reports whether it is news.
func (c *Carriers) note(name string, up bool) bool {
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
