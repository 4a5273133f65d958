package load

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/engine/client"
	"onebeat/engine/sbe"
	"onebeat/pin"
	"onebeat/xdp"
	"onebeat/xdp/frame"
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
	c, err := newClock()
	if err != nil {
		return nil, err
	}
	r := newRunner(&o)
	if err := r.open(&o); err != nil {
		return nil, err
	}
	res, err := r.run(&o, &c, stop)
	if r.unwatch != nil {
		close(r.unwatch)
	}
	return res, errors.Join(err, r.port.Close())
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

// open makes the port and the client.
func (r *runner) open(o *Options) error {
	open := r.openXDP
	if o.Transport == TransportUDP {
		open = r.openUDP
	}
	if err := open(o); err != nil {
		return err
	}
	var err error
	r.client, err = client.New(client.Config{Session: o.Session, Key: o.Key, ResendNs: o.Resend.Nanoseconds()}, r)
	if err != nil {
		return errors.Join(err, r.port.Close())
	}
	return nil
}

// clientPort is the client's UDP port when none is given.
const clientPort = 40_000

func (r *runner) openXDP(o *Options) error {
	nic, err := xdp.Inspect(o.Interface)
	if err != nil {
		return err
	}
	local := o.Local.Addr()
	if !local.IsValid() {
		local = nic.IPv4.Addr()
	}
	if !local.Is4() {
		return fmt.Errorf("%w: %s has no IPv4 address; give it one, or give a local address", ErrOptions, o.Interface)
	}
	port := o.Local.Port()
	setDefault(&port, clientPort)
	// First the program, then ARP: on a veth the answer, an XDP_TX of the
	// node, only wakes an end that has a program.
	s, err := xdp.OpenEndpoint(xdp.Options{Interface: o.Interface, Queue: o.Queue, VLAN: o.VLAN}, local, port)
	if err != nil {
		return err
	}
	r.port, r.vlan = s, o.VLAN
	// Only the ACTIVE node answers for the lane address, so this also waits
	// until there is one.
	mac, err := resolve(nic, o)
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrConnect, err), s.Close())
	}
	r.local = frame.Endpoint{MAC: nic.MAC, Port: port, IP: local.As16()}
	r.targets = []frame.Endpoint{{MAC: mac, Port: o.Targets[0].Port(), IP: o.Targets[0].Addr().As16()}}
	if err := r.watchNeighbour(nic, o.Targets[0].Addr(), mac); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

func resolve(nic xdp.Interface, o *Options) ([6]byte, error) {
	if o.VLAN != 0 {
		return xdp.ResolveDirect(nic, o.VLAN, o.Targets[0].Addr(), o.Connect)
	}
	return xdp.Resolve(o.Interface, o.Targets[0].Addr(), o.Connect)
}

func (r *runner) openUDP(o *Options) error {
	s, err := xdp.ListenUDP(o.Local.Addr(), o.Local.Port())
	if err != nil {
		return err
	}
	r.port, r.local = s, s.Local()
	for _, t := range o.Targets {
		ip := frame.IP(t.Addr().As16())
		r.targets = append(r.targets, frame.Endpoint{MAC: xdp.StandInMAC(ip), Port: t.Port(), IP: ip})
	}
	return nil
}

// run connects, offers, drains and counts, all on one thread.
func (r *runner) run(o *Options, c *clock, stop <-chan struct{}) (*Result, error) {
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
	startNs := c.nowNs() + int64(10*time.Millisecond)
	r.schedule(startNs, o.RatePerSecond)
	end := make(chan struct{})
	defer close(end)
	if o.Progress != nil {
		go r.progress(o, startNs, c, end)
	}
	r.offerAll(c, stop)
	r.drain(c, o.Drain.Nanoseconds())
	endNs := c.nowNs()
	runtime.ReadMemStats(&after)
	r.client.Terminate()
	r.cycle(c.nowNs(), false)

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
func (r *runner) connect(o *Options, c *clock, stop <-chan struct{}) error {
	deadlineNs := c.nowNs() + o.Connect.Nanoseconds()
	for !r.client.Ready() {
		nowNs := c.nowNs()
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

func (r *runner) offerAll(c *clock, stop <-chan struct{}) {
	for n := 0; r.next < len(r.orders); n++ {
		if n%stopEvery == 0 && stopped(stop) {
			r.orders = r.orders[:r.next]
			return
		}
		r.rest(r.cycle(c.nowNs(), true))
	}
}

// drain waits for answers, resending as ever.
func (r *runner) drain(c *clock, drainNs int64) {
	deadlineNs := c.nowNs() + drainNs
	for r.client.Unanswered() > 0 && r.nowNs < deadlineNs {
		r.rest(r.cycle(c.nowNs(), false))
	}
}

func (r *runner) progress(o *Options, startNs int64, c *clock, end <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return
		case <-tick.C:
			elapsedNs := c.nowNs() - startNs
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
		Due: int64(len(r.orders)), Unknown: r.unknown, Foreign: r.foreign,
		Latency: Measure(r.orders, 0, 0), Client: r.client.Stats(), Port: r.port.Stats(),
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
