package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"onebeat/mirror"
	"onebeat/mirror/arbiter"
	"onebeat/mirror/archive"
	"onebeat/mirror/fence"
	"onebeat/mirror/lane"
	"onebeat/tools/config"
	"onebeat/tools/hook"
	"onebeat/tools/track"
)

// ops are what runs beside the order path for the operator.
type ops struct {
	fences  map[int]*fence.Target // by peer
	tracker *track.Tracker
	hooks   *hook.Hooks
	// changed wakes the watch: a check or a carrier changed.
	changed chan struct{}
	// strangers counts who was refused at the control socket.
	strangers atomic.Uint64
}

// hooksPatience is how long a node that stops lets its hooks finish.
const hooksPatience = 2 * time.Second

// openOps starts them, in the calling thread's network namespace. What can be
// seen to be wrong with an agent, a check or a hook is refused here.
func (n *Node) openOps(ctx context.Context) error {
	var hooks []hook.Config
	for _, h := range n.cfg.Hooks {
		hooks = append(hooks, hook.Config{Path: h.Path, Args: h.Args, Timeout: time.Duration(h.Timeout), All: h.On == "all"})
	}
	var err error
	if n.ops.hooks, err = hook.Open(hooks, n.log); err != nil {
		return err
	}
	n.closer = append(n.closer, func() error { return n.ops.hooks.Close(hooksPatience) })
	if err := n.openTracker(); err != nil {
		return err
	}
	n.ops.fences = map[int]*fence.Target{}
	for _, f := range n.cfg.Fences {
		if n.ops.fences[f.Peer] != nil {
			continue
		}
		target, err := n.openFence(ctx, f.Peer)
		if err != nil {
			return err
		}
		n.ops.fences[f.Peer] = target
		n.closer = append(n.closer, target.Close)
	}
	return nil
}

func (n *Node) openTracker() error {
	var checks []track.Config
	for _, c := range n.cfg.Tracks {
		checks = append(checks, track.Config{Name: c.Name, Interface: c.Interface, Process: c.Process, PIDFile: c.PIDFile,
			Script: c.Script, Args: c.Args, Interval: time.Duration(c.Interval), Timeout: time.Duration(c.Timeout),
			Weight: c.Weight, Rise: c.Rise, Fall: c.Fall})
	}
	var interfaces []string
	if n.cfg.Node.Transport == config.TransportXDP {
		interfaces = append(interfaces, n.cfg.Order.Interface)
		for _, l := range n.cfg.Links {
			interfaces = append(interfaces, l.Interface)
		}
	}
	n.ops.changed = make(chan struct{}, 1)
	changed := func() {
		select {
		case n.ops.changed <- struct{}{}:
		default:
		}
	}
	var err error
	if n.ops.tracker, err = track.Open(checks, interfaces, changed, n.log); err != nil {
		return err
	}
	n.closer = append(n.closer, n.ops.tracker.Close)
	return nil
}

// openFence opens a peer's devices and starts their worker.
func (n *Node) openFence(ctx context.Context, peer int) (*fence.Target, error) {
	devices, err := OpenFenceDevices(ctx, n.cfg, peer, n.log)
	if err != nil {
		return nil, err
	}
	var delay, monitor time.Duration
	for _, f := range n.cfg.Fences {
		if f.Peer != peer {
			continue
		}
		delay = max(delay, time.Duration(f.Delay))
		if every := time.Duration(f.Monitor); every > 0 && (monitor == 0 || every < monitor) {
			monitor = every
		}
	}
	return fence.NewTarget(uint8(peer), devices, delay, monitor, n.log), nil
}

// OpenFenceDevices opens the agents of a peer's devices, in the order of the file.
func OpenFenceDevices(ctx context.Context, cfg *config.Config, peer int, log *slog.Logger) ([]fence.Device, error) {
	var devices []fence.Device
	var errs []error
	for i := range cfg.Fences {
		f := &cfg.Fences[i]
		if f.Peer != peer {
			continue
		}
		agent, err := openAgent(ctx, f, log)
		if err != nil {
			errs = append(errs, fmt.Errorf("[[fence]] of node %d: %w", peer, err))
			continue
		}
		devices = append(devices, agent)
	}
	if len(errs) == 0 {
		return devices, nil
	}
	for _, d := range devices {
		errs = append(errs, d.Close())
	}
	return nil, errors.Join(errs...)
}

