package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"onebeat/mirror/lane"
	"onebeat/tools/config"
	"onebeat/tools/control"
	"onebeat/tools/track"
)

// watchEvery is how often the health of the lanes is looked at; a carrier that
// is lost does not wait for it.
const watchEvery = 50 * time.Millisecond

// laneWatch is what the watch knows of one lane.
type laneWatch struct {
	weights track.Weights
	policy  track.Policy
	lag     track.Lag
	late    track.Late

	mu      sync.Mutex
	decider *track.Decider
	score   track.Score
	reason  string
}

// checksLine is the score of failing checks that hands over where the file has
// no [predict].
const checksLine = 100

// newLaneWatch: without [predict] only the file's own checks hand a lane over;
// the other parts are shown.
func newLaneWatch(cfg *config.Config) *laneWatch {
	p := cfg.Predict
	checksOnly := p == nil
	if p == nil {
		d := config.DefaultPredict()
		p = &d
		if p.HandoverAt = 0; len(cfg.Tracks) > 0 {
			p.HandoverAt = checksLine
		}
	}
	w := &laneWatch{
		weights: track.Weights{Latency: p.LatencyWeight, Ring: p.RingWeight, Flaps: p.FlapsWeight, LateTicks: p.LateWeight,
			LatencyNs: p.Latency.Ns(), FlapsMax: p.Flaps},
		policy: track.Policy{At: p.HandoverAt, Clear: p.ClearAt, Hold: time.Duration(p.Hold),
			MinInterval: time.Duration(p.MinInterval), ChecksOnly: checksOnly},
	}
	w.decider = track.NewDecider(w.policy)
	return w
}

// watch looks at the lanes' health until the node stops, and hands over what
// this node had better not keep. It reads what loops and kernel publish anyway.
func (n *Node) watch(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var handovers sync.WaitGroup
	defer handovers.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.ops.changed:
		case <-ticker.C:
		}
		for _, p := range n.lanes {
			if p.cfg.Peer == 0 {
				continue
			}
			if reason, ok := n.lookAt(p, time.Now()); ok {
				handovers.Go(func() { n.handOverSick(p, reason) })
			}
		}
		// Samples take milliseconds where something is wrong: only once every
		// lane was decided about.
		for _, p := range n.lanes {
			p.sample()
		}
	}
}

// lookAt rates one lane and decides.
func (n *Node) lookAt(p *laneParts, now time.Time) (reason string, handOver bool) {
	w := p.watch
	t := p.mem.table
	active := lane.Load(p.mem.authority).State() == lane.Active
	ready := standbyReady(p)
	signs := track.Signs{LatencyNs: w.lag.Ns(now), Down: n.ops.tracker.Down(),
		LateFraction: w.late.Observe(atomic.LoadUint64(&t.Watch.LateTicks), time.Duration(p.cfg.Tick), now)}
	signs.FlapsOf, signs.Flaps = n.ops.tracker.Flaps()
	if active && ready {
		signs.RingFill = float64(lead(atomic.LoadUint64(&t.Tail), atomic.LoadUint64(&t.Peer.Applied))) / float64(p.cfg.RingSize)
	}
	cut := n.cfg.Node.Transport == config.TransportXDP && !n.ops.tracker.Up(n.cfg.Order.Interface)
	p.chain(!cut)
	score := w.weights.Rate(&signs)
	w.mu.Lock()
	d := w.decider.Decide(track.View{Score: score, Active: active, Ready: ready, Cut: cut}, now)
	w.score, w.reason = score, d.Reason
	w.mu.Unlock()
	return d.Reason, d.HandOver
}

// chain lets the kernel let rides out by the order NIC, as a standby: not while that
// has no carrier, and the kernel could not tell. The writer hears of it with the
// next ACK.
func (p *laneParts) chain(up bool) {
	flags := &p.mem.table.Config.Flags
	switch on := atomic.LoadUint32(flags)&lane.ConfigChain != 0; {
	case on == (up && p.cfg.Release == config.ReleaseChain):
	case on:
		atomic.AndUint32(flags, ^uint32(lane.ConfigChain))
	default:
		atomic.OrUint32(flags, lane.ConfigChain)
	}
}

// lead is how far a is before b; the two are not read at one moment.
func lead(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// sample measures how long the newest record of a serving lane waits for its ACK.
func (p *laneParts) sample() {
	t := p.mem.table
	if p.cfg.Peer == 0 || lane.Load(p.mem.authority).State() != lane.Active || !standbyReady(p) {
		return
	}
	p.watch.lag.Sample(func() uint64 { return atomic.LoadUint64(&t.Tail) }, func() uint64 { return atomic.LoadUint64(&t.Peer.Tail) })
}

func (n *Node) handOverSick(p *laneParts, reason string) {
	n.log.Warn("handing over", "lane", p.cfg.ID, "reason", reason)
	n.tellTrack(p, "handing over: "+reason)
	if err := n.handover(p.cfg.ID); err != nil {
		n.log.Warn("not handed over", "lane", p.cfg.ID, "error", err)
		if errors.Is(err, ErrNoStandby) {
			p.watch.mu.Lock()
			p.watch.decider.Refused(time.Now())
			p.watch.mu.Unlock()
		}
	}
}

// health is a lane's score for a status; nil without a peer.
func (w *laneWatch) health() *control.Health {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return &control.Health{Score: w.score, HandoverAt: w.policy.At, ChecksOnly: w.policy.ChecksOnly, Reason: w.reason}
}
