package stream

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

// sending is one answer to a LOG: the server's half.
type sending struct {
	*session
	lane   *Lane
	req    *LogRequest
	cursor cursor
	rate   bucket
	zstd   *zstd.Encoder
	packed []byte
	sentNs int64
	polls  time.Duration // how long nothing was found
	// stuckNs is since when there is something that cannot be read; 0: there is not.
	stuckNs int64

	// What the goroutine that reads ACKs shares with the one that sends.
	sentTo atomic.Uint64
	heard  atomic.Int64
	ackErr error      // why the former ended
	entry  *copyEntry // nil: no copy
}

// log streams a part of a lane's log.
func (s *session) log(l *Lane, req *LogRequest) error {
	w := &sending{session: s, lane: l, req: req,
		cursor: cursor{lane: l, position: req.From, last: req.Last, epoch: req.Epoch, buffer: s.buffer[HeaderBytes+chunkHeadBytes:]}}
	w.rate = newBucket(smaller(req.RateBytes, s.server.o.RateBytes), s.server.o.NowNs())
	if err := w.admit(); err != nil {
		return w.cut(err)
	}
	if req.Compress {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return err
		}
		w.zstd, w.packed = e, make([]byte, 0, HeaderBytes+chunkHeadBytes+e.MaxEncodedSize(ChunkBytes))
	}
	w.sentTo.Store(req.From)
	w.heard.Store(s.server.o.NowNs())
	if req.Copy {
		e, before, ok := s.server.copies.join(l.ID, s, s.server.o.NowNs())
		if !ok {
			return refuse(ReasonBusy, "lane %d has %d copies already", l.ID, copiesMax)
		}
		if before != nil {
			s.server.refused[ReasonReplaced].Add(1)
			_ = before.conn.Close() // its goroutine ends by it
		}
		w.entry = e
		defer s.server.copies.leave(e, s)
	}
	if !req.Follow {
		return errors.Join(w.cut(w.run(nil)), w.cursor.close())
	}
	ended := make(chan struct{})
	go func() {
		w.ackErr = w.acks()
		close(ended)
	}()
	err := w.cut(w.run(ended))
	// Its reader waits for the client: let it go before the connection is used
	// for anything else.
	_ = s.conn.SetReadDeadline(time.Now())
	<-ended
	return errors.Join(err, w.cursor.close())
}

// admit looks whether the request can be answered at all.
func (w *sending) admit() error {
	if w.req.Salvage {
		if w.lane.Look == nil || w.lane.Ring == nil || w.lane.Peer == 0 || w.lane.Peer != w.node {
			return refuse(ReasonSalvage, "the end of lane %d is for its other node only", w.lane.ID)
		}
	}
	if w.req.Identity != (LogRequest{}).Identity && w.lane.Archive != "" {
		if s := w.lane.status(0); s.Identity != w.req.Identity && s.Identity != (LogRequest{}).Identity {
			return refuse(ReasonOtherLife, "lane %d is life %v here, %v at the client", w.lane.ID, s.Identity, w.req.Identity)
		}
	}
	if _, ok := w.cursor.end(w.req); !ok {
		return w.notHere()
	}
	return w.cursor.agree()
}

func (w *sending) notHere() error {
	v := w.lane.Look()
	if w.req.Salvage {
		return refuse(ReasonSalvage, "lane %d is %v here: its engine may still write", w.lane.ID, v.Word)
	}
	return refuse(ReasonNotHere, "lane %d is %v here", w.lane.ID, v.Word)
}

// cut tells the client where its log has to end; the request is answered by it.
func (w *sending) cut(err error) error {
	var c *Cut
	if errors.As(err, &c) {
		p := place{c.Position}
		return w.send(TypeCut, w.lane.ID, p.put(w.body()))
	}
	return err
}

// run sends what there is; while following, also what comes.
func (w *sending) run(ended <-chan struct{}) error {
	for {
		select {
		case <-ended: // nil channel: never
			return w.ackErr
		default:
		}
		end, ok := w.cursor.end(w.req)
		if !ok && !w.req.Follow {
			return w.notHere()
		}
		var records []byte
		if ok {
			var err error
			if records, err = w.cursor.next(min(end, w.cursor.position+w.piece(end))); err != nil {
				return err
			}
		}
		if len(records) > 0 {
			w.polls, w.stuckNs = 0, 0
			if err := w.chunk(records, end); err != nil {
				return err
			}
			continue
		}
		if err := w.stuck(ok && w.cursor.position < end && w.lane.Look != nil); err != nil {
			return err
		}
		done := !w.req.Follow && (w.cursor.position >= end || w.lane.Look == nil)
		if done || w.server.o.NowNs()-w.sentNs >= int64(w.server.o.Timing.KeepAlive) {
			if err := w.caught(end); err != nil || done {
				return err
			}
		}
		if !w.wait() {
			return refuse(ReasonClosing, "the server ends")
		}
	}
}

