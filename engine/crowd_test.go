package engine

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/xdp/frame"
)

// crowd is a lane of many configured sessions, some of them live: a primary, a
// standby that applies the same records, and a client per live session.
type crowd struct {
	t             testing.TB
	m, standby    *Machine
	out, muted    *app.Outbox
	nowNs         int64
	clients       []*client.Client
	sessions      []int // of the clients
	sending       int   // whose datagram it is
	polls, drafts int
	answers       int
	byHand        []byte
	up            [][]byte
	upOf          []int
	record        [1024]byte
}

func crowdSession(i int) (id sbe.UUID) {
	binary.BigEndian.PutUint32(id[:], uint32(i)+1)
	return id
}

func crowdMachine(sessions int) *Machine {
	cfg := MachineConfig{Port: simClientPort, RetainMessages: 64,
		App: must(book.New(book.Config{Symbols: []uint32{1}, OrdersMax: 1 << 14, FlowsMax: max(64, sessions), ClOrdIDWindow: 4096}))}
	for i := range sessions {
		cfg.Sessions = append(cfg.Sessions, fixp.SessionConfig{ID: crowdSession(i), Key: fixp.NewKey("key")})
	}
	return must(NewMachine(cfg))
}

func newCrowd(t testing.TB, sessions, live int) *crowd {
	c := &crowd{t: t, m: crowdMachine(sessions), standby: crowdMachine(sessions), nowNs: 1_000_000_000,
		out: app.NewOutbox(laneEndpoint, 1), muted: app.NewOutbox(laneEndpoint, 1), byHand: make([]byte, 1024)}
	c.muted.Muted = true
	c.m.Promote(c.nowNs, c.out)
	for i := range live {
		c.sessions = append(c.sessions, i*(sessions/live))
		c.clients = append(c.clients, must(client.New(client.Config{Session: crowdSession(c.sessions[i]), Key: fixp.NewKey("key"),
			Window: 16, ResendNs: 20_000_000, KeepAliveNs: 500_000_000}, c)))
	}
	for range 60 {
		c.step()
	}
	c.ready(live)
	return c
}

func (c *crowd) ready(want int) {
	c.t.Helper()
	up := 0
	for _, k := range c.clients {
		if k.Ready() {
			up++
		}
	}
	if up != want {
		c.t.Fatalf("%d sessions are up, want %d", up, want)
	}
}

func (c *crowd) OnReport(a *client.Answer, _ *sbe.ExecutionReport) {
	if a.First {
		c.answers++
	}
}
func (c *crowd) OnReject(_ *client.Answer, r *sbe.Reject) {
	c.t.Fatalf("order rejected: %v", r.Reason())
}
func (c *crowd) Buffer() []byte { return c.byHand }
func (c *crowd) Send(n int) {
	c.up, c.upOf = append(c.up, slices.Clone(c.byHand[:n])), append(c.upOf, c.sending)
}

func crowdEndpoint(i int) app.Endpoint { return endpoint(byte(10+i>>12), uint16(10_000+i)) }

func (c *crowd) apply(d app.Draft) {
	rec := app.Record{TimeNs: c.nowNs, Type: d.Type, Payload: c.record[:copy(c.record[:], d.Payload)]}
	c.m.Apply(&rec, c.out)
	c.standby.Apply(&rec, c.muted)
}

func (c *crowd) receive(b []byte, i int) {
	n := c.m.Open(&app.Datagram{Payload: b, From: crowdEndpoint(i), LocalPort: simClientPort}, c.nowNs)
	for k := range n {
		if v, d := c.m.Admit(k, c.nowNs, c.out); v == app.Commit {
			c.apply(d)
		}
	}
}

func (c *crowd) poll() {
	for v, d := c.m.Poll(c.nowNs, c.out); v == app.Commit; v, d = c.m.Poll(c.nowNs, c.out) {
		c.drafts++
		c.apply(d)
	}
	c.polls++
}

// deliver gives the outputs to the clients.
func (c *crowd) deliver() {
	for ; c.out.Head() < c.out.Tail(); c.out.Release(c.out.Head() + 1) {
		s := c.out.At(c.out.Head())
		i := int(s.Remote.Port) - 10_000
		c.clients[i].OnDatagram(s.Frame[frame.HeaderBytes:s.LengthBytes], c.nowNs)
	}
	c.out.Seal()
}

// step is a millisecond for everybody.
func (c *crowd) step() {
	c.nowNs += 1_000_000
	for i, k := range c.clients {
		c.sending = i
		k.Poll(c.nowNs, c)
		for n, b := range c.up {
			c.receive(b, c.upOf[n])
		}
		c.up, c.upOf = c.up[:0], c.upOf[:0]
		if c.out.Room() < 256 {
			c.deliver()
		}
	}
	for range 20 { // as often as a loop asks, in a shorter millisecond
		c.poll()
		c.deliver()
	}
}

