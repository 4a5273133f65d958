package conn

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"onebeat/engine/client"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// Errors of Open.
var (
	ErrConfig = errors.New("connection configuration")
	// ErrNoLane: nobody answers for the lane address.
	ErrNoLane = errors.New("nobody answers for the lane address")
)

// Host is a place that may serve the session.
type Host struct {
	Address netip.AddrPort
	Timeout time.Duration // of one attempt to reach it [1 s]
}

// Config of a connection; zero values mean the defaults in brackets.
type Config struct {
	Client    client.Config
	Connector client.ConnectorConfig // TimeoutsNs are those of Hosts

	// Hosts are, over UDP sockets, the nodes; with an Interface, the lane address alone.
	Hosts []Host
	// Local is where answers arrive: an address of this host; port 0 is chosen by
	// the kernel, or 40000 with an Interface. The interface's address is its default.
	Local netip.AddrPort

	// Interface makes it AF_XDP on a queue of this NIC, which takes CAP_NET_ADMIN,
	// CAP_BPF and CAP_NET_RAW; empty: a UDP socket.
	Interface string
	Queue     int
	VLAN      frame.VLAN    // 802.1Q tag of the order network as the NIC sees it; 0: none
	Resolve   time.Duration // how long the lane address may take to be answered for [10 s]

	// OnHeard is called for every datagram of a host before the client has it;
	// relayed: another node's NIC let it out.
	OnHeard func(from *frame.Endpoint, relayed bool)
}

// xdpPort is the client's UDP port on an interface when none is given.
const xdpPort = 40_000

// connector fills in what the hosts say; n of them when they are not listed.
func (cfg *Config) connector(n int) {
	if cfg.Connector.TimeoutsNs == nil {
		for i := range n {
			ns := int64(0)
			if i < len(cfg.Hosts) {
				ns = cfg.Hosts[i].Timeout.Nanoseconds()
			}
			cfg.Connector.TimeoutsNs = append(cfg.Connector.TimeoutsNs, ns)
		}
	}
	if cfg.Client.UnixNs == 0 {
		cfg.Client.UnixNs = uint64(time.Now().UnixNano())
	}
	if cfg.Connector.Backoff.Seed == 0 {
		cfg.Connector.Backoff.Seed = uint64(time.Now().UnixNano())
	}
}

// Open opens a connection; its first Transmit begins to look for the session.
func Open(cfg Config, handler client.Handler) (*Conn, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Interface != "" {
		return openXDP(cfg, handler)
	}
	s, err := xdp.ListenUDP(cfg.Local.Addr(), cfg.Local.Port())
	if err != nil {
		return nil, err
	}
	var targets []frame.Endpoint
	for _, h := range cfg.Hosts {
		ip := frame.IP(h.Address.Addr().As16())
		targets = append(targets, frame.Endpoint{MAC: xdp.StandInMAC(ip), Port: h.Address.Port(), IP: ip})
	}
	c, err := New(cfg, handler, s, s.Local(), targets)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return c, nil
}

func (cfg *Config) check() error {
	switch {
	case len(cfg.Hosts) == 0:
		return fmt.Errorf("%w: no host: give the address:port of every node, or with an interface that of the lane", ErrConfig)
	case slices.ContainsFunc(cfg.Hosts, func(h Host) bool { return !h.Address.IsValid() || h.Address.Port() == 0 }):
		return fmt.Errorf("%w: a host without address and port", ErrConfig)
	case cfg.Interface != "" && len(cfg.Hosts) != 1:
		return fmt.Errorf("%w: %d hosts on interface %s: the lane has one address", ErrConfig, len(cfg.Hosts), cfg.Interface)
	case cfg.Interface == "" && !cfg.Local.Addr().IsValid():
		return fmt.Errorf("%w: no local address: give the one to send from", ErrConfig)
	case cfg.Interface == "" && cfg.VLAN != 0:
		return fmt.Errorf("%w: a VLAN has no use with a UDP socket: send from an address of a VLAN interface", ErrConfig)
	}
	return nil
}

func openXDP(cfg Config, handler client.Handler) (*Conn, error) {
	nic, err := xdp.Inspect(cfg.Interface)
	if err != nil {
		return nil, err
	}
	local, lane := cfg.Local.Addr(), cfg.Hosts[0].Address
	if !local.IsValid() {
		if local = nic.IPv4.Addr(); !lane.Addr().Is4() {
			local = nic.IPv6.Addr()
		}
	}
	if !local.IsValid() || local.Is4() != lane.Addr().Is4() {
		return nil, fmt.Errorf("%w: %s has no address of %v's family; give it one, or give a local address", ErrConfig, cfg.Interface, lane.Addr())
	}
	port := cmp.Or(cfg.Local.Port(), xdpPort)
	// First the program, then ARP: on a veth the answer, an XDP_TX of the
	// node, only wakes an end that has a program.
	s, err := xdp.OpenEndpoint(xdp.Options{Interface: cfg.Interface, Queue: cfg.Queue, VLAN: cfg.VLAN}, local, port)
	if err != nil {
		return nil, err
	}
	// Only the ACTIVE node answers for the lane address, so this also waits
	// until there is one.
	mac, err := cfg.resolve(nic, lane.Addr())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrNoLane, err), s.Close())
	}
	c, err := New(cfg, handler, s, frame.Endpoint{MAC: nic.MAC, Port: port, IP: local.As16()},
		[]frame.Endpoint{{MAC: mac, Port: lane.Port(), IP: lane.Addr().As16()}})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := c.watchNeighbour(nic, lane.Addr(), mac); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return c, nil
}

func (cfg *Config) resolve(nic xdp.Interface, lane netip.Addr) ([6]byte, error) {
	timeout := cmp.Or(cfg.Resolve, 10*time.Second)
	if cfg.VLAN != 0 {
		return xdp.ResolveDirect(nic, cfg.VLAN, lane, timeout)
	}
	return xdp.Resolve(cfg.Interface, lane, timeout)
}
