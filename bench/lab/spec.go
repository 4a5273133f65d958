package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// Places of a lab.
const (
	Client = "client"
	NodeA  = "node-a"
	NodeB  = "node-b"
	Venue  = "venue"
	Switch = "switch"
)

// Interfaces inside a place.
const (
	OrderNIC = "order0"
	LinkNIC  = "link0"
)

// MTUs in bytes. A mirror frame carries an order's answer behind its record,
// so the cable takes longer frames than the order network.
const (
	OrderMTU = 1500
	LinkMTU  = 1800
)

// Addresses of a lab; they exist only inside its namespaces.
var (
	ClientIP    = [4]byte{10, 10, 0, 10}
	NodeAIP     = [4]byte{10, 10, 0, 1}
	NodeBIP     = [4]byte{10, 10, 0, 2}
	VenueIP     = [4]byte{10, 10, 0, 20}
	LaneIP      = [4]byte{10, 10, 0, 100} // never on an interface
	VenueLaneIP = [4]byte{10, 10, 0, 200} // never on an interface
	NodeALinkIP = [4]byte{10, 99, 0, 1}
	NodeBLinkIP = [4]byte{10, 99, 0, 2}
)

// OrderMAC returns the MAC address of a place's order NIC; the last byte is
// that of its address.
func OrderMAC(place string) net.HardwareAddr {
	last := map[string]byte{Client: 10, NodeA: 1, NodeB: 2, Venue: 20}[place]
	if last == 0 {
		panic("lab: no order NIC in " + place)
	}
	return net.HardwareAddr{0x02, 0x0b, 0xea, 0x10, 0x00, last}
}

// linkMAC returns the MAC address of a node's link NIC.
func linkMAC(place string) net.HardwareAddr {
	mac := slices.Clone(OrderMAC(place))
	mac[3] = 0x99
	return mac
}

// Topology is how the places are wired.
type Topology string

const (
	// Switched has all places on one bridge and a cable between the nodes.
	Switched Topology = "switched"
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
	// Detached: the lab outlives this process and stays until Down.
	Detached bool
}

// namePattern keeps a namespace's name readable and a control socket's path
// below the 108 bytes of sun_path.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,23}$`)

// Lab is a network that is up.
type Lab struct {
	Name     string   `json:"name"`
	Topology Topology `json:"topology"`
	// OwnerPID and OwnerStart name the process the lab belongs to; 0: detached.
	OwnerPID   int    `json:"owner_pid"`
	OwnerStart uint64 `json:"owner_start_ticks"`
	// RunDir is a directory for what runs in the lab: sockets, keys, logs.
	RunDir string `json:"run_dir"`
	// PinDir is the directory in bpffs under which each node pins.
	PinDir string `json:"pin_dir"`

	dir string
}

// Places returns the lab's places.
func (l *Lab) Places() []string {
	if l.Topology == Pair {
		return []string{Client, NodeA, NodeB}
	}
	return []string{Client, NodeA, NodeB, Venue, Switch}
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
	if s.Topology != Switched && s.Topology != Pair {
		return fmt.Errorf("topology %q is not known; use %s or %s", s.Topology, Switched, Pair)
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

// freeName returns the first unused name of this process.
func freeName(dir string) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("p%d-%d", os.Getpid(), i)
		if _, err := os.Stat(statePath(dir, name)); errors.Is(err, os.ErrNotExist) {
			return name
		}
	}
}
