package shapes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/peers"
	"onebeat/engine"
	"onebeat/mirror/lane"
	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/tools/node"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// scene is everything that runs while one setting is measured. It is built anew
// for each round, so that nothing idle disturbs and no round inherits from
// another.
type scene struct {
	setting Setting
	layout  Layout
	lab     *lab.Lab
	clock   *node.Clock
	shooter shooter
	port    xdp.Port
	primary *engine.Loop // the first lane's
	// primaryNode is whose that is.
	primaryNode *node.Node
	one         *oneThread // runs the nodes on the client's thread; nil: they have theirs
	closers     []func() error
}

// orderClient is who sends orders in a scene and takes the answers.
type orderClient interface {
	// wire gives it its port; the scene's setting is known.
	wire(w wirePort) error
	// follow gives it the standby's loop to run beside its own work; eager: an
	// answer needs it.
	follow(standby looper, eager bool)
	// turn takes what arrived and does what is due.
	turn(nowNs int64)
	// ready reports whether the session is up.
	ready() bool
}

// open builds the scene of a setting that is measured frame by frame. The
// caller's thread becomes the client's.
func (b *Bench) open(ctx context.Context, s Setting) (*scene, error) {
	if s.Lanes > 1 {
		o := newLanesShooter(&s)
		c, err := b.openScene(ctx, s, o)
		if err == nil {
			c.shooter = o
		}
		return c, err
	}
	if !s.echo() {
		o := newOrderShooter(&s)
		c, err := b.openScene(ctx, s, o)
		if err == nil {
			c.shooter = o
		}
		return c, err
	}
	return b.openScene(ctx, s, nil)
}

// openScene builds the scene of a setting with a client of its own, which an
// echo has not.
func (b *Bench) openScene(ctx context.Context, s Setting, o orderClient) (*scene, error) {
	c, err := b.newScene(s)
	if err != nil {
		return nil, err
	}
	if s.echo() {
		err = c.openEcho(b.yardstick)
	} else {
		err = c.openOrder(ctx, o)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s.Name(), err), c.close())
	}
	return c, nil
}

func (b *Bench) newScene(s Setting) (*scene, error) {
	clock, err := node.NewClock()
	if err != nil {
		return nil, err
	}
	return &scene{setting: s, layout: b.options.Layout, lab: b.lab, clock: clock}, nil
}

func (c *scene) close() error {
	var errs []error
	for i := len(c.closers) - 1; i >= 0; i-- {
		errs = append(errs, c.closers[i]())
	}
	c.closers = nil
	return errors.Join(errs...)
}

// openWire opens the client's port.
func (c *scene) openWire() (wirePort, error) {
	w := wirePort{clock: c.clock, local: frame.Endpoint{IP: frame.IPv4(lab.ClientIP), Port: clientPort}}
	err := c.lab.Do(lab.Client, func() error {
		ip := netip.AddrFrom4(lab.ClientIP)
		if c.setting.sockets() {
			u, err := xdp.ListenUDP(ip, clientPort, venuePort)
			if err != nil {
				return err
			}
			w.port, w.local.MAC = u, u.Local().MAC
			return nil
		}
		o := xdp.Options{Interface: lab.OrderNIC}
		if c.setting.Batch > 1 {
			o.RxFrames = floodFrames // one datagram brings many answers
		}
		ports := []uint16{venuePort}
		for id := range c.setting.lanes() {
			ports = append(ports, clientPort+uint16(id))
		}
		s, err := xdp.OpenEndpoint(o, ip, ports...)
		if err != nil {
			return err
		}
		w.port, w.local.MAC = s, s.Interface().MAC
		if c.setting.Release != config.ReleaseChain {
			return nil
		}
		second, err := xdp.OpenEndpoint(xdp.Options{Interface: lab.SecondOrderNIC}, ip, ports...)
		if err != nil {
			return errors.Join(err, s.Close())
		}
		w.port = &twoWires{Port: s, second: second}
		return nil
	})
	if err != nil {
		return w, fmt.Errorf("client: %w", err)
	}
	c.port = w.port
	c.closers = append(c.closers, w.port.Close)
	return w, nil
}

