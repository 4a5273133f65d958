package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"onebeat/bench/shapes"
	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/tools/node"
)

const replayPerSecond = 3e6

// measureReplay has a gateway take orders, with a venue that answers, and archive
// them; then it rebuilds the state from that archive.
func measureReplay(ctx context.Context, o *Options) (r Result, err error) {
	dir, err := os.MkdirTemp(o.Dir, "onebeat-bench-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, lane, err := gatewayLog(ctx, o, dir)
	if err != nil {
		return r, err
	}
	unlock, err := pin.LockThread(o.Layout.Primary)
	if err != nil {
		return r, err
	}
	defer unlock()
	var rounds []float64
	for began := time.Now(); len(rounds) < o.Rounds || time.Since(began) < o.span(2*time.Second); {
		if err := replayOnce(l, lane, &r); err != nil {
			return r, err
		}
		rounds = append(rounds, r.PerSecond)
	}
	r.PerSecond = median(rounds)
	r.NsPerEach = 1e9 / r.PerSecond
	r.atLeast("records/s into the gateway's state", r.PerSecond, replayPerSecond)
	return r, nil
}

// gatewayLog makes an archive and returns it with the lane's configuration.
func gatewayLog(ctx context.Context, o *Options, dir string) (archiveDir string, l *config.Lane, err error) {
	b, err := shapes.New(shapes.Options{Layout: o.Layout, Count: o.Orders, Warmup: 100, Limit: 20 * time.Second, Progress: o.Progress})
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	s := shapes.Setting{Shape: shapes.Order, App: config.AppGateway, Release: config.ReleaseRide, Auth: true, Archive: dir}
	if _, err := b.Measure(ctx, s); err != nil {
		return "", nil, err
	}
	cfg, err := b.PrimaryConfig(s)
	if err != nil {
		return "", nil, err
	}
	l = &cfg.Lanes[0]
	return archive.LaneDir(cfg.Archive.Dir, cfg.Node.Name, l.ID), l, nil
}

// replayOnce rebuilds the state once.
func replayOnce(dir string, l *config.Lane, r *Result) (err error) {
	state, err := node.NewReplay(l)
	if err != nil {
		return err
	}
	s, err := archive.OpenReader(disk.OS{}, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	records, began := uint64(0), time.Now()
	var rec app.Record
	for {
		more, err := s.Next(&rec)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		state.Apply(&rec)
		records++
	}
	r.rate(records, s.Position(), time.Since(began))
	if state.Diverged() {
		return fmt.Errorf("the rebuilt state is not the one that made the log")
	}
	return nil
}
