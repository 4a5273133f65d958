package pull

import (
	"context"
	"errors"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/mirror/stream"
	"onebeat/pin"
)

const (
	// ackEvery is how often the copy looks whether it has more to ACK.
	ackEvery = time.Millisecond
	// lookEvery is how often, while nothing comes, the other sources are asked
	// whether they went on without this one.
	lookEvery = 2 * time.Second
)

// errBetter means that another source has more.
var errBetter = errors.New("another source has more of the log")

// writerElsewhere means that another source is the lane's writer: that is the one
// to follow, which counts what its copies hold.
type writerElsewhere struct{ at int }

func (w *writerElsewhere) Error() string { return "another source is the lane's writer" }

// lookForWriter compares the lane's writer with who is followed. A writer that
// cannot be followed is tried again after a while.
func (p *Puller) lookForWriter(source Source) error {
	if p.writer == 0 || p.writer == source.Node || time.Since(p.wentAt) < lookEvery {
		return nil
	}
	for i, other := range p.o.Sources {
		if other.Node == p.writer {
			p.wentAt = time.Now()
			return &writerElsewhere{i}
		}
	}
	return nil
}

// askWriter asks a source that was just connected who the writer is.
func (p *Puller) askWriter(c *stream.Client) error {
	lanes, err := c.Status()
	for _, l := range lanes {
		if l.Lane == p.o.Lane {
			p.writer = l.Writer
		}
	}
	return err
}

// noteWriter takes the writer from an epoch's record.
func (p *Puller) noteWriter(records []byte, position uint64) {
	for n := 0; n < len(records); {
		var rec app.Record
		end, state := ring.Decode(records[n:], position+uint64(n), &rec)
		if state != ring.Found {
			return // it was checked: never
		}
		var l lane.Record
		if rec.Type == app.RecordEpoch && l.Parse(rec.Payload) {
			p.writer = l.Writer
		}
		n = int(end - position)
	}
}

// follow is one connection. moved: records came by it.
func (p *Puller) follow(ctx context.Context, source Source) (moved bool, err error) {
	c, err := stream.Dial(ctx, source.Address, source.Node, p.client())
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // ends what waits for it
	defer stop()
	if err = p.askWriter(c); err == nil {
		err = p.lookForWriter(source)
	}
	if err != nil {
		return false, errors.Join(err, c.Close())
	}
	log, err := c.Log(stream.LogRequest{Lane: p.o.Lane, From: p.ring.Tail(), Last: p.last, Epoch: p.epoch, Follow: true,
		Compress: p.o.Compress, Copy: true, RateBytes: p.o.RateBytes, Identity: p.identity})
	if err != nil {
		return false, errors.Join(err, c.Close())
	}
	acked := make(chan struct{})
	go func() {
		p.ack(ctx, log)
		close(acked)
	}()
	looked := make(chan struct{})
	go func() {
		p.lookAround(ctx, source, cancel)
		close(looked)
	}()
	p.connected(source)
	errand := pin.StartErrand()
	defer errand.End()
	for err == nil {
		errand.Piece()
		var chunk stream.Chunk
		chunk, err = log.Next()
		left := chunk.Safe - min(chunk.End(), chunk.Safe)
		errand.Left(left)
		errand.Urge(left <= stream.NearBytes)
		if err == nil {
			moved = moved || len(chunk.Records) > 0
			err = p.take(ctx, &chunk)
		}
		if err == nil && chunk.End() >= chunk.Safe {
			err = p.lookForWriter(source) // not while old epochs come
		}
	}
	if errors.Is(context.Cause(ctx), errBetter) {
		err = errBetter
	}
	cancel(nil)
	<-acked
	<-looked
	_ = log.Close() // the connection is broken, or of no more use
	return moved, err
}

func (p *Puller) client() stream.ClientOptions {
	return stream.ClientOptions{Credentials: p.o.Credentials, Name: p.o.Name, Timing: p.o.Timing}
}

// take brings a chunk's records into the ring, once the archive has left room.
func (p *Puller) take(ctx context.Context, chunk *stream.Chunk) error {
	records, position := chunk.Records, chunk.Position
	for len(records) > 0 {
		n := min(len(records), p.ring.SizeBytes()-int(position)&(p.ring.SizeBytes()-1))
		if err := p.room(ctx, position+uint64(n)); err != nil {
			return err
		}
		if err := p.ring.WriteRaw(position, records[:n]); err != nil {
			return err
		}
		records, position = records[n:], position+uint64(n)
	}
	if len(chunk.Records) > 0 {
		if chunk.Last.Epoch() != p.epoch {
			p.noteWriter(chunk.Records, chunk.Position)
		}
		p.last, p.epoch = chunk.Last, chunk.Last.Epoch()
		p.seen.Store(p.epoch)
	}
	p.took(chunk)
	return nil
}

// room waits until the ring can be written up to a position without losing what
// is not archived.
func (p *Puller) room(ctx context.Context, end uint64) error {
	for {
		held := max(p.follower.Archived(), p.base)
		if end+4*ring.MaxRecordBytes <= held+uint64(p.ring.SizeBytes()) {
			return nil
		}
		p.told("waiting for the disk")
		t := time.NewTimer(ackEvery)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// ack tells the source what the copy has, as soon as it has more.
func (p *Puller) ack(ctx context.Context, log *stream.Log) {
	t := time.NewTicker(ackEvery)
	defer t.Stop()
	var received, durable uint64
	for {
		if r, d := p.ring.Tail(), p.durable(); r != received || d != durable {
			received, durable = r, d
			if log.Ack(r, d) != nil {
				return // Next says why
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// durable returns up to where the copy is on the disk.
func (p *Puller) durable() uint64 {
	f := p.archived.Load()
	if f == nil {
		return 0
	}
	d := f.Archived()
	if s := f.Status(); d < s.End && s.State == "comparing" {
		// The archive was taken over whole and the ring began at its end.
		d = s.End
	}
	return min(d, p.ring.Tail())
}

// lookAround asks the other sources, while this one has nothing new, whether the
// lane goes on there in a later epoch.
func (p *Puller) lookAround(ctx context.Context, source Source, end context.CancelCauseFunc) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	tail := p.ring.Tail()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if now := p.ring.Tail(); now != tail {
			tail = now
			continue
		}
		for _, other := range p.o.Sources {
			if other != source && p.hasMore(ctx, other, tail) {
				end(errBetter)
				return
			}
		}
	}
}

func (p *Puller) hasMore(ctx context.Context, other Source, tail uint64) bool {
	lanes, err := p.ask(ctx, other)
	if err != nil {
		return false
	}
	for _, l := range lanes {
		if l.Lane == p.o.Lane && l.Safe > tail {
			return true
		}
	}
	return false
}

// ask returns what a source says of its lanes.
func (p *Puller) ask(ctx context.Context, source Source) ([]stream.LaneStatus, error) {
	c, err := stream.Dial(ctx, source.Address, source.Node, p.client())
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // a host that vanished is not waited for
	defer stop()
	lanes, err := c.Status()
	return lanes, errors.Join(err, c.Close())
}