// openEcho starts an echo on the primary's NIC.
func (c *scene) openEcho(yardstick *peers.Program) error {
	wire, err := c.openWire()
	if err != nil {
		return err
	}
	var peer peers.Peer
	switch c.setting.Shape {
	case Echo:
		peer = &peers.Own{}
	case Asavie:
		peer = &peers.Asavie{}
	case GoUDP:
		peer = &peers.GoUDP{}
	case CEcho, CUDP:
		if yardstick == nil {
			return peers.ErrNoCompiler
		}
		if peer = peers.NewCEcho(yardstick); c.setting.Shape == CUDP {
			peer = peers.NewCUDP(yardstick)
		}
	}
	err = c.lab.Do(lab.NodeA, func() error {
		return peer.Start(peers.Env{Interface: lab.OrderNIC, IP: netip.AddrFrom4(lab.NodeAIP), Port: lanePort, Core: c.layout.Primary})
	})
	if err != nil {
		return err
	}
	c.closers = append(c.closers, peer.Stop)
	wire.remote = frame.Endpoint{MAC: [6]byte(lab.OrderMAC(lab.NodeA)), IP: frame.IPv4(lab.NodeAIP), Port: lanePort}
	if c.setting.sockets() {
		wire.remote.MAC = xdp.StandInMAC(frame.IPv4(lab.NodeAIP))
	}
	c.shooter = &echoShooter{wirePort: wire}
	return nil
}

// openOrder starts the node or nodes and brings the session up.
func (c *scene) openOrder(ctx context.Context, o orderClient) error {
	wire, err := c.openWire()
	if err != nil {
		return err
	}
	wire.remote = frame.Endpoint{MAC: [6]byte(lab.OrderMAC(lab.NodeA)), IP: frame.IPv4(lab.LaneIP), Port: lanePort}
	if c.setting.Shape == UDP {
		wire.remote = frame.Endpoint{MAC: xdp.StandInMAC(frame.IPv4(lab.NodeAIP)), IP: frame.IPv4(lab.NodeAIP), Port: lanePort}
	}
	if err := o.wire(wire); err != nil {
		return err
	}
	if c.setting.beside() {
		c.makeRoom()
	}
	first, primaries, err := c.openNode(ctx, lab.NodeA)
	if err != nil {
		return err
	}
	c.primary, c.primaryNode = primaries[0], first
	leave := func() error { return nil }
	if c.setting.rejoin {
		// Both make the lane; then the one goes.
		if leave, err = c.visit(ctx, o); err != nil {
			return err
		}
	} else if c.setting.peered() {
		n, loops, err := c.openNode(ctx, lab.NodeB)
		if err != nil {
			return err
		}
		standby := inTurn(loops)
		if c.setting.Shape == Archived {
			standby = &archivingHost{loops[0], n}
		}
		if c.one != nil {
			c.one.standby = standby
		} else if c.layout.Standby == pin.NoCore {
			o.follow(standby, c.setting.Shape == UDP || c.setting.stronger())
		} else if err := c.spin(standby, c.layout.Standby); err != nil {
			return err
		}
	}
	if c.one != nil {
		c.one.primary = inTurn(primaries)
		o.follow(c.one, true)
	} else if err := c.spin(inTurn(primaries), c.layout.Primary); err != nil {
		return err
	}
	for _, primary := range primaries {
		if err := c.untilReady(ctx, o, primary); err != nil {
			return errors.Join(err, leave())
		}
	}
	return leave()
}

// visit opens a standby that leaves again.
func (c *scene) visit(ctx context.Context, o orderClient) (leave func() error, err error) {
	n, loops, cfg, err := c.openBeside(ctx, lab.NodeB)
	if err != nil {
		return nil, err
	}
	o.follow(inTurn(loops), false)
	return func() error {
		o.follow(nil, false)
		return errors.Join(n.Close(), node.Cleanup(cfg))
	}, nil
}

