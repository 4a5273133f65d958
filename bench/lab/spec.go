package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync/atomic"
)

// Places of a lab.
const (
	Client = "client"
	NodeA  = "node-a"
	NodeB  = "node-b"
	NodeC  = "node-c"
	Venue  = "venue"
	Switch = "switch"
	// Witness is where an arbiter runs; a network of its own leads there.
	Witness = "witness"
	// Box is in the middle of the nodes' cables, in labs with a fault box.
	Box = "box"
)

// Interfaces inside a place.
const (
	OrderNIC = "order0"
	// SecondOrderNIC is the client's towards node-b, where there is no switch.
	SecondOrderNIC = "order1"
	LinkNIC        = "link0"
	// SecondLinkNIC is node-c's, on its cable to node-b.
	SecondLinkNIC = "link1"
	WitnessNIC    = "witness0"
)

// MTUs in bytes. A mirror frame carries an order's answer behind its record,
// so the cable takes longer frames than the order network.
const (
	OrderMTU = 1500
	LinkMTU  = 1800
	// PairMTU is the order network's in the topology for measuring: 32 orders fit
	// into a datagram.
	PairMTU = 1560
)

// Topology is how the places are wired.
type Topology string

const (
	// Switched has all places on one bridge and a cable between the nodes.
	Switched Topology = "switched"
	// NPlusOne has a third node, the standby of the other two, with a cable to
	// each of them; there is none between those.
	NPlusOne Topology = "n-plus-one"
	// Pair wires the client to node-a directly, without a bridge: for latency.
	Pair Topology = "pair"
)

// DefaultDir holds the state files of labs.
const DefaultDir = "/run/onebeat-lab"

// Errors of a lab.
var (
	ErrExists  = errors.New("a lab of this name is up")
	ErrUnknown = errors.New("no lab of this name")
	ErrRoot    = errors.New("a lab needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN) to make network namespaces")
)

// Spec says which lab to build.
type Spec struct {
	// Name tells labs apart; empty: one made of the process id.
	Name     string
	Topology Topology // default Switched
	// Dir holds the state file; default DefaultDir.
	Dir string
	// OrderQueues is how many rx queues the nodes' order NICs have, default 1.
	// SendQueue says how to reach one of several.
	OrderQueues int
	// Clients is how many places for clients there are, default 1: a NIC has one
	// user of its XDP sockets.
	Clients int
	// FaultBox leads every cable of a node through the place Box, where SetFault
	// and Pull work. It costs each frame about a microsecond.
	FaultBox bool
	// Detached: the lab outlives this process and stays until Down.
	Detached bool
}

// SendQueue returns the queue of a client's order NIC whose frames arrive on a
// queue of a node's, in a lab whose nodes have several. A frame keeps the number
// it was sent with; the bridge takes that for a received queue's, which counts
// from 1, and for 0 chooses by itself (skb_rx_queue_recorded and skb_tx_hash in
// the kernel). What a kernel program redirects takes the number of its CPU, so
// others than nodes receive on one queue.
func SendQueue(queue int) int { return queue + 1 }

// namePattern keeps a namespace's name readable and a control socket's path
// below the 108 bytes of sun_path.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,23}$`)

// Lab is a network that is up.
type Lab struct {
	Name     string   `json:"name"`
	Topology Topology `json:"topology"`
	Clients  int      `json:"clients"`
	FaultBox bool     `json:"fault_box,omitempty"`
	// OwnerPID and OwnerStart name the process the lab belongs to; 0: detached.
	OwnerPID   int    `json:"owner_pid"`
	OwnerStart uint64 `json:"owner_start_ticks"`
	// RunDir is a directory for what runs in the lab: sockets, keys, logs.
	RunDir string `json:"run_dir"`
	// PinDir is the directory in bpffs under which each node pins.
	PinDir string `json:"pin_dir"`

	dir         string
	orderQueues int
}

// Places returns the lab's places.
func (l *Lab) Places() []string {
	places := append(l.clients(), l.Nodes()...)
	if l.Topology != Pair {
		places = append(places, Venue, Switch, Witness)
	}
	if l.FaultBox {
		places = append(places, Box)
	}
	return places
}

// clients returns the places for clients.
func (l *Lab) clients() []string {
	places := []string{Client}
	for i := 1; i < l.Clients; i++ {
		places = append(places, ClientPlace(i))
	}
	return places
}

// Nodes returns the places that run nodes.
func (l *Lab) Nodes() []string {
	if l.Topology == NPlusOne {
		return []string{NodeA, NodeB, NodeC}
	}
	return []string{NodeA, NodeB}
}

// Namespace returns the name of a place's network namespace, as `ip netns`
// knows it.
func (l *Lab) Namespace(place string) string { return "ob-" + l.Name + "-" + place }

// BPFFS returns the directory a node of this lab pins under.
func (l *Lab) BPFFS(place string) string { return filepath.Join(l.PinDir, place) }

func (l *Lab) netnsPath(place string) string { return filepath.Join(netnsDir, l.Namespace(place)) }

func (l *Lab) known(place string) error {
	if slices.Contains(l.Places(), place) {
		return nil
	}
	return fmt.Errorf("lab %s has no place %q; it has %v", l.Name, place, l.Places())
}

func (s *Spec) defaults() error {
	if s.Topology == "" {
		s.Topology = Switched
	}
	if s.Topology != Switched && s.Topology != NPlusOne && s.Topology != Pair {
		return fmt.Errorf("topology %q is not known; use %s, %s or %s", s.Topology, Switched, NPlusOne, Pair)
	}
	if s.OrderQueues == 0 {
		s.OrderQueues = 1
	}
	if s.Clients == 0 {
		s.Clients = 1
	}
	if s.Clients > maxClients || s.Topology == Pair && s.Clients > 1 {
		return fmt.Errorf("%d clients: at most %d, and one with topology %s", s.Clients, maxClients, Pair)
	}
	if s.FaultBox && s.OrderQueues != 1 {
		return fmt.Errorf("%d order queues with a fault box: what it redirects keeps no queue; leave one of them out", s.OrderQueues)
	}
	if s.Dir == "" {
		s.Dir = DefaultDir
	}
	if s.Name == "" {
		s.Name = freeName(s.Dir)
	}
	if !namePattern.MatchString(s.Name) {
		return fmt.Errorf("lab name %q must be 1 to 24 of a-z, 0-9 and -", s.Name)
	}
	return nil
}

// named counts the labs this process has named: two may go up at once.
var named atomic.Uint32

// freeName returns a name that this process has not given before, and that a
// process of the same number has not left behind.
func freeName(dir string) string {
	for {
		name := fmt.Sprintf("p%d-%d", os.Getpid(), named.Add(1)-1)
		if _, err := os.Stat(statePath(dir, name)); errors.Is(err, os.ErrNotExist) {
			return name
		}
	}
}
