package mirror

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
)

// Lag says which part of the log a node lacks that its peer's frames do not bring:
// because the writer's ring no longer holds it, or because the writer's engine is
// dead.
type Lag struct {
	From  uint64 // the end of this node's log
	Epoch uint32 // of the last record before it; 0: there is none
	// Salvage: the rest up to To, of a dead engine's log, for its successor.
	Salvage bool
	To      uint64
}

// Feed hands a Lag from the loop to the cold side, and from there the records in
// pieces that the loop takes in one by one, as far as its reader leaves room.
type Feed struct {
	state   atomic.Uint32 // pairs lag and failure: the loop's while idle or ended, else the cold side's
	stopped atomic.Bool   // the loop does not want it any more
	lag     Lag
	failure string
	taken   atomic.Uint64 // pieces, by the loop
	put     atomic.Uint64 // pieces, by the cold side
	pieces  [feedPieces]piece
}

const (
	feedIdle uint32 = iota
	feedWanted
	feedEnded
)

// A piece is small enough that a loop which has other lanes to serve is not kept.
const (
	feedPieces     = 16
	feedPieceBytes = 32 << 10
)

// piece of a log: whole records that do not cross the ring's end. Without any, the
// log is to be cut at its position first.
type piece struct {
	position uint64
	records  []byte
	record   lane.Record // newest epoch record in it
	epochs   bool        // there is one
}

// Wanted returns what is lacking while it is. For the cold side's one thread, as
// are Put, PutCut and End.
func (f *Feed) Wanted() (Lag, bool) {
	if f.state.Load() != feedWanted || f.stopped.Load() {
		return Lag{}, false
	}
	return f.lag, true
}

// Full reports whether Put would wait.
func (f *Feed) Full() bool { return f.put.Load()-f.taken.Load() >= feedPieces/2 }

// Idle reports whether nothing is asked for.
func (f *Feed) Idle() bool { return f.state.Load() == feedIdle }

// Stop ends a Put that waits, and those that follow. Any thread may call it.
func (f *Feed) Stop() { f.stopped.Store(true) }

// Stopped reports whether the loop does not want more: End it then.
func (f *Feed) Stopped() bool { return f.stopped.Load() }

// feedPause is how long Put waits for the loop at a time.
const feedPause = 50 * time.Microsecond

// Put hands over whole, checked records. It waits until the loop has room, and is
// false when the loop does not want them any more.
func (f *Feed) Put(position uint64, records []byte, ringBytes uint64) bool {
	for len(records) > 0 {
		p := f.next()
		if p == nil {
			return false
		}
		*p = piece{position: position, records: p.records[:0]}
		n := 0
		most := int(min(feedPieceBytes, ringBytes-position&(ringBytes-1)))
		for n < len(records) {
			lengthBytes := int(binary.LittleEndian.Uint32(records[n:]))
			end := n + ring.PaddedBytes(lengthBytes-ring.HeaderBytes)
			if end > most || end > len(records) || lengthBytes < ring.HeaderBytes {
				break
			}
			if app.RecordType(binary.LittleEndian.Uint16(records[n+4:])) == app.RecordEpoch {
				p.epochs = p.record.Parse(records[n+ring.HeaderBytes:n+lengthBytes]) || p.epochs
			}
			n = end
		}
		if n == 0 {
			return false // a record that crosses the ring's end: of a log with smaller rings
		}
		p.records = append(p.records, records[:n]...)
		f.put.Add(1)
		position, records = position+uint64(n), records[n:]
	}
	return true
}

// PutCut says that the log must end at a position before it can go on.
func (f *Feed) PutCut(position uint64) bool {
	p := f.next()
	if p == nil {
		return false
	}
	*p = piece{position: position, records: p.records[:0]}
	f.put.Add(1)
	return true
}

// next waits for a free piece.
func (f *Feed) next() *piece {
	for f.put.Load()-f.taken.Load() == feedPieces {
		if f.stopped.Load() {
			return nil
		}
		time.Sleep(feedPause)
	}
	if f.stopped.Load() {
		return nil
	}
	p := &f.pieces[f.put.Load()%feedPieces]
	if p.records == nil {
		p.records = make([]byte, 0, feedPieceBytes)
	}
	return p
}

// End says that nothing more comes, and why; empty: it is all there.
func (f *Feed) End(failure string) {
	f.failure = failure
	f.state.Store(feedEnded)
}

