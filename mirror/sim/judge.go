package sim

import (
	"bytes"
	"encoding/binary"

	"onebeat/engine/app"
	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
	"onebeat/xdp/frame"
)

// judge looks at what must hold whatever happens.
type judge struct {
	w *World
	// truth is the log up to the last released output: whoever serves has it.
	truth    []byte
	released map[uint64]departure
	releaser map[uint32]int         // epoch -> host
	records  map[uint32]lane.Record // granted by the witness
	sets     map[uint32]lane.Record // as the epoch's writer knows it
	served   map[uint32]int         // epoch -> host
	last     int                    // host that served last; -1: none
	heard    [2]int64               // when host i's kernel last took a frame of its peer
}

// departure is when an order's output left first.
type departure struct {
	position uint64 // of its record
	epoch    uint32
}

func newJudge(w *World) judge {
	return judge{w: w, released: map[uint64]departure{}, releaser: map[uint32]int{}, records: map[uint32]lane.Record{}, sets: map[uint32]lane.Record{},
		served: map[uint32]int{}, last: -1}
}

// byRide is how the kernel lets out.
const byRide = "ride"

// letOut is an output that leaves a host, under the word that let it.
func (j *judge) letOut(h *host, b []byte, word lane.Word, how string) {
	if now := lane.Load(&h.word); now != word || now.State() != lane.Active {
		j.w.fail("host %d released by %s under %v, and is %v", h.i, how, word, now)
	}
	j.leaves(h, h.i, b, word.Epoch(), how)
}

// chained is an output that leaves the standby's host: on behalf of the writer
// of its epoch.
func (j *judge) chained(h *host, b []byte, word lane.Word) {
	if now := lane.Load(&h.word); now != word {
		j.w.fail("host %d released as %v, and is %v", h.i, word, now)
	}
	j.leaves(h, 1-h.i, b, word.Epoch(), "chain")
}

// leaves is an output of a writer that leaves host h.
func (j *judge) leaves(h *host, writer int, b []byte, epoch uint32, how string) {
	id, position := binary.LittleEndian.Uint64(b[frame.HeaderBytes:]), binary.LittleEndian.Uint64(b[frame.HeaderBytes+8:])
	w, end := j.w, binary.LittleEndian.Uint64(b[frame.HeaderBytes+16:])
	if first, ok := j.releaser[epoch]; ok && first != writer {
		w.fail("two hosts released in epoch %d", epoch)
	}
	j.releaser[epoch] = writer
	if first, ok := j.released[id]; ok {
		// A writer that goes on without its standby does not know what that let out.
		if !w.cfg.Mode.Chain || first.epoch == epoch || first.position != position {
			w.fail("order %d was released by %s twice: of positions %d and %d, in epochs %d and %d", id, how, first.position, position, first.epoch, epoch)
		}
		w.result.Repeated++
	}
	j.released[id] = departure{position, epoch}
	w.result.Released++
	if w.cfg.LazyReader {
		return // its ring turns over
	}
	mine := h.past.log[:end]
	other := w.hosts[1-h.i]
	newer := lane.Load(&other.word)
	held := other.table.Tail >= end && bytes.Equal(other.past.log[position:end], mine[position:])
	if w.cfg.Mode.None {
		j.releasesAlone(h, id, epoch, newer, held)
	} else if position < uint64(len(j.truth)) && end <= uint64(len(j.truth)) && !bytes.Equal(j.truth[position:end], mine[position:]) {
		w.fail("order %d is released from position %d, where another record was released", id, position)
	}
	if end > uint64(len(j.truth)) {
		j.truth = append(j.truth, mine[len(j.truth):]...)
	}
	if w.cfg.Mode.None {
		return // the others need not have it
	}
	if set := j.sets[epoch]; set.Count() == 2 && set.Has(lane.Member{Node: uint8(2 - h.i), Incarnation: w.hosts[1-h.i].table.Config.Incarnation}) &&
		(w.hosts[1-h.i].table.Tail < end || !bytes.Equal(w.hosts[1-h.i].past.log[position:end], mine[position:])) {
		w.fail("host %d released order %d by %s, which the other member has not got", h.i, id, how)
	}
	if how != byRide && writer == h.i && h.p != nil && h.p.r.InSync() && !w.stands(h, position, end) {
		w.fail("host %d released order %d by %s, and the other member does not hold it as %v asks", h.i, id, how, h.p.r.InForce().Terms)
	}
	// The newest writer counts; this one may not know of it yet.
	if newer.State() == lane.Active && newer.Epoch() > epoch && !held {
		w.fail("host %d released order %d by %s, which %v has not got", h.i, id, how, newer)
	}
}

// releasesAlone: without ACKs nothing but the lease keeps a writer that was gone
// on without from releasing beside the new one. While a stronger policy is in
// force its rule counts: what leaves late, the new writer holds, too.
func (j *judge) releasesAlone(h *host, id uint64, epoch uint32, other lane.Word, held bool) {
	if held && h.p != nil && h.p.r.InForce().Policy != policy.NameNone {
		return
	}
	if other.State() == lane.Active && other.Epoch() > epoch {
		j.w.fail("host %d releases order %d in epoch %d, beside host %d, which is %v", h.i, id, epoch, 1-h.i, other)
	}
}

// leave: outputs below next count as released.
func (j *judge) leave(out *app.Outbox, next uint64) {
	for n := out.Head(); n < min(next, out.Tail()); n++ {
		id := binary.LittleEndian.Uint64(out.At(n).Frame[frame.HeaderBytes:])
		if _, ok := j.released[id]; !ok {
			j.w.fail("order %d counts as answered, and nothing left", id)
		}
	}
}

