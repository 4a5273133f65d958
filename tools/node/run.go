package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"onebeat/mirror"
)

// stopTimeout is far longer than a loop's cycle takes.
const stopTimeout = 5 * time.Second

func (n *Node) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	n.threads = n.newThreads()
	defer n.makeRoom()()
	server, err := n.serveControl(stop)
	if err != nil {
		return err
	}
	n.Start()
	if err := n.forceAll(); err != nil {
		return errors.Join(err, server.Close())
	}
	stopCold := n.RunCold()
	defer stopCold()
	defer n.runCopies()()
	defer n.runPromotions()()
	defer n.runDisconnects()()
	ended := make(chan error, len(n.threads))
	for _, t := range n.threads {
		go func() { ended <- t.run() }()
	}
	n.log.Info("running", "node", n.cfg.Node.Name, "lanes", len(n.lanes), "threads", len(n.threads), "transport", n.cfg.Node.Transport)
	watched := make(chan struct{})
	watching, stopWatch := context.WithCancel(ctx)
	go func() {
		n.watch(watching)
		close(watched)
	}()
	running, err := n.supervise(ctx, ended)
	stopWatch()
	<-watched
	n.handOverAll()
	err = errors.Join(err, n.stopThreads(running, ended))
	stopCold()
	n.leave()
	n.logEvents()
	return errors.Join(err, server.Close(), n.writeOrderLogs())
}

// RunCold runs what no loop waits for: archives, keepers of states, and what fetches
// from peers. The returned function ends them.
func (n *Node) RunCold() (stop func()) {
	stopArchives, stopKeepers, stopCatchers := n.runArchives(), n.runKeepers(), n.runCatchers()
	return sync.OnceFunc(func() {
		stopKeepers()
		stopCatchers()
		stopArchives()
	})
}

// stopThreads ends the threads and waits for those that still run.
func (n *Node) stopThreads(running int, ended <-chan error) error {
	for _, t := range n.threads {
		t.stop.Store(true)
	}
	var errs []error
	for deadline := time.After(stopTimeout); running > 0; running-- {
		select {
		case err := <-ended:
			errs = append(errs, err)
		case <-deadline:
			return errors.Join(append(errs, errors.New("a loop does not stop"))...)
		}
	}
	return errors.Join(errs...)
}

// superviseEvery is how often the cold side looks at events.
const superviseEvery = 20 * time.Millisecond

// supervise logs what the loops tell until the node shall stop. It returns how
// many threads still run.
func (n *Node) supervise(ctx context.Context, ended <-chan error) (running int, err error) {
	ticker := time.NewTicker(superviseEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return len(n.threads), nil
		case err := <-ended:
			return len(n.threads) - 1, err
		case <-ticker.C:
			n.logEvents()
			n.keepCuts()
			n.hurryArchives()
			for _, p := range n.lanes {
				if p.replica.Quit() {
					n.log.Info("a lane asks to stop", "lane", p.cfg.ID)
					return len(n.threads), nil
				}
			}
		}
	}
}

// eventLevel is above info for what an operator has to look at.
func eventLevel(k mirror.EventKind) slog.Level {
	switch k {
	case mirror.EventLogBroken, mirror.EventDiverged, mirror.EventStandbyOut, mirror.EventStopped:
		return slog.LevelError
	case mirror.EventAlone, mirror.EventRefused, mirror.EventRebuild, mirror.EventAckTimeout,
		mirror.EventCut, mirror.EventLost, mirror.EventLease, mirror.EventForced, mirror.EventNoHistory,
		mirror.EventPolicy, mirror.EventDegraded, mirror.EventRefusing:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func (n *Node) logEvents() {
	for _, p := range n.lanes {
		for {
			e, ok := p.replica.Events.Next()
			if !ok {
				break
			}
			n.tell(p, &e)
			n.log.Log(context.Background(), eventLevel(e.Kind), e.Kind.String(), "lane", p.cfg.ID, "detail", e.String(), "mono_ns", e.TimeNs)
		}
	}
}
