package shapes

import (
	"context"
	"errors"
	"fmt"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/pin"
	"onebeat/xdp/frame"
)

// Step is what a lane did at one rate: an open loop, so that an order's time
// begins when it was due, however late it could be sent. Of several rounds it
// has the medians, the sums of what was counted and the longest.
type Step struct {
	Rounds int `json:"rounds"`
	// RatePerSecond is what was offered, AnsweredPerSecond what came back.
	RatePerSecond     int     `json:"rate_per_second"`
	AnsweredPerSecond float64 `json:"answered_per_second"`
	Orders            int64   `json:"orders"`
	Unanswered        int64   `json:"unanswered"`
	Resent            uint64  `json:"resent"`
	P50Ns             int64   `json:"p50_ns"`
	P99Ns             int64   `json:"p99_ns"`
	P999Ns            int64   `json:"p999_ns"`
	MaxNs             int64   `json:"max_ns"`
	Allocs            uint64  `json:"allocs"`
	GCCycles          uint32  `json:"gc_cycles"`
}

// Keeps reports whether the lane kept up: nearly all was answered within the
// step, 99 % of it in less than a millisecond.
func (s *Step) Keeps() bool {
	return s.AnsweredPerSecond >= keptShare*float64(s.RatePerSecond) && s.P99Ns < keptP99Ns && s.Unanswered == 0
}

const (
	keptShare = 0.98
	keptP99Ns = 1_000_000

	// floodWindow bounds what may be lost at once to what the node can send again,
	// and floodFrames takes all its answers: a client that was kept off its core
	// for a while goes on where it was.
	floodWindow = 1 << 12
	floodFrames = 1 << 12
	// floodResendNs is longer than any step that keeps up lets an order wait.
	floodResendNs = 500_000_000
	// floodTurn bounds the datagrams of one kick.
	floodTurn = 16
	drainNs   = 2_000_000_000
)

// Ramp offers the rates one after the other to a lane of the setting, each some
// rounds for a time, and ends where three in a row are not kept up with: one alone may
// have met a machine that was busy elsewhere.
func (b *Bench) Ramp(ctx context.Context, s Setting, rates []int, rounds int, each time.Duration) ([]Step, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if s.echo() || len(rates) == 0 || rounds < 1 || each <= 0 {
		return nil, errors.New("a ramp needs an order shape, rates, rounds and a time for each")
	}
	unlock, err := pin.LockThread(b.options.Layout.Client)
	if err != nil {
		return nil, err
	}
	defer unlock()
	f := newFlood(s.orders())
	c, err := b.openScene(ctx, s, f)
	if err != nil {
		return nil, err
	}
	var steps []Step
	late := 0
	for _, rate := range rates {
		b.options.Progress(fmt.Sprintf("%s at %d orders/s", s.Name(), rate))
		var all []Step
		for range rounds {
			step, err := f.step(ctx, rate, each)
			if err != nil {
				return steps, errors.Join(fmt.Errorf("%s at %d orders/s: %w", s.Name(), rate, err), c.close())
			}
			all = append(all, step)
		}
		steps = append(steps, combineSteps(all))
		if late++; steps[len(steps)-1].Keeps() {
			late = 0
		}
		if late == 3 {
			break
		}
	}
	return steps, c.close()
}

// combineSteps makes one step of the rounds at one rate.
func combineSteps(rounds []Step) Step {
	s := rounds[0]
	s.Rounds = len(rounds)
	median := func(of func(*Step) int64) int64 {
		v := make([]int64, len(rounds))
		for i := range rounds {
			v[i] = of(&rounds[i])
		}
		return medianOf(v)
	}
	s.P50Ns = median(func(s *Step) int64 { return s.P50Ns })
	s.P99Ns = median(func(s *Step) int64 { return s.P99Ns })
	s.P999Ns = median(func(s *Step) int64 { return s.P999Ns })
	s.AnsweredPerSecond = float64(median(func(s *Step) int64 { return int64(s.AnsweredPerSecond) }))
	for i := range rounds[1:] {
		o := &rounds[1+i]
		s.Orders += o.Orders
		s.Unanswered += o.Unanswered
		s.Resent += o.Resent
		s.Allocs += o.Allocs
		s.GCCycles += o.GCCycles
		s.MaxNs = max(s.MaxNs, o.MaxNs)
	}
	return s
}

// flood is a client that sends orders when they are due, whatever is answered.
type flood struct {
	wirePort
	session *client.Client
	standby looper // nil: it has a thread of its own, or there is none
	order   client.Order
	batch   int

	h         *hdr.Histogram
	arrivedNs int64
	startNs   int64
	rate      int64
	first     uint64 // ClOrdID of the step's first order
	next      uint64 // of the next one
	answered  int64
	lastNs    int64 // when the last answer came
}

