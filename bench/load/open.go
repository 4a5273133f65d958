package load

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/engine/client"
	"onebeat/engine/client/conn"
	"onebeat/engine/sbe"
	"onebeat/pin"
	"onebeat/xdp"
)

// Errors of a run.
var (
	ErrConnect = errors.New("the lane did not establish the session")
	ErrStopped = errors.New("stopped")
)

// Result is what a run found.
type Result struct {
	Orders  []Order  `json:"-"`
	Servers []Server `json:"-"`

	StartNs    int64  `json:"start_ns"`
	EndNs      int64  `json:"end_ns"`
	Rate       int    `json:"rate_per_second"`
	Due        int64  `json:"orders_due"`
	Sent       int64  `json:"orders_sent"`
	Answered   int64  `json:"orders_answered"`
	Accepted   int64  `json:"orders_accepted"`
	Rejected   int64  `json:"orders_rejected"`
	Unanswered int64  `json:"unanswered"`
	Unknown    uint64 `json:"unknown_answers"`
	Foreign    uint64 `json:"foreign_frames"`

	Latency Latency       `json:"latency"`
	Before  *Latency      `json:"before_mark,omitempty"`
	After   *Latency      `json:"after_mark,omitempty"`
	Client  client.Stats  `json:"client"`
	Port    xdp.PortStats `json:"port"`
	Allocs  uint64        `json:"allocs"`
	GCs     uint32        `json:"gc_cycles"`

	ServerList []ServerReport `json:"servers"`
}

// ServerReport is a Server for JSON.
type ServerReport struct {
	MAC       string `json:"mac"`
	FirstNs   int64  `json:"first_ns"`
	LastNs    int64  `json:"last_ns"`
	Datagrams uint64 `json:"datagrams"`
}

// Run performs a run; a closed stop ends it early, drained as usual.
func Run(o Options, stop <-chan struct{}) (*Result, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	c, err := conn.NewClock()
	if err != nil {
		return nil, err
	}
	r := newRunner(&o)
	if err := r.open(&o); err != nil {
		return nil, err
	}
	res, err := r.run(&o, &c, stop)
	return res, errors.Join(err, r.conn.Close())
}

func newRunner(o *Options) *runner {
	r := &runner{
		idle: o.Idle, first: o.FirstClOrdID, orders: make([]Order, o.orderCount()),
		order: client.Order{PriceTicks: o.PriceTicks, QtyLots: o.QtyLots, SymbolID: o.SymbolID,
			OrdType: sbe.OrdTypeLimit, TimeInForce: sbe.TimeInForceDay},
	}
	for i := range r.orders {
		r.orders[i].ClOrdID = r.first + uint64(i)
	}
	return r
}

// open makes the connection. A lane that is silent is looked for at the next node
// at once and without rest: how long it was away is what a run measures.
func (r *runner) open(o *Options) error {
	cfg := r.config(o)
	c, err := conn.Open(cfg, r)
	if errors.Is(err, conn.ErrNoLane) {
		err = fmt.Errorf("%w: %w", ErrConnect, err)
	}
	if err != nil {
		return err
	}
	r.use(c)
	return nil
}

func (r *runner) config(o *Options) conn.Config {
	cfg := conn.Config{
		Client:    client.Config{Session: o.Session, Key: o.Key, ResendNs: o.Resend.Nanoseconds()},
		Connector: client.ConnectorConfig{Strategy: client.RoundRobin{}, SilenceNs: silenceNs, Backoff: client.Backoff{MinNs: 1, MaxNs: 1}},
		Local:     o.Local, Interface: o.Interface, Queue: o.Queue, VLAN: o.VLAN, Resolve: o.Connect, OnHeard: r.sawServer,
	}
	for _, t := range o.Targets {
		cfg.Hosts = append(cfg.Hosts, conn.Host{Address: t, Timeout: silenceNs})
	}
	return cfg
}

func (r *runner) use(c *conn.Conn) { r.conn, r.client = c, c.Client() }

// silenceNs is how long a node may let orders wait without a sign of life.
const silenceNs = 20_000_000