// scenePlaces is how many threads of a scene spin at most, or archive.
const scenePlaces = 5

// makeRoom gives threads room in Go's scheduler, as a node does.
func (c *scene) makeRoom() {
	release := node.MakeRoom(scenePlaces)
	c.closers = append(c.closers, func() error { release(); return nil })
}

// openNode opens a node in its namespace and takes its first steps.
func (c *scene) openNode(ctx context.Context, place string) (*node.Node, []*engine.Loop, error) {
	n, loops, cfg, err := c.openBeside(ctx, place)
	if err != nil {
		return nil, nil, err
	}
	c.closers = append(c.closers, func() error { return errors.Join(n.Close(), node.Cleanup(cfg)) })
	if c.setting.Shape == Archived {
		c.closers = append(c.closers, func() error { return os.RemoveAll(cfg.Archive.Dir) })
	} else if c.setting.beside() {
		stop := n.RunCold()
		c.closers = append(c.closers, func() error { stop(); return nil })
	}
	return n, loops, nil
}

// dialer connects from a place.
func (c *scene) dialer(place string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (conn net.Conn, err error) {
		err = c.lab.Do(place, func() error {
			conn, err = new(net.Dialer).DialContext(ctx, "tcp", address)
			return err
		})
		return conn, err
	}
}

// openBeside is openNode of a node that the caller closes and cleans up.
func (c *scene) openBeside(ctx context.Context, place string) (n *node.Node, loops []*engine.Loop, cfg *config.Config, err error) {
	if cfg, err = nodeConfig(c.lab, &c.setting, place); err != nil {
		return nil, nil, nil, err
	}
	err = c.lab.Do(place, func() error {
		n, err = node.Open(ctx, cfg, node.Options{Clock: c.clock, Dial: c.dialer(place)})
		return err
	})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", place, err)
	}
	n.Start()
	for id := range c.setting.lanes() {
		loops = append(loops, n.Loop(id))
	}
	return n, loops, cfg, nil
}

// looper is what a thread runs in turns.
type looper interface{ DoWork(nowNs int64) int }

// inTurn is what runs the loops of a thread.
func inTurn(loops []*engine.Loop) looper {
	if len(loops) == 1 {
		return loops[0]
	}
	return &loopsInTurn{loops}
}

// loopsInTurn runs several, as a node's thread does.
type loopsInTurn struct{ loops []*engine.Loop }

// DoWork implements looper.
func (t *loopsInTurn) DoWork(nowNs int64) (work int) {
	for _, l := range t.loops {
		work += l.DoWork(nowNs)
	}
	return work
}

// archivingHost is a standby whose archive is on the thread of its loop: on few
// cores a goroutine of its own would wait for one behind those that spin.
type archivingHost struct {
	loop *engine.Loop
	node *node.Node
}

func (a *archivingHost) DoWork(nowNs int64) int {
	return a.loop.DoWork(nowNs) + a.node.StepArchives(nowNs)
}

// spin gives a loop a thread of its own until the scene closes.
func (c *scene) spin(loop looper, core int) error {
	w, err := startWorker(loop, c.clock, core)
	if err != nil {
		return err
	}
	c.closers = append(c.closers, func() error { w.end(); return nil })
	return nil
}

// readyWithin is how long a pair may take to find each other.
const readyWithin = 20 * time.Second

// untilReady runs the client's thread until the session is up and the primary
// waits for its standby's ACKs.
func (c *scene) untilReady(ctx context.Context, o orderClient, primary *engine.Loop) error {
	primary.AskReport()
	deadline := time.Now().Add(readyWithin)
	for {
		o.turn(c.clock.NowNs())
		if r, ok := primary.Report(); ok {
			inSync := r.InSync || !c.setting.peered()
			if r.Word.State() == lane.Active && inSync && o.ready() {
				return nil
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("not ready within %v: primary %v, in sync %v, session up %v", readyWithin, r.Word, r.InSync, o.ready())
			}
			primary.AskReport()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
