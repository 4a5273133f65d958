package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/gateway"
	"onebeat/engine/sbe"
	"onebeat/engine/venue"
)

type world struct {
	t        testing.TB
	r        *rand.Rand
	net      *network
	lane     *simLane
	venues   [simVenues]*simLane
	accepted map[uint64]int // by the venue, ClOrdID -> times
	traders  []*trader
	nowNs    int64
	promoted int
	deathIn  int // steps between deaths, on average
	losesMax int // records that may be lost with a primary (policy none)
	// operated: people kill, release and cancel.
	operated bool
}

func newWorld(t testing.TB, seed uint64, clients int) *world {
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 7)), accepted: map[uint64]int{}, nowNs: 1_000_000_000}
	w.net = &network{r: w.r, lossPct: w.r.IntN(25), dupPct: w.r.IntN(25), jitterNs: w.r.Int64N(4) * 70_000}
	w.deathIn = 100 + w.r.IntN(1500)
	w.lane = &simLane{build: func() *replica { return newReplica(clients) }}
	w.lane.replicas = []*replica{w.lane.build(), w.lane.build()}
	w.lane.primary = w.lane.replicas[0]
	for i := range w.venues {
		w.venues[i] = w.newVenue(i)
	}
	for i := range clients {
		tr := &trader{t: t, at: endpoint(byte(10+i), 5000), orders: map[uint64]*simOrder{}, rejects: map[sbe.RejectReason]int{}, net: w.net}
		tr.c = must(client.New(client.Config{Session: sessionID(byte(i)), Key: fixp.NewKey(fmt.Sprint("key", i)), Window: 128,
			ResendNs: 2_000_000, KeepAliveNs: 20_000_000}, tr))
		w.traders = append(w.traders, tr)
	}
	w.lane.promote(w.lane.replicas[0], w.nowNs)
	return w
}

// newVenue is an exchange of one symbol.
func (w *world) newVenue(i int) *simLane {
	b := must(book.New(book.Config{Symbols: []uint32{uint32(1 + i)}, OrdersMax: 4096, FinishedRetain: 512, LevelsMax: 64, FlowsMax: 8,
		ClOrdIDWindow: 4096, OnAccept: func(_ uint32, id uint64, _ bool, _ int64) { w.accepted[id]++ }}))
	m := must(NewMachine(MachineConfig{Port: simVenuePort, RetainMessages: 1024, App: b,
		Sessions: []fixp.SessionConfig{{ID: sessionID(byte(99 - i)), Key: fixp.NewKey("venue")}}}))
	r := &replica{m: m, out: app.NewOutbox(simVenueEndpoint(i), 1)}
	return &simLane{replicas: []*replica{r}, primary: r}
}

// step is 10 µs of the world.
func (w *world) step(active bool) {
	w.nowNs += 10_000
	died := false
	for _, p := range w.net.due(w.nowNs) {
		switch p.to.IP {
		case laneEndpoint.IP:
			if died {
				continue // lost with the old primary
			}
			w.lane.receive(&p, w.nowNs, func() bool { died = active && w.r.IntN(w.deathIn/4) == 0; return died })
		case simVenueEndpoint(0).IP:
			w.venues[0].receive(&p, w.nowNs, func() bool { return false })
		case simVenueEndpoint(1).IP:
			w.venues[1].receive(&p, w.nowNs, func() bool { return false })
		default:
			for _, tr := range w.traders {
				if tr.at.IP == p.to.IP {
					tr.c.OnDatagram(p.payload, w.nowNs)
				}
			}
		}
	}
	if !died {
		w.lane.poll(w.nowNs)
		if active && w.r.IntN(w.deathIn) == 0 {
			died = true
		} else {
			w.flush(w.lane)
		}
	}
	if died {
		w.failover()
	}
	for _, v := range w.venues {
		v.poll(w.nowNs)
		w.flush(v)
	}
	for _, r := range w.lane.replicas {
		if r != w.lane.primary && w.r.IntN(4) == 0 {
			w.lane.catchUp(r, r.applied+w.r.IntN(len(w.lane.log)-r.applied+1))
		}
	}
	if len(w.lane.log)%97 == 0 {
		var b [8]byte
		d := w.lane.primary.m.Digest()
		for i := range b {
			b[i] = byte(d >> (8 * i))
		}
		w.lane.commit(app.Draft{Type: app.RecordDigest, Payload: b[:]}, w.nowNs)
	}
	if w.operated && active && w.r.IntN(150) == 0 {
		w.operate()
	}
	for _, tr := range w.traders {
		tr.nowNs = w.nowNs
		if active && tr.c.Room() > 0 && w.r.IntN(3) == 0 {
			tr.act(w.r)
		}
		tr.c.Poll(w.nowNs, tr)
	}
}

func (w *world) flush(l *simLane) { l.flush(w.nowNs, w.net) }

// failover: the primary dies with all its unreleased outputs; the other
// replica, or one that starts from an empty memory and the log, takes over.
func (w *world) failover() {
	w.promoted++
	l := w.lane
	for i, r := range l.replicas {
		if r == l.primary {
			continue
		}
		if w.losesMax > 0 {
			l.log = l.log[:max(r.applied, len(l.log)-w.r.IntN(w.losesMax))]
			l.replicas[0], l.replicas[1] = l.build(), l.build()
			r = l.replicas[i]
		} else if w.r.IntN(5) == 0 {
			r = l.build()
			l.replicas[i] = r
		} else if w.r.IntN(4) == 0 {
			r = l.restored(w.t, w.r.IntN(len(l.log)+1))
			l.replicas[i] = r
		}
		l.promote(r, w.nowNs)
		break
	}
	w.flush(l)
}

