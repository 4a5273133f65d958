package crowd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"onebeat/bench/bed"
	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/bench/shapes"
	"onebeat/mirror/lane"
	"onebeat/tools/config"
)

// The primary comes back without an archive: the ring must hold the whole log.
const (
	orderLogBytes = 400 // more than an order takes, one that trades too
	ringMaxMiB    = 512
	ordersMax     = ringMaxMiB << 20 / orderLogBytes
)

// Shape is the name of the measurement.
const Shape = "crowd"

// Options say how to measure; zero values mean the defaults in brackets.
type Options struct {
	Program    string // the onebeat program that the nodes run
	Configured int    // sessions [10000]
	Live       int    // of them [1000]
	Rounds     int
	Count      int // orders of a round, one in flight; not more than a ring holds
	Limit      time.Duration
	PerSecond  int           // orders over all sessions, around the failover [10000]
	For        time.Duration // before it, and after it [1 s]
	Idle       string        // idle strategy of the nodes' loops [backoff]
	// Heartbeat and HangBudget are the lane's [10 ms, 20 ms].
	Heartbeat, HangBudget time.Duration
	Progress              func(line string)
}

func setDefault[T comparable](v *T, value T) {
	if *v == *new(T) {
		*v = value
	}
}

func (o *Options) complete() {
	setDefault(&o.Configured, 10_000)
	setDefault(&o.Live, 1_000)
	setDefault(&o.PerSecond, 10_000)
	setDefault(&o.For, time.Second)
	setDefault(&o.Idle, "backoff")
	setDefault(&o.Heartbeat, 10*time.Millisecond)
	setDefault(&o.HangBudget, 20*time.Millisecond)
	o.Rounds, o.Count = max(o.Rounds, 1), max(o.Count, 1)
	if most := ordersMax - o.orders(0); o.orders(o.Count) > ordersMax {
		o.Count = max(most*10/22/o.Rounds, 1)
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
}

// orders bounds how many a lane takes, count in each turn: two turns of each round are
// the large lane's, with a tenth more before them.
func (o *Options) orders(count int) int {
	return o.Rounds*count*22/10 + int(2*o.For.Seconds()*float64(o.PerSecond))
}

// ringMiB is a power of two.
func (o *Options) ringMiB() int {
	size := 16
	for size < ringMaxMiB && size<<20 < o.orders(o.Count)*orderLogBytes {
		size *= 2
	}
	return size
}

// Node is what a lane's nodes need.
type Node struct {
	Sessions        int    `json:"sessions"` // configured
	StartNs         int64  `json:"start_ns"` // of both nodes, until one serves and the other stands by
	PrimaryResident uint64 `json:"primary_resident_bytes"`
	StandbyResident uint64 `json:"standby_resident_bytes"`
	ConnectNs       int64  `json:"connect_ns"` // until all live sessions are up
}

// Failover is what became of all sessions when the primary was killed.
type Failover struct {
	Orders   int `json:"orders"`
	Accepted int `json:"accepted"` // once
	Lost     int `json:"lost"`     // without an answer
	Doubled  int `json:"doubled"`
	// Taken are the orders that the new primary's application has.
	Taken uint64 `json:"taken"`
	// OutageNs is from the kill to the first answer to an order that was due after it,
	// LongestNs how long the slowest session waited for its first such answer, from
	// when that order was due.
	OutageNs  int64 `json:"outage_ns"`
	LongestNs int64 `json:"longest_ns"`
	// Reestablished are sessions that did not go on as they were, Lacking those whose
	// messages could not be sent again.
	Reestablished int   `json:"reestablished"`
	Lacking       int   `json:"lacking"`
	BeforeP50Ns   int64 `json:"before_p50_ns"`
	BeforeP99Ns   int64 `json:"before_p99_ns"`
	AfterP50Ns    int64 `json:"after_p50_ns"` // of orders due 100 ms after the kill and later
	AfterP99Ns    int64 `json:"after_p99_ns"`
}

// Result is what was measured.
type Result struct {
	Shape    string          `json:"shape"`
	Live     int             `json:"live"`
	Rounds   int             `json:"rounds"`
	Nodes    []Node          `json:"nodes"`
	Entries  []shapes.Result `json:"entries"`
	Failover Failover        `json:"failover"`
	Machine  shapes.Machine  `json:"machine"`
}

// Names of the entries.
const (
	oneOfOne  = "1 live of 1 session"
	oneOfMany = "1 live of all"
	liveInUse = "all live, in turn"
)

// crowdBed is a lane of so many sessions.
type crowdBed struct {
	*bed.Bed
	node    Node
	clients *clients
}

// Measure measures.
func Measure(ctx context.Context, o Options) (r Result, err error) {
	o.complete()
	r = Result{Shape: Shape, Live: o.Live, Rounds: o.Rounds, Machine: shapes.ThisMachine()}
	small, err := start(ctx, &o, 1, 1)
	if err != nil {
		return r, fmt.Errorf("one session: %w", err)
	}
	defer func() { err = errors.Join(err, small.close()) }()
	big, err := start(ctx, &o, o.Configured, o.Live)
	if err != nil {
		return r, fmt.Errorf("%d sessions: %w", o.Configured, err)
	}
	defer func() { err = errors.Join(err, big.close()) }()
	if err := r.latency(ctx, &o, small, big); err != nil {
		return r, err
	}
	for _, b := range []*crowdBed{small, big} {
		if err := b.ask(); err != nil {
			return r, err
		}
		r.Nodes = append(r.Nodes, b.node)
	}
	o.Progress("the primary is killed")
	r.Failover, err = big.failover(ctx, &o)
	return r, err
}

func start(ctx context.Context, o *Options, configured, live int) (b *crowdBed, err error) {
	o.Progress(fmt.Sprintf("a lane of %d sessions, %d live", configured, live))
	base, err := bed.New(lab.Spec{}, o.Program)
	if err != nil {
		return nil, err
	}
	b = &crowdBed{Bed: base, node: Node{Sessions: configured}}
	var sessions strings.Builder
	for i := range configured {
		id, _ := config.UUID(sessionID(i)).MarshalText()
		fmt.Fprintf(&sessions, "[[lane.session]]\nid = %q\nname = \"c%d\"\nkey = %q\n", id, i, scene.Credentials)
	}
	lanes := scene.OneLane(config.AppBook, fmt.Sprintf("heartbeat = %q\nhang_budget = %q\nring_size = \"%dMiB\"\n", o.Heartbeat, o.HangBudget, o.ringMiB()))
	lanes[0].SessionLines = sessions.String()
	begin := time.Now()
	if err := b.Start(ctx, &scene.Scene{Lab: b.Lab, Lanes: lanes, LoopLines: fmt.Sprintf("idle = %q", o.Idle), LogLevel: "warn"}); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.node.StartNs = int64(time.Since(begin))
	begin = time.Now()
	err = b.Lab.Do(lab.Client, func() (err error) {
		b.clients, err = open(lab.OrderNIC, netip.AddrPortFrom(netip.AddrFrom4(lab.LaneIP), scene.LanePort), live, configured/live)
		return err
	})
	if err == nil {
		err = b.clients.until("sessions", bed.ReadyTimeout, func() bool { return b.clients.ready() == live })
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	b.node.ConnectNs = int64(time.Since(begin))
	return b, nil
}

// ask asks the nodes how much memory they hold.
func (b *crowdBed) ask() error {
	for place, to := range map[string]*uint64{lab.NodeA: &b.node.PrimaryResident, lab.NodeB: &b.node.StandbyResident} {
		s, err := b.Status(place)
		if err != nil {
			return err
		}
		*to = s.Memory.ResidentBytes
	}
	return nil
}

func (b *crowdBed) close() error {
	var err error
	if b.clients != nil {
		err = b.clients.close()
	}
	return errors.Join(err, b.Close())
}

// latency measures one order in flight in turns: a lane of one session, one session of
// many, and many in turn.
func (r *Result) latency(ctx context.Context, o *Options, small, big *crowdBed) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	turns := []struct {
		name string
		c    *clients
		of   int
	}{{oneOfOne, small.clients, 1}, {oneOfMany, big.clients, 1}, {liveInUse, big.clients, o.Live}}
	rounds := make([][]shapes.Result, len(turns))
	for round := range o.Rounds {
		for i, t := range turns {
			o.Progress(fmt.Sprintf("%s, round %d of %d", t.name, round+1, o.Rounds))
			h := shapes.NewHistogram()
			if err := t.c.inTurn(ctx, t.of, o.Count/10, o.Limit, nil); err != nil {
				return err
			}
			if err := t.c.inTurn(ctx, t.of, o.Count, o.Limit, h); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			one := shapes.Result{Shape: t.name, Rounds: 1, Machine: r.Machine}
			one.Fill(h)
			rounds[i] = append(rounds[i], one)
		}
		for _, c := range []*clients{small.clients, big.clients} { // nobody is forgotten
			if err := c.until("sessions", bed.ReadyTimeout, func() bool { return c.ready() == len(c.members) }); err != nil {
				return err
			}
		}
	}
	for _, list := range rounds {
		r.Entries = append(r.Entries, shapes.Combine(list))
	}
	return nil
}

// answerTimeout bounds the wait for one answer.
const answerTimeout = 5 * time.Second

// inTurn sends orders of the first of members in turn, each after the answer to the one
// before.
func (c *clients) inTurn(ctx context.Context, of, count int, limit time.Duration, h *hdr.Histogram) error {
	for i, begin := 0, time.Now(); i < count && ctx.Err() == nil && time.Since(begin) < limit; i++ {
		m := c.members[i*7919%of]
		c.nowNs = c.clock.NowNs()
		sentNs := c.nowNs
		if !m.send(sentNs) {
			return fmt.Errorf("session %d takes no order", i*7919%of)
		}
		c.transmit()
		if err := c.until("an order", answerTimeout, func() bool { return m.open == 0 }); err != nil {
			return err
		}
		if h != nil {
			_ = h.RecordValue(max(c.clock.NowNs()-sentNs, 1))
		}
	}
	return ctx.Err()
}

// failover offers orders at a rate over all sessions, kills the primary in the middle,
// and waits for every answer.
func (b *crowdBed) failover(ctx context.Context, o *Options) (f Failover, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := b.clients
	first := make([]int, len(c.members)) // of this run, by member
	for i, m := range c.members {
		first[i] = len(m.orders)
	}
	total := int(2 * o.For.Seconds() * float64(o.PerSecond))
	everyNs := float64(time.Second) / float64(o.PerSecond)
	killed := make(chan error, 1)
	beginNs, killNs := c.clock.NowNs(), int64(0)
	for n := 0; n < total && ctx.Err() == nil; {
		c.cycle(int64(everyNs))
		c.nowNs = c.clock.NowNs()
		if killNs == 0 && n >= total/2 {
			killNs = c.nowNs
			go func() { killed <- b.Kill(lab.NodeA) }()
		}
		for ; n < total; n++ {
			dueNs := beginNs + int64(float64(n)*everyNs)
			if dueNs > c.nowNs || !c.members[n%len(c.members)].send(dueNs) {
				break
			}
		}
	}
	if err := <-killed; err != nil {
		return f, err
	}
	sent := uint64(0)
	for _, m := range c.members {
		sent += uint64(len(m.orders))
	}
	if err := c.until("all answers", bed.ReadyTimeout, func() bool { return c.answered == sent }); err != nil && !errors.Is(err, ErrNoAnswer) {
		return f, err
	}
	f.judge(c, first, killNs)
	if err := b.Await(ctx, lab.NodeB, lane.Active); err != nil {
		return f, err
	}
	s, err := b.Status(lab.NodeB)
	if err != nil {
		return f, err
	}
	f.Taken = s.Lanes[0].Counters["book_new"]
	f.Taken -= sent - uint64(f.Orders) // those of before
	return f, b.again()
}

// again starts the killed node once more, for an end in order.
func (b *crowdBed) again() error {
	if err := b.StartNode(lab.NodeA); err != nil {
		return err
	}
	return b.Await(context.Background(), lab.NodeA, lane.Standby)
}

// settledNs is from when on latencies after a failover are those of its end.
const settledNs = int64(100 * time.Millisecond)

func (f *Failover) judge(c *clients, first []int, killNs int64) {
	before, after := shapes.NewHistogram(), shapes.NewHistogram()
	for i, m := range c.members {
		own := false // an order from behind the kill was seen
		for _, o := range m.orders[first[i]:] {
			f.Orders++
			switch {
			case o.firstNs == 0:
				f.Lost++
				continue
			case o.accepted > 1:
				f.Doubled++
			case o.accepted == 1:
				f.Accepted++
			}
			switch h := max(o.firstNs-o.dueNs, 1); {
			case o.dueNs < killNs && o.firstNs < killNs:
				_ = before.RecordValue(h)
			case o.dueNs >= killNs+settledNs:
				_ = after.RecordValue(h)
			}
			if o.dueNs < killNs {
				continue
			}
			if outage := o.firstNs - killNs; f.OutageNs == 0 || outage < f.OutageNs {
				f.OutageNs = outage
			}
			if !own {
				f.LongestNs = max(f.LongestNs, o.firstNs-o.dueNs)
			}
			own = true
		}
		s := m.client.Stats()
		if s.Establishes != 1 || s.Terminates != 0 {
			f.Reestablished++
		}
		if s.Lost != 0 {
			f.Lacking++
		}
	}
	f.BeforeP50Ns, f.BeforeP99Ns = before.ValueAtQuantile(50), before.ValueAtQuantile(99)
	f.AfterP50Ns, f.AfterP99Ns = after.ValueAtQuantile(50), after.ValueAtQuantile(99)
}
