package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/bpf"
	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/mirror"
	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/xdp"
)

// Options are what does not stand in the configuration.
type Options struct {
	Log *slog.Logger
	// Clock is made if nil.
	Clock *Clock
	// ForceFrom is an operator's word, "who: why", that the lanes shall go on from
	// the logs this node has, once their peers are parked or silent.
	ForceFrom string
	// wrap puts something between a port and its lane: tests pause a process
	// in there, between two of its steps.
	wrap func(xdp.Port) xdp.Port
}

// Node is an opened node: everything is set up in the network namespace of the
// thread that called Open, nothing runs yet.
type Node struct {
	cfg    *config.Config
	log    *slog.Logger
	clock  *Clock
	wrap   func(xdp.Port) xdp.Port
	lock   *os.File
	kernel *bpf.Kernel // nil with transport udp
	order  nic
	links  map[int]nic // by peer
	lanes  []*laneParts
	closer []func() error
	// forceFrom is Options.ForceFrom.
	forceFrom string
}

// laneParts is one lane of a node.
type laneParts struct {
	cfg     *config.Lane
	mem     shared
	order   xdp.Port
	link    xdp.Port // nil: no peer
	replica *mirror.Replica
	loop    *engine.Loop
	orders  *orderLog // nil: none is kept
}

// Open sets a node up. Everything wrong that can be seen now is refused with
// its remedy. ctx ends the wait for the peer's link to answer.
func Open(ctx context.Context, cfg *config.Config, o Options) (*Node, error) {
	n := &Node{cfg: cfg, log: o.Log, clock: o.Clock, wrap: o.wrap, forceFrom: o.ForceFrom}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) open(ctx context.Context) error {
	var err error
	if n.clock == nil {
		if n.clock, err = NewClock(); err != nil {
			return fmt.Errorf("clock: %w", err)
		}
	}
	if n.lock, err = lock(n.cfg); err != nil {
		return err
	}
	n.closer = append(n.closer, n.lock.Close)
	if n.cfg.Node.Transport == config.TransportUDP {
		return n.openUDP()
	}
	return n.openXDP(ctx)
}

// addLane joins a lane's ports and memory to a replica, a machine and a loop.
func (n *Node) addLane(p *laneParts, cfg mirror.Config, mem mirror.Memory, local app.Endpoint, venueMAC [6]byte) error {
	arb, err := newArbiter(p.cfg, mem.Ring)
	if err != nil {
		return fmt.Errorf("lane %d: %w", p.cfg.ID, err)
	}
	if n.wrap != nil {
		p.order = n.wrap(p.order)
		if p.link != nil {
			p.link = n.wrap(p.link)
		}
	}
	if p.replica, err = mirror.New(cfg, mem, p.link, arb); err != nil {
		return err
	}
	if p.cfg.OrderLog != "" {
		p.orders = newOrderLog(p.cfg.OrderLog)
	}
	first, err := newMachine(p.cfg, venueMAC, p.orders)
	if err != nil {
		return err
	}
	makeMachine := func() app.Machine {
		if m := first; m != nil {
			first = nil
			return m
		}
		m, err := newMachine(p.cfg, venueMAC, p.orders)
		if err != nil {
			panic(err) // the same configuration worked at the start
		}
		return m
	}
	out := app.NewOutbox(local, mem.Table.NextOutput)
	p.loop = engine.NewLoop(p.order, p.link, p.replica, makeMachine, out)
	n.lanes = append(n.lanes, p)
	return nil
}

// Start takes the lanes' first steps. The caller's thread runs the loops from
// then on.
func (n *Node) Start() {
	for _, p := range n.lanes {
		p.replica.Start(n.clock.NowNs())
	}
}

// Loop returns the loop of a lane, for callers that run it themselves.
func (n *Node) Loop(laneID int) *engine.Loop {
	for _, p := range n.lanes {
		if p.cfg.ID == laneID {
			return p.loop
		}
	}
	return nil
}

// Clock returns the clock the loops are to be driven with.
func (n *Node) Clock() *Clock { return n.clock }

