package mirror

import (
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/mirror/internal/mutant"
	"onebeat/mirror/lane"
	"onebeat/mirror/role"
	"onebeat/mirror/wire"
	"onebeat/xdp/frame"
)

// catchUpBurst bounds the frames one HELLO brings: the standby asks for the
// next ones when it has these.
const catchUpBurst = 48

// OnLinkFrame takes a frame that the link program left to user space; all but
// HELLO were authenticated there. It returns the order frame of a FORWARD.
func (r *Replica) OnLinkFrame(b []byte, nowNs int64, out *app.Outbox) (order []byte) {
	var from frame.Endpoint
	payload, _, ok := frame.Parse(b, &from)
	if !ok {
		return nil
	}
	var h wire.Header
	if h.Parse(payload) != wire.OK || h.Lane != r.cfg.Lane {
		return nil
	}
	switch h.Type {
	case wire.HelloFrame:
		r.onHello(&h, payload, from.MAC, nowNs)
	case wire.Forward:
		return h.Ride(payload)
	case wire.Mirror:
		r.onMirror(&h, payload, nowNs)
	default:
		if h.Epoch > r.word.Epoch() {
			r.step(role.Event{Kind: role.PeerTookOver, Epoch: h.Epoch}, nowNs)
		}
	}
	return nil
}

// sendHello tells the peer where this node stands.
func (r *Replica) sendHello() {
	r.helloDue, r.saidTail = false, r.ring.Tail()
	b := r.link.reserve()
	if b == nil {
		return
	}
	want := wire.WantJoin
	if r.word.State() == lane.Active || r.word.State() == lane.Standby || r.broken || r.feeding && !r.Feed.lag.Salvage {
		want = wire.WantNothing
	}
	if r.diverged {
		want = wire.WantOut
	}
	cutAt, known := r.cutFor(&r.hello)
	cutFor := r.hello.LastEpoch
	if !known {
		cutAt, cutFor = wire.NoCut, nobodysEpoch
	}
	hello := wire.Hello{
		Incarnation: r.table.Config.Incarnation, PeerIncarnation: r.helloIncarn,
		Authority: r.word, Record: r.role.Record(), LastEpoch: r.ring.LastEpoch(),
		Tail: r.ring.Tail(), Oldest: r.ring.Oldest(), RingBytes: uint64(r.ring.SizeBytes()),
		CutAt: cutAt, CutFor: cutFor, SchemaVersion: r.cfg.SchemaVersion, PolicyFlags: r.cfg.PolicyFlags,
		Want: want, First: r.cfg.First,
	}
	if r.second.port != nil {
		hello.OrderMAC = r.second.local.MAC
	}
	hello.Release = r.releaseSaid()
	hello.Put(b[linkHeaderBytes:])
	r.link.header = wire.Header{Type: wire.HelloFrame, Epoch: r.word.Epoch(), Authority: r.word,
		RideBytes: wire.HelloBytes, Tail: hello.Tail, Echo: r.helloCounter}
	r.link.submit(b, wire.HelloBytes, &r.link.base)
}

// cutFor returns where a log like the peer's must end to be a prefix of this
// one: at the start of the first epoch it lacks. That holds for any log that ends
// in the peer's last epoch, however far the peer has come since it was heard. It
// is false when this ring no longer holds that place.
func (r *Replica) cutFor(peer *wire.Hello) (position uint64, known bool) {
	if peer.Incarnation == 0 || peer.Tail == 0 {
		return wire.NoCut, true
	}
	start, found, known := r.ring.FirstAfter(peer.LastEpoch)
	switch {
	case mutant.On(mutant.LengthDecides):
	case found:
		return start, known
	}
	if peer.Tail > r.ring.Tail() {
		return r.ring.Tail(), known
	}
	return wire.NoCut, known
}

// nobodysEpoch is no log's last one: a cut worked out for it is nobody's.
const nobodysEpoch = ^uint32(0)

