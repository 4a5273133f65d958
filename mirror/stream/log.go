package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"onebeat/engine/app"
	"onebeat/mirror/ring"
)

// Chunk is a part of a log: whole records with their checksums right, the first
// at Position, each behind the one before.
type Chunk struct {
	Position uint64
	Records  []byte // padding records too; valid until the next call; empty: life
	Last     RecordHead
	// Safe is the end of what the server may give away, as of WallNs on its clock.
	Safe   uint64
	WallNs int64
}

// End returns the position behind the chunk.
func (c *Chunk) End() uint64 { return c.Position + uint64(len(c.Records)) }

// Log is an answer to a LOG: the client's half.
type Log struct {
	client *Client
	req    LogRequest
	next   uint64
	last   RecordHead
	epoch  uint32
	timeNs int64
	zstd   *zstd.Decoder
	raw    []byte

	mu                sync.Mutex
	received, durable uint64
	stop              context.CancelFunc // of the goroutine that shows life
	running           sync.WaitGroup
}

// Log asks for a part of a lane's log. Who follows it must say with Ack what it
// has; life is shown for it. Close the Log before another request.
func (c *Client) Log(req LogRequest) (*Log, error) {
	l := &Log{client: c, req: req, next: req.From, last: req.Last, epoch: req.Epoch, received: req.From, durable: req.From}
	if req.Last.known() {
		l.epoch = req.Last.Epoch()
	}
	if req.Compress {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*ChunkBytes), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		l.zstd, l.raw = d, make([]byte, 0, ChunkBytes)
	}
	if err := c.send(TypeLog, req.Lane, req.put(nil)); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	if req.Follow {
		l.running.Go(func() { l.live(ctx) })
	}
	return l, nil
}

// Close ends what runs for the log. A log that was not read to its end takes the
// connection with it.
func (l *Log) Close() error {
	l.stop()
	l.running.Wait()
	if l.zstd != nil {
		l.zstd.Close()
	}
	if l.req.Follow {
		return l.client.Close()
	}
	return nil
}

// Next waits for the next chunk. Without Follow the end is io.EOF. An error is a
// *Cut (the client's log is no beginning of the server's), a *Refused, or the
// connection's; a harmed chunk is named by its position, and nothing of it is
// returned.
func (l *Log) Next() (Chunk, error) {
	h, body, err := l.client.next()
	if err != nil {
		return Chunk{}, err
	}
	if h.lane != l.req.Lane {
		return Chunk{}, fmt.Errorf("%w: %v of lane %d while lane %d was asked for", ErrFrame, h.typ, h.lane, l.req.Lane)
	}
	switch h.typ {
	case TypeChunk:
		return l.chunk(h.flags, body)
	case TypeCut:
		var p place
		if err := p.parse(h.typ, body); err != nil {
			return Chunk{}, err
		}
		return Chunk{}, &Cut{p[0]}
	case TypeCaught:
		var p place
		if err := p.parse(h.typ, body); err != nil {
			return Chunk{}, err
		}
		if p[0] != l.next {
			return Chunk{}, fmt.Errorf("%w: the server is at %d, the records are at %d", ErrFrame, p[0], l.next)
		}
		if !l.req.Follow && p[1] <= p[0] {
			return Chunk{}, io.EOF
		}
		return Chunk{Position: l.next, Last: l.last, Safe: p[1], WallNs: int64(p[2])}, nil
	}
	return Chunk{}, fmt.Errorf("%w: %v in the middle of a log", ErrFrame, h.typ)
}

// chunk decodes and checks one.
func (l *Log) chunk(flags uint8, body []byte) (Chunk, error) {
	var head chunkHead
	if err := head.parse(body); err != nil {
		return Chunk{}, err
	}
	harmed := func(format string, values ...any) (Chunk, error) {
		return Chunk{}, fmt.Errorf("%w: chunk at position %d: %s", ErrFrame, head.position, fmt.Sprintf(format, values...))
	}
	records := body[chunkHeadBytes:]
	if flags&FlagZstd != 0 {
		if l.zstd == nil {
			return harmed("compressed, which was not asked for")
		}
		var err error
		if records, err = l.zstd.DecodeAll(records, l.raw[:0]); err != nil {
			return harmed("%v", err)
		}
	}
	if len(records) != int(head.rawBytes) || len(records) == 0 || head.position != l.next {
		return harmed("%d bytes, should be %d; the next position is %d", len(records), head.rawBytes, l.next)
	}
	for n := 0; n < len(records); {
		var rec app.Record
		at := head.position + uint64(n)
		end, state := ring.Decode(records[n:], at, &rec)
		if state != ring.Found || rec.Epoch < l.epoch || rec.TimeNs < l.timeNs {
			return harmed("record at %d: %v, epoch %d after %d, lane time %d after %d", at, state, rec.Epoch, l.epoch, rec.TimeNs, l.timeNs)
		}
		copy(l.last[:], records[n:])
		l.epoch, l.timeNs = rec.Epoch, rec.TimeNs
		n += int(end - at)
	}
	l.next = head.position + uint64(len(records))
	return Chunk{Position: head.position, Records: records, Last: l.last, Safe: head.safe, WallNs: head.wallNs}, nil
}

// Ack says how far the client has the log: in its memory, and on its disk. Any
// goroutine may.
func (l *Log) Ack(received, durable uint64) error {
	l.mu.Lock()
	l.received, l.durable = received, min(durable, received)
	l.mu.Unlock()
	return l.ack()
}

func (l *Log) ack() error {
	if !l.req.Follow {
		return errors.New("stream: only who follows a log ACKs it")
	}
	l.mu.Lock()
	p := place{l.received, l.durable}
	l.mu.Unlock()
	return l.client.send(TypeAck, l.req.Lane, p.put(nil))
}

// live repeats the last ACK, so that the server knows this client alive.
func (l *Log) live(ctx context.Context) {
	t := time.NewTicker(l.client.o.Timing.KeepAlive)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if l.ack() != nil {
				return // Next says why
			}
		case <-ctx.Done():
			return
		}
	}
}
