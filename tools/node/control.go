package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/tools/control"
)

// reportTimeout is how long a loop may take to answer: a few of its sleeps.
const reportTimeout = 500 * time.Millisecond

// controller answers the control socket. Reports are asked one at a time.
type controller struct {
	node *Node
	mu   sync.Mutex
	stop context.CancelFunc
}

func (n *Node) serveControl(stop context.CancelFunc) (*control.Server, error) {
	c := &controller{node: n, stop: stop}
	access := control.Access{UIDs: n.cfg.Operator.UIDs, Mode: os.FileMode(n.cfg.Operator.SocketMode), GID: n.cfg.Operator.SocketGroup, Count: &n.ops.strangers}
	access.Refused = func(p control.Peer) {
		n.log.Warn("refused at the control socket", "user", p.Name(), "uid", p.UID, "process", p.PID, "so_far", n.ops.strangers.Load())
	}
	return control.Serve(control.SocketPath(n.cfg.Node.RunDir, n.cfg.Node.Name), access, c.handle)
}

func (c *controller) handle(ctx context.Context, r control.Request) (any, error) {
	switch r.Cmd { // what takes its turn at the loops
	case control.CmdOperate:
		if r.Operate == nil {
			return nil, errors.New("operate: the command is missing")
		}
		return c.node.operate(ctx, r.Operate)
	case control.CmdShow:
		if r.Show == nil {
			return nil, errors.New("show: what is missing")
		}
		return c.node.show(r.Show)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.Cmd {
	case control.CmdStatus:
		return c.node.status(), nil
	case control.CmdPromote:
		if r.All {
			return c.node.promoteAll()
		}
		return &control.Promoted{Lanes: []int{r.Lane}}, c.node.handover(r.Lane)
	case control.CmdForce:
		return nil, c.node.force(r.Lane, r.By)
	case control.CmdOrders:
		return nil, c.node.writeOrderLogs()
	case control.CmdPolicy:
		if r.SetPolicy == nil {
			return nil, errors.New("policy: set_policy is missing")
		}
		return c.node.setPolicy(r.SetPolicy)
	case control.CmdStop:
		c.stop()
		return nil, nil
	case control.CmdPanic:
		return nil, c.node.panicIn(r.Lane)
	}
	return nil, fmt.Errorf("unknown command %q: status, promote, force, policy, operate, show, orders or stop", r.Cmd)
}

var (
	// ErrNoLane means that the node has no such lane.
	ErrNoLane = errors.New("no such lane")
	// ErrNoStandby means that a lane cannot be handed over now.
	ErrNoStandby = errors.New("no standby in sync")
	// ErrNotGiven means that a handover did not end in time; it is called off, or
	// ends later.
	ErrNotGiven = errors.New("not handed over")
)

func (n *Node) lane(id int) (*laneParts, error) {
	for _, p := range n.lanes {
		if p.cfg.ID == id {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: %d", ErrNoLane, id)
}

// handoverTimeout bounds the wait for a planned handover to end; the replica
// calls it off after a second without a standby.
const handoverTimeout = 2 * time.Second

// silentWait is how long a handover waits for a word of a standby that is in sync and
// was silent just now.
const silentWait = 250 * time.Millisecond

// handover gives a lane to its standby and waits until it is given.
func (n *Node) handover(id int) error {
	p, err := n.lane(id)
	if err != nil {
		return err
	}
	if w := lane.Load(p.mem.authority); w.State() != lane.Active {
		return fmt.Errorf("this node is %v for lane %d: ask the one that is ACTIVE", w.State(), id)
	}
	for began := time.Now(); !standbyReady(p); time.Sleep(time.Millisecond) {
		if !standbyKnown(p) || time.Since(began) > silentWait {
			return fmt.Errorf("lane %d: %w: wait until `onebeat status` shows the peer as STANDBY", id, ErrNoStandby)
		}
	}
	if !p.replica.Commands.Put(mirror.CommandHandover) {
		return errors.New("a handover is under way")
	}
	deadline := time.Now().Add(handoverTimeout)
	for time.Now().Before(deadline) {
		if lane.Load(p.mem.authority).State() != lane.Active {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("lane %d: %w within %v: the standby does not ACK, or the in-sync set was just changing; `onebeat status` shows which, then ask again", id, ErrNotGiven, handoverTimeout)
}

// panicIn makes a lane's loop panic: a drill sees that what runs on the way out
// hides nothing from the kernel.
func (n *Node) panicIn(id int) error {
	p, err := n.lane(id)
	if err != nil {
		return err
	}
	if !p.replica.Commands.Put(mirror.CommandPanic) {
		return errors.New("another command is under way")
	}
	return nil
}

// handOverLanes gives lanes to their standbys, all at once: one that cannot go
// does not keep the others.
func (n *Node) handOverLanes(lanes []*laneParts) (*control.Promoted, error) {
	results := make([]error, len(lanes))
	var all sync.WaitGroup
	for i, p := range lanes {
		all.Go(func() { results[i] = n.handover(p.cfg.ID) })
	}
	all.Wait()
	given := &control.Promoted{}
	for i, err := range results {
		if err == nil {
			given.Lanes = append(given.Lanes, lanes[i].cfg.ID)
		}
	}
	return given, errors.Join(results...)
}

// promoteAll gives away every lane that this node serves.
func (n *Node) promoteAll() (*control.Promoted, error) {
	var serving []*laneParts
	for _, p := range n.lanes {
		if lane.Load(p.mem.authority).State() == lane.Active {
			serving = append(serving, p)
		}
	}
	if len(serving) == 0 {
		return nil, errors.New("this node is ACTIVE for no lane")
	}
	given, err := n.handOverLanes(serving)
	if err != nil {
		return nil, fmt.Errorf("handed over were lanes %v: %w", given.Lanes, err)
	}
	return given, nil
}

// handOverAll gives every lane that has a standby to it, before the node stops:
// no order is refused.
func (n *Node) handOverAll() {
	var ready []*laneParts
	for _, p := range n.lanes {
		if lane.Load(p.mem.authority).State() == lane.Active && standbyReady(p) {
			ready = append(ready, p)
		}
	}
	if _, err := n.handOverLanes(ready); err != nil {
		n.log.Warn("not handed over", "error", err)
	}
}

// standbyReady: the peer said STANDBY in this epoch and was heard just now, its
// engine too.
func standbyReady(p *laneParts) bool {
	t := p.mem.table
	return standbyKnown(p) && atomic.LoadUint32(&t.Watch.SilentTicks) < t.Config.SilenceTicks
}

// standbyKnown reports the same of a standby that may be silent.
func standbyKnown(p *laneParts) bool {
	peer := lane.Word(atomic.LoadUint64(&p.mem.table.Peer.Authority))
	return p.cfg.Peer != 0 && peer == lane.Load(p.mem.authority).With(lane.Standby) && p.replica.SuccessorReady()
}

func (n *Node) writeOrderLogs() error {
	var errs []error
	for _, p := range n.lanes {
		if p.orders != nil {
			errs = append(errs, p.orders.write())
		}
	}
	return errors.Join(errs...)
}

// status collects what the node knows about itself. What the kernel and the
// lane table show is there even when a loop does not answer.
func (n *Node) status() *control.Status {
	s := &control.Status{
		Name: n.cfg.Node.Name, Number: n.cfg.Node.Number, PID: os.Getpid(),
		Transport: n.cfg.Node.Transport, Version: Version, NowNs: n.clock.NowNs(),
	}
	s.Memory = readMemory()
	s.Strangers = n.ops.strangers.Load()
	s.Checks, s.Fences, s.Hooks = n.ops.tracker.Status(), n.fenceStatus(), n.ops.hooks.Status()
	// Side by side: a hung lane must not use up the others' time.
	s.Threads, s.Lanes = max(len(n.threads), 1), make([]control.LaneStatus, len(n.lanes))
	var all sync.WaitGroup
	for i, p := range n.lanes {
		all.Go(func() { s.Lanes[i] = n.laneStatus(p) })
	}
	all.Wait()
	if n.kernel != nil {
		if reasons, err := n.kernel.Reasons(); err == nil {
			s.Kernel = reasons
		}
	}
	return s
}

func (n *Node) laneStatus(p *laneParts) control.LaneStatus {
	t := p.mem.table
	w := lane.Load(p.mem.authority)
	peer := lane.Word(atomic.LoadUint64(&t.Peer.Authority))
	s := control.LaneStatus{
		ID: p.cfg.ID, App: p.cfg.App, State: w.State().String(), Epoch: w.Epoch(), First: p.cfg.First,
		Tail: atomic.LoadUint64(&t.Tail), Applied: atomic.LoadUint64(&t.Engine.Applied), Released: atomic.LoadUint64(&t.Engine.Released),
		Outputs: atomic.LoadUint64(&t.NextOutput), Peer: p.cfg.Peer, PeerTail: atomic.LoadUint64(&t.Peer.Tail),
		ProgressNs: int64(atomic.LoadUint64(&t.Engine.ProgressNs)), FencedNs: int64(atomic.LoadUint64(&t.Watch.FencedNs)),
		CandidateNs: int64(atomic.LoadUint64(&t.Watch.CandidateNs)), CandidateWhy: lane.Why(atomic.LoadUint64(&t.Watch.CandidateWhy)).String(),
		LateTicks: atomic.LoadUint64(&t.Watch.LateTicks), Arbitration: p.cfg.Arbitration, Arbiter: arbiterStatus(p, n.clock.NowNs()),
		Health: p.watch.health(),
	}
	s.Release = releaseStatus(p)
	s.Policy = s.Release.Policy
	s.Queue, s.Core = p.cfg.Queue, n.cfg.ThreadCore(p.cfg)
	for _, t := range n.threads {
		if slices.Contains(t.lanes, p) {
			s.Thread = t.number
		}
	}
	if link := n.cfg.Link(p.cfg.Peer); link != nil {
		if s.Link = link.Interface; s.Link == "" {
			s.Link = link.Address.String()
		}
	}
	if p.cfg.Peer != 0 {
		s.PeerState, s.PeerEpoch = peer.State().String(), peer.Epoch()
		s.Paths = 1
		if n.secondLink(p.cfg) != nil {
			s.Paths = 2
		}
		s.LinkHeardNs = int64(atomic.LoadUint64(&t.Watch.LastHeardNs))
		s.OrderHeardNs = int64(atomic.LoadUint64(&t.Watch.LastSecondHeardNs))
		s.Silent = atomic.LoadUint32(&t.Watch.SilentTicks) >= t.Config.SilenceTicks
	}
	if p.archive != nil {
		a := p.archive.Status()
		s.Archive = &a
	}
	s.Diverged = p.loop.Diverged() != nil
	if k := p.keeper.Status(); k.Dir != "" || k.State != "idle" || k.Restored != nil {
		s.Snapshots = &k
	}
	if p.catcher != nil {
		s.CatchUp = p.catcher.status()
	}
	if n.stream != nil {
		s.Copies = n.stream.Copies(uint8(p.cfg.ID))
	}
	deadline := time.Now().Add(reportTimeout)
	for p.loop.AskReport(); time.Now().Before(deadline); time.Sleep(100 * time.Microsecond) {
		r, ok := p.loop.Report()
		if !ok {
			continue
		}
		s.Answers = true
		s.InSync = r.Record.Count() == 2
		if r.Record != (lane.Record{}) {
			s.Record = r.Record.String()
		}
		s.Alone = s.Release.Waits() && w.State() == lane.Active && !s.InSync
		s.Release.Degraded, s.Release.Refusing = degraded(r.Shortage), r.Shortage.Refusing
		s.ActiveNs, s.FirstAnswerNs, s.Digest = r.ActiveNs, r.FirstAnswerNs, r.Digest
		s.Records = r.Records
		s.Diverged = s.Diverged || r.Diverged
		s.Counters = make(map[string]uint64, len(r.Counts))
		if p.fix != nil && p.fix.acceptor != nil {
			p.fix.acceptor.Counts.Visit(func(name string, count uint64) { s.Counters[name] = count })
			s.Counters["fix_tcp_connects_unheard"] = p.fix.connects.Dropped()
		}
		for _, c := range r.Counts {
			s.Counters[c.Name] += c.Value
		}
		s.Venues = venueStatus(p.cfg, s.Counters)
		break
	}
	if stopped(s.Counters) {
		s.Stops = n.stops(p)
	}
	return s
}

// readMemory reads the runtime's own figures; it does not stop the world.
func readMemory() control.Memory {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(samples)
	m := control.Memory{Allocs: samples[0].Value.Uint64(), GCCycles: samples[1].Value.Uint64(), Goroutines: runtime.NumGoroutine()}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident uint64
		if _, err := fmt.Sscan(string(b), &size, &resident); err == nil {
			m.ResidentBytes = resident * uint64(os.Getpagesize())
		}
	}
	return m
}

// Version of the program; the build sets it.
var Version = "dev"
