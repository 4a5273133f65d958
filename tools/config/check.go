package config

import (
	"fmt"
	"math/bits"
	"path/filepath"
)

// Bounds of a ring: at least a burst of records, at most what one map's value
// may hold.
const (
	minRingSize = Size(1 << 20)
	maxRingSize = Size(512 << 20)

	// ticksPerHeartbeat is what a tick is by default; the silence of a peer is
	// counted in ticks, so there must be a few.
	ticksPerHeartbeat    = 5
	minTicksPerHeartbeat = 4
)

// checker looks at what no single field shows.
type checker struct {
	*decoder
	c *Config
}

// ok is whether none of the fields has an error: a rule over them would only
// repeat it.
func (d *decoder) ok(paths ...string) bool {
	for _, p := range paths {
		if d.failed[p] {
			return false
		}
	}
	return true
}

func (d *decoder) has(path string) bool { _, ok := d.places[path]; return ok }

func (k *checker) check() {
	n := &k.c.Node
	if n.BPFFS == "" {
		n.BPFFS = "/sys/fs/bpf/onebeat-" + n.Name
	}
	for path, dir := range map[string]string{"node.bpffs": n.BPFFS, "node.run_dir": n.RunDir} {
		if !filepath.IsAbs(dir) && dir != "" {
			k.fail(path, fmt.Sprintf("%q is not an absolute path", dir), "start it with /")
		}
	}
	if n.Name != "" && filepath.Base(n.Name) != n.Name {
		k.fail("node.name", fmt.Sprintf("%q cannot name a file", n.Name), "use letters, digits and -; sockets and pins carry the name")
	}
	k.nics()
	for i := range k.c.Links {
		k.link(&k.c.Links[i], linkPath(i))
	}
	for i := range k.c.Lanes {
		k.lane(&k.c.Lanes[i], lanePath(i))
	}
	k.arbiters()
	k.unique()
	k.threads()
	k.ops()
	k.operator()
	k.archive()
	k.snapshot()
	k.stream()
	k.mirrord()
}

func linkPath(i int) string { return fmt.Sprintf("link[%d]", i) }
func lanePath(i int) string { return fmt.Sprintf("lane[%d]", i) }

// nics: each transport needs other fields of its NICs.
func (k *checker) nics() {
	if !k.ok("node.transport", "order") {
		return
	}
	switch k.c.Node.Transport {
	case TransportXDP:
		if k.c.Order.Interface == "" {
			k.fail("order.interface", "missing", "name the NIC that faces clients, or set node.transport = \"udp\"")
		}
	case TransportUDP:
		if k.c.Order.VLAN != 0 {
			k.fail("order.vlan", "has no use with transport udp", "give the address of a VLAN interface, and no vlan")
		}
		if k.c.Order.Address.IsZero() {
			k.fail("order.address", "missing with transport udp", "give the address to listen on")
		}
	}
}

func (k *checker) lane(l *Lane, path string) {
	at := func(name string) string { return join(path, name) }
	if !k.has(at("queue")) {
		l.Queue = k.c.Order.Queue
		k.failed[at("queue")] = !k.ok("order", "order.queue")
	}
	k.replication(l, at)
	k.timing(l, at)
	k.accounts(l, at)
	k.sessions(l, at)
	if k.ok(at("ring_size")) {
		if l.RingSize < minRingSize || l.RingSize > maxRingSize || bits.OnesCount64(uint64(l.RingSize)) != 1 {
			k.fail(at("ring_size"), fmt.Sprintf("%v is not a power of two from %v to %v", l.RingSize, minRingSize, maxRingSize),
				"the default is 16MiB")
		}
	}
	switch {
	case !k.ok(at("app")):
	case l.App == AppGateway && len(l.Venues) == 0 && k.ok(at("venue")):
		k.fail(at("venue"), "a gateway needs a venue", "add [[lane.venue]] with name, address, port, local_port, session and key")
	case l.App == AppBook && len(l.Venues) > 0:
		k.fail(at("venue"), "a book is a venue itself", "remove [[lane.venue]], or use app = \"gateway\"")
	}
	if l.App == AppBook && k.has(at("risk")) {
		k.fail(at("risk"), "a book makes no pre-trade checks", "remove [lane.risk], or use app = \"gateway\"")
	}
	if l.App == AppGateway && l.OrderLog != "" {
		k.fail(at("order_log"), "only a book writes one", "set it at the venue")
	}
	k.venues(l, at)
	k.exchange(l, at)
	k.fix(l, at)
}

