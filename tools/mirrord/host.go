package mirrord

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/pull"
	"onebeat/mirror/snapshot"
	"onebeat/mirror/stream"
	"onebeat/tools/config"
	"onebeat/tools/control"
	"onebeat/tools/node"
)

// host is the daemon on a host of its own.
type host struct {
	*daemon
	file        *config.MirrordFile
	credentials *stream.Credentials
	pullers     []*pull.Puller
	ceased      chan struct{} // closed once the copies stop following

	mu    sync.Mutex // of ceasing
	state *Ceased    // nil: the copies follow
	ended chan struct{}
}

// LaneDir returns where a daemon's file says that a lane's copy is.
func LaneDir(file *config.MirrordFile, laneID int) string {
	return archive.LaneDir(file.Archive.Dir, file.Mirrord.Name, laneID)
}

// HostCredentials reads what [stream] names.
func HostCredentials(file *config.MirrordFile) (*stream.Credentials, error) {
	s := &file.Stream
	c, err := stream.LoadCredentials(s.Path(file.File, s.Certificate), s.Path(file.File, s.Key), s.Path(file.File, s.Authorities))
	if err != nil {
		return nil, fmt.Errorf("[stream]: %w", err)
	}
	if int(c.Node) != file.Mirrord.Number {
		return nil, fmt.Errorf("[stream]: the certificate is %s's, this is number %d: give each host its own (`onebeat certs`)", stream.NodeName(c.Node), file.Mirrord.Number)
	}
	return c, nil
}

// RunHost is the daemon on a host of its own, until ctx ends.
func RunHost(ctx context.Context, file *config.MirrordFile, o Options) error {
	d, err := newDaemon(o, file.Mirrord.Name, file.Mirrord.Number)
	if err != nil {
		return err
	}
	d.status.Host = true
	h := &host{daemon: d, file: file, ceased: make(chan struct{}), ended: make(chan struct{})}
	if h.credentials, err = HostCredentials(file); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if h.state, err = ReadCeased(file); err != nil {
		return err
	}
	server, err := d.control(file.Mirrord.RunDir, file.Mirrord.Name, stop, h.report, h.cease)
	if err != nil {
		return err
	}
	if h.state != nil {
		d.tellCeased(h.state)
		d.log.Warn("the copies follow no more: `onebeat dr follow` lets them", "by", h.state.By, "since", time.Unix(0, h.state.WallNs))
		close(h.ended)
		<-ctx.Done()
		return server.Close()
	}
	if err = h.run(ctx); err == nil {
		<-ctx.Done() // who follows no more still says so
	}
	return errors.Join(err, server.Close())
}

func (h *host) run(ctx context.Context) error {
	defer close(h.ended)
	for i := range h.file.Lanes {
		p, err := h.open(&h.file.Lanes[i])
		if err != nil {
			return errors.Join(fmt.Errorf("lane %d: %w", h.file.Lanes[i].ID, err), h.close())
		}
		h.daemon.mu.Lock()
		h.pullers = append(h.pullers, p)
		h.daemon.mu.Unlock()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	var served []*stream.Lane
	for i, p := range h.pullers {
		id := h.file.Lanes[i].ID
		if len(h.file.Stores) > 0 {
			wait, err := h.ship(ctx, id, h.file.Mirrord.Number, LaneDir(h.file, id), h.file.Stores, p.Keep)
			if err != nil {
				cancel()
				running.Wait()
				return errors.Join(err, h.close())
			}
			running.Go(wait)
		}
		served = append(served, p.Lane())
		running.Go(func() {
			if err := p.Run(ctx); err != nil {
				h.log.Error("following", "lane", id, "error", err)
			}
		})
	}
	stop, err := h.serve(h.file.Stream.Listen, &h.file.Stream, h.credentials, served)
	if err == nil {
		h.log.Info("following", "name", h.file.Mirrord.Name, "lanes", len(h.pullers), "sources", len(h.file.Sources), "listen", h.file.Stream.Listen)
		select {
		case <-ctx.Done():
		case <-h.ceased:
		}
		err = stop()
	}
	cancel()
	running.Wait()
	return errors.Join(err, h.close())
}

func (h *host) open(l *config.MirrordLane) (*pull.Puller, error) {
	f, a := &h.file.Follow, &h.file.Archive
	dir := LaneDir(h.file, l.ID)
	sync, err := archive.ParseSync(a.Sync)
	if err != nil {
		return nil, err
	}
	o := pull.Options{Lane: uint8(l.ID), Credentials: h.credentials, Name: h.file.Mirrord.Name, Compress: f.Compress,
		RateBytes: uint64(f.RateLimit.Bytes()), Retry: time.Duration(f.Retry), RetryMax: time.Duration(f.RetryMax),
		RingBytes: int(l.RingSize), SnapshotsEvery: time.Duration(f.Snapshots), Timing: h.o.Timing,
		Note: func(text string) { h.log.Warn(text) },
		Archive: archive.Options{Dir: dir, Lane: uint8(l.ID), Node: uint8(h.file.Mirrord.Number),
			SegmentBytes: a.SegmentSize.Bytes(), Direct: a.IO == config.IODirect, Sync: sync, SyncEveryNs: a.SyncEvery.Ns(), Compress: a.Compress,
			RetainBytes: a.RetainSize.Bytes(), RetainNs: a.RetainAge.Ns(), Wall: func() int64 { return time.Now().UnixNano() }, Note: h.note(l.ID)}}
	for _, s := range h.file.Sources {
		o.Sources = append(o.Sources, pull.Source{Node: uint8(s.Node), Address: s.Address.String()})
	}
	if f.Snapshots > 0 {
		if o.Snapshots, err = snapshot.Open(disk.OS{}, snapshot.Dir(dir), f.KeepSnapshots); err != nil {
			return nil, err
		}
	}
	return pull.Open(o)
}

func (h *host) close() error {
	var errs []error
	for _, p := range h.pullers {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// report says how the copies stand.
func (h *host) report() []control.MirrordLane {
	h.daemon.mu.Lock()
	pullers := h.pullers
	h.daemon.mu.Unlock()
	var list []control.MirrordLane
	for i := range h.file.Lanes {
		id := h.file.Lanes[i].ID
		s := control.MirrordLane{ID: id, Dir: filepath.Clean(LaneDir(h.file, id))}
		if i < len(pullers) {
			c := pullers[i].Status()
			s.Copy, s.Archive = &c, &c.Archive
		}
		list = append(list, s)
	}
	return list
}

// cease ends the following for good: it is written down before it is so, and the
// copies are on the disk when it returns.
func (h *host) cease(by string) error {
	if err := node.CheckForce(by); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != nil {
		return nil
	}
	c := &Ceased{By: by, WallNs: time.Now().UnixNano()}
	if err := c.write(h.file); err != nil {
		return err
	}
	h.state = c
	h.tellCeased(c)
	h.log.Warn("the copies follow no more", "by", by)
	close(h.ceased)
	<-h.ended
	return nil
}