// run connects, offers, drains and counts, all on one thread.
func (r *runner) run(o *Options, c *conn.Clock, stop <-chan struct{}) (*Result, error) {
	runtime.LockOSThread()
	_ = pin.ShortSlice(pin.SharedSliceNs) // best effort: it is woken later without
	defer runtime.UnlockOSThread()
	// Sleeps until the next order must not be rounded up by 50 us; only threads
	// of ordinary priority have slack, and setting it cannot fail for them.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	if err := r.connect(o, c, stop); err != nil {
		return nil, err
	}
	// The log is all the garbage there is: nothing to collect until the end.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	startNs := c.NowNs() + int64(10*time.Millisecond)
	r.schedule(startNs, o.RatePerSecond)
	end := make(chan struct{})
	defer close(end)
	if o.Progress != nil {
		go r.progress(o, startNs, c, end)
	}
	r.offerAll(c, stop)
	r.drain(c, o.Drain.Nanoseconds())
	endNs := c.NowNs()
	runtime.ReadMemStats(&after)
	r.client.Terminate()
	r.cycle(c.NowNs(), false)

	res := r.result(o, startNs, endNs)
	res.Allocs, res.GCs = after.Mallocs-before.Mallocs, after.NumGC-before.NumGC
	return res, nil
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// connect drives the client until its session is up.
func (r *runner) connect(o *Options, c *conn.Clock, stop <-chan struct{}) error {
	deadlineNs := c.NowNs() + o.Connect.Nanoseconds()
	for !r.client.Ready() {
		nowNs := c.NowNs()
		if nowNs > deadlineNs {
			return fmt.Errorf("%w within %v; is a node ACTIVE, and are session and key those of its configuration? client %+v",
				ErrConnect, o.Connect, r.client.Stats())
		}
		if stopped(stop) {
			return ErrStopped
		}
		r.rest(r.cycle(nowNs, false))
	}
	return nil
}

// schedule gives every order its time. A rate need not divide a second, so
// the times are computed from the index, not added up.
func (r *runner) schedule(startNs int64, ratePerSecond int) {
	for i := range r.orders {
		seconds, rest := int64(i/ratePerSecond), int64(i%ratePerSecond)
		r.orders[i].IntendedNs = startNs + seconds*int64(time.Second) + rest*int64(time.Second)/int64(ratePerSecond)
	}
}

// stopEvery is how many cycles pass between two looks at the stop channel.
const stopEvery = 256

func (r *runner) offerAll(c *conn.Clock, stop <-chan struct{}) {
	for n := 0; r.next < len(r.orders); n++ {
		if n%stopEvery == 0 && stopped(stop) {
			r.orders = r.orders[:r.next]
			return
		}
		r.rest(r.cycle(c.NowNs(), true))
	}
}

// drain waits for answers, resending as ever.
func (r *runner) drain(c *conn.Clock, drainNs int64) {
	deadlineNs := c.NowNs() + drainNs
	for r.client.Unanswered() > 0 && r.nowNs < deadlineNs {
		r.rest(r.cycle(c.NowNs(), false))
	}
}

func (r *runner) progress(o *Options, startNs int64, c *conn.Clock, end <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return
		case <-tick.C:
			elapsedNs := c.NowNs() - startNs
			o.Progress(Progress{
				Elapsed: time.Duration(elapsedNs),
				Due:     min(int64(len(r.orders)), elapsedNs*int64(o.RatePerSecond)/int64(time.Second)),
				Sent:    r.sent.Load(), Answered: r.answered.Load(),
			})
		}
	}
}

func (r *runner) result(o *Options, startNs, endNs int64) *Result {
	res := &Result{
		Orders: r.orders, Servers: r.servers[:r.serverN], StartNs: startNs, EndNs: endNs, Rate: o.RatePerSecond,
		Due: int64(len(r.orders)), Unknown: r.unknown, Foreign: r.conn.Foreign(),
		Latency: Measure(r.orders, 0, 0), Client: r.client.Stats(), Port: r.conn.Port().Stats(),
	}
	for i := range r.orders {
		switch o := &r.orders[i]; {
		case o.FirstAnswerNs == 0:
			res.Unanswered++
		case o.Accepted():
			res.Accepted++
		default:
			res.Rejected++
		}
	}
	res.Sent, res.Answered = int64(r.next), res.Accepted+res.Rejected
	if o.Mark > 0 {
		markNs := startNs + o.Mark.Nanoseconds()
		before, after := Measure(r.orders, 0, markNs), Measure(r.orders, markNs, 0)
		res.Before, res.After = &before, &after
	}
	for i := range res.Servers {
		s := &res.Servers[i]
		res.ServerList = append(res.ServerList, ServerReport{s.String(), s.FirstNs, s.LastNs, s.Datagrams})
	}
	return res
}