// replication: policy, peer, and what happens without an ACK belong together.
func (k *checker) replication(l *Lane, at func(string) string) {
	if l.Peer != 0 && k.ok(at("peer"), "node.number") && l.Peer == k.c.Node.Number {
		k.fail(at("peer"), "is this node's own number", "give the other node's")
	}
	if l.Peer != 0 && k.c.Link(l.Peer) == nil && k.ok("link", at("peer")) && k.linkPeersKnown() {
		k.fail(at("peer"), fmt.Sprintf("no [[link]] leads to node %d", l.Peer),
			fmt.Sprintf("add a [[link]] with peer = %d, or remove the peer", l.Peer))
	}
	k.policy(l, at)
	k.arbitration(l, at)
	if l.Silence == SilenceLinks && l.OnTimeout == OnTimeoutDegrade && l.Arbitration == ArbitrationPair {
		k.fail(at("silence"), "links together with on_timeout = \"degrade\" lets both nodes serve when the link fails",
			"without an arbiter choose one: promote on silence, or go on alone")
	}
	if link := k.c.Link(l.Peer); l.Silence == SilenceLinks && l.Arbitration == ArbitrationPair && link != nil && !link.TwoPaths() {
		k.fail(at("silence"), fmt.Sprintf("links needs two paths to node %d: one cable's failure would be silence", l.Peer),
			"set order_address and peer_order_address of its [[link]], or silence = \"never\"")
	}
}

// timing: every budget must hold a few of the looks that it counts.
func (k *checker) timing(l *Lane, at func(string) string) {
	if !k.has(at("tick")) {
		l.Tick = l.Heartbeat / ticksPerHeartbeat
		k.failed[at("tick")] = !k.ok(at("heartbeat"))
	}
	if k.ok(at("heartbeat"), at("tick")) && l.Heartbeat < minTicksPerHeartbeat*l.Tick {
		k.fail(at("heartbeat"), fmt.Sprintf("%v is less than %d ticks of %v", l.Heartbeat, minTicksPerHeartbeat, l.Tick),
			"lengthen the heartbeat or shorten the tick")
	}
	if k.ok(at("hang_budget"), at("tick")) && l.HangBudget < 2*l.Tick {
		k.fail(at("hang_budget"), fmt.Sprintf("%v is less than 2 ticks of %v", l.HangBudget, l.Tick),
			"lengthen hang_budget or shorten the tick")
	}
	sleep := k.c.Loop.MaxSleep
	if k.ok(at("hang_budget"), "loop.idle", "loop.max_sleep") && k.c.Loop.Idle == IdleBackoff && l.HangBudget < 2*sleep {
		k.fail(at("hang_budget"), fmt.Sprintf("%v is less than twice loop.max_sleep = %v: an idle engine would look hung", l.HangBudget, sleep),
			"lengthen hang_budget, shorten loop.max_sleep, or use idle = \"yield\"")
	}
	if k.ok(at("heartbeat"), "loop.idle", "loop.max_sleep") && k.c.Loop.Idle == IdleBackoff && l.Heartbeat < 4*sleep && l.Peer != 0 {
		k.fail(at("heartbeat"), fmt.Sprintf("%v is less than four times loop.max_sleep = %v: an idle engine could not show life in time", l.Heartbeat, sleep),
			"lengthen the heartbeat, shorten loop.max_sleep, or use idle = \"yield\"")
	}
}
