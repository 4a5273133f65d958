package config

import "fmt"

// link looks at one cable.
func (k *checker) link(l *Link, path string) {
	at := func(name string) string { return join(path, name) }
	if k.ok(at("peer"), "node.number") && l.Peer == k.c.Node.Number {
		k.fail(at("peer"), "is this node's own number", "give the number of the node at the other end")
	}
	if k.c.Node.Transport == TransportXDP {
		if l.Interface == "" {
			k.fail(at("interface"), "missing", "name the NIC on the cable to the peer")
		}
		if l.Interface != "" && l.Interface == k.c.Order.Interface {
			k.fail(at("interface"), l.Interface+" is the order NIC, which has a program of its own", "give the link its own NIC")
		}
	}
	if k.ok(at("address"), at("peer_address")) && l.Address == l.PeerAddress {
		k.fail(at("peer_address"), "is this node's own link address", "give the other end of the cable")
	}
	k.orderAddresses(l, at)
	switch {
	case l.Auth && l.KeyFile == "":
		k.fail(at("key_file"), "missing", "make one with `openssl rand -hex 32`, the same on both nodes, or set auth = false")
	case !l.Auth && l.KeyFile != "":
		k.fail(at("key_file"), "has no use with auth = false", "remove it, or set auth = true")
	case l.Auth && k.ok(at("key_file")):
		if problem, remedy := readKey(k.c.File, l.KeyFile, &l.Key); problem != "" {
			k.fail(at("key_file"), problem, remedy)
		}
	}
}

// orderAddresses are the second path's: both or none.
func (k *checker) orderAddresses(l *Link, at func(string) string) {
	if !k.ok(at("order_address"), at("peer_order_address")) {
		return
	}
	own, peer := !l.OrderAddress.IsZero(), !l.PeerOrderAddress.IsZero()
	switch {
	case own && !peer:
		k.fail(at("peer_order_address"), "missing, but order_address is set", "give the peer's own address on the order network, or remove both")
	case peer && !own:
		k.fail(at("order_address"), "missing, but peer_order_address is set", "give this node's own address on the order network, or remove both")
	case own && l.OrderAddress == l.PeerOrderAddress:
		k.fail(at("peer_order_address"), "is this node's own order address", "give the peer's")
	}
	for i := range k.c.Lanes {
		lane := k.c.Lanes[i].Address
		if lane.IsZero() || k.c.Node.Transport != TransportXDP {
			continue
		}
		for name, ip := range map[string]IP{"order_address": l.OrderAddress, "peer_order_address": l.PeerOrderAddress} {
			if lane.Is(ip) {
				k.fail(at(name), fmt.Sprintf("%v is the address of %s, which moves", ip, lanePath(i)), "give the node's own address on the order network")
			}
		}
	}
}

// linkPeersKnown is whether every link's peer could be read.
func (k *checker) linkPeersKnown() bool {
	for i := range k.c.Links {
		if !k.ok(linkPath(i), join(linkPath(i), "peer")) {
			return false
		}
	}
	return true
}
