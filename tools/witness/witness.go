package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"onebeat/mirror/lane"
	"onebeat/mirror/witness"
	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/tools/control"
)

// Process is a running witness.
type Process struct {
	cfg    *config.WitnessFile
	log    *slog.Logger
	server *witness.Server
	stop   context.CancelFunc
	since  time.Time

	mu    sync.Mutex
	seeds []control.Seed
}

// Version of the program; the build sets it.
var Version = "dev"

var idles = map[string]witness.Idle{config.IdleBackoff: witness.Backoff, config.IdleYield: witness.Yield, config.IdleSpin: witness.Spin}

// Run runs a witness in the calling thread's network namespace until ctx ends.
func Run(ctx context.Context, cfg *config.WitnessFile, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if cfg.Witness.LockMemory {
		if err := pin.LockMemory(); err != nil {
			log.Warn("memory is not locked", "error", err)
		}
	}
	o := witness.ServerOptions{Listen: cfg.Witness.Listen.AddrPort, Idle: idles[cfg.Witness.Idle]}
	for _, g := range cfg.Groups {
		o.Groups = append(o.Groups, witness.Group{Name: g.Name, Key: g.Key})
	}
	server, err := witness.Listen(o)
	if err != nil {
		return err
	}
	p := &Process{cfg: cfg, log: log, server: server, stop: stop, since: time.Now()}
	socket, err := control.Serve(control.SocketPath(cfg.Witness.RunDir, cfg.Witness.Name), control.Access{}, p.handle)
	if err != nil {
		return errors.Join(err, server.Close())
	}
	log.Info("running", "listen", server.Addr(), "groups", len(cfg.Groups), "boot", fmt.Sprintf("%x", server.Boot()),
		"memory", "empty: every lane is seeded by its ACTIVE node, or with `onebeat witness seed`")
	var rest sync.WaitGroup
	rest.Go(func() { p.logChanges(ctx) })
	err = p.loop(ctx)
	stop()
	rest.Wait()
	log.Info("stopped")
	return errors.Join(err, socket.Close(), server.Close())
}

// loop runs the server on a thread of its own until ctx ends.
func (p *Process) loop(ctx context.Context) error {
	done := make(chan error)
	go func() {
		unlock, err := pin.LockThread(p.cfg.Witness.Core)
		if err == nil {
			if p.cfg.Witness.Idle != config.IdleSpin {
				// Best effort: without it a question waits longer for a core.
				_ = pin.ShortSlice(pin.SharedSliceNs)
			}
			p.server.Run(ctx)
			unlock()
		}
		done <- err
	}()
	return <-done
}

// handle answers the control socket.
func (p *Process) handle(_ context.Context, r control.Request) (any, error) {
	switch r.Cmd {
	case control.CmdStatus:
		return p.status(), nil
	case control.CmdSeed:
		return nil, p.seed(&r)
	case control.CmdStop:
		p.stop()
		return nil, nil
	}
	return nil, fmt.Errorf("unknown command %q: a witness knows status, seed and stop", r.Cmd)
}

// keptSeeds bounds the history of seeds in a status.
const keptSeeds = 32

// seed is an operator's word: it says what the register of a lane held.
func (p *Process) seed(r *control.Request) error {
	record, err := lane.ParseRecord(r.Record)
	if err != nil {
		return err
	}
	if r.By == "" {
		return errors.New("who seeds it, and why? It is logged")
	}
	if r.Lane < 0 || r.Lane >= lane.Lanes {
		return fmt.Errorf("lane %d: lanes are numbered 0 to %d", r.Lane, lane.Lanes-1)
	}
	group := r.Group
	if group == "" {
		if len(p.cfg.Groups) != 1 {
			return fmt.Errorf("say which group: %d share this witness (--group)", len(p.cfg.Groups))
		}
		group = p.cfg.Groups[0].Name
	}
	if err := p.server.Seed(group, uint8(r.Lane), record); err != nil {
		p.log.Warn("an operator's seed is refused", "group", group, "lane", r.Lane, "record", record.String(), "by", r.By, "error", err)
		return err
	}
	p.log.Warn("seeded by an operator", "group", group, "lane", r.Lane, "record", record.String(), "by", r.By)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seeds = append(p.seeds, control.Seed{At: time.Now().UTC(), Group: group, Lane: r.Lane, Record: record.String(), By: r.By})
	p.seeds = p.seeds[max(0, len(p.seeds)-keptSeeds):]
	return nil
}
