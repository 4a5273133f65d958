package sim

import (
	"bytes"

	"onebeat/engine/app"
	"onebeat/mirror"
	"onebeat/mirror/lane"
)

// fetching is the cold side that brings a process what its peer's frames do not:
// from the other host's archive, while that host serves, and what a dead engine left,
// while its host has power. It may fail at any point.
type fetching struct {
	atNs int64 // when it comes to the next piece; 0: nothing is under way
	at   uint64
}

// fetchPieceBytes is little, so that much can go wrong on the way.
const fetchPieceBytes = 2 << 10

// fetch is a step of the cold side.
func (h *host) fetch() {
	w, p := h.w, h.p
	if !w.cfg.Streams {
		return
	}
	if _, wanted := p.r.History.Wanted(); wanted {
		h.fetchState()
		return
	}
	f := &p.r.Feed
	lag, wanted := f.Wanted()
	switch {
	case !wanted:
		if f.Stopped() && !f.Idle() {
			f.End("")
		}
		p.fetching = fetching{}
	case p.fetching.atNs == 0:
		p.fetching = fetching{atNs: w.nowNs + w.between(100*us, 2*ms), at: lag.From}
	case w.nowNs >= p.fetching.atNs:
		if end, failure := h.fetchPiece(&lag); end {
			f.End(failure)
			p.fetching = fetching{}
		}
	}
}

// source returns the other host, if its stream answers.
func (h *host) source(salvage bool) *host {
	other := h.w.hosts[1-h.i]
	serves := other.p != nil && lane.Load(&other.word).State() == lane.Active
	if other.off || h.w.nowNs < other.frozenNs || !salvage && !serves || salvage && serves {
		return nil
	}
	return other
}

// fetchPiece brings the next records, and says whether that was all, and why.
func (h *host) fetchPiece(lag *mirror.Lag) (end bool, failure string) {
	w, p := h.w, h.p
	other := h.source(lag.Salvage)
	if other == nil || w.chance(20) && !w.peace {
		return true, "the server is gone"
	}
	log, to := other.past.log, min(other.table.Committed(), other.table.Tail)
	if lag.Salvage {
		to = min(lag.To, other.table.Tail)
	}
	if p.fetching.at == lag.From {
		if cut, ok := firstAfter(log, lag.Epoch); ok && cut < lag.From {
			p.r.Feed.PutCut(cut)
			return true, ""
		}
		switch {
		case lag.From == 0 && len(log) > 0 && h.maySpare(other) && w.chance(2):
			h.adopt(other)
			return true, ""
		case lag.From > to:
			return true, "the server's log is older"
		case lag.Salvage && !bytes.Equal(log[:lag.From], h.past.log[:lag.From]):
			return true, "the server's log is another"
		case !bytes.Equal(log[:lag.From], h.past.log[:lag.From]):
			w.fail("host %d fetches behind %d, where its log is not the other's", h.i, lag.From)
			return true, ""
		}
	}
	if p.fetching.at >= to {
		return true, ""
	}
	if p.r.Feed.Full() {
		return false, ""
	}
	s := read(log, to, func(_ *app.Record, end uint64) bool {
		return end <= p.fetching.at || end-p.fetching.at <= fetchPieceBytes
	})
	if s.end <= p.fetching.at || !p.r.Feed.Put(p.fetching.at, log[p.fetching.at:s.end], uint64(w.cfg.RingBytes)) {
		return true, "no whole record"
	}
	p.fetching.at = s.end
	return false, ""
}

// firstAfter finds where the first record of a later epoch begins.
func firstAfter(log []byte, epoch uint32) (position uint64, found bool) {
	read(log, uint64(len(log)), func(rec *app.Record, _ uint64) bool {
		if found = rec.Epoch > epoch; found {
			position = rec.Position
		}
		return !found
	})
	return position, found
}

// fetchState gives a process whose ring has lost the log's beginning its state: from
// this host's own archive, or now and then from the other's, as a node without an
// archive would.
func (h *host) fetchState() {
	w, p := h.w, h.p
	switch {
	case p.stateNs == 0:
		p.stateNs = w.nowNs + w.between(100*us, 5*ms)
		return
	case w.nowNs < p.stateNs:
		return
	}
	p.stateNs = 0
	if other := h.source(false); other != nil && w.chance(3) && h.maySpare(other) && lane.Load(&h.word).State() == lane.Syncing {
		h.adopt(other)
		return
	}
	s := read(h.past.log, h.table.Tail, nil)
	place := mirror.Place{Position: s.end, TimeNs: s.timeNs, Epoch: s.epoch, Records: s.count, Record: s.record}
	if err := p.r.CanAdopt(&place); err != nil {
		w.tell("host %d: %v", h.i, err)
		return
	}
	p.r.Adopt(&place, h.clockNs())
	w.tell("host %d has its state back at %d", h.i, s.end)
}

// maySpare reports whether the lane can do without this host's ring: it is in no set
// any more, or this is a run in which memory is lost, and the other one holds it all.
func (h *host) maySpare(other *host) bool {
	w, r := h.w, other.p.r.Record()
	return !r.Has(lane.Member{Node: uint8(h.i + 1), Incarnation: h.table.Config.Incarnation}) ||
		!w.cfg.Gentle && !w.fragile && !w.cfg.Mode.Degrades
}

// adopt goes on from a snapshot of the other host: with another ring.
func (h *host) adopt(other *host) {
	w, p := h.w, h.p
	most := min(other.table.Committed(), other.table.Tail)
	most = uint64(w.between(0, int64(most)))
	log := other.past.log
	s := read(log, most, func(_ *app.Record, end uint64) bool { return end <= most })
	place := mirror.Place{Position: s.end, TimeNs: s.timeNs, Epoch: s.epoch, Records: s.count, Record: s.record,
		Reset: true, Incarnation: w.dice.Uint64() | 1}
	if err := p.r.CanAdopt(&place); err != nil {
		w.tell("host %d: %v", h.i, err)
		return
	}
	p.r.Adopt(&place, h.clockNs())
	h.past.log = append(h.past.log[:0], log[:s.end]...)
	h.past.cuts, h.applied = h.view.Cuts(), s.end
	w.fragile, w.settled = true, false
	w.result.Adopted++
	w.tell("host %d begins another ring at %d", h.i, s.end)
}
