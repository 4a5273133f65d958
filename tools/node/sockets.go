package node

import (
	"fmt"

	"onebeat/mirror/wire"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// queue is a queue of a NIC with the lanes whose frames arrive there.
type queue struct {
	nic    string
	number int
	lanes  []*laneParts
}

// addTo puts a lane to the others of its queue.
func addTo(queues []*queue, nic string, number int, p *laneParts) []*queue {
	for _, q := range queues {
		if q.nic == nic && q.number == number {
			q.lanes = append(q.lanes, p)
			return queues
		}
	}
	return append(queues, &queue{nic, number, []*laneParts{p}})
}

// openSockets binds one socket to every queue, beforehand, standby or not: a
// queue that was just closed stays busy for tens of milliseconds. Lanes that
// share a queue share the socket; a lane that is alone on it has it bare.
func (n *Node) openSockets(lanes []*laneParts) error {
	var orders, links []*queue
	for _, p := range lanes {
		orders = addTo(orders, n.order.Name, p.cfg.Queue, p)
		if p.cfg.Peer != 0 {
			links = addTo(links, n.links[p.cfg.Peer].Name, n.cfg.Link(p.cfg.Peer).Queue, p)
		}
	}
	// Orders are told apart by the lane's address, link frames by its id.
	destination := xdp.DestinationKey
	if n.vlan() != 0 {
		destination = xdp.TaggedDestinationKey
	}
	for _, q := range orders {
		key := func(p *laneParts) uint32 { return xdp.AddressKey(frame.IP(p.cfg.Address)) }
		ports, fd, err := n.openQueue(q, destination, key)
		if err != nil {
			return fmt.Errorf("order socket: %w", err)
		}
		for i, p := range q.lanes {
			p.order = ports[i]
			if err := n.kernel.SetOrderSocket(p.cfg.ID, q.number, fd); err != nil {
				return fmt.Errorf("order socket: %w", err)
			}
		}
	}
	for _, q := range links {
		key := func(p *laneParts) uint32 { return uint32(p.cfg.ID) }
		ports, fd, err := n.openQueue(q, xdp.ByteKey(frame.HeaderBytes+wire.LaneOffset), key)
		if err != nil {
			return fmt.Errorf("link socket: %w", err)
		}
		for i, p := range q.lanes {
			p.link = ports[i]
			if err := n.kernel.SetLinkSocket(p.cfg.ID, q.number, fd); err != nil {
				return fmt.Errorf("link socket: %w", err)
			}
		}
	}
	return nil
}

// openQueue opens a queue's socket and returns a port of it for each lane.
func (n *Node) openQueue(q *queue, sort xdp.Key, key func(*laneParts) uint32) (ports []xdp.Port, fd int, err error) {
	s, err := xdp.Open(xdp.SharedOptions(xdp.Options{Interface: q.nic, Queue: q.number}, len(q.lanes)))
	if err != nil {
		return nil, 0, err
	}
	n.closer = append(n.closer, s.Close)
	if len(q.lanes) == 1 {
		return []xdp.Port{s}, s.FD(), nil
	}
	var keys []uint32
	for _, p := range q.lanes {
		keys = append(keys, key(p))
	}
	m, err := xdp.NewMux(s, sort, keys...)
	if err != nil {
		return nil, 0, err
	}
	for i, p := range q.lanes {
		ports = append(ports, m.Shares()[i])
		p.muxes = append(p.muxes, m)
	}
	return ports, s.FD(), nil
}
