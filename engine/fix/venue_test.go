package fix

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/client"
	"onebeat/engine/cold"
	"onebeat/engine/fix/convert"
	"onebeat/engine/fix/store"
	"onebeat/engine/fixp"
	"onebeat/engine/gateway"
	"onebeat/engine/sbe"
	"onebeat/engine/venue"
	"onebeat/xdp/frame"
)

// machineLane is a machine with its log and its FIX sessions, and what the engine's
// loop does with them. A log of its predecessor is applied first.
type machineLane struct {
	t        *testing.T
	m        *engine.Machine
	port     *cold.Port
	out      *app.Outbox
	log      []app.Record
	epoch    uint32
	acceptor *Acceptor
	started  time.Time
	offsetNs int64
	held     atomic.Bool // nothing is let out any more
	stopping atomic.Bool
	done     chan struct{}
	// now is the wall clock of the sessions; nil: this machine's.
	now func() time.Time
	// each runs between two cycles.
	each func(nowNs int64)
	// datagrams to client sessions.
	toClient func(payload []byte, nowNs int64)
}

var laneAddress = app.Endpoint{MAC: [6]byte{2, 1}, IP: frame.IPv4([4]byte{10, 0, 0, 1})}

// startLane makes a lane of a machine; sessions are the FIX sessions of its
// configuration.
func startLane(t *testing.T, cfg engine.MachineConfig, sessions []Session, log []app.Record, epoch uint32, setup func(l *machineLane)) *machineLane {
	t.Helper()
	wake := make(chan struct{}, 1)
	signal := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	l := &machineLane{t: t, log: log, epoch: epoch, started: time.Now(), done: make(chan struct{}), out: app.NewOutbox(laneAddress, 1)}
	l.port = cold.NewPort(func() {}, signal)
	for _, s := range sessions {
		cfg.FIX.Sessions = append(cfg.FIX.Sessions, s.SessionConfig)
	}
	cfg.FIX.Port, cfg.FIX.First = l.port, uint32(len(cfg.Sessions))
	var err error
	if l.m, err = engine.NewMachine(cfg); err != nil {
		t.Fatal(err)
	}
	l.out.Muted = true
	for i := range l.log {
		l.m.Apply(&l.log[i], l.out)
		l.offsetNs = l.log[i].TimeNs
	}
	l.out.Muted = false
	l.out.Reset(l.out.Tail())
	if setup != nil {
		setup(l)
	}
	if l.acceptor, err = NewAcceptor(Config{Sessions: sessions, Now: l.now}, l.port, func() {
		select {
		case <-wake:
		case <-time.After(5 * time.Millisecond):
		}
	}, signal); err != nil {
		t.Fatal(err)
	}
	go l.run()
	return l
}

func (l *machineLane) nowNs() int64 { return l.offsetNs + 1 + int64(time.Since(l.started)) }

func (l *machineLane) commit(d app.Draft) {
	payload := append([]byte(nil), d.Payload...)
	l.log = append(l.log, app.Record{Position: uint64(len(l.log)), TimeNs: l.nowNs(), Epoch: l.epoch, Type: d.Type, Payload: payload})
	l.out.RecordEnd = uint64(len(l.log))
	l.m.Apply(&l.log[len(l.log)-1], l.out)
}

func (l *machineLane) receive(payload []byte, from app.Endpoint, port uint16) {
	dg := app.Datagram{Payload: payload, From: from, LocalPort: port}
	for i := range l.m.Open(&dg, l.nowNs()) {
		if v, d := l.m.Admit(i, l.nowNs(), l.out); v == app.Commit {
			l.commit(d)
		}
	}
}

func (l *machineLane) run() {
	defer close(l.done)
	l.port.Start()
	l.commit(app.Draft{Type: app.RecordEpoch})
	l.m.Promote(l.nowNs(), l.out)
	for !l.stopping.Load() {
		kind, b := l.port.Next()
		switch kind {
		case cold.Draft:
			l.commit(app.Draft{Type: app.RecordFIX, Payload: b})
			l.port.Done()
		case cold.Ask:
			l.port.RecordEnd = uint64(len(l.log))
			l.m.Ask(b)
			l.port.Done()
		}
		if l.each != nil {
			l.each(l.nowNs())
		}
		for range 8 {
			v, d := l.m.Poll(l.nowNs(), l.out)
			if v != app.Commit {
				break
			}
			l.commit(d)
		}
		l.flush()
		if kind == 0 {
			runtime.Gosched()
		}
	}
	l.port.Stop()
}

// flush lets out what was said.
func (l *machineLane) flush() {
	if l.held.Load() {
		return
	}
	l.port.Release(uint64(len(l.log)))
	for k := l.out.Head(); k < l.out.Tail(); k++ {
		if s := l.out.At(k); l.toClient != nil {
			l.toClient(s.Frame[frame.HeaderBytes:s.LengthBytes], l.nowNs())
		}
	}
	l.out.Seal()
	l.out.Release(l.out.Tail())
}

