package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"onebeat/engine"
	"onebeat/engine/sbe"
	"onebeat/mirror"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
	"onebeat/mirror/snapshot"
	"onebeat/mirror/stream"
	"onebeat/pin"
	"onebeat/tools/config"
)

// fetchedDir is where a snapshot that comes from the peer stays until this node's
// archive goes on behind it.
func fetchedDir(cfg *config.Config, laneID int) string {
	return filepath.Join(cfg.Node.RunDir, fmt.Sprintf("%s-lane%d-fetched", cfg.Node.Name, laneID))
}

// fetchState gets a state for a node that has none, or an older one than the peer's
// log still reaches back to: its newest snapshot, or nothing at all where the whole
// log is there. The ring goes on from it as another ring; the log follows.
func (c *catcher) fetchState(ctx context.Context) {
	if time.Now().Before(c.retry) {
		return
	}
	c.retry = time.Now().Add(catcherRetry)
	c.say("fetching a snapshot")
	defer c.say("")
	c.begin()
	err := c.fetch(ctx)
	c.end()
	switch {
	case err == nil:
		c.told = ""
	case c.told != err.Error():
		c.told = err.Error()
		c.log.Warn("no state from the peer yet", "error", err)
	}
}

func (c *catcher) fetch(ctx context.Context) error {
	client, err := c.connect(ctx, c.link.PeerStream)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	adoption, err := c.receive(client)
	if err = errors.Join(err, client.Close()); err != nil {
		return err
	}
	if adoption.Incarnation, err = newIncarnation(); err != nil {
		return err
	}
	adoption.Reset = true
	return c.give(ctx, adoption)
}