// NearBytes is how far behind a client counts as one that follows: orders may wait for
// what it ACKs.
const NearBytes = 1 << 20

// piece begins the next chunk and returns how much it may be.
func (w *sending) piece(end uint64) uint64 {
	end = min(end, w.reach())
	left := end - min(w.cursor.position, end)
	w.errand.Left(left)
	w.errand.Urge(w.req.Salvage || w.req.Follow && left <= NearBytes)
	return w.pieceBytes()
}

// stuck bounds the wait for records that the ring has lost and the archive does
// not have yet.
func (w *sending) stuck(waiting bool) error {
	now := w.server.o.NowNs()
	switch {
	case !waiting:
		w.stuckNs = 0
	case w.stuckNs == 0:
		w.stuckNs = now
	case now-w.stuckNs > int64(w.server.o.Timing.Dead):
		return refuse(ReasonHistory, "position %d is not in the archive yet, and no longer in the ring", w.cursor.position)
	}
	return nil
}

// wait lets a moment pass; a client that has all for longer is looked after less
// often. It is false when the server ends.
func (w *sending) wait() bool {
	t := &w.server.o.Timing
	w.polls = min(w.polls+t.Poll, 5*t.Poll)
	if w.req.Follow && w.server.o.NowNs()-w.heard.Load() > int64(t.Dead) {
		_ = w.conn.Close() // ended says so
	}
	return w.server.pause(w.polls)
}

// chunk sends records that stand in the session's buffer, behind their head.
func (w *sending) chunk(records []byte, end uint64) error {
	if wait := w.rate.take(len(records), w.server.o.NowNs()); wait > 0 && !w.pace(wait) {
		return refuse(ReasonClosing, "the server ends")
	}
	head := chunkHead{position: w.cursor.position - uint64(len(records)), safe: max(min(end, w.reach()), w.cursor.position),
		wallNs: time.Now().UnixNano(), rawBytes: uint32(len(records))}
	b, flags := w.buffer[:HeaderBytes+chunkHeadBytes+len(records)], uint8(0)
	if w.zstd != nil {
		packed := w.zstd.EncodeAll(records, w.packed[:HeaderBytes+chunkHeadBytes])
		if len(packed) < len(b) {
			b, flags = packed, FlagZstd
		}
	}
	head.put(b[HeaderBytes:])
	// Before it is sent: its ACK may come at once.
	w.sentTo.Store(w.cursor.position)
	if err := w.put(seal(b, TypeChunk, flags, w.lane.ID)); err != nil {
		return err
	}
	w.sentNs = w.server.o.NowNs()
	w.server.sentBytes.Add(uint64(len(records)))
	return nil
}

// pace waits for the rate limit, and shows life meanwhile.
func (w *sending) pace(wait time.Duration) bool {
	for wait > 0 {
		d := min(wait, w.server.o.Timing.KeepAlive)
		if !w.server.pause(d) {
			return false
		}
		if wait -= d; wait > 0 && w.alive() != nil {
			return true // the next write says why
		}
	}
	return true
}

// alive is a CAUGHT that says nothing new: behind what was sent there is more.
func (w *sending) alive() error {
	p := place{w.sentTo.Load(), w.cursor.position, uint64(time.Now().UnixNano())}
	return w.send(TypeCaught, w.lane.ID, p.put(w.body()))
}

// reach is the end of the log where end is no bound.
func (w *sending) reach() uint64 {
	if w.lane.Ring == nil {
		return w.cursor.position
	}
	return w.lane.Ring.Tail()
}

// caught says that the client has all there is, or only shows life.
func (w *sending) caught(end uint64) error {
	p := place{w.cursor.position, max(min(end, w.reach()), w.cursor.position), uint64(time.Now().UnixNano())}
	w.sentNs = w.server.o.NowNs()
	return w.send(TypeCaught, w.lane.ID, p.put(w.body()))
}

// acks reads what a following client says until it is silent, gone, or makes no
// sense.
func (w *sending) acks() error {
	for {
		h, body, err := w.next(w.server.o.Timing.Dead)
		if err != nil {
			return err
		}
		if h.typ != TypeAck || h.lane != w.lane.ID {
			return refuse(ReasonFrame, "%v for lane %d while lane %d is followed", h.typ, h.lane, w.lane.ID)
		}
		var p place
		if err := p.parse(TypeAck, body); err != nil {
			return err
		}
		if p[0] > w.sentTo.Load() || p[1] > p[0] {
			return refuse(ReasonFrame, "the client ACKs %d, durable %d; it was sent up to %d", p[0], p[1], w.sentTo.Load())
		}
		w.server.acks.Add(1)
		w.heard.Store(w.server.o.NowNs())
		if w.entry != nil {
			w.server.copies.ack(w.entry, w.session, p[0], p[1], w.server.o.NowNs())
		}
	}
}
