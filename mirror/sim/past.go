package sim

import (
	"onebeat/engine/app"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// past is a host's log from its beginning, whatever its ring still holds of it. It
// goes with the host's memory: a host that comes back has nothing.
type past struct {
	log  []byte
	cuts uint64 // of the ring that it has followed
}

// archive brings the past up to the ring. It comes after everything that may have
// changed the ring, so that nothing is cut and written again, or overwritten, in
// between.
func (h *host) archive() {
	r, d := h.view, &h.past
	if now := r.Cuts(); now != d.cuts {
		if at := r.CutSince(d.cuts, now); at < uint64(len(d.log)) {
			d.log = d.log[:at]
		}
		d.cuts = now
	}
	tail := h.table.Tail
	if tail < uint64(len(d.log)) || tail-uint64(len(d.log)) > uint64(h.w.cfg.RingBytes) {
		h.w.fail("host %d: its ring ends at %d, its archive at %d", h.i, tail, len(d.log))
		return
	}
	for from := uint64(len(d.log)); from < tail; from = uint64(len(d.log)) {
		d.log = append(d.log, r.Bytes(from, tail)...)
	}
}

// summary is what reading a log to its end tells.
type summary struct {
	end    uint64
	epoch  uint32
	timeNs int64
	record lane.Record // newest epoch record
	count  uint64
}

// read goes through a log up to a position; visit ends it by returning false.
func read(log []byte, to uint64, visit func(rec *app.Record, end uint64) bool) (s summary) {
	var rec app.Record
	for s.end < to {
		end, state := ring.Decode(log[s.end:], s.end, &rec)
		if state != ring.Found || visit != nil && !visit(&rec, end) {
			return s
		}
		if rec.Type == app.RecordEpoch {
			s.record.Parse(rec.Payload)
		}
		if rec.Type != app.RecordPadding {
			s.count++
		}
		s.end, s.epoch, s.timeNs = end, rec.Epoch, rec.TimeNs
	}
	return s
}