// onHello learns the peer's ring, sets up the session keys once both know each
// other's, and serves a standby that asks for what it lacks.
func (r *Replica) onHello(h *wire.Header, payload []byte, from [6]byte, nowNs int64) {
	var hello wire.Hello
	if !r.link.baseRx.Verify(payload) || !hello.Parse(h.Ride(payload)) || h.Incarnation != hello.Incarnation {
		r.helloRefused++
		return
	}
	known := hello.Incarnation == r.table.Config.PeerIncarnation
	if hello.Incarnation == r.helloIncarn && h.Counter <= r.helloCounter || known && h.Counter <= r.peerHello {
		r.helloRefused++ // an old one again
		return
	}
	r.helloIncarn, r.helloCounter = hello.Incarnation, h.Counter
	if hello.PeerIncarnation != r.table.Config.Incarnation {
		r.helloDue = true // it does not know this ring yet, or was recorded earlier
		return
	}
	if first := !known || r.peerHello == 0; first && h.Echo <= r.freshFrom {
		// Of a ring that has not heard this node since: recorded earlier, or the
		// first one; the answer to a HELLO of now will tell. A process that has just
		// started on its ring asks, too: a writer's HELLO of a time when it was parked
		// would let this node claim beside it.
		r.helloDue = true
		return
	}
	if known {
		r.peerHello = h.Counter
	}
	if hello.RingBytes != uint64(r.ring.SizeBytes()) || hello.SchemaVersion != r.cfg.SchemaVersion ||
		hello.PolicyFlags != r.cfg.PolicyFlags || !r.sameTerms(&hello.Release) {
		if r.mismatch != hello.Incarnation {
			r.mismatch = hello.Incarnation
			r.Events.push(Event{TimeNs: nowNs, Kind: EventRefused,
				Reason: "the peer is configured otherwise: ring_size, policy, on_timeout, copies, arbitration, silence and the program's version must be the same on both nodes"})
		}
		return
	}
	if !known {
		r.setKeys(hello.Incarnation, true)
		r.peerHello, r.freshFrom = h.Counter, r.table.Engine.TxCounter
		r.event(EventPeer, hello.Incarnation, 0)
	}
	// Its NIC may be another one than before, or than nobody's that answered ARP.
	// The MAC does not cover the outer headers: a flipped bit there comes once.
	if from == r.helloFrom {
		r.link.remote.MAC, r.table.Config.PeerLinkMAC = from, from
	}
	r.helloFrom = from
	r.hello = hello
	r.table.Config.PeerOrderMAC = hello.OrderMAC
	r.step(role.Event{Kind: role.PeerHello, Hello: hello, Tail: r.ring.Tail(), Echoed: h.Echo}, nowNs)
	r.considerLag(nowNs)
	// Two that both want to join hear of each other at their ticks.
	if hello.Want == wire.WantJoin && r.word.State() == lane.Active {
		r.serveCatchUp(&hello, h.Echo > r.goneOnFrom, nowNs)
		r.sendHello()
		r.link.kick()
	} else if hello.Authority.State() == lane.Syncing && r.word.State() == lane.Active {
		r.helloDue = true // it lacks a state, and takes none before it has heard its writer
	} else {
		r.askOn()
	}
}

// muchBytes is what a burst must bring for the next one to be asked for at once.
const muchBytes = 16 << 10

// askOn asks for the next burst at once when the writer's HELLO, which leaves behind
// each burst, finds that this one brought much: at a burst per tick a busy writer's log
// grows faster than the standby's, or never comes near enough. A burst that brought
// little was all there is, or was lost: the next tick will do.
func (r *Replica) askOn() {
	if r.word.State() != lane.Syncing || r.hello.Authority.State() != lane.Active || r.broken || r.feeding ||
		r.ring.Tail() < r.saidTail+muchBytes {
		return
	}
	r.sendHello()
	r.link.kick()
}

// setKeys derives the session keys of two rings and gives them to the kernel.
// For a new peer ring the counters start anew: its keys were never used. The
// programs are kept outside meanwhile.
func (r *Replica) setKeys(peer uint64, fresh bool) {
	low, high := min(r.cfg.Node, r.cfg.Peer), max(r.cfg.Node, r.cfg.Peer)
	incLow, incHigh := r.table.Config.Incarnation, peer
	if r.cfg.Node != low {
		incLow, incHigh = incHigh, incLow
	}
	keys := wire.DeriveKeys(r.cfg.Shared, r.cfg.Lane, low, high, incLow, incHigh)
	tx, rx := keys.For(r.cfg.Node, low)
	for atomic.SwapUint64(&r.table.Busy, 1) != 0 {
	}
	for atomic.SwapUint64(&r.table.Second.Busy, 1) != 0 {
	}
	c := &r.table.Config
	c.PeerIncarnation, c.TxKey, c.RxKey = peer, tx, rx
	r.nh = keys.NH
	if err := r.setNHKey(&r.nh); err != nil {
		r.Events.push(Event{TimeNs: r.progressNs, Kind: EventRefused, Reason: err.Error()})
	}
	if fresh {
		r.table.RxCounter = [lane.Paths]uint64{}
	}
	r.link.tx = wire.Auth{Enabled: r.cfg.Authenticate, Sip: tx, NH: &r.nh}
	r.helloIncarn = peer
	atomic.StoreUint64(&r.table.Second.Busy, 0)
	atomic.StoreUint64(&r.table.Busy, 0)
}