// feeder is the loop's end.
type feeder struct {
	feeding   bool
	feedFrom  uint64 // the peer's ring it was asked of
	lagNs     int64  // no other request before
	lagTold   string
	fed       uint64 // bytes
	feeds     uint64
	feedFails uint64
}

// lagRetryNs is how long a node waits before it asks again for history that did not
// come.
const lagRetryNs = 200_000_000

// ask hands a Lag to the cold side; false: the last one has not ended.
func (r *Replica) ask(lag Lag) bool {
	f := &r.Feed
	if f.state.Load() != feedIdle {
		return false
	}
	f.lag, f.failure = lag, ""
	f.stopped.Store(false)
	r.feeding, r.feedFrom = true, r.hello.Incarnation
	r.feeds++
	f.state.Store(feedWanted)
	return true
}

// considerLag looks, at each HELLO of the writer, whether its frames can bring what
// this node lacks. They cannot if its ring no longer holds that, or will not any
// more by the time it is sent, or if it cannot tell where this log must be cut.
func (r *Replica) considerLag(nowNs int64) {
	h, tail := &r.hello, r.ring.Tail()
	if !r.cfg.Stream || r.feeding || r.cutting || r.broken || nowNs < r.lagNs || r.word.State() != lane.Syncing ||
		h.Authority.State() != lane.Active || h.Authority.Epoch() < r.word.Epoch() || h.PeerIncarnation != r.table.Config.Incarnation {
		return
	}
	size := uint64(r.ring.SizeBytes())
	far := h.Tail > tail && (h.Oldest > tail || h.Tail-tail > size-size/4)
	if r.prefixOf == r.table.Config.PeerIncarnation && far || h.CutFor == nobodysEpoch {
		r.lagNs = nowNs + lagRetryNs
		if r.ask(Lag{From: tail, Epoch: r.ring.LastEpoch()}) {
			r.event(EventLag, tail, h.Tail)
		}
	}
}

// stepFeed takes in a piece of what the cold side fetched.
func (r *Replica) stepFeed(nowNs int64) {
	f := &r.Feed
	if !r.wantsFeed() {
		f.stopped.Store(true)
	}
	taken := f.taken.Load()
	switch {
	case taken != f.put.Load():
		if f.stopped.Load() || r.takePiece(&f.pieces[taken%feedPieces], nowNs) {
			f.taken.Store(taken + 1)
		}
	case f.state.Load() == feedEnded && taken == f.put.Load():
		r.endFeed(nowNs)
	}
}

// wantsFeed: a node that follows its writer, or is about to follow it in office.
func (r *Replica) wantsFeed() bool {
	if r.Feed.lag.Salvage {
		return r.salvaging
	}
	h := &r.hello
	return r.word.State() == lane.Syncing && !r.broken && !r.cutting && h.Incarnation == r.feedFrom && h.Authority.State() == lane.Active
}

// takePiece appends a piece; false: there is no room for it yet.
func (r *Replica) takePiece(p *piece, nowNs int64) bool {
	f, tail := &r.Feed, r.ring.Tail()
	end := p.position + uint64(len(p.records))
	switch {
	case len(p.records) == 0:
		f.stopped.Store(true) // what follows comes when it is asked for again
		r.lagNs = nowNs
		r.catchUp(p.position, nowNs)
		return true
	case end <= tail:
		return true // the link has brought it meanwhile
	}
	r.ring.SetLimit(r.applied + uint64(r.ring.SizeBytes()))
	if end > r.ring.Limit() {
		return false
	}
	position := max(p.position, tail) // the link may have brought its beginning
	if err := r.ring.WriteRaw(position, p.records[position-p.position:]); err != nil {
		f.stopped.Store(true)
		r.tell(EventRefused, nowNs, "what was fetched does not fit the log: "+err.Error())
		return true
	}
	if p.epochs {
		r.newest = p.record
	}
	r.fed += end - position
	return true
}

// endFeed closes a request: what the log is now decides what is asked next.
func (r *Replica) endFeed(nowNs int64) {
	f := &r.Feed
	lag, failure := f.lag, f.failure
	r.feeding = false
	f.state.Store(feedIdle)
	if lag.Salvage {
		return
	}
	if failure != "" {
		r.feedFails++
		if r.lagTold != failure {
			r.lagTold = failure
			r.tell(EventRefused, nowNs, "history does not come: "+failure)
		}
	} else {
		r.lagTold = ""
		r.event(EventFed, lag.From, r.ring.Tail())
	}
	r.tellCaughtUp(nowNs)
	r.helloDue = r.word.State() == lane.Syncing
}