func (c *crowd) orders(round uint64) {
	for i, k := range c.clients {
		if !k.SendOrder(&client.Order{ClOrdID: round, PriceTicks: 100 + int64(i%50), SymbolID: 1, QtyLots: 1, Side: sbe.SideBuy + sbe.Side(i&1), OrdType: sbe.OrdTypeLimit}, c.nowNs) {
			c.t.Fatalf("session %d takes no order", i)
		}
	}
}

// A thousand clients among ten thousand configured sessions: all are served, stay
// alive in silence, go on after a failover without a new Establish, and what the
// others never did costs nothing.
func TestManySessions(t *testing.T) {
	const sessions, live = 10_000, 1_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := newCrowd(t, sessions, live)
	runtime.ReadMemStats(&after)
	if mib := (after.HeapAlloc - before.HeapAlloc) >> 20; mib > 600 { // of both machines and all clients
		t.Errorf("%d MiB", mib)
	} else {
		t.Logf("two machines and %d clients take %d MiB", live, mib)
	}
	for round := range uint64(3) {
		c.orders(round + 1)
		for range 10 {
			c.step()
		}
		if c.answers != live*int(round+1) {
			t.Fatalf("%d orders answered in round %d", c.answers, round)
		}
	}
	for range 2_000 { // more than three intervals in silence
		c.step()
	}
	c.ready(live)
	if a, b := c.m.Digest(), c.standby.Digest(); a != b {
		t.Fatalf("digest %x, the standby's %x", a, b)
	}
	// The standby takes over with orders in flight; nobody establishes anew.
	c.orders(4)
	c.m, c.standby = c.standby, c.m
	c.m.Promote(c.nowNs, c.out)
	c.deliver()
	for range 60 {
		c.step()
	}
	if c.answers != 4*live {
		t.Fatalf("%d orders answered after the failover", c.answers)
	}
	for _, k := range c.clients {
		if s := k.Stats(); s.Establishes != 1 || s.Terminates != 0 || s.Lost != 0 {
			t.Fatalf("%+v", s)
		}
	}
	// Half of them fall silent: those, and only those, expire.
	quiet := c.clients[:live/2]
	c.clients = c.clients[live/2:]
	base := c.drafts
	all := append(slices.Clone(quiet), c.clients...)
	for range 1_700 {
		c.nowNs += 1_000_000
		for i := live / 2; i < live; i++ {
			c.sending = i
			all[i].Poll(c.nowNs, c)
			for _, b := range c.up {
				c.receive(b, i)
			}
			c.up, c.upOf = c.up[:0], c.upOf[:0]
		}
		for range 20 {
			c.poll()
			c.out.Seal()
			c.out.Release(c.out.Tail())
		}
	}
	if c.drafts-base != live/2 {
		t.Errorf("%d sessions expired, want %d", c.drafts-base, live/2)
	}
	for i := range live {
		want := fixp.Established
		if i < live/2 {
			want = fixp.Terminated
		}
		if got, _, _ := c.m.Server().SessionState(c.sessions[i]); got != want {
			t.Fatalf("session %d is %v, want %v", i, got, want)
		}
	}
}

// BenchmarkSessions is one order of one of the live sessions, with a cycle's Poll
// at 1 us of lane time each: what the other sessions cost it.
func BenchmarkSessions(b *testing.B) {
	for _, shape := range []struct{ sessions, live int }{{1, 1}, {4096, 1000}, {10_000, 1000}} {
		b.Run(fmt.Sprintf("%d of %d", shape.live, shape.sessions), func(b *testing.B) {
			c := newCrowd(b, shape.sessions, shape.live)
			seqNo := make([]uint64, shape.live)
			payload := make([]byte, 256)
			took := make([]int64, 0, b.N)
			for n := range b.N {
				i := n * 7919 % shape.live
				id := crowdSession(c.sessions[i])
				seqNo[i]++
				at := sbe.PutContext(payload, &id, seqNo[i])
				o := sbe.AsNewOrderSingle(sbe.Put(payload[at:], sbe.TemplateNewOrderSingle, sbe.NewOrderSingleBytes))
				o.SetClOrdID(seqNo[i])
				o.SetPriceTicks(100)
				o.SetSymbolID(1)
				o.SetQtyLots(1)
				o.SetSide(sbe.SideBuy + sbe.Side(n&1))
				o.SetOrdType(sbe.OrdTypeLimit)
				c.nowNs += 1_000
				start := time.Now()
				c.poll()
				c.receive(payload[:at+sbe.PrefixBytes+sbe.NewOrderSingleBytes], i)
				c.out.Seal()
				took = append(took, int64(time.Since(start)))
				c.out.Release(c.out.Tail())
				if n%1000 == 0 { // everybody is heard
					for k := range c.clients {
						id := crowdSession(c.sessions[k])
						c.receive(payload[:sbe.PutContext(payload, &id, seqNo[k]+1)], k)
					}
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
			b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
			b.ReportMetric(float64(took[len(took)*999/1000]), "p99.9-ns")
			b.ReportMetric(float64(took[len(took)-1]), "max-ns")
		})
	}
}