func newFlood(batch int) *flood {
	return &flood{batch: batch, h: NewHistogram(), next: 1, order: client.Order{PriceTicks: priceTicks, SymbolID: symbolID, QtyLots: 1,
		OrdType: sbe.OrdTypeLimit, TimeInForce: sbe.TimeInForceDay}}
}

// wire implements orderClient.
func (f *flood) wire(w wirePort) (err error) {
	f.wirePort = w
	f.session, err = client.New(client.Config{Session: clientSession, Key: fixp.NewKey(clientKey), ResendNs: floodResendNs,
		Window: floodWindow, BatchMessages: f.batch, MaxDatagramBytes: sbe.MaxDatagramBytes}, f)
	return err
}

// follow implements orderClient.
func (f *flood) follow(standby looper, _ bool) { f.standby = standby }

// ready implements orderClient.
func (f *flood) ready() bool { return f.session.Ready() }

// dueNs is when an order is due: those of one datagram together.
func (f *flood) dueNs(clOrdID uint64) int64 {
	n := int64(clOrdID-f.first) / int64(f.batch) * int64(f.batch)
	return f.startNs + n/f.rate*int64(time.Second) + n%f.rate*int64(time.Second)/f.rate
}

// step offers one rate.
func (f *flood) step(ctx context.Context, rate int, each time.Duration) (Step, error) {
	orders := int64(each.Seconds()*float64(rate)) / int64(f.batch) * int64(f.batch)
	f.h.Reset()
	f.rate, f.first, f.answered = int64(rate), f.next, 0
	resent := f.session.Stats().Resent
	measure := startMeasuring()
	f.startNs = f.clock.NowNs()
	end := f.first + uint64(orders)
	var nowNs int64
	for turn := 0; f.next < end; turn++ {
		nowNs = f.clock.NowNs()
		for k := 0; k < floodTurn && f.next < end && f.dueNs(f.next) <= nowNs && f.session.Room() >= f.batch; k++ {
			if !f.send(nowNs) {
				break
			}
		}
		f.turn(nowNs)
		if turn%runBatch == 0 && ctx.Err() != nil {
			return Step{}, ctx.Err()
		}
		if nowNs-f.startNs > 4*each.Nanoseconds()+drainNs {
			break // it takes nothing any more
		}
	}
	for drainedNs := nowNs + drainNs; f.session.Unanswered() > 0 && nowNs < drainedNs; {
		nowNs = f.clock.NowNs()
		f.turn(nowNs)
	}
	s := Step{RatePerSecond: rate, Orders: int64(f.next - f.first), Unanswered: int64(f.session.Unanswered()),
		Resent: f.session.Stats().Resent - resent, P50Ns: f.h.ValueAtQuantile(50), P99Ns: f.h.ValueAtQuantile(99),
		P999Ns: f.h.ValueAtQuantile(99.9), MaxNs: f.h.Max()}
	s.Allocs, s.GCCycles = measure.end()
	if took := max(f.lastNs-f.startNs, 1); f.answered > 0 {
		s.AnsweredPerSecond = float64(f.answered) * float64(time.Second) / float64(took)
	}
	return s, nil
}

// send stores one datagram's orders, which trade with each other.
func (f *flood) send(nowNs int64) bool {
	for range f.batch {
		f.order.ClOrdID = f.next
		f.order.Side = sbe.SideBuy + sbe.Side(f.next&1)
		if !f.session.SendOrder(&f.order, nowNs) {
			return false
		}
		f.next++
	}
	return f.session.Poll(nowNs, f) > 0
}

// turn is everything but sending new orders.
func (f *flood) turn(nowNs int64) {
	f.session.Poll(nowNs, f)
	f.port.Kick()
	for n := f.port.Recv(rxBatch); n > 0; n = f.port.Recv(rxBatch) {
		f.take(n)
	}
	if f.standby != nil {
		f.standby.DoWork(nowNs)
	}
}

// take gives n received frames to the session.
func (f *flood) take(n int) {
	f.arrivedNs = f.clock.NowNs()
	for i := range n {
		var from frame.Endpoint
		if payload, port, ok := frame.Parse(f.port.Frame(i), &from); ok && port == f.local.Port {
			f.session.OnDatagram(payload, f.arrivedNs)
		}
	}
	f.port.Done()
}

// OnReport implements client.Handler.
func (f *flood) OnReport(a *client.Answer, r *sbe.ExecutionReport) {
	id := r.ClOrdID()
	if !a.First || id < f.first {
		return
	}
	f.answered++
	f.lastNs = f.arrivedNs
	// The range ends far behind any step: there is no error to return.
	_ = f.h.RecordValue(max(f.arrivedNs-f.dueNs(id), 1))
}

// OnReject implements client.Handler. None of the orders is wrong.
func (f *flood) OnReject(*client.Answer, *sbe.Reject) {}
