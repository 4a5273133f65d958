package pull

import (
	"context"
	"errors"
	"io"
	"time"

	"onebeat/mirror/snapshot"
	"onebeat/mirror/stream"
)

// NewestOf returns what a server says of a directory of snapshots.
func NewestOf(s *snapshot.Store) func() (stream.Snapshot, bool) {
	return func() (stream.Snapshot, bool) {
		f, _ := s.Newest()
		if f == nil {
			return stream.Snapshot{}, false
		}
		head := stream.SnapshotHead{Position: f.Header.Position, Epoch: f.Header.Epoch, Bytes: uint64(f.FileBytes)}
		return stream.Snapshot{SnapshotHead: head, Open: f.Open}, true
	}
}

// fetchSnapshots gets the sources' newest one now and then.
func (p *Puller) fetchSnapshots(ctx context.Context) {
	t := time.NewTicker(p.o.SnapshotsEvery)
	defer t.Stop()
	said := ""
	for {
		err := p.fetchAny(ctx)
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			p.o.Note("fetching a snapshot: " + said)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// fetchAny asks one source after the other.
func (p *Puller) fetchAny(ctx context.Context) error {
	newest := uint64(0)
	if f, _ := p.o.Snapshots.Newest(); f != nil {
		newest = f.Header.Position
	}
	var errs []error
	for _, source := range p.o.Sources {
		if _, err := p.fetch(ctx, source, newest); err == nil {
			return nil
		} else if !errors.Is(err, stream.ErrNoSnapshot) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// fetch gets a source's newest snapshot if it stands behind a position; nil: it
// does not.
func (p *Puller) fetch(ctx context.Context, source Source, behind uint64) (*snapshot.File, error) {
	c, err := stream.Dial(ctx, source.Address, source.Node, p.client())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	lanes, err := c.Status()
	if err != nil {
		return nil, err
	}
	for _, l := range lanes {
		if l.Lane == p.o.Lane && l.Snapshot > behind {
			return p.receive(c)
		}
	}
	return nil, nil
}

// receive stores a snapshot while it comes: it counts once all of it was checked.
func (p *Puller) receive(c *stream.Client) (*snapshot.File, error) {
	r, w := io.Pipe()
	type result struct {
		file snapshot.File
		err  error
	}
	got := make(chan result, 1)
	go func() {
		f, err := p.o.Snapshots.Receive(r)
		_ = r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // whoever writes on ends
		got <- result{f, err}
	}()
	_, err := c.Snapshot(p.o.Lane, func(stream.SnapshotHead) (io.Writer, error) { return w, nil })
	_ = w.CloseWithError(err) // nil is its end
	x := <-got
	if x.err != nil {
		return nil, errors.Join(err, x.err)
	}
	return &x.file, nil
}
