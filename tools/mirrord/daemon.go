package mirrord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/stream"
	"onebeat/tools/config"
	"onebeat/tools/control"
	"onebeat/tools/node"
)

// Options are what does not stand in the configuration.
type Options struct {
	Log     *slog.Logger
	Version string
	// Timing of connections; tests make it short.
	Timing stream.Timing
}

// daemon is what both kinds have.
type daemon struct {
	o     Options
	log   *slog.Logger
	clock *node.Clock

	mu      sync.Mutex
	status  control.MirrordStatus
	server  *stream.Server
	shipped map[int][]shipping // by lane
}

func newDaemon(o Options, name string, number int) (*daemon, error) {
	clock, err := node.NewClock()
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &daemon{o: o, log: o.Log, clock: clock, shipped: map[int][]shipping{},
		status: control.MirrordStatus{Name: name, Number: number, PID: os.Getpid(), Version: o.Version}}, nil
}

// note says what an archive has to say.
func (d *daemon) note(laneID int) func(archive.Note) {
	return func(n archive.Note) {
		d.log.Log(context.Background(), node.ArchiveLevel(n.Kind), "archive: "+string(n.Kind), "lane", laneID, "detail", n.String())
	}
}

// serve answers at an address until the returned function is called.
func (d *daemon) serve(listen config.Endpoint, s *config.Stream, c *stream.Credentials, lanes []*stream.Lane) (stop func() error, err error) {
	if !listen.IsValid() {
		return func() error { return nil }, nil
	}
	l, err := net.Listen("tcp", listen.String())
	if err != nil {
		return nil, fmt.Errorf("listen: %w; the address must be the host's own, and the port free", err)
	}
	server := stream.Serve(l, stream.ServerOptions{Credentials: c, Lanes: lanes, RateBytes: uint64(s.RateLimit.Bytes()),
		ConnectionsMax: s.Connections, NowNs: d.clock.NowNs, Note: func(text string) { d.log.Info(text) }, Timing: d.o.Timing})
	d.mu.Lock()
	d.server, d.status.Listen = server, server.Addr().String()
	d.mu.Unlock()
	return func() error {
		d.mu.Lock()
		d.server = nil
		d.mu.Unlock()
		return server.Close()
	}, nil
}

// report fills in what both kinds say.
func (d *daemon) report(lanes []control.MirrordLane) control.MirrordStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status
	for i := range lanes {
		l := &lanes[i]
		if d.server != nil {
			l.Copies = d.server.Copies(uint8(l.ID))
		}
		for _, x := range d.shipped[l.ID] {
			l.Stores = append(l.Stores, x.shipper.Status())
		}
	}
	s.Lanes = lanes
	if d.server != nil {
		s.Counters = map[string]uint64{}
		d.server.Counters(func(name string, count uint64) { s.Counters[name] = count })
	}
	return s
}

// control serves the daemon's socket.
func (d *daemon) control(runDir, name string, stop context.CancelFunc, lanes func() []control.MirrordLane, cease func(by string) error) (*control.Server, error) {
	return control.Serve(control.SocketPath(runDir, control.MirrordName(name)), control.Access{}, func(_ context.Context, r control.Request) (any, error) {
		switch r.Cmd {
		case control.CmdStatus:
			return d.report(lanes()), nil
		case control.CmdStop:
			stop()
			return nil, nil
		case control.CmdCease:
			if cease == nil {
				return nil, errors.New("this daemon follows nobody: it is on a node's host")
			}
			return nil, cease(r.By)
		}
		return nil, fmt.Errorf("%q is no command of a mirror daemon", r.Cmd)
	})
}

// sleep waits, or until ctx ends; false then.
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
