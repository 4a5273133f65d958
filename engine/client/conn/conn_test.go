package conn

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/xdp"
)

var loopback = netip.MustParseAddr("127.0.0.1")

const (
	sessionKey = "secret"
	lanePort   = 9000
)

// lane is a book behind UDP sockets of two hosts; one at a time serves, and the
// other has the same state.
type lane struct {
	m       *engine.Machine
	ports   [2]*xdp.UDPSocket
	serving atomic.Int32 // the host that does; -1: none
	end     chan struct{}
	done    sync.WaitGroup
}

func newLane(t testing.TB, sessions ...sbe.UUID) *lane {
	t.Helper()
	b, err := book.New(book.Config{Symbols: []uint32{1}, OrdersMax: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	cfg := engine.MachineConfig{Port: lanePort, App: b, RetainMessages: 1024}
	for _, id := range sessions {
		cfg.Sessions = append(cfg.Sessions, fixp.SessionConfig{ID: id, Key: fixp.NewKey(sessionKey)})
	}
	l := &lane{end: make(chan struct{})}
	l.serving.Store(-1)
	if l.m, err = engine.NewMachine(cfg); err != nil {
		t.Fatal(err)
	}
	for i := range l.ports {
		if l.ports[i], err = xdp.ListenUDP(loopback, 0); err != nil {
			t.Fatal(err)
		}
	}
	l.done.Add(1)
	go l.serve()
	t.Cleanup(func() {
		close(l.end)
		l.done.Wait()
		for _, p := range l.ports {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return l
}

func (l *lane) hosts() (hosts []Host) {
	for _, p := range l.ports {
		hosts = append(hosts, Host{Address: netip.AddrPortFrom(loopback, p.Ports()[0]), Timeout: 100 * time.Millisecond})
	}
	return hosts
}

func (l *lane) serve() {
	defer l.done.Done()
	clock, _ := NewClock()
	out := app.NewOutbox(l.ports[0].Local(), 1)
	serving := int32(-1)
	for {
		select {
		case <-l.end:
			return
		default:
		}
		now := clock.NowNs()
		if s := l.serving.Load(); s != serving {
			if serving = s; s >= 0 {
				out = app.NewOutbox(l.ports[s].Local(), 1)
				l.m.Promote(now, out)
			}
		}
		l.cycle(now, out, serving)
		l.ports[max(serving, 0)].Wait(200_000)
	}
}

// cycle is what a node's loop does, without a ring.
func (l *lane) cycle(now int64, out *app.Outbox, serving int32) {
	apply := func(d app.Draft) {
		l.m.Apply(&app.Record{TimeNs: now, Type: d.Type, Payload: append([]byte(nil), d.Payload...)}, out)
	}
	for i, p := range l.ports {
		n := p.Recv(64)
		for k := range n {
			var dg app.Datagram
			var ok bool
			if dg.Payload, _, ok = out.VLAN().Parse(p.Frame(k), &dg.From); !ok || int32(i) != serving {
				continue // a dead host hears nothing
			}
			dg.LocalPort = lanePort
			for j := range l.m.Open(&dg, now) {
				if v, d := l.m.Admit(j, now, out); v == app.Commit {
					apply(d)
				}
			}
		}
		p.Done()
	}
	if serving < 0 {
		return
	}
	for v, d := l.m.Poll(now, out); v == app.Commit; v, d = l.m.Poll(now, out) {
		apply(d)
	}
	p := l.ports[serving]
	for ; out.Head() < out.Tail(); out.Release(out.Head() + 1) {
		s := out.At(out.Head())
		s.LocalPort = p.Ports()[0]
		out.Seal()
		if b := p.Reserve(); b != nil {
			p.Submit(copy(b, s.Frame[:s.LengthBytes]))
		}
	}
	p.Kick()
}

// desk counts the answers to its orders.
type desk struct {
	accepted, rejected int
}

func (d *desk) OnReport(a *client.Answer, _ *sbe.ExecutionReport) {
	if a.First {
		d.accepted++
	}
}
func (d *desk) OnReject(*client.Answer, *sbe.Reject) { d.rejected++ }

func dial(t testing.TB, l *lane, id sbe.UUID, d *desk, change func(*Config)) *Conn {
	t.Helper()
	cfg := Config{Client: client.Config{Session: id, Key: fixp.NewKey(sessionKey), KeepAliveNs: 5_000_000_000, Window: 1024},
		Hosts: l.hosts(), Local: netip.AddrPortFrom(loopback, 0)}
	cfg.Connector.SilenceNs = 50_000_000
	if change != nil {
		change(&cfg)
	}
	c, err := Open(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// until drives the connection until something is so.
func until(t testing.TB, c *Conn, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); {
		if time.Now().After(end) {
			t.Fatalf("not %s: %v at host %d, %+v", what, c.State(), c.Host(), c.Client().Stats())
		}
		work := c.Receive()
		c.Rest(work+c.Transmit(), MaxSleepNs)
	}
}

func send(t testing.TB, c *Conn, first, n uint64) {
	t.Helper()
	for id := first; id < first+n; id++ {
		if !c.Client().SendOrder(&client.Order{ClOrdID: id, PriceTicks: 100, SymbolID: 1, QtyLots: 1, Side: sbe.SideBuy, OrdType: sbe.OrdTypeLimit}, c.NowNs()) {
			t.Fatalf("order %d does not fit", id)
		}
	}
}

// A client finds the host that serves, over sockets of this host, stays with it,
// and goes on at the other one when the lane moves, without a new Establish.
func TestFindsAndFollowsTheLane(t *testing.T) {
	l, d := newLane(t, sbe.UUID{1}), &desk{}
	l.serving.Store(1)
	var changes []client.Change
	c := dial(t, l, sbe.UUID{1}, d, func(cfg *Config) {
		cfg.Connector.OnChange = func(ch client.Change) { changes = append(changes, ch) }
	})
	until(t, c, "up", func() bool { return c.State() == client.Up })
	if c.Host() != 1 {
		t.Fatalf("up at host %d", c.Host())
	}
	send(t, c, 1, 100)
	until(t, c, "answered", func() bool { return d.accepted == 100 })
	l.serving.Store(-1)
	send(t, c, 101, 100)
	until(t, c, "looking", func() bool { return c.State() != client.Up })
	l.serving.Store(0)
	until(t, c, "answered by the other host", func() bool { return d.accepted == 200 && c.State() == client.Up })
	if s := c.Client().Stats(); c.Host() != 0 || s.Establishes != 1 || d.rejected != 0 {
		t.Fatalf("host %d, %+v", c.Host(), s)
	}
	if len(changes) < 4 {
		t.Fatalf("%+v", changes)
	}
	if terms := c.Client().Terms(); terms.RetainedMessages != 1024 {
		t.Fatalf("%+v", terms)
	}
	c.Client().Finish()
	until(t, c, "finished", func() bool { return c.Client().Ended() })
}

// However long nobody served, each attempt asks its host at once: the waits of the
// attempts before would outlast it.
func TestAsksEachHostAnew(t *testing.T) {
	l, d := newLane(t, sbe.UUID{1}), &desk{}
	c := dial(t, l, sbe.UUID{1}, d, func(cfg *Config) {
		cfg.Connector.Backoff = client.Backoff{MinNs: 1_000_000, MaxNs: 1_000_000}
	})
	until(t, c, "searching in vain", func() bool { return c.connector.Attempt() >= 8 })
	l.serving.Store(1)
	began, attempts := time.Now(), c.connector.Attempt()
	until(t, c, "up", func() bool { return c.State() == client.Up })
	if n := c.connector.Attempt() - attempts; n > 12 {
		t.Fatalf("after %v and %d attempts", time.Since(began), n)
	}
}

// A client that was restarted has its session at once; the one before it is told
// and leaves it.
func TestRestartedClientTakesOver(t *testing.T) {
	l, a, b := newLane(t, sbe.UUID{1}), &desk{}, &desk{}
	l.serving.Store(0)
	first := dial(t, l, sbe.UUID{1}, a, nil)
	until(t, first, "up", func() bool { return first.State() == client.Up })
	send(t, first, 1, 10)
	until(t, first, "answered", func() bool { return a.accepted == 10 })
	second := dial(t, l, sbe.UUID{1}, b, nil)
	until(t, second, "up", func() bool { return second.State() == client.Up })
	until(t, first, "told", func() bool { return first.State() == client.Failed })
	if code := first.Client().Code(); code != sbe.SessionCodeTakenOver {
		t.Fatal(code)
	}
	send(t, second, 11, 10)
	until(t, second, "answered", func() bool { return b.accepted == 10 })
}

func TestWrongKeyIsToldSo(t *testing.T) {
	l, d := newLane(t, sbe.UUID{1}), &desk{}
	l.serving.Store(0)
	c := dial(t, l, sbe.UUID{1}, d, func(cfg *Config) {
		cfg.Client.Key = fixp.NewKey("wrong")
		cfg.Connector.Strategy = client.FatalAfter{Attempts: 2}
	})
	until(t, c, "failed", func() bool { return c.State() == client.Failed })
	if code := c.Client().Code(); code != sbe.SessionCodeCredentials {
		t.Fatal(code)
	}
}

// TestNoAllocations: sending, receiving and the answers of a connection, its
// sockets included.
func TestNoAllocations(t *testing.T) {
	l, d := newLane(t, sbe.UUID{1}), &desk{}
	l.serving.Store(0)
	c := dial(t, l, sbe.UUID{1}, d, nil)
	until(t, c, "up", func() bool { return c.State() == client.Up })
	order := client.Order{PriceTicks: 100, SymbolID: 1, QtyLots: 1, Side: sbe.SideBuy, OrdType: sbe.OrdTypeLimit}
	round := func() {
		order.ClOrdID++
		if c.Client().Room() > 0 {
			c.Client().SendOrder(&order, c.NowNs())
		}
		c.Receive()
		c.Transmit()
	}
	for range 100 {
		round()
	}
	// The lane at the other end allocates; only what this goroutine does counts.
	l.serving.Store(-1)
	time.Sleep(5 * time.Millisecond)
	if n := testing.AllocsPerRun(200, round); n != 0 {
		t.Errorf("%v allocations a round", n)
	}
	l.serving.Store(0)
	until(t, c, "answered", func() bool { return c.Client().Unanswered() == 0 })
}

func TestBadConfig(t *testing.T) {
	good := []Host{{Address: netip.MustParseAddrPort("127.0.0.1:9000")}}
	for _, cfg := range []Config{{}, {Hosts: []Host{{}}}, {Hosts: good}, {Hosts: append(good, good...), Interface: "eth1"},
		{Hosts: good, Local: netip.AddrPortFrom(loopback, 0), VLAN: 7}} {
		if _, err := Open(cfg, &desk{}); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