// holds reports whether a host's log has every released output.
func (j *judge) holds(h *host) bool {
	n := uint64(len(j.truth))
	return h.table.Tail >= n && bytes.Equal(h.past.log[:n], j.truth)
}

// begins: a writer is about to take orders.
func (j *judge) begins(h *host) {
	if other := j.w.hosts[1-h.i]; j.w.cfg.Mode.Fence && !other.off && lane.Load(&other.word).State() == lane.Active {
		j.w.fail("host %d serves as %v, beside host %d, which has power and is %v", h.i, lane.Load(&h.word), other.i, lane.Load(&other.word))
	}
	if !j.w.cfg.LazyReader && !j.holds(h) {
		same := 0
		for same < min(len(j.truth), int(h.table.Tail)) && h.past.log[same] == j.truth[same] {
			same++
		}
		if j.w.cfg.Mode.None {
			j.w.result.Lost += len(j.truth) - same
			j.truth = j.truth[:same]
			return
		}
		j.w.fail("host %d serves as %v without what was released: outputs left for records up to %d, its log ends at %d and is right up to %d",
			h.i, lane.Load(&h.word), len(j.truth), h.table.Tail, same)
	}
}

// serves: a writer was promoted.
func (j *judge) serves(h *host, epoch uint32) {
	w := j.w
	w.result.Promotions++
	if j.last >= 0 && j.last != h.i {
		w.result.Failovers++
		h.tookNs = w.nowNs
	}
	j.last = h.i
	if first, ok := j.served[epoch]; ok {
		w.fail("epoch %d is served by host %d, after host %d", epoch, h.i, first)
	}
	j.served[epoch] = h.i
	if h.p != nil && h.p.diverged {
		w.fail("host %d serves in epoch %d, and its state is not the log's", h.i, epoch)
	}
	if r, ok := j.records[epoch]; w.cfg.Mode.Witness && (!ok || int(r.Writer) != h.i+1) {
		w.fail("host %d serves in epoch %d, which the witness granted as %v", h.i, epoch, r)
	}
}

// alone: a writer goes on without its standby, which had its power taken.
func (j *judge) alone(h *host, epoch uint32) {
	other := j.w.hosts[1-h.i]
	if s := lane.Load(&other.word); j.w.cfg.Mode.Fence && !other.off && s.Epoch()+1 == epoch && (s.State() == lane.Standby || s.State() == lane.Candidate) {
		j.w.fail("host %d goes on alone in epoch %d, and host %d, which is %v, has power", h.i, epoch, other.i, s)
	}
}

// shotAlone: a writer loses its memory to an agent that was wished for while it was
// a standby that did not ACK. The writer that had wished was fenced by its own kernel
// before the agent was through, for the standby was heard again. Degraded, what the
// new one let out alone was in one memory, as was said loudly; the other goes on
// without it, on an operator's word.
func (j *judge) shotAlone(h *host) {
	w, other := j.w, j.w.hosts[1-h.i]
	same := 0
	for same < min(len(j.truth), int(other.table.Tail)) && other.past.log[same] == j.truth[same] {
		same++
	}
	w.tell("host %d took the lane after its power was to be taken: %d bytes of what it let out are lost", h.i, len(j.truth)-same)
	w.result.Lost += len(j.truth) - same
	j.truth = j.truth[:same]
	for epoch, by := range j.served {
		if by == h.i && epoch > lane.Load(&other.word).Epoch() {
			delete(j.served, epoch)
			delete(j.releaser, epoch)
		}
	}
}

// granted: the register changed.
func (j *judge) granted(next *lane.Record, before *arbiter.Register) {
	w := j.w
	// What a witness granted and forgot, and nobody acted on, is nothing.
	if _, served := j.served[next.Epoch]; served && j.records[next.Epoch] != *next {
		w.fail("the witness granted %v, after %v", *next, j.records[next.Epoch])
	}
	if before.Known && next.Epoch != before.Record.Epoch+1 {
		w.fail("the register went from %v to %v", before.Record, *next)
	}
	j.records[next.Epoch] = *next
}

// proven: a kernel heard that the writer of its epoch is through.
func (j *judge) proven(h *host, word lane.Word) {
	if writer := lane.Load(&j.w.hosts[1-h.i].word); writer == word.With(lane.Active) {
		j.w.fail("host %d takes over, for the other had said FENCED, and is %v", h.i, writer)
	}
}

// accuses: a kernel took its peer for dead.
func (j *judge) accuses(h *host) {
	const least = (silentTicks - 1) * tickNs * 98 / 100
	w := j.w
	w.tell("host %d's kernel takes the other for dead", h.i)
	switch {
	case w.nowNs-j.heard[h.i] < least:
		w.fail("host %d accuses its peer, which it heard %d us ago", h.i, (w.nowNs-j.heard[h.i])/us)
	case h.p == nil:
		w.fail("host %d accuses its peer, and its own engine is dead", h.i)
	case w.nowNs-h.thawedNs < least:
		w.fail("host %d accuses its peer, and was frozen itself until %d us ago", h.i, (w.nowNs-h.thawedNs)/us)
	}
}

// standing compares the logs of a lane in order.
func (j *judge) standing() {
	a, b := j.w.hosts[0], j.w.hosts[1]
	if lane.Load(&a.word).State() == lane.Standby {
		a, b = b, a
	}
	if n := b.table.Tail; n > a.table.Tail || !j.w.cfg.LazyReader && !bytes.Equal(a.past.log[:n], b.past.log[:n]) {
		j.w.fail("the standby's log, up to %d, is not the beginning of the writer's, up to %d", n, a.table.Tail)
	}
	if a.p != nil && b.p != nil {
		j.sameTerms(a, b)
	}
}
