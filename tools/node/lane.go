package node

import (
	"fmt"
	"sync/atomic"
	"time"

	"onebeat/engine/sbe"
	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/mirror/recv"
	"onebeat/mirror/wire"
	"onebeat/tools/config"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// mirrorConfig is what a lane's replica is told, but for the link's endpoints.
func (n *Node) mirrorConfig(l *config.Lane) (mirror.Config, error) {
	c := mirror.Config{
		Lane: uint8(l.ID), Node: uint8(n.cfg.Node.Number), Peer: uint8(l.Peer), First: l.First,
		HeartbeatNs: l.Heartbeat.Ns(), NowNs: n.clock.NowNs, SchemaVersion: uint32(sbe.SchemaVersion),
		StartWallNs: time.Now().UnixNano(),
	}
	c.Ride = l.Release != config.ReleaseUser
	if l.Release == config.ReleaseChain {
		c.ChainPort = uint16(l.Port)
	}
	var err error
	if c.Terms, err = l.Terms(); err != nil {
		return c, err
	}
	if silencePromotes(l) {
		c.PolicyFlags |= wire.PolicySilencePromotes
	}
	c.Registered = l.Registered()
	c.PolicyFlags |= arbitrationFlag(l)
	if !l.Registered() && l.OnTimeout == config.OnTimeoutDegrade {
		c.PolicyFlags |= wire.PolicyDegrades
	}
	if link := n.cfg.Link(l.Peer); link != nil {
		c.Shared, c.Authenticate = link.Key, link.Auth
		if s := n.cfg.Stream; s != nil {
			c.Stream = link.PeerStream.IsValid()
			if c.Stream || link.PeerMirrord.IsValid() {
				c.SalvageNs = s.Salvage.Ns()
			}
		}
	}
	return c, nil
}

// configureTable tells the kernel what it must know of the lane. The peer's
// incarnation and the keys, which an adopted table has, stay.
func (n *Node) configureTable(t *lane.Table, l *config.Lane, c *mirror.Config, orderMAC [6]byte) {
	k := &t.Config
	k.Used, k.Node, k.PeerNode = 1, uint32(c.Node), uint32(c.Peer)
	k.Flags = 0
	if c.Authenticate {
		k.Flags |= lane.ConfigAuth
	}
	if c.ChainPort != 0 {
		k.Flags |= lane.ConfigChain
	}
	if silencePromotes(l) {
		k.Flags |= lane.ConfigSilencePromotes
	}
	k.LaneIP, k.LaneIP6 = [4]byte{}, [16]byte{}
	if ip := frame.IP(l.Address); ip.Is4() {
		k.LaneIP = ip.As4()
	} else {
		k.LaneIP6 = ip
	}
	k.LinkIP, k.PeerLinkIP = c.Local.IP.As4(), c.Remote.IP.As4()
	k.LinkPort = [2]byte{byte(c.Local.Port >> 8), byte(c.Local.Port)}
	k.LinkFrameMax = uint16(c.LinkFrameMax)
	k.OrderMAC, k.LinkMAC, k.PeerLinkMAC = orderMAC, c.Local.MAC, c.Remote.MAC
	k.OrderQueue = uint16(l.Queue)
	if link := n.cfg.Link(l.Peer); link != nil {
		k.LinkQueue = uint16(link.Queue)
	}
	k.OrderIP, k.PeerOrderIP = [4]byte{}, [4]byte{}
	if link := n.secondLink(l); link != nil {
		k.OrderIP, k.PeerOrderIP = link.OrderAddress, link.PeerOrderAddress
	}
	k.HeartbeatNs, k.TickNs = uint64(l.Heartbeat.Ns()), uint64(l.Tick.Ns())
	k.HangTicks = ticks(l.HangBudget.Ns(), l.Tick.Ns())
	k.SilenceTicks = ticks(l.Heartbeat.Ns(), l.Tick.Ns())
}

// ticks is the number of on-time ticks that a budget holds.
func ticks(budgetNs, tickNs int64) uint32 { return uint32((budgetNs + tickNs - 1) / tickNs) }

// openUDP opens all lanes on sockets: no privileges, no kernel programs.
func (n *Node) openUDP() error {
	links, err := n.listenLinks()
	if err != nil {
		return err
	}
	seconds, err := n.listenSeconds()
	if err != nil {
		return err
	}
	for i := range n.cfg.Lanes {
		if err := n.openLaneUDP(&n.cfg.Lanes[i], links, seconds); err != nil {
			return fmt.Errorf("lane %d: %w", n.cfg.Lanes[i].ID, err)
		}
	}
	return nil
}

func (n *Node) openLaneUDP(l *config.Lane, links, seconds map[int]xdp.Port) error {
	p := &laneParts{cfg: l, venueAt: make([]atomic.Uint64, len(l.Venues)), link: links[l.ID], second: seconds[l.ID]}
	mem, unmap, err := openFile(n.cfg, l.ID, int(l.RingSize))
	if err != nil {
		return err
	}
	n.closer = append(n.closer, unmap)
	p.mem = mem
	if p.ring, err = p.mem.open(int(l.RingSize)); err != nil {
		return err
	}
	ports := []uint16{uint16(l.Port)}
	for i := range l.Venues {
		if l.Venues[i].FIX == nil {
			ports = append(ports, uint16(l.Venues[i].LocalPort))
		}
	}
	order, err := xdp.ListenUDP(n.cfg.Order.Address.Addr(), ports...)
	if err != nil {
		return fmt.Errorf("order socket: %w", err)
	}
	n.closer = append(n.closer, order.Close)
	p.order = order
	if p.mirror, err = n.mirrorConfig(l); err != nil {
		return err
	}
	p.local = order.Local()
	memory := mirror.Memory{Table: p.mem.table, Authority: p.mem.authority, Ring: p.ring,
		SetNHKey: func(*[wire.NHWords]uint32) error { return nil }}
	if l.Peer != 0 {
		n.standIn(p, &memory)
	} else {
		n.configureTable(p.mem.table, l, &p.mirror, p.local.MAC)
	}
	for i := range l.Venues {
		p.venueAt[i].Store(macBits(xdp.StandInMAC(frame.IP(l.Venues[i].Address))))
	}
	if err := n.addLane(p, memory); err != nil {
		return err
	}
	return n.listenTCP(p, n.cfg.Order.Address.Addr())
}

// listenLinks opens the sockets of all links, one for each lane.
func (n *Node) listenLinks() (map[int]xdp.Port, error) {
	ports := map[int]xdp.Port{}
	for i := range n.cfg.Links {
		cable := &n.cfg.Links[i]
		var ids []byte
		for j := range n.cfg.Lanes {
			if l := &n.cfg.Lanes[j]; l.Peer == cable.Peer {
				ids = append(ids, byte(l.ID))
			}
		}
		sockets, err := xdp.ListenUDPShared(cable.Address.Addr(), uint16(cable.Port), wire.LaneOffset, ids)
		if err != nil {
			return nil, fmt.Errorf("[[link]] to node %d: %w", cable.Peer, err)
		}
		for j, s := range sockets {
			n.closer = append(n.closer, s.Close)
			ports[int(ids[j])] = s
		}
	}
	return ports, nil
}

// standIn puts the link program's rules before the link socket.
func (n *Node) standIn(p *laneParts, m *mirror.Memory) {
	cable := n.cfg.Link(p.cfg.Peer)
	c := &p.mirror
	own, peer := frame.IPv4(cable.Address), frame.IPv4(cable.PeerAddress)
	c.Local = frame.Endpoint{MAC: xdp.StandInMAC(own), IP: own, Port: uint16(cable.Port)}
	c.Remote = frame.Endpoint{MAC: xdp.StandInMAC(peer), IP: peer, Port: uint16(cable.Port)}
	c.LinkFrameMax = udpLinkFrameMax
	n.configureTable(p.mem.table, p.cfg, c, p.local.MAC)
	rules := recv.New(uint8(p.cfg.ID), p.mem.table, p.mem.authority, m.Ring, new([wire.NHWords]uint32))
	m.SetNHKey = func(key *[wire.NHWords]uint32) error {
		rules.Rekey(key)
		return nil
	}
	p.link = mirror.NewStandIn(p.link, p.order, p.second, rules, p.cfg.Tick.Ns(), n.clock.NowNs)
}

// udpLinkFrameMax keeps link datagrams below an Ethernet MTU of 1500.
const udpLinkFrameMax = 1514