// kill ends a lane as a dead process does: what was not let out never is, and its
// connections are gone.
func (l *machineLane) kill() {
	l.held.Store(true)
	time.Sleep(2 * time.Millisecond) // some more records, whose outputs nobody sees
	l.stopping.Store(true)
	<-l.done
	dead, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.acceptor.Close(dead); err != nil {
		l.t.Error(err)
	}
}

// exchange is a book that is reached by FIX.
type exchange struct {
	*machineLane
	listener net.Listener
	accepted map[uint64]int
	book     *book.Book
}

func startExchange(t *testing.T) *exchange {
	t.Helper()
	x := &exchange{accepted: map[uint64]int{}}
	session := Session{Name: "desk", SessionConfig: store.SessionConfig{ID: store.ID{Version: convert.FIX44, Sender: "XCHG", Target: "DESK"}, Names: testNames(t, convert.FIX44)}, Validate: true, Latency: -1}
	var err error
	x.book, err = book.New(book.Config{Symbols: []uint32{1}, OrdersMax: 1 << 14, ClOrdIDWindow: 1 << 14,
		OnAccept: func(uint32, uint64, bool, int64) {}})
	if err != nil {
		t.Fatal(err)
	}
	x.machineLane = startLane(t, engine.MachineConfig{Port: 9100, App: x.book, Sessions: []fixp.SessionConfig{{ID: sbe.UUID{2}}}}, []Session{session}, nil, 1, nil)
	if x.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	go func() { _ = x.acceptor.Serve(x.listener) }()
	t.Cleanup(func() { x.stop(t) })
	return x
}

func (x *exchange) stop(t *testing.T) {
	_ = x.listener.Close()
	if !x.stopping.Load() {
		x.kill()
	}
	_ = t
}

// trader is a FIXP client of the gateway lane, driven by the lane's own thread.
type trader struct {
	t         *testing.T
	c         *client.Client
	buf       [1200]byte
	pending   [][]byte
	next      uint64
	wanted    atomic.Uint64 // orders to be sent
	acked     map[uint64]int
	doubts    map[uint64]bool
	ackedMany atomic.Int64
	taken     atomic.Int64 // answered as pending
	refused   atomic.Int64
	inDoubt   atomic.Int64
}

func (tr *trader) OnReport(_ *client.Answer, r *sbe.ExecutionReport) {
	id := r.ClOrdID()
	switch {
	case r.ExecType() == sbe.ExecTypePendingNew:
		tr.taken.Add(1)
	case r.ExecType() == sbe.ExecTypeNew:
		tr.acked[id]++
		tr.ackedMany.Add(1)
	case r.Reason() == sbe.RejectReasonVenueInDoubt && !tr.doubts[id]:
		tr.doubts[id] = true
		tr.inDoubt.Add(1)
	case r.ExecType() == sbe.ExecTypeRejected:
		tr.refused.Add(1)
	}
}
func (tr *trader) OnReject(*client.Answer, *sbe.Reject) { tr.refused.Add(1) }
func (tr *trader) Buffer() []byte                       { return tr.buf[:1024] }
func (tr *trader) Send(n int)                           { tr.pending = append(tr.pending, append([]byte(nil), tr.buf[:n]...)) }

var clientAddress = app.Endpoint{MAC: [6]byte{2, 9}, IP: frame.IPv4([4]byte{10, 0, 0, 9}), Port: 5000}

// step is the client's part of a cycle.
func (tr *trader) step(l *machineLane, nowNs int64) {
	if tr.next < tr.wanted.Load() && tr.c.Room() > 0 {
		tr.next++
		tr.c.SendOrder(&client.Order{ClOrdID: tr.next, PriceTicks: 100, SymbolID: 1, QtyLots: 1, Account: 7, Side: sbe.SideBuy, OrdType: sbe.OrdTypeLimit}, nowNs)
	}
	tr.c.Poll(nowNs, tr)
	for _, p := range tr.pending {
		l.receive(p, clientAddress, 9000)
	}
	tr.pending = tr.pending[:0]
}

func newTrader(t *testing.T) *trader {
	tr := &trader{t: t, acked: map[uint64]int{}, doubts: map[uint64]bool{}}
	var err error
	if tr.c, err = client.New(client.Config{Session: sbe.UUID{1}, Key: fixp.NewKey("k"), Window: 64, ResendNs: 3_000_000, KeepAliveNs: 50_000_000}, tr); err != nil {
		t.Fatal(err)
	}
	return tr
}

// gatewayLane is one life of the gateway's primary.
func gatewayLane(t *testing.T, tr *trader, address func() string, log []app.Record, epoch uint32, line venue.Config) *machineLane {
	t.Helper()
	return gatewayHours(t, tr, address, log, epoch, line, Schedule{}, nil)
}

