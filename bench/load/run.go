package load

import (
	"sync/atomic"
	"syscall"

	"onebeat/engine/client"
	"onebeat/engine/sbe"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

const (
	execRejected = byte(sbe.ExecTypeRejected)
	rxBatch      = 64
	// maxServers is how many MAC addresses may answer; more are counted only.
	maxServers = 16
	// idleYields is how many empty cycles yield before the loop sleeps.
	idleYields = 8
	// maxSleepNs bounds a sleep, so that resends and timers are on time.
	maxSleepNs = 500_000
	// silenceNs without a datagram makes a UDP client try the next node.
	silenceNs = 20_000_000
)

// runner is the hot side of a run: one goroutine on one thread. It allocates
// nothing, and only counters leave it while it runs.
type runner struct {
	port    xdp.Port
	client  *client.Client
	headers frame.Template
	local   frame.Endpoint
	vlan    frame.VLAN
	targets []frame.Endpoint
	target  int
	idle    string

	order  client.Order
	first  uint64
	orders []Order
	next   int // index of the next order to hand to the client

	nowNs     int64
	lastRxNs  int64
	submitted int
	emptyRuns int
	reserved  []byte
	servers   [maxServers]Server
	serverN   int
	server    uint8 // whose datagram is being read

	// foreign counts frames that are no datagram for us, unknown the answers to
	// orders that are not of this run.
	foreign, unknown uint64

	// Written by the loop, read by progress: plain counters of this run.
	sent, answered atomic.Int64
	// mac is set by the neighbour watch when the lane address moved: 6 bytes
	// and a bit that says so. The loop takes it with a swap.
	mac     atomic.Uint64
	unwatch chan struct{} // ends the neighbour watch
}

// cycle does what is due at nowNs and returns how much it was.
func (r *runner) cycle(nowNs int64, offer bool) int {
	r.nowNs = nowNs
	work := r.receive()
	if offer {
		work += r.offer()
	}
	r.aim()
	work += r.client.Poll(nowNs, r)
	if r.submitted > 0 {
		r.port.Kick()
		r.submitted = 0
	}
	return work
}

// receive hands all arrived datagrams to the client.
func (r *runner) receive() int {
	n := r.port.Recv(rxBatch)
	for i := range n {
		var from frame.Endpoint
		payload, port, ok := r.vlan.Parse(r.port.Frame(i), &from)
		if !ok || port != r.local.Port {
			r.foreign++
			continue
		}
		r.sawServer(&from, r.vlan.Relayed(r.port.Frame(i)))
		r.client.OnDatagram(payload, r.nowNs)
	}
	if n > 0 {
		r.port.Done()
		r.lastRxNs = r.nowNs
	}
	return n
}

// sawServer notes who answers and answers there: whoever served last is the
// lane's primary. What another node let out for it says only that: it counts as of
// that one's MAC address with the group bit, which no sender has.
func (r *runner) sawServer(from *frame.Endpoint, relayed bool) {
	mac := from.MAC
	if relayed {
		mac[0] |= relayedBit
	} else {
		r.targets[r.target] = *from
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

// aim follows the lane address: to the MAC the neighbour watch saw, or, over
// UDP, to the next node when this one is silent.
func (r *runner) aim() {
	if m := r.mac.Load(); m != 0 && r.mac.CompareAndSwap(m, 0) {
		t := &r.targets[r.target]
		for i := range t.MAC {
			t.MAC[i] = byte(m >> (8 * i))
		}
	}
	if len(r.targets) > 1 && r.nowNs-r.lastRxNs > silenceNs && r.client.Unanswered() > 0 {
		r.target = (r.target + 1) % len(r.targets)
		r.lastRxNs = r.nowNs
	}
}

// Buffer implements client.Out.
func (r *runner) Buffer() []byte {
	r.reserved = r.port.Reserve()
	if r.reserved == nil {
		return nil
	}
	return r.reserved[r.vlan.Bytes()+frame.HeaderBytes:]
}

// Send implements client.Out.
func (r *runner) Send(payloadBytes int) {
	t := &r.targets[r.target]
	tagBytes := r.vlan.Bytes()
	r.headers.PutSummed(r.reserved[tagBytes:], &r.local, r.local.Port, t, payloadBytes)
	r.vlan.Put(r.reserved)
	r.port.Submit(tagBytes + frame.HeaderBytes + payloadBytes)
	r.submitted++
}

// OnReport implements client.Handler.
func (r *runner) OnReport(a *client.Answer, m *sbe.ExecutionReport) {
	r.answer(a, m.ClOrdID(), byte(m.ExecType()), m.Reason())
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
		if execType == o.ExecType {
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
	if work > 0 {
		r.emptyRuns = 0
		return
	}
	switch r.emptyRuns++; {
	case r.idle == IdleSpin:
	case r.idle == IdleYield || r.emptyRuns <= idleYields:
		syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
	default:
		sleepNs := int64(maxSleepNs)
		if r.next < len(r.orders) {
			sleepNs = min(sleepNs, r.orders[r.next].IntendedNs-r.nowNs)
		}
		if sleepNs > 0 {
			r.port.Wait(sleepNs)
		}
	}
}