// serveCatchUp sends what the standby lacks, a burst per HELLO, and takes it in
// once it is at the tail. One that this writer went on without must have heard
// it since: over a cable that carries one way only it would be taken in for
// nothing again and again, and orders would wait each time.
func (r *Replica) serveCatchUp(hello *wire.Hello, hears bool, nowNs int64) {
	cutAt, known := r.cutFor(hello)
	from := min(hello.Tail, cutAt)
	if !known || from != r.ring.Tail() && !r.ring.Holds(from) {
		if r.refusedAt != from {
			r.refusedAt = from
			r.Events.push(Event{TimeNs: nowNs, Kind: EventRefused,
				Reason: "the standby lacks records that this ring no longer holds: it needs [stream] and peer_stream, and this node [stream] and [archive]; else start both nodes with empty rings"})
		}
		return
	}
	if from != hello.Tail {
		// First it cuts, at the place that the next HELLO names: a record of this
		// log that begins where the other one ends would be appended to what must
		// go.
		return
	}
	if hears && r.ring.Tail()-from <= readyBytes && r.archiveReady(hello, nowNs) {
		r.step(role.Event{Kind: role.StandbyReady}, nowNs)
	}
	for range catchUpBurst {
		records, end := r.ring.Batch(from, r.link.payloadMax)
		if len(records) == 0 {
			break
		}
		b := r.link.reserve()
		if b == nil {
			break
		}
		r.link.header = wire.Header{Type: wire.Mirror, Epoch: r.word.Epoch(), Authority: r.word,
			LengthBytes: uint16(len(records)), Position: from, Tail: end, Echo: r.NextOutput()}
		r.link.submitParts(b, records, nil)
		from = end
	}
}

// readyBytes is how near to the tail a standby must be to be taken in: what one
// burst carries, so that orders wait for it a moment only. Less, and under load
// on busy cores a standby is never that near: the log grows by 16 KiB within the
// 10 ms that its HELLO may take to be read.
const readyBytes = 64 << 10

// onMirror appends in SYNCING: user space alone writes the ring then.
func (r *Replica) onMirror(h *wire.Header, payload []byte, nowNs int64) {
	// What continues a log by its position need not continue it by its history:
	// the log is cut to the writer's first.
	if r.word.State() != lane.Syncing || r.broken || r.prefixOf != r.table.Config.PeerIncarnation {
		return
	}
	if h.LengthBytes > 0 && h.Position == r.ring.Tail() {
		r.ring.SetLimit(r.applied + uint64(r.ring.SizeBytes()))
		if err := r.ring.WriteRaw(h.Position, h.Records(payload)); err != nil {
			r.helloDue = true
			return
		}
	}
	if h.Epoch > r.word.Epoch() || h.LengthBytes > 0 {
		r.noteRecord(h, payload)
		r.tellCaughtUp(nowNs)
	}
	r.helloDue = r.word.State() == lane.Syncing
}

// tellCaughtUp tells the role machine how far the log of a SYNCING node has come.
func (r *Replica) tellCaughtUp(nowNs int64) {
	r.step(role.Event{Kind: role.CaughtUp, Record: r.newest, Tail: r.ring.Tail(), LastEpoch: r.ring.LastEpoch()}, nowNs)
}

// noteRecord keeps the newest epoch record of the log when one comes in.
func (r *Replica) noteRecord(h *wire.Header, payload []byte) {
	position := h.Position
	for position < r.ring.Tail() && position < h.Position+uint64(h.LengthBytes) {
		rec, next, state := r.ring.Read(position)
		if state.Corrupt() || next <= position {
			return
		}
		if rec.Type == app.RecordEpoch {
			r.newest.Parse(rec.Payload)
		}
		position = next
	}
}

// sendProbe asks the peer's kernel for life, and shows it this node's.
func (r *Replica) sendProbe() {
	if r.table.Config.PeerIncarnation == 0 {
		return // no keys yet
	}
	b := r.link.reserve()
	if b == nil {
		return
	}
	r.link.header = wire.Header{Type: wire.Probe, Epoch: r.word.Epoch(), Authority: r.word, Tail: r.ring.Tail()}
	r.link.submit(b, 0, &r.link.tx)
}

// ForwardOrder sends an order frame that came too late for this node to its
// successor; false when it has none to send it to.
func (r *Replica) ForwardOrder(order []byte) bool {
	if r.word.State() != lane.Fenced || r.link == nil || len(order) > r.link.payloadMax {
		return false
	}
	b := r.link.reserve()
	if b == nil {
		return false
	}
	copy(b[linkHeaderBytes:], order)
	r.link.header = wire.Header{Type: wire.Forward, Epoch: r.word.Epoch(), Authority: r.word,
		RideBytes: uint16(len(order)), Successor: uint32(r.cfg.Peer), Tail: r.ring.Tail(), Applied: r.table.Engine.Released}
	r.link.submit(b, len(order), &r.link.tx)
	return true
}

// KickLink sends what was submitted outside Send and Observe.
func (r *Replica) KickLink() {
	if r.link != nil {
		r.link.kick()
	}
}
