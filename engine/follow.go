package engine

import (
	"encoding/binary"

	"onebeat/engine/app"
	"onebeat/mirror"
	"onebeat/xdp/frame"
)

// drainLink takes the link frames that the kernel leaves to user space: what
// sets up the mirror goes to the replica, order frames that the peer forwarded
// are served like any other.
func (l *Loop) drainLink(nowNs int64) int {
	if l.link == nil || l.replica.Claiming() {
		return 0 // forwarded orders wait in the socket until this node serves
	}
	n := l.link.Recv(linkBatch)
	for i := range n {
		order := l.replica.OnLinkFrame(l.link.Frame(i), nowNs, l.out)
		if order == nil {
			continue
		}
		switch why := l.replica.Refusing(); {
		case l.serving && why != app.NotRefused:
			l.refuseFrame(order, why, nowNs)
		case l.serving:
			l.takeFrame(order, nowNs)
		default:
			l.counters.NotActive++ // the client sends it again
		}
	}
	if n > 0 {
		l.link.Done()
	}
	return n
}

// follow keeps a node that does not serve as close behind the log as it can
// be, so that a promotion finds the state ready.
func (l *Loop) follow(nowNs int64) int {
	l.out.Muted = true
	if l.replica.TakeRebuild() {
		l.machine = l.newMachine()
	}
	if a := l.adoption.Load(); a != nil {
		l.adopt(a, nowNs)
	}
	applied := l.applySome(applyBatch)
	if applied > 0 {
		l.machine.Warm() // as many come at once as do to the one that serves
	}
	l.replica.PublishApplied(applied)
	l.replica.TellHeld(nowNs)
	return applied + l.dropOrders()
}

// applySome applies at most so many records. A state that is not the log's stays as
// it was found: somebody will want to look at it (Diverged).
func (l *Loop) applySome(most int) (applied int) {
	for applied < most && !l.replica.Quarantined() && l.replica.NextRecord(&l.record) {
		l.machine.Apply(&l.record, l.out)
		applied++
		if l.record.Type == app.RecordDigest && l.machine.Diverged() {
			l.diverged.Store(&Divergence{Machine: l.machine, Position: l.replica.Applied(), Record: l.record.Position,
				Epoch: l.record.Epoch, TimeNs: l.record.TimeNs, LogDigest: binary.LittleEndian.Uint64(l.record.Payload)})
			l.replica.Quarantine(mirror.EventDiverged)
		}
	}
	return applied
}

// Divergence is a machine whose digest is not the log's, as it was then: the loop
// touches it no more.
type Divergence struct {
	Machine   app.Machine
	Position  uint64 // behind the record with the digest
	Record    uint64 // that record's
	Epoch     uint32
	TimeNs    int64
	LogDigest uint64
}

// Diverged returns the machine of a quarantined node, nil of any other. Any thread
// may ask.
func (l *Loop) Diverged() *Divergence { return l.diverged.Load() }

// settle applies all of the log, before this node asks for the lane.
func (l *Loop) settle() bool {
	l.out.Muted = true
	if l.replica.TakeRebuild() {
		l.machine = l.newMachine()
	}
	for l.applySome(applyBatch) > 0 {
	}
	return !l.replica.Behind()
}

// dropOrders empties the order socket of frames that came while this node
// served: their clients send again, and the node that serves now answers.
func (l *Loop) dropOrders() int {
	if l.replica.Claiming() {
		return 0
	}
	n := l.order.Recv(orderBatch)
	if n == 0 {
		return 0
	}
	for i := range n {
		if !l.replica.ForwardOrder(l.order.Frame(i)) {
			l.counters.NotActive++
		}
	}
	l.order.Done()
	l.replica.KickLink()
	return n
}

// startServing makes this node's machine the one that answers. Every record of
// the log is applied: the replica turns ACTIVE only then.
func (l *Loop) startServing(nowNs int64) {
	l.serving = true
	l.out.Muted = false
	l.startCold()
	l.out.Reset(l.replica.NextOutput())
	l.activeNs, l.firstAnswerNs, l.firstOutput = nowNs, 0, l.out.Head()
	l.applyLog()
	l.clock.start(l.replica.LastTimeNs(), nowNs)
	l.machine.Promote(l.clock.now(nowNs), l.out)
}

// announce tells the order network where the lane address is now: a gratuitous
// ARP (RFC 5227, section 3) or an unsolicited advertisement (RFC 4861, section
// 7.2.6) makes switches and neighbours forget the old place.
func (l *Loop) announce() {
	if b := l.order.Reserve(); b != nil {
		n := frame.PutAnnouncement(b, l.out.Local.MAC, l.out.Local.IP)
		l.order.Submit(l.out.VLAN().Tag(b, n))
		l.order.Kick()
	}
}

// applyLog applies what stands in the log and was not appended by commit: the
// rest of the predecessor's records, and the records that open epochs.
func (l *Loop) applyLog() {
	for l.replica.NextRecord(&l.record) {
		l.out.RecordEnd = l.replica.Applied()
		l.machine.Apply(&l.record, l.out)
	}
}
