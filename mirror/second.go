package mirror

import (
	"math"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// second is the other way to the peer: by the order NIC, under a counter of its
// own. It carries life, the question for it, and the proof that an engine is
// through; what moves the log travels on the link.
type second struct {
	port     xdp.Port // nil: there is one path only
	local    frame.Endpoint
	remote   frame.Endpoint // its MAC as the peer's HELLO told it
	template frame.Template
	vlan     frame.VLAN // of the order network
	nextNs   int64
	sent     uint64
	full     uint64
}

// UseSecond gives the lane its second path: port sends by the order NIC, from
// local to remote, with this tag. Before Start.
func (r *Replica) UseSecond(port xdp.Port, local, remote frame.Endpoint, vlan frame.VLAN) {
	r.second = second{port: port, local: local, remote: remote, vlan: vlan}
}

// noSecond: the time at which a replica without a second path uses it.
const noSecond = math.MaxInt64

// ShowLife says on the second path that this engine works, a few times per
// heartbeat: a writer by a heartbeat, whoever else by asking the peer's kernel.
// The loop calls it in each cycle, when the cycle's orders have left: so a
// heartbeat can neither stand in their way nor come from a loop that hangs.
func (r *Replica) ShowLife(nowNs int64) {
	if nowNs < r.second.nextNs {
		return
	}
	r.second.nextNs = nowNs + r.lifeNs
	h := wire.Header{Type: wire.Probe, Tail: r.ring.Tail()}
	if r.word.State() == lane.Active {
		h.Type, h.Position, h.Applied = wire.Mirror, h.Tail, r.table.Engine.Released
	}
	r.sendSecond(&h)
}

// sendSecond sends a frame without payload on the second path, if there is one
// and the peer is known.
func (r *Replica) sendSecond(h *wire.Header) {
	s, c := &r.second, &r.table.Config
	if s.port == nil || c.PeerIncarnation == 0 || c.PeerOrderMAC == [6]byte{} {
		return
	}
	b := s.port.Reserve()
	if b == nil {
		s.full++
		return
	}
	h.Lane, h.Node, h.Incarnation = r.cfg.Lane, r.cfg.Node, c.Incarnation
	h.Epoch, h.Authority = r.word.Epoch(), r.word
	r.table.Engine.TxOrderCounter++
	h.Path, h.Counter = lane.PathEngineOrder, r.table.Engine.TxOrderCounter
	h.Put(b[frame.HeaderBytes:])
	r.link.tx.Seal(b[frame.HeaderBytes:linkHeaderBytes])
	s.remote.MAC = c.PeerOrderMAC
	s.template.Put(b, &s.local, s.local.Port, &s.remote, wire.HeaderBytes)
	s.port.Submit(s.vlan.Tag(b, linkHeaderBytes))
	s.port.Kick()
	s.sent++
}
