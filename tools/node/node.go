package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"onebeat/bpf"
	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/engine/table"
	"onebeat/mirror"
	"onebeat/mirror/arbiter"
	"onebeat/mirror/archive"
	"onebeat/mirror/ring"
	"onebeat/mirror/stream"
	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/tools/lanetcp"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// The tables know nothing of the system they run on.
func init() { table.Large = pin.AskHugepages }

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
	// alter puts something in the place of the loops' machines: tests plant one
	// that goes wrong.
	alter func(app.Machine) app.Machine
	// Dial connects to a peer's stream, or a venue over TCP: nodes of one process do so
	// from their namespaces; nil: as usual.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// tcp are ports that tests serve at the lanes' addresses, by lane.
	tcp map[int][]uint16
	// wall is the clock that FIX sessions go by; nil: the system's. Tests move it.
	wall func() time.Time
	// cores are kept awake by Run; nil: nobody does.
	cores *cores
}

// Node is an opened node: everything is set up in the network namespace of the
// thread that called Open, nothing runs yet.
type Node struct {
	cfg    *config.Config
	log    *slog.Logger
	clock  *Clock
	wrap   func(xdp.Port) xdp.Port
	alter  func(app.Machine) app.Machine
	lock   *os.File
	kernel *bpf.Kernel // nil with transport udp
	order  nic
	links  map[int]nic // by peer
	lanes  []*laneParts
	ops    ops
	// threads run the lanes once run has started them.
	threads []*thread
	closer  []func() error
	stream  *stream.Server // nil: this node's logs go to nobody
	dial    dialFunc
	tcp     map[int][]uint16 // Options.tcp
	wall    func() time.Time // Options.wall
	// forceFrom is Options.ForceFrom.
	forceFrom string
	cores     *cores // Options.cores
}

// laneParts is one lane of a node.
type laneParts struct {
	cfg     *config.Lane
	mirror  mirror.Config
	mem     shared
	ring    *ring.Ring
	local   frame.Endpoint  // what clients speak to
	venueAt []atomic.Uint64 // MACs of the venues, as engine.VenueConfig.Resolved has them
	order   xdp.Port
	link    xdp.Port       // nil: no peer
	second  xdp.Port       // transport udp: at this node's own order address; nil: one path, or kernel programs
	muxes   []*xdp.Mux     // of sockets shared with other lanes
	remote  arbiter.Remote // nil: nobody keeps the lane's record
	replica *mirror.Replica
	loop    *engine.Loop
	orders  *orderLog  // nil: none is kept
	watch   *laneWatch // nil: no peer
	// promotion is an operator's word that the lane goes on from a copy; nil: none.
	promotion *Promotion
	archive   *archive.Follower // nil: the log is in memory only
	catcher   *catcher          // nil: nothing is fetched
	keeper    *keeper
	tcp       []*lanetcp.Listener // in the order of Node.tcpPorts
	fix       *fixParts           // nil: no FIX sessions
}

// Open sets a node up. Everything wrong that can be seen now is refused with
// its remedy. ctx ends the wait for the peer's link to answer.
func Open(ctx context.Context, cfg *config.Config, o Options) (*Node, error) {
	n := &Node{cfg: cfg, log: o.Log, clock: o.Clock, wrap: o.wrap, alter: o.alter, dial: o.Dial, tcp: o.tcp, wall: o.wall, cores: o.cores, forceFrom: o.ForceFrom}
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
	n.closer = append(n.closer, func() error { return unlock(n.lock) })
	if err := n.askSites(ctx); err != nil {
		return err
	}
	if err := n.openOps(ctx); err != nil {
		return err
	}
	if n.cfg.Node.Transport == config.TransportUDP {
		err = n.openUDP()
	} else {
		err = n.openXDP(ctx)
	}
	if err != nil {
		return err
	}
	if err := n.openFIX(); err != nil {
		return err
	}
	return n.openStream()
}

// addLane joins a lane's ports and memory to a replica, a machine and a loop.
func (n *Node) addLane(p *laneParts, mem mirror.Memory) error {
	if err := n.addFIX(p); err != nil {
		return fmt.Errorf("lane %d: %w", p.cfg.ID, err)
	}
	arb, err := n.newArbiter(p, mem.Ring)
	if err != nil {
		return fmt.Errorf("lane %d: %w", p.cfg.ID, err)
	}
	if n.wrap != nil {
		p.order = n.wrap(p.order)
		if p.link != nil {
			p.link = n.wrap(p.link)
		}
	}
	if err := n.prime(p); err != nil {
		return fmt.Errorf("lane %d: %w", p.cfg.ID, err)
	}
	if p.replica, err = mirror.New(p.mirror, mem, p.link, arb); err != nil {
		return err
	}
	n.useSecond(p)
	if err := n.addArchive(p, mem.Ring); err != nil {
		return fmt.Errorf("lane %d: %w", p.cfg.ID, err)
	}
	if p.archive != nil {
		p.replica.UseArchive(p.archive)
	}
	if p.cfg.OrderLog != "" {
		p.orders = newOrderLog(p.cfg.OrderLog)
	}
	first, err := newMachine(p.cfg, p.venueAt, p.orders, p.fixPort())
	if err != nil {
		return err
	}
	makeMachine := func() app.Machine {
		if m := first; m != nil {
			first = nil
			return m
		}
		m, err := newMachine(p.cfg, p.venueAt, p.orders, p.fixPort())
		if err != nil {
			panic(err) // the same configuration worked at the start
		}
		return m
	}
	if n.alter != nil {
		right := makeMachine
		makeMachine = func() app.Machine { return n.alter(right()) }
	}
	out := app.NewOutbox(p.local, mem.Table.NextOutput)
	out.UseVLAN(n.vlan())
	p.loop = engine.NewLoop(p.order, p.link, p.replica, makeMachine, out)
	p.loop.UsePort(p.fixPort())
	n.addKeeper(p)
	if p.cfg.Peer != 0 {
		p.watch = newLaneWatch(n.cfg)
	}
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
	var err error
	if o.cores, err = holdCores(o.Log); err != nil && cfg.Node.Transport == config.TransportXDP {
		o.Log.Warn("cores may sleep deeply while the node runs", "error", err)
	}
	defer o.cores.release()
	n, err := Open(ctx, cfg, o)
	if err != nil {
		return err
	}
	return errors.Join(n.run(ctx), n.Close())
}
