package mirror

import (
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/engine/mark"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/xdp/publish"
)

const (
	// MaxRides is how many outputs of one cycle ride on mirror frames, a frame
	// each. More are released by user space with one kick for all: on veth a
	// further ride costs 0.7 us, a further plain frame 0.4.
	MaxRides = 2
	// resendNs is how long the sender waits for an ACK before it goes back to
	// the ACKed tail; a direct cable answers within some 10 us.
	resendNs = 300_000
	// sendBurst bounds the mirror frames of one cycle, so that one kick is one
	// pass over the NIC's queue.
	sendBurst = 32
)

// sender is the primary's half of the mirror: what was sent and what came back.
type sender struct {
	sent       uint64 // log position up to which bytes went out
	rideNext   uint64 // next output that may ride
	lastSentNs int64  // of any mirror frame, for the heartbeat
	waitNs     int64  // when the sender began to wait for the present ACKed tail
	acked      uint64 // ACKed tail at waitNs
	resentAt   uint64 // counter of the first frame after the last going back
	resends    uint64
	rides      uint64
	// Of rides that the standby lets out nothing comes back until it is asked for.
	chained      uint64 // counter of the newest frame with one
	asked        uint64 // counter of the newest frame that is answered in any case
	unaskedCount int    // frames with such rides since then
	unaskedNs    int64  // when the first of them was sent, or else that frame
}

// Send mirrors every new byte of the ring in as few frames as fit, with up to
// MaxRides finished outputs as their rides, and kicks the link NIC once. It
// returns the number of frames.
func (r *Replica) Send(out *app.Outbox, nowNs int64) int {
	if !r.mirroring {
		return 0
	}
	s := &r.sender
	r.goBack(nowNs)
	s.rideNext = max(s.rideNext, out.Head())
	if !r.ride || !r.inSync || out.Tail()-s.rideNext > MaxRides {
		s.rideNext = out.Tail()
	}
	tail := r.ring.Tail()
	frames := 0
	for frames < sendBurst && (s.sent < tail || s.rideNext < out.Tail()) {
		if !r.sendOne(out, nowNs) {
			break
		}
		frames++
	}
	if frames == 0 && nowNs-s.lastSentNs >= r.lifeNs || r.asks(nowNs) {
		frames += r.sendHeartbeat(nowNs)
	}
	if frames > 0 {
		mark.At(mark.Built)
	}
	r.link.kick()
	if frames > 0 {
		mark.At(mark.Mirrored)
	}
	return frames
}

// sendOne builds one frame: whole records from s.sent on, and the next output
// if this frame's records complete what it depends on.
func (r *Replica) sendOne(out *app.Outbox, nowNs int64) bool {
	s, l := &r.sender, r.link
	b := l.reserve()
	if b == nil {
		return false
	}
	records, end := r.ring.Batch(s.sent, l.payloadMax)
	h := &l.header
	*h = wire.Header{Type: wire.Mirror, Epoch: r.word.Epoch(), Authority: r.word,
		LengthBytes: uint16(len(records)), Position: s.sent, Tail: end,
		Applied: r.table.Engine.Released, Echo: r.NextOutput()}
	var slot *app.Slot
	var ride []byte
	if s.rideNext < out.Tail() {
		slot = out.At(s.rideNext)
		if slot.RecordEnd > end || len(records)+slot.LengthBytes > l.payloadMax {
			slot = nil
		}
	}
	if slot != nil {
		h.RideBytes = uint16(slot.LengthBytes)
		h.Output = s.rideNext
		ride = slot.Frame[:slot.LengthBytes]
		if r.chains(slot) {
			h.Flags = wire.FlagChain
		}
		s.rideNext++
		s.rides++
	} else if len(records) == 0 {
		return false // the reserved buffer stays reserved
	}
	counter := l.submitParts(b, records, ride)
	r.note(counter, nowNs)
	if slot != nil {
		slot.Echo = counter
		slot.SentNs = nowNs
	}
	if s.sent == s.acked {
		s.waitNs = nowNs
	}
	s.sent = end
	s.lastSentNs = nowNs
	return true
}