func openAgent(ctx context.Context, f *config.Fence, log *slog.Logger) (*fence.Agent, error) {
	c := fence.Config{Agent: f.Agent, SecretsFile: f.SecretsFile, Timeout: time.Duration(f.Timeout), Tries: f.Tries}
	for _, text := range f.Options {
		o, err := fence.ParseOption(text)
		if err != nil {
			return nil, fmt.Errorf("option %q %w", text, err)
		}
		c.Options = append(c.Options, o)
	}
	return fence.Open(ctx, c, log)
}

// fenceArbiter puts the peer's fence agents before a lane's pair.
func (n *Node) fenceArbiter(p *laneParts, pair *arbiter.Pair) (arbiter.Arbiter, error) {
	target := n.ops.fences[p.cfg.Peer]
	if target == nil {
		return nil, fmt.Errorf("arbitration \"fence\" without a [[fence]] of node %d", p.cfg.Peer)
	}
	peer := &p.mem.table.Peer
	signs := func() fence.Signs {
		return fence.Signs{Frames: atomic.LoadUint64(&peer.Frames), Acked: atomic.LoadUint64(&peer.Tail)}
	}
	return fence.NewArbiter(pair, target, signs, p.cfg.Heartbeat.Ns()), nil
}

// tell passes an event of a lane on to the hooks.
func (n *Node) tell(p *laneParts, e *mirror.Event) {
	h := hook.Event{Event: e.Kind.String(), Node: n.cfg.Node.Name, Number: n.cfg.Node.Number, Lane: p.cfg.ID,
		Detail: e.String(), Time: time.Now(), MonoNs: e.TimeNs}
	if e.Kind == mirror.EventWord {
		from, to := lane.Word(e.A), lane.Word(e.B)
		h.Event, h.From, h.To, h.Epoch = hook.EventRole, from.State().String(), to.State().String(), to.Epoch()
		if to.State() == lane.Candidate || to.State() == lane.Fenced {
			h.Why = lane.Why(atomic.LoadUint64(&p.mem.table.Watch.CandidateWhy)).String()
		}
	}
	n.ops.hooks.Tell(h)
}

// tellTrack tells the hooks what the watch decided.
func (n *Node) tellTrack(p *laneParts, detail string) {
	n.ops.hooks.Tell(hook.Event{Event: "track", Node: n.cfg.Node.Name, Number: n.cfg.Node.Number, Lane: p.cfg.ID,
		Detail: detail, Time: time.Now(), MonoNs: n.clock.NowNs()})
}

// tellArchive tells the hooks what an operator has to look at in an archive.
func (n *Node) tellArchive(p *laneParts, note archive.Note) {
	if note.Kind == archive.NoteRetained {
		return
	}
	n.ops.hooks.Tell(hook.Event{Event: "archive-" + string(note.Kind), Node: n.cfg.Node.Name, Number: n.cfg.Node.Number, Lane: p.cfg.ID,
		Detail: note.String(), Time: time.Now(), MonoNs: n.clock.NowNs()})
}

// tellDiverged tells the hooks that a node's state is not the log's, and where it is
// written down.
func (n *Node) tellDiverged(p *laneParts, detail string) {
	n.ops.hooks.Tell(hook.Event{Event: hook.EventDiverged, Node: n.cfg.Node.Name, Number: n.cfg.Node.Number, Lane: p.cfg.ID,
		Detail: detail, Time: time.Now(), MonoNs: n.clock.NowNs()})
}

// fenceStatus returns what is known of the fence devices, by peer.
func (n *Node) fenceStatus() []fence.Status {
	var all []fence.Status
	for _, target := range n.ops.fences {
		all = append(all, target.Status())
	}
	slices.SortFunc(all, func(a, b fence.Status) int { return a.Peer - b.Peer })
	return all
}