// gatewayHours is one whose venue keeps hours; setup may be nil.
func gatewayHours(t *testing.T, tr *trader, address func() string, log []app.Record, epoch uint32, line venue.Config, hours Schedule, setup func(l *machineLane)) *machineLane {
	t.Helper()
	g, err := gateway.New(gateway.Config{Sessions: 1, OrdersMax: 1 << 14, FinishedRetain: 64, ClOrdIDWindow: 1 << 14,
		Symbols: []gateway.Symbol{{ID: 1, ReferencePriceTicks: 100}}})
	if err != nil {
		t.Fatal(err)
	}
	session := Session{Name: "exchange", SessionConfig: store.SessionConfig{ID: store.ID{Version: convert.FIX44, Sender: "DESK", Target: "XCHG"},
		Names: testNames(t, convert.FIX44), Venue: true}, Validate: true, Latency: -1, Schedule: hours, Initiate: Venue{ResetOnLoss: true, Heartbeat: time.Second, ReconnectMax: 50 * time.Millisecond,
		Dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", address()) }}}
	cfg := engine.MachineConfig{Port: 9000, App: g, Sessions: []fixp.SessionConfig{{ID: sbe.UUID{1}, Key: fixp.NewKey("k")}},
		Venues: []engine.VenueConfig{{Name: "exchange", FIX: true, Line: line, Window: 256}}}
	return startLane(t, cfg, []Session{session}, log, epoch, func(l *machineLane) {
		l.toClient = tr.c.OnDatagram
		l.each = func(nowNs int64) { tr.step(l, nowNs) }
		if setup != nil {
			setup(l)
		}
	})
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// bookHas returns how many orders the exchange took, and checks that each is there.
func (x *exchange) orders() (n int) {
	var o app.OrderState
	for id := uint64(1); id < 1<<13; id++ {
		if x.book.Order(1, id, &o) {
			n++
		}
	}
	return n
}

// TestFIXVenueThroughFailovers: primaries die, one after the other, with orders and
// reports on their way; the exchange has each order once, its client each answer once,
// and the sequence numbers of both sides go on without a reset.
func TestFIXVenueThroughFailovers(t *testing.T) {
	const lives, perLife = 4, 150
	x := startExchange(t)
	tr := newTrader(t)
	address := func() string { return x.listener.Addr().String() }
	var log []app.Record
	var last *machineLane
	for life := range lives {
		l := gatewayLane(t, tr, address, log, uint32(life+1), venue.Config{})
		tr.wanted.Store(uint64((life + 1) * perLife))
		enough := int64(life*perLife + perLife/2)
		if life == lives-1 {
			enough = lives * perLife
		}
		waitFor(t, fmt.Sprintf("%d orders acknowledged in life %d", enough, life), func() bool { return tr.ackedMany.Load() >= enough })
		last = l
		l.kill()
		log = l.log
	}
	x.kill()
	for id := uint64(1); id <= lives*perLife; id++ {
		if tr.acked[id] != 1 {
			t.Errorf("order %d was acknowledged %d times", id, tr.acked[id])
		}
	}
	ours, theirs := last.m.FIX().State(0), x.m.FIX().State(0)
	if x.orders() != lives*perLife || x.book.Open() != lives*perLife {
		t.Errorf("%d orders at the exchange, %d open, want %d", x.orders(), x.book.Open(), lives*perLife)
	}
	if theirs.NextIn > ours.NextOut || ours.NextIn > theirs.NextOut || theirs.NextIn < lives*perLife || tr.refused.Load() != 0 || tr.inDoubt.Load() != 0 {
		t.Errorf("numbers here %+v, there %+v; %d refused, %d in doubt", ours, theirs, tr.refused.Load(), tr.inDoubt.Load())
	}
	t.Logf("%d records, next out %d, next in %d", len(log), ours.NextOut, ours.NextIn)
}

// TestFIXVenueThatLostItsState: the exchange comes back empty. The numbers are reset,
// every order that was open there is asked about, and none is sent once more.
func TestFIXVenueThatLostItsState(t *testing.T) {
	const orders = 100
	x := startExchange(t)
	var at atomic.Value
	at.Store(x.listener.Addr().String())
	tr := newTrader(t)
	l := gatewayLane(t, tr, func() string { return at.Load().(string) }, nil, 1, venue.Config{OrdersPerSecond: 2000, Burst: 10, QueueMax: 200})
	tr.wanted.Store(orders)
	waitFor(t, "all orders acknowledged", func() bool { return tr.ackedMany.Load() == orders })
	x.stop(t)
	fresh := startExchange(t)
	at.Store(fresh.listener.Addr().String())
	waitFor(t, "all orders in doubt", func() bool { return tr.inDoubt.Load() == orders })
	tr.wanted.Store(2 * orders)
	waitFor(t, "new orders acknowledged", func() bool { return tr.ackedMany.Load() == 2*orders })
	l.kill()
	fresh.kill()
	if n := fresh.orders(); n != orders {
		t.Errorf("the new exchange has %d orders, want only the %d new ones", n, orders)
	}
	if tr.refused.Load() != 0 {
		t.Errorf("%d orders refused", tr.refused.Load())
	}
}