// sendHeartbeat shows life while there is nothing to mirror.
func (r *Replica) sendHeartbeat(nowNs int64) int {
	b := r.link.reserve()
	if b == nil {
		return 0
	}
	r.link.header = wire.Header{Type: wire.Mirror, Epoch: r.word.Epoch(), Authority: r.word,
		Position: r.sender.sent, Tail: r.sender.sent, Applied: r.table.Engine.Released, Echo: r.NextOutput()}
	r.note(r.link.submit(b, 0, &r.link.tx), nowNs)
	r.sender.lastSentNs = nowNs
	return 1
}

// goBack returns to the ACKed tail when frames were lost: at once when the
// standby says so, else when no ACK came for resendNs. Rides are not tried
// again: what they carried, user space releases.
func (r *Replica) goBack(nowNs int64) {
	s, peer := &r.sender, &r.table.Peer
	acked := atomic.LoadUint64(&peer.Tail)
	if acked > s.acked {
		s.acked, s.waitNs = acked, nowNs
		// What the standby fetched as history is not sent to it as well: the ring may
		// not hold it any more, and then nothing would ever follow it.
		s.sent = max(s.sent, acked)
	}
	if !r.inSync || s.acked >= s.sent || r.unasked() {
		return
	}
	flags := atomic.LoadUint64(&peer.Flags)
	gap := flags&wire.FlagGap != 0 && atomic.LoadUint64(&peer.Echo) >= s.resentAt
	if !gap && nowNs-s.waitNs < resendNs {
		return
	}
	s.sent, s.waitNs = s.acked, nowNs
	s.resentAt = r.table.Engine.TxCounter + 1
	s.resends++
}

// startSending begins a new epoch's stream at position.
func (r *Replica) startSending(position uint64, nowNs int64) {
	r.sender = sender{sent: position, acked: position, waitNs: nowNs,
		resentAt: r.table.Engine.TxCounter + 1, resends: r.sender.resends, rides: r.sender.rides}
	atomic.StoreUint64(&r.table.Peer.Tail, position)
	atomic.StoreUint64(&r.table.Peer.Applied, 0)
	atomic.StoreUint64(&r.table.Peer.Archived, 0)
	atomic.StoreUint64(&r.table.Peer.Flags, 0)
}

// rideLostNs is how long a ride may be under way before user space takes its
// output over; its ACK was lost or came back without permission.
const rideLostNs = resendNs

// RideUnderWay reports whether an output is still on its way as a ride, so that
// user space leaves it alone. One that the standby may have let out is left alone
// until that has said so: an ACK is asked for, again and again.
func (r *Replica) RideUnderWay(slot *app.Slot, nowNs int64) bool {
	return slot.Echo != 0 && atomic.LoadUint64(&r.table.Peer.Echo) < slot.Echo &&
		(nowNs-slot.SentNs < rideLostNs || r.cfg.ChainPort != 0 && r.inSync)
}

// NextOutput returns the number of the next output to be released: those below
// it have left, by a ride or by user space.
func (r *Replica) NextOutput() uint64 { return atomic.LoadUint64(&r.table.NextOutput) }

// TakeOutput makes user space the one that releases output n; false when the
// kernel was first. Without a standby in the set there is no ride to race with:
// the kernel refuses the ACKs of any other epoch.
func (r *Replica) TakeOutput(n uint64) bool {
	if r.inSync {
		return atomic.CompareAndSwapUint64(&r.table.NextOutput, n, n+1)
	}
	if atomic.LoadUint64(&r.table.NextOutput) != n {
		return false
	}
	publish.Uint64(&r.table.NextOutput, n+1)
	return true
}

// GateOpen reports whether this node still is what it was when the cycle began.
// Asked before each kick that lets outputs out. A lease may have ended since then.
func (r *Replica) GateOpen() bool {
	return lane.Load(r.authority) == r.word && r.word.State() == lane.Active && r.leaseLasts()
}
