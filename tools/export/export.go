package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"onebeat/tools/config"
	"onebeat/tools/control"
	"onebeat/tools/export/postgres"
	"onebeat/tools/export/redis"
	"onebeat/tools/export/target"
)

// Version of the program; the build sets it.
var Version = "dev"

// Kinds of targets.
const (
	KindPostgres = "postgres"
	KindRedis    = "redis"
)

// Options of a run.
type Options struct {
	Log *slog.Logger
	// Once ends where the logs end.
	Once bool
	// Lanes and Targets: only these; none: all of the configuration.
	Lanes   []int
	Targets []string
}

// process is a running exporter.
type process struct {
	cfg   *config.ExportFile
	feeds []*feed
	since time.Time
	stop  context.CancelFunc
}

// Run exports until ctx ends or nothing is left to do. A feed that is refused does
// not end the others.
func Run(ctx context.Context, cfg *config.ExportFile, o Options) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p := &process{cfg: cfg, since: time.Now(), stop: stop}
	var err error
	if p.feeds, err = newFeeds(cfg, o); err != nil {
		return err
	}
	if !o.Once {
		socket, err := control.Serve(control.SocketPath(cfg.Export.RunDir, cfg.Export.Name), control.Access{}, p.handle)
		if err != nil {
			return err
		}
		defer socket.Close()
		end, err := serveMetrics(cfg.Export.Metrics, p.status)
		if err != nil {
			return err
		}
		defer end()
	}
	errs := make([]error, len(p.feeds))
	var running sync.WaitGroup
	for i, f := range p.feeds {
		f.log.Info("exporting", "log", f.place.String(), "to", f.board.s.Where)
		running.Go(func() { errs[i] = f.run(ctx) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// Reset removes the read models.
func Reset(ctx context.Context, cfg *config.ExportFile, o Options) error {
	feeds, err := newFeeds(cfg, o)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range feeds {
		if err := f.target.Reset(ctx); err != nil {
			errs = append(errs, fmt.Errorf("lane %d, %s: %w", f.lane.ID, f.kind, err))
		} else {
			f.log.Info("removed", "what", f.board.s.Where)
		}
		f.target.Close()
	}
	return errors.Join(errs...)
}

func wanted[T comparable](list []T, one T) bool { return len(list) == 0 || slices.Contains(list, one) }

// newFeeds makes a feed for each lane and target.
func newFeeds(cfg *config.ExportFile, o Options) (list []*feed, err error) {
	for _, id := range cfg.Export.Lanes {
		if !wanted(o.Lanes, id) {
			continue
		}
		if p := cfg.Postgres; p != nil && wanted(o.Targets, KindPostgres) {
			schema := fmt.Sprintf("%s_lane%d", p.Schema, id)
			t, err := postgres.New(postgres.Options{URL: p.URL, Password: p.Password, Schema: schema, Timeout: time.Duration(p.Timeout)})
			if err != nil {
				return nil, err
			}
			list = append(list, newFeed(cfg, o, id, KindPostgres, "schema "+schema, t))
		}
		if r := cfg.Redis; r != nil && wanted(o.Targets, KindRedis) {
			prefix := fmt.Sprintf("{%s:lane%d}:", r.Prefix, id)
			t, err := redis.New(redis.Options{URL: r.URL, Password: r.Password, Prefix: prefix, Timeout: time.Duration(r.Timeout),
				ExecutionsKept: int64(r.Executions), FinishedFor: time.Duration(r.FinishedFor)})
			if err != nil {
				return nil, err
			}
			list = append(list, newFeed(cfg, o, id, KindRedis, "keys "+prefix+"*", t))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no such lane or target", cfg.File)
	}
	return list, nil
}

func newFeed(cfg *config.ExportFile, o Options, laneID int, kind, where string, t target.Target) *feed {
	l := cfg.Node.Lane(laneID)
	f := &feed{lane: l, place: placeOf(cfg, laneID), kind: kind, target: t,
		batch: cfg.Export.Batch, once: o.Once, log: o.Log.With("lane", laneID, "target", kind)}
	f.names = target.Lane{ID: laneID, App: l.App, Node: cfg.Node.Node.Name}
	for _, s := range l.Sessions {
		f.names.Sessions = append(f.names.Sessions, target.Session{ID: s.ID.String(), Name: s.Name})
	}
	for _, s := range l.Symbols {
		f.names.Symbols = append(f.names.Symbols, target.Symbol{ID: s.ID, Name: s.Name})
	}
	f.board.s = control.FeedStatus{Lane: laneID, Target: kind, Where: where, State: stateStarting}
	return f
}

// handle answers the control socket.
func (p *process) handle(_ context.Context, r control.Request) (any, error) {
	switch r.Cmd {
	case control.CmdStatus:
		return p.status(), nil
	case control.CmdStop:
		p.stop()
		return nil, nil
	}
	return nil, fmt.Errorf("unknown command %q: an exporter knows status and stop", r.Cmd)
}

func (p *process) status() *control.ExportStatus {
	s := &control.ExportStatus{Name: p.cfg.Export.Name, PID: os.Getpid(), Version: Version, Since: p.since.UTC()}
	for _, f := range p.feeds {
		s.Feeds = append(s.Feeds, f.board.status())
	}
	return s
}