func (w *world) check() {
	t, l := w.t, w.lane
	fresh := l.build()
	l.replicas = append(l.replicas, fresh)
	for i, r := range l.replicas {
		l.catchUp(r, len(l.log))
		if got, want := r.m.Digest(), l.primary.m.Digest(); got != want || r.m.Diverged() {
			t.Errorf("replica %d: digest %x, primary %x, diverged %v", i, got, want, r.m.Diverged())
		}
	}
	type key struct{ account, symbol uint32 }
	net, open := map[key]int64{}, map[key][2]int64{}
	acked := 0
	for s, tr := range w.traders {
		for id, o := range tr.orders {
			n := w.accepted[uint64(s)<<48|id]
			if o.acknowledged && n != 1 {
				t.Errorf("order %d of session %d acknowledged, %d times at the venue", id, s, n)
			}
			if !o.acknowledged && !o.ended {
				t.Errorf("order %d of session %d has no outcome", id, s)
			}
			if o.acknowledged {
				acked++
			}
			k := key{o.account, o.symbol}
			sign := int64(3 - 2*int(o.side))
			net[k] += sign * int64(o.cum)
			b := open[k]
			if o.acknowledged {
				b[o.side-1] += int64(o.leaves)
			}
			open[k] = b
		}
	}
	for id, n := range w.accepted {
		if n > 1 {
			t.Errorf("ClOrdID %x is %d times at the venue", id, n)
		}
	}
	for _, r := range l.replicas {
		r.g.Positions(func(p *gateway.Position) {
			k := key{p.Account, p.SymbolID}
			if p.NetLots != net[k] || p.OpenBuyLots != open[k][0] || p.OpenSellLots != open[k][1] {
				t.Errorf("position %+v, clients add up to net %d, open %v", *p, net[k], open[k])
			}
		})
	}
	if acked < 100 {
		t.Errorf("only %d orders acknowledged", acked)
	}
	for i := range simVenues {
		if o := w.venues[i].primary.m.app.(*book.Book); w.losesMax == 0 && o.Digest() == 0 {
			t.Errorf("venue %d had no orders", i)
		}
	}
	line := l.primary.m.VenueLine(1)
	t.Logf("acknowledged %d, venues %d, promotions %d, records %d, datagrams %d, rejects %v, queued %d, withdrawn %d", acked, len(w.accepted), w.promoted,
		len(l.log), w.net.sent, w.traders[0].rejects, line.Of(venue.CountQueued), w.traders[0].withdrawn)
}

// checkVenues: nothing waits for a venue any more, before its throttle or behind it.
func (w *world) checkVenues(t *testing.T) {
	t.Helper()
	for i := range simVenues {
		if n, queued := w.lane.primary.m.Venue(i).Unanswered(), w.lane.primary.m.VenueLine(i).Queued(); n != 0 || queued != 0 {
			t.Errorf("%d requests unanswered by venue %d, %d queued", n, i, queued)
		}
	}
}

func runWorld(t *testing.T, seed uint64, steps int) {
	t.Helper()
	w := newWorld(t, seed, 2)
	for range steps {
		w.step(true)
	}
	// The network heals; everything must find its end.
	w.net.lossPct, w.net.dupPct = 0, 0
	for range 6000 {
		w.step(false)
	}
	for i, tr := range w.traders {
		if n := tr.c.Unanswered(); n != 0 {
			t.Errorf("client %d: %d requests unanswered", i, n)
		}
	}
	w.checkVenues(t)
	w.check()
}

// simSeeds is the number of worlds; thousands were run while this was written.
var simSeeds = 40

func TestNothingLostNothingDoubled(t *testing.T) {
	seeds := simSeeds
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { runWorld(t, uint64(seed), 3000) })
	}
}

// TestNothingDoubledThoughRecordsAreLost is policy none: the last records die
// with the primary. What clients were told of them is lost, but no order is
// doubled, and clients and venue find back into their sessions.
func TestNothingDoubledThoughRecordsAreLost(t *testing.T) {
	for seed := range simSeeds / 2 {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			w := newWorld(t, uint64(seed), 2)
			w.losesMax = 12
			for _, tr := range w.traders {
				tr.forgetful = true
			}
			for range 3000 {
				w.step(true)
			}
			w.net.lossPct, w.net.dupPct = 0, 0
			for range 40_000 {
				w.step(false)
			}
			for id, n := range w.accepted {
				if n > 1 {
					t.Errorf("ClOrdID %x is %d times at the venue", id, n)
				}
			}
			for i, tr := range w.traders {
				if n := tr.c.Unanswered(); n != 0 {
					t.Errorf("client %d: %d requests unanswered", i, n)
				}
			}
			w.checkVenues(t)
			for i, r := range w.lane.replicas {
				w.lane.catchUp(r, len(w.lane.log))
				if r.m.Digest() != w.lane.primary.m.Digest() || r.m.Diverged() {
					t.Errorf("replica %d differs", i)
				}
			}
		})
	}
}
