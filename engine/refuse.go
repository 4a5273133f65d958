package engine

import "onebeat/engine/app"

// refuseOrders answers a batch of order frames by a refusal, where the lane's
// terms say so: nothing is appended, and what was appended before keeps waiting.
// Any other reason to take nothing in leaves the frames in the NIC's ring.
func (l *Loop) refuseOrders(nowNs int64) int {
	why := l.replica.Refusing()
	if why == app.NotRefused {
		return 0
	}
	n := l.order.Recv(orderBatch)
	for i := range n {
		l.refuseFrame(l.order.Frame(i), why, nowNs)
	}
	if n > 0 {
		l.order.Kick()
	}
	return n
}

// refuseFrame answers one order frame past the outbox: what waits there waits
// for those whose absence is the reason.
func (l *Loop) refuseFrame(b []byte, why app.Refusal, nowNs int64) {
	l.counters.Frames++
	var ok bool
	dg := &l.datagram
	dg.Payload, dg.LocalPort, ok = l.out.VLAN().Parse(b, &dg.From)
	if !ok {
		l.counters.NotUDP++
		return
	}
	reply := l.order.Reserve()
	if reply == nil {
		return // the NIC is behind; it is asked again
	}
	l.machine.Open(dg, l.clock.now(nowNs))
	n, to, port := l.machine.Refuse(why, l.out.Payload(reply))
	if n == 0 || !l.replica.GateOpen() {
		return
	}
	l.order.Submit(l.out.Envelope(reply, to, port, n))
	l.counters.Refusals++
}