// give hands a state to the loop and waits what becomes of it.
func (c *catcher) give(ctx context.Context, a *engine.Adoption) error {
	for !c.lane.loop.Adopt(a) {
		if !sleep(ctx, catcherPoll) {
			return ctx.Err()
		}
	}
	for {
		if err, done := a.Outcome(); done {
			if err == nil {
				c.log.Info("a state came from the peer", "position", a.Position, "records", a.Records)
			}
			return err
		}
		if !sleep(ctx, catcherPoll) {
			return ctx.Err()
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// receive makes a machine of what the peer has.
func (c *catcher) receive(client *stream.Client) (*engine.Adoption, error) {
	status, err := c.peerStatus(client)
	if err != nil {
		return nil, err
	}
	if status.State != lane.Active {
		return nil, fmt.Errorf("the peer is %v for the lane, not ACTIVE", status.State)
	}
	m, err := newMachine(c.lane.cfg, c.lane.venueAt, c.lane.orders, c.lane.fixPort())
	if err != nil {
		return nil, err
	}
	if status.Snapshot == 0 {
		if status.Begin != 0 {
			return nil, fmt.Errorf("the peer has no snapshot, and its log begins at %d: give it a [snapshot] section, or start both nodes with empty rings", status.Begin)
		}
		return &engine.Adoption{Machine: m}, nil
	}
	file, err := c.receiveFile(client)
	if err != nil {
		return nil, err
	}
	h := &file.Header
	if int(h.Lane) != c.lane.cfg.ID || h.App != c.lane.cfg.App || h.Schema != uint32(sbe.SchemaVersion) {
		return nil, fmt.Errorf("the peer's snapshot is of lane %d, app %s, schema %d", h.Lane, h.App, h.Schema)
	}
	if err := file.Load(m); err != nil {
		return nil, err
	}
	return &engine.Adoption{Machine: m, Place: mirror.Place{Position: h.Position, TimeNs: h.TimeNs, Epoch: h.Epoch, Records: h.Records, Record: h.Record}}, nil
}

// receiveFile takes a snapshot in as it comes, checked to its last byte before it
// is one.
func (c *catcher) receiveFile(client *stream.Client) (*snapshot.File, error) {
	store, err := snapshot.Open(disk.OS{}, c.stateDir, 1)
	if err != nil {
		return nil, err
	}
	from, to := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		e := pin.StartErrand()
		defer e.End()
		_, err := client.Snapshot(uint8(c.lane.cfg.ID), func(stream.SnapshotHead) (io.Writer, error) { return to, nil })
		_ = to.CloseWithError(err) // nil: the end
		sent <- err
	}()
	file, err := store.Receive(from)
	_ = from.CloseWithError(err) // lets the sender go
	if err = errors.Join(err, <-sent); err != nil {
		return nil, err
	}
	return &file, nil
}

// keepState moves a fetched snapshot to this node's own, once its archive goes on
// behind it: with both, a restart needs no peer.
func (c *catcher) keepState() {
	if c.lane.archive == nil || c.lane.keeper.dir == "" || time.Since(c.looked) < catcherRetry {
		return
	}
	c.looked = time.Now()
	if _, err := os.Stat(c.stateDir); err != nil {
		return
	}
	s := c.lane.archive.Status()
	fetched, err := snapshot.Look(disk.OS{}, c.stateDir)
	if err != nil {
		return
	}
	file, _ := fetched.Newest()
	if file == nil || s.State != "following" || s.End <= file.Header.Position {
		return
	}
	if err := c.keep(file); err != nil {
		if c.told != err.Error() {
			c.told = err.Error()
			c.log.Warn("the fetched snapshot is not kept", "error", err)
		}
		return
	}
	_ = os.RemoveAll(c.stateDir) // it is kept now
}

// bridgeGap gets the keeper a snapshot of behind a gap in this node's archive that
// its own state could not cross: the peer's archive may have what is missing here.
func (c *catcher) bridgeGap(ctx context.Context) {
	wants := c.lane.keeper.wants.Load()
	if wants == 0 || c.lane.keeper.dir == "" || time.Since(c.asked) < catcherRetry {
		return
	}
	c.asked = time.Now()
	c.say("fetching a snapshot of behind the archive's gap")
	defer c.say("")
	c.begin()
	err := c.fetchBehind(ctx, wants)
	c.end()
	if err != nil && c.told != err.Error() {
		c.told = err.Error()
		c.log.Warn("the archive lacks a part of the log, and no state of behind it came yet", "gap_end", wants, "error", err)
	}
}

func (c *catcher) fetchBehind(ctx context.Context, position uint64) error {
	client, err := c.connect(ctx, c.link.PeerStream)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	defer client.Close()
	status, err := c.peerStatus(client)
	if err != nil {
		return err
	}
	if status.Snapshot < position {
		return fmt.Errorf("the peer's newest snapshot is of %d", status.Snapshot)
	}
	file, err := c.receiveFile(client)
	if err == nil {
		err = c.keep(file)
	}
	return errors.Join(err, os.RemoveAll(c.stateDir))
}

func (c *catcher) keep(file *snapshot.File) error {
	store, err := snapshot.Open(disk.OS{}, c.lane.keeper.dir, c.lane.keeper.cfg.Keep)
	if err != nil {
		return err
	}
	from, err := file.Open()
	if err != nil {
		return err
	}
	_, err = store.Receive(from)
	return errors.Join(err, from.Close())
}

// newestSnapshot is what the server sends of a lane.
func newestSnapshot(p *laneParts) func() (stream.Snapshot, bool) {
	return func() (stream.Snapshot, bool) {
		file, err := p.keeper.newest()
		if err != nil {
			return stream.Snapshot{}, false
		}
		head := stream.SnapshotHead{Position: file.Header.Position, Epoch: file.Header.Epoch, Bytes: uint64(file.FileBytes)}
		return stream.Snapshot{SnapshotHead: head, Open: file.Open}, true
	}
}

// restoring reports whether the lane's state may still come from what this node has.
func (p *laneParts) restoring() bool { return p.keeper.restoring() }
