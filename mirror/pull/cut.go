package pull

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"onebeat/mirror/archive"
	"onebeat/mirror/stream"
)

// cut ends the copy's log at a position. What is cut is kept in a file of the
// archive, and snapshots of it go.
func (p *Puller) cut(position uint64) error {
	if err := p.pause(); err != nil {
		return err
	}
	w, err := archive.Open(p.o.Archive)
	if err != nil {
		return err
	}
	begin := w.Begin()
	switch {
	case position == begin:
		err = errors.Join(w.Close(), p.rename("the lane went on without any of it"))
	default:
		err = errors.Join(w.Cut(position), w.Close())
	}
	if err != nil {
		return errors.Join(err, p.resume())
	}
	if err := p.dropSnapshots(position); err != nil {
		return errors.Join(err, p.resume())
	}
	return p.resume()
}

// parted looks where a source's log that lacks the copy's last record goes on
// otherwise. A source that has no more than a beginning of the copy's log, or is in
// an older epoch than the copy's last, only lags: it says nothing of the lane.
func (p *Puller) parted(ctx context.Context, source Source) (*stream.Difference, error) {
	c, err := stream.Dial(ctx, source.Address, source.Node, p.client())
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	d, err := c.Differ(p.Lane(), p.ring.Tail())
	if err = errors.Join(err, c.Close()); err != nil || d == nil || d.Behind || d.Epoch < p.epoch {
		return nil, err
	}
	return d, nil
}

// aside puts an archive of another life of the lane out of the way.
func (p *Puller) aside() error {
	if err := p.pause(); err != nil {
		return err
	}
	if err := p.rename("it is of another life of the lane"); err != nil {
		return errors.Join(err, p.resume())
	}
	if err := p.dropSnapshots(0); err != nil {
		return errors.Join(err, p.resume())
	}
	return p.resume()
}

func (p *Puller) rename(why string) error {
	dir := p.o.Archive.Dir
	to := fmt.Sprintf("%s.life-%s-%d", dir, p.identity.String()[:8], p.ring.Tail())
	if err := p.files().Rename(dir, to); err != nil {
		return err
	}
	p.o.Archive.Note(archive.Note{WallNs: p.o.Archive.Wall(), Kind: archive.NoteAside, Position: p.ring.Tail(), File: to, Problem: why})
	return p.files().SyncDir(filepath.Dir(dir))
}

// dropSnapshots removes those that stand behind a position.
func (p *Puller) dropSnapshots(position uint64) error {
	if p.o.Snapshots == nil {
		return nil
	}
	files, err := p.o.Snapshots.List()
	if err != nil {
		return err
	}
	for i := range files {
		if files[i].Header.Position > position {
			if err := p.o.Snapshots.Remove(&files[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// fromSnapshot goes on behind a source's newest snapshot: no source has the
// records in between any more. The archive notes the gap.
func (p *Puller) fromSnapshot(ctx context.Context, source Source) error {
	if p.o.Snapshots == nil {
		return fmt.Errorf("lane %d: no source has the log from %d on any more, and no snapshots are fetched: set follow.snapshots", p.o.Lane, p.ring.Tail())
	}
	file, err := p.fetch(ctx, source, p.ring.Tail())
	if err != nil {
		return err
	}
	if file == nil {
		return fmt.Errorf("lane %d: node %d has neither the log from %d on nor a snapshot behind it", p.o.Lane, source.Node, p.ring.Tail())
	}
	if err := p.pause(); err != nil {
		return err
	}
	h := &file.Header
	p.o.Note(fmt.Sprintf("lane %d: the log from %d to %d is nowhere any more: the copy goes on behind a snapshot", p.o.Lane, p.ring.Tail(), h.Position))
	p.last, p.epoch, p.identity = stream.RecordHead{}, h.Epoch, h.Identity
	return p.restart(h.Position)
}
