package config

import (
	"fmt"
	"net/netip"
)

// once refuses what may be there once only; seen is by kind and value.
type once struct {
	*checker
	seen map[string]string
}

func (o *once) add(path, what, thing, remedy string) {
	if !o.ok(path) {
		return
	}
	key := what + " " + thing
	if before, ok := o.seen[key]; ok {
		o.fail(path, fmt.Sprintf("%s %s is already that of %s", what, thing, before), remedy)
		return
	}
	o.seen[key] = path
}

// unique refuses what several sections claim.
func (k *checker) unique() {
	o := &once{k, map[string]string{}}
	o.links()
	for i := range k.c.Lanes {
		o.lane(&k.c.Lanes[i], lanePath(i))
	}
	k.venuesElsewhere()
}

func (o *once) links() {
	for i := range o.c.Links {
		l, path := &o.c.Links[i], linkPath(i)
		at := func(name string) string { return join(path, name) }
		if l.Peer != 0 {
			o.add(at("peer"), "peer", fmt.Sprint(l.Peer), "one link leads to each peer: lanes of one peer share it")
		}
		if o.c.Node.Transport == TransportUDP {
			o.udpPort(at("port"), l.Address.Addr(), l.Port)
			continue
		}
		if l.Interface != "" {
			o.add(at("interface"), "link NIC", l.Interface, "give every cable a NIC of its own")
		}
		if !l.Address.IsZero() {
			o.add(at("address"), "link address", l.Address.String(), "give every end of a cable an address of its own")
		}
		if first := &o.c.Links[0]; l.Port != first.Port && o.ok(at("port"), join(linkPath(0), "port")) {
			o.fail(at("port"), fmt.Sprintf("%d differs from link[0]'s %d: the kernel programs of a node know one port", l.Port, first.Port),
				"use one port for all links, also at their other ends")
		}
	}
}

func (o *once) lane(l *Lane, path string) {
	at := func(name string) string { return join(path, name) }
	o.add(at("id"), "lane id", fmt.Sprint(l.ID), "number lanes differently")
	if o.c.Node.Transport == TransportUDP {
		// Without XDP all lanes answer on the node's address.
		o.udpPort(at("port"), o.c.Order.Address.Addr(), l.Port)
		for j := range l.Venues {
			if l.Venues[j].FIX == nil {
				o.udpPort(venuePath(at, j, "local_port"), o.c.Order.Address.Addr(), l.Venues[j].LocalPort)
			}
		}
	} else if !l.Address.IsZero() {
		o.add(at("address"), "lane address", l.Address.String(), "give every lane an address of its own")
	}
	for j := range l.Sessions {
		if s := &l.Sessions[j]; s.ID != (UUID{}) {
			o.add(fmt.Sprintf("%s.session[%d].id", path, j), "session", s.ID.String(), "generate another with uuidgen")
		}
	}
	for j := range l.Venues {
		if v := &l.Venues[j]; v.Session != (UUID{}) {
			o.add(venuePath(at, j, "session"), "session", v.Session.String(), "generate another with uuidgen")
		}
	}
	for j := range l.Symbols {
		o.add(fmt.Sprintf("%s.symbol[%d].id", path, j), "in "+path+" symbol", fmt.Sprint(l.Symbols[j].ID), "number symbols differently")
	}
}

func (o *once) udpPort(path string, ip netip.Addr, port Port) {
	if !ip.IsUnspecified() && port != 0 {
		o.add(path, "UDP port", netip.AddrPortFrom(ip, uint16(port)).String(), "use another port")
	}
}

// venuesElsewhere: a frame does not come back to the NIC that it left by.
func (k *checker) venuesElsewhere() {
	for i := range k.c.Lanes {
		for n := range k.c.Lanes[i].Venues {
			k.venueElsewhere(i, n)
		}
	}
}

func (k *checker) venueElsewhere(lane, n int) {
	v, path := &k.c.Lanes[lane].Venues[n], venuePath(func(name string) string { return join(lanePath(lane), name) }, n, "address")
	for j := range k.c.Lanes {
		if lane != j && k.c.Node.Transport == TransportXDP && !v.Address.IsZero() && v.Address == k.c.Lanes[j].Address && k.ok(path) {
			k.fail(path, fmt.Sprintf("is the address of %s, which this node may serve itself: nothing comes back to the NIC it left by", lanePath(j)),
				"run the venue on other hosts")
		}
	}
}

// threads: a socket belongs to one thread, so lanes that share a queue run on
// one.
func (k *checker) threads() {
	if k.c.Node.Transport != TransportXDP || !k.ok("loop.core") {
		return
	}
	for i := range k.c.Lanes {
		for j := range i {
			k.sameThread(i, j)
		}
	}
}

func (k *checker) sameThread(i, j int) {
	a, b := &k.c.Lanes[i], &k.c.Lanes[j]
	both := func(name string) bool { return k.ok(join(lanePath(i), name), join(lanePath(j), name)) }
	if !both("core") || k.c.ThreadCore(a) == k.c.ThreadCore(b) {
		return
	}
	path := join(lanePath(i), "core")
	switch {
	case both("queue") && a.Queue == b.Queue:
		k.fail(path, fmt.Sprintf("differs from %s's, but both use queue %d of the order NIC", lanePath(j), a.Queue),
			"give the lane a queue of its own, or the same core: lanes of one queue share a thread")
	case both("peer") && a.Peer != 0 && a.Peer == b.Peer:
		k.fail(path, fmt.Sprintf("differs from %s's, but both use the link to node %d", lanePath(j), a.Peer),
			"give both the same core: lanes of one link share a thread")
	}
}