// Close gives everything back that does not outlive the process.
func (n *Node) Close() error {
	var errs []error
	for i := len(n.closer) - 1; i >= 0; i-- {
		errs = append(errs, n.closer[i]())
	}
	n.closer = nil
	return errors.Join(errs...)
}

// Run opens a node and runs it until ctx ends or a lane wants to stop.
func Run(ctx context.Context, cfg *config.Config, o Options) error {
	if cfg.Loop.LockMemory {
		if err := pin.LockMemory(); err != nil {
			if cfg.Node.Transport == config.TransportXDP {
				return err
			}
			o.Log.Warn("memory is not locked", "error", err)
		}
	}
	n, err := Open(ctx, cfg, o)
	if err != nil {
		return err
	}
	return errors.Join(n.run(ctx), n.Close())
}

func (n *Node) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t := n.newThread()
	server, err := n.serveControl(t, stop)
	if err != nil {
		return err
	}
	n.Start()
	if err := n.forceAll(); err != nil {
		return errors.Join(err, server.Close())
	}
	go t.run()
	n.log.Info("running", "node", n.cfg.Node.Name, "lanes", len(n.lanes), "transport", n.cfg.Node.Transport)
	err = n.supervise(ctx, t)
	n.handOverAll()
	t.stop.Store(true)
	select {
	case stopped := <-t.done:
		err = errors.Join(err, stopped)
	case <-time.After(5 * time.Second):
		err = errors.Join(err, errors.New("the loop does not stop"))
	}
	n.logEvents()
	return errors.Join(err, server.Close(), n.writeOrderLogs())
}

func (n *Node) newThread() *thread {
	t := &thread{core: n.cfg.Loop.Core, clock: n.clock, done: make(chan error, 1)}
	t.enter = func() error { return n.eachEngine((*bpf.Kernel).EnterEngine) }
	t.leave = func() error { return n.eachEngine((*bpf.Kernel).LeaveEngine) }
	t.idle = idle{strategy: n.cfg.Loop.Idle, maxSleepNs: n.cfg.Loop.MaxSleep.Ns()}
	for _, p := range n.lanes {
		t.loops = append(t.loops, p.loop)
		t.idle.fds = append(t.idle.fds, unix.PollFd{Fd: int32(p.order.FD()), Events: unix.POLLIN})
		if p.link != nil {
			t.idle.fds = append(t.idle.fds, unix.PollFd{Fd: int32(p.link.FD()), Events: unix.POLLIN})
		}
	}
	return t
}

// eachEngine tells the kernel, if there is one, about this thread's lanes.
func (n *Node) eachEngine(tell func(*bpf.Kernel, int) error) error {
	if n.kernel == nil {
		return nil
	}
	var errs []error
	for _, p := range n.lanes {
		errs = append(errs, tell(n.kernel, p.cfg.ID))
	}
	return errors.Join(errs...)
}

// superviseEvery is how often the cold side looks at events.
const superviseEvery = 20 * time.Millisecond

// supervise logs what the loops tell until the node shall stop.
func (n *Node) supervise(ctx context.Context, t *thread) error {
	ticker := time.NewTicker(superviseEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-t.done:
			t.done <- nil
			return err
		case <-ticker.C:
			n.logEvents()
			n.keepCuts()
			for _, p := range n.lanes {
				if p.replica.Quit() {
					n.log.Info("a lane asks to stop", "lane", p.cfg.ID)
					return nil
				}
			}
		}
	}
}

// eventLevel is above info for what an operator has to look at.
func eventLevel(k mirror.EventKind) slog.Level {
	switch k {
	case mirror.EventLogBroken, mirror.EventDiverged:
		return slog.LevelError
	case mirror.EventAlone, mirror.EventRefused, mirror.EventRebuild, mirror.EventAckTimeout,
		mirror.EventCut, mirror.EventLease, mirror.EventForced:
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
			n.log.Log(context.Background(), eventLevel(e.Kind), e.Kind.String(), "lane", p.cfg.ID, "detail", e.String(), "mono_ns", e.TimeNs)
		}
	}
}
