package load

import (
	"sync/atomic"

	"onebeat/engine/client"
	"onebeat/engine/client/conn"
	"onebeat/engine/sbe"
	"onebeat/xdp/frame"
)

const (
	execRejected = byte(sbe.ExecTypeRejected)
	// maxServers is how many MAC addresses may answer; more are counted only.
	maxServers = 16
)

// runner is the hot side of a run: one goroutine on one thread. It allocates
// nothing, and only counters leave it while it runs.
type runner struct {
	conn   *conn.Conn
	client *client.Client // its session
	idle   string

	order  client.Order
	first  uint64
	orders []Order
	next   int // index of the next order to hand to the client

	nowNs   int64
	servers [maxServers]Server
	serverN int
	server  uint8 // whose datagram is being read

	unknown uint64 // answers to orders that are not of this run

	// Written by the loop, read by progress: plain counters of this run.
	sent, answered atomic.Int64
}

// cycle does what is due at nowNs and returns how much it was.
func (r *runner) cycle(nowNs int64, offer bool) int {
	r.nowNs = nowNs
	work := r.conn.ReceiveAt(nowNs)
	if offer {
		work += r.offer()
	}
	return work + r.conn.Transmit()
}

// sawServer notes who answers. What another node let out for the lane's primary
// counts as of that one's MAC address with the group bit, which no sender has.
func (r *runner) sawServer(from *frame.Endpoint, relayed bool) {
	mac := from.MAC
	if relayed {
		mac[0] |= relayedBit
	}
	s := &r.servers[r.server]
	if s.MAC != mac || s.Datagrams == 0 {
		s = r.findServer(&mac)
	}
	s.LastNs = r.nowNs
	s.Datagrams++
}

func (r *runner) findServer(mac *[6]byte) *Server {
	for i := range r.serverN {
		if r.servers[i].MAC == *mac {
			r.server = uint8(i)
			return &r.servers[i]
		}
	}
	if r.serverN < maxServers {
		r.serverN++
	}
	r.server = uint8(r.serverN - 1)
	s := &r.servers[r.server]
	*s = Server{MAC: *mac, FirstNs: r.nowNs}
	return s
}

// offer hands over the orders that are due. One that finds no room stays due:
// its latency goes on counting.
func (r *runner) offer() int {
	done := 0
	for r.next < len(r.orders) && r.orders[r.next].IntendedNs <= r.nowNs {
		o := &r.orders[r.next]
		r.order.ClOrdID = o.ClOrdID
		r.order.Side = sbe.SideBuy + sbe.Side(o.ClOrdID&1) // every second one matches the first
		if !r.client.SendOrder(&r.order, r.nowNs) {
			break
		}
		o.FirstSentNs = r.nowNs
		r.next++
		done++
	}
	if done > 0 {
		r.sent.Store(int64(r.next))
	}
	return done
}

// OnReport implements client.Handler.
func (r *runner) OnReport(a *client.Answer, m *sbe.ExecutionReport) {
	exec := byte(m.ExecType())
	if m.ExecType() == sbe.ExecTypeOrderStatus && m.OrdStatus() == sbe.OrdStatusRejected {
		exec = execRejected // its Reject was lost with other answers, and its status asked for
	}
	r.answer(a, m.ClOrdID(), exec, m.Reason())
}

// OnReject implements client.Handler.
func (r *runner) OnReject(a *client.Answer, m *sbe.Reject) {
	r.answer(a, m.ClOrdID(), execRejected, m.Reason())
}

func (r *runner) answer(a *client.Answer, clOrdID uint64, execType byte, reason sbe.RejectReason) {
	i := clOrdID - r.first
	if i >= uint64(len(r.orders)) {
		r.unknown++
		return
	}
	o := &r.orders[i]
	o.Answers++
	if o.FirstAnswerNs != 0 {
		if execType == o.ExecType && execType != byte(sbe.ExecTypeOrderStatus) { // whoever asks twice is told twice
			o.Accepts++
		}
		return
	}
	o.Accepts = 1
	o.FirstAnswerNs, o.ExecType, o.Server = r.nowNs, execType, r.server
	o.Sends, o.Reason = a.Sends, uint16(reason)
	r.answered.Add(1)
}

// rest spends the time until something can happen.
func (r *runner) rest(work int) {
	sleepNs := int64(conn.MaxSleepNs)
	switch {
	case r.idle == IdleSpin:
		return
	case r.idle == IdleYield:
		sleepNs = 0
	case r.next < len(r.orders):
		sleepNs = min(sleepNs, r.orders[r.next].IntendedNs-r.nowNs)
	}
	r.conn.Rest(work, sleepNs)
}
