package mirrord

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
	"onebeat/mirror/pull"
	"onebeat/mirror/snapshot"
	"onebeat/mirror/stream"
	"onebeat/tools/config"
	"onebeat/tools/control"
	"onebeat/tools/node"
)

// lookEvery is how often the daemon looks whether the lanes' memory is still the
// same: a node was cleaned up, started for the first time, or lost its ring.
const lookEvery = 50 * time.Millisecond

// local is the daemon on a node's host.
type local struct {
	*daemon
	cfg         *config.Config
	credentials *stream.Credentials // nil: nobody is served
	keep        map[int]*atomic.Uint64

	mu    sync.Mutex
	lanes []*localLane // as they are now
}

// localLane is a lane as long as its memory is the same.
type localLane struct {
	id       int
	dir      string       // of its archive; empty: there is none
	pinned   *node.Pinned // nil: it is not in memory
	problem  string
	follower *archive.Follower // nil: the node archives
}

// RunLocal is the daemon on a node's host, until ctx ends.
func RunLocal(ctx context.Context, cfg *config.Config, o Options) error {
	if cfg.Mirrord == nil {
		return fmt.Errorf("%s has no [mirrord]: add it, with listen where peers shall get at what a dead node left", cfg.File)
	}
	d, err := newDaemon(o, cfg.Node.Name, cfg.Node.Number)
	if err != nil {
		return err
	}
	l := &local{daemon: d, cfg: cfg, keep: map[int]*atomic.Uint64{}}
	if cfg.Mirrord.Listen.IsValid() {
		if l.credentials, err = node.Credentials(cfg); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	release, err := l.lock()
	if err != nil {
		return err
	}
	defer func() { _ = release() }() // the process ends with it
	waits, err := l.shipAll(ctx)
	if err != nil {
		return err
	}
	server, err := d.control(cfg.Node.RunDir, cfg.Node.Name, stop, l.report, nil)
	if err != nil {
		return errors.Join(err, waits())
	}
	d.log.Info("mirroring", "node", cfg.Node.Name, "lanes", len(cfg.Lanes), "archives", l.archives(), "listen", cfg.Mirrord.Listen)
	for ctx.Err() == nil {
		if err = l.generation(ctx); err != nil {
			stop()
		}
	}
	return errors.Join(err, server.Close(), waits())
}

func (l *local) archives() bool { return l.cfg.Archive != nil && l.cfg.Archive.By == config.ByMirrord }

// lock makes this process the only writer of the archives.
func (l *local) lock() (release func() error, err error) {
	var all []func() error
	release = func() error {
		var errs []error
		for _, f := range all {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	for i := range l.cfg.Lanes {
		if !l.archives() {
			break
		}
		one, err := archive.Lock(archive.LaneDir(l.cfg.Archive.Dir, l.cfg.Node.Name, l.cfg.Lanes[i].ID))
		if err != nil {
			return nil, errors.Join(err, release())
		}
		all = append(all, one)
	}
	return release, nil
}

func (l *local) shipAll(ctx context.Context) (wait func() error, err error) {
	var waits []func()
	for i := range l.cfg.Lanes {
		id := l.cfg.Lanes[i].ID
		keep := &atomic.Uint64{}
		keep.Store(archive.NoKeep)
		l.keep[id] = keep
		if len(l.cfg.Stores) == 0 {
			continue
		}
		w, err := l.ship(ctx, id, l.cfg.Node.Number, archive.LaneDir(l.cfg.Archive.Dir, l.cfg.Node.Name, id), l.cfg.Stores, func(position uint64) {
			keep.Store(position)
			l.mu.Lock()
			defer l.mu.Unlock()
			for _, x := range l.lanes {
				if x.id == id && x.follower != nil {
					x.follower.Keep(position)
				}
			}
		})
		if err != nil {
			return nil, err
		}
		waits = append(waits, w)
	}
	return func() error {
		for _, w := range waits {
			w()
		}
		return nil
	}, nil
}

// generation follows and serves the lanes as long as their memory is the same.
func (l *local) generation(ctx context.Context) error {
	lanes, err := l.open()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	var served []*stream.Lane
	for _, x := range lanes {
		if x.follower != nil {
			following.Go(func() {
				if err := x.follower.Run(ctx, l.clock.NowNs); err != nil {
					l.log.Error("archive", "lane", x.id, "error", err)
				}
			})
		}
		served = append(served, l.streamLane(x))
	}
	l.mu.Lock()
	l.lanes = lanes
	l.mu.Unlock()
	var stop func() error
	if l.credentials != nil {
		stop, err = l.serve(l.cfg.Mirrord.Listen, l.cfg.Stream, l.credentials, served)
	}
	for err == nil && sleep(ctx, lookEvery) && l.same(lanes) {
	}
	if err == nil && ctx.Err() == nil {
		l.log.Warn("a lane's memory is another one: looking at it anew")
	}
	// Readers first, then the memory.
	cancel()
	following.Wait()
	if stop != nil {
		err = errors.Join(err, stop())
	}
	l.mu.Lock()
	l.lanes = nil
	l.mu.Unlock()
	for _, x := range lanes {
		if x.pinned != nil {
			err = errors.Join(err, x.pinned.Close())
		}
	}
	return err
}

// open looks at all lanes.
func (l *local) open() ([]*localLane, error) {
	var lanes []*localLane
	for i := range l.cfg.Lanes {
		x := &localLane{id: l.cfg.Lanes[i].ID}
		lanes = append(lanes, x)
		if l.cfg.Archive != nil {
			x.dir = archive.LaneDir(l.cfg.Archive.Dir, l.cfg.Node.Name, x.id)
		}
		var err error
		if x.pinned, err = node.OpenPinned(l.cfg, x.id); err != nil {
			x.problem = err.Error()
			continue
		}
		if !l.archives() {
			continue
		}
		o, err := node.ArchiveOptions(l.cfg, x.id)
		if err != nil {
			return nil, err
		}
		o.Incarnation, o.Note = x.pinned.Incarnation, l.note(x.id)
		if x.pinned.Writable {
			o.Shared = &x.pinned.Table.Archive
		}
		if x.follower, err = archive.NewFollower(o, x.pinned.Ring); err != nil {
			return nil, err
		}
		x.follower.Keep(l.keep[x.id].Load())
	}
	return lanes, nil
}

// same reports whether every lane's memory is still what it was.
func (l *local) same(lanes []*localLane) bool {
	for _, x := range lanes {
		if x.pinned != nil {
			if !x.pinned.Current() {
				return false
			}
			continue
		}
		if p, err := node.OpenPinned(l.cfg, x.id); err == nil {
			_ = p.Close() // only looked at
			return false
		}
	}
	return true
}

func (l *local) streamLane(x *localLane) *stream.Lane {
	s := &stream.Lane{ID: uint8(x.id)}
	if x.pinned != nil {
		s = &x.pinned.Lane
	}
	s.Archive = x.dir
	if x.dir != "" {
		s.Newest = newestIn(snapshot.Dir(x.dir))
	}
	return s
}

// newestIn looks at a directory of snapshots that another process writes.
func newestIn(dir string) func() (stream.Snapshot, bool) {
	return func() (stream.Snapshot, bool) {
		s, err := snapshot.View(disk.OS{}, dir)
		if err != nil {
			return stream.Snapshot{}, false
		}
		return pull.NewestOf(s)()
	}
}

// report says how the lanes stand.
func (l *local) report() []control.MirrordLane {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []control.MirrordLane
	for _, x := range l.lanes {
		s := control.MirrordLane{ID: x.id, Dir: x.dir, Problem: x.problem}
		if p := x.pinned; p != nil {
			s.Pinned, s.Incarnation, s.Tail, s.Committed = true, p.Incarnation, p.Ring.Tail(), p.Table.Committed()
			s.Authority = lane.Load(p.Authority).String()
		}
		if x.follower != nil {
			a := x.follower.Status()
			s.Archive = &a
		}
		list = append(list, s)
	}
	return list
}
