package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/gateway"
	"onebeat/engine/sbe"
	"onebeat/engine/venue"
	"onebeat/xdp/frame"
)

// The world of the property test: a lane of two machines over one log, a venue,
// clients and a network that loses, doubles and reorders.

const (
	simClientPort = 9001
	simVenuePort  = 9002
	simLocalPort  = 9003 // and up, one for each venue
	simSymbols    = 2
)

func endpoint(host byte, port uint16) app.Endpoint {
	return app.Endpoint{MAC: [6]byte{2, 0, 0, 0, 0, host}, IP: app.IPv4([4]byte{10, 0, 0, host}), Port: port}
}

var (
	laneEndpoint  = endpoint(1, 0)
	venueEndpoint = endpoint(2, simVenuePort)
)

func sessionID(n byte) sbe.UUID { return sbe.UUID{0: 0xaa, 15: n} }

type packet struct {
	dueNs     int64
	from      app.Endpoint
	to        app.Endpoint
	payload   []byte
	localPort uint16
}

type network struct {
	r        *rand.Rand
	lossPct  int
	dupPct   int
	jitterNs int64
	queue    []packet
	sent     int
}

func (n *network) send(nowNs int64, from, to app.Endpoint, payload []byte) {
	n.sent++
	copies := 1
	if n.r.IntN(100) < n.lossPct {
		copies = 0
	} else if n.r.IntN(100) < n.dupPct {
		copies = 2
	}
	for range copies {
		n.queue = append(n.queue, packet{dueNs: nowNs + 5_000 + n.r.Int64N(n.jitterNs+1), from: from, to: to,
			payload: append([]byte(nil), payload...), localPort: to.Port})
	}
}

// due takes everything that arrives by nowNs, in order of arrival.
func (n *network) due(nowNs int64) []packet {
	var out []packet
	for {
		best := -1
		for i := range n.queue {
			if n.queue[i].dueNs <= nowNs && (best < 0 || n.queue[i].dueNs < n.queue[best].dueNs) {
				best = i
			}
		}
		if best < 0 {
			return out
		}
		out = append(out, n.queue[best])
		n.queue = append(n.queue[:best], n.queue[best+1:]...)
	}
}

// replica is one machine and how far it has applied the log.
type replica struct {
	m       *Machine
	g       *gateway.Gateway
	out     *app.Outbox
	applied int
}

// simLane is the log and its replicas; one of them writes.
type simLane struct {
	log      []app.Record
	epoch    uint32
	replicas []*replica
	primary  *replica
	build    func() *replica
	end      uint64
}

func (l *simLane) append(t app.RecordType, payload []byte, nowNs int64) *app.Record {
	l.log = append(l.log, app.Record{Position: l.end, TimeNs: nowNs, Epoch: l.epoch, Type: t, Payload: append([]byte(nil), payload...)})
	l.end += uint64(32+len(payload)+31) &^ 31
	return &l.log[len(l.log)-1]
}

func (l *simLane) commit(d app.Draft, nowNs int64) {
	p := l.primary
	p.m.Apply(l.append(d.Type, d.Payload, nowNs), p.out)
	p.applied = len(l.log)
}

func (l *simLane) catchUp(r *replica, to int) {
	for ; r.applied < to; r.applied++ {
		r.m.Apply(&l.log[r.applied], r.out)
	}
}

func (l *simLane) receive(p *packet, nowNs int64, stop func() bool) {
	dg := app.Datagram{Payload: p.payload, From: p.from, LocalPort: p.localPort}
	m := l.primary.m
	n := m.Open(&dg, nowNs)
	for i := range n {
		v, d := m.Admit(i, nowNs, l.primary.out)
		if v != app.Commit {
			continue
		}
		l.commit(d, nowNs)
		if stop() {
			return // the primary died between two records of a datagram
		}
	}
}

func (l *simLane) poll(nowNs int64) {
	for {
		v, d := l.primary.m.Poll(nowNs, l.primary.out)
		if v != app.Commit {
			return
		}
		l.commit(d, nowNs)
	}
}

// flush sends all outputs of the primary.
func (l *simLane) flush(nowNs int64, n *network) {
	out := l.primary.out
	for k := out.Head(); k < out.Tail(); k++ {
		s := out.At(k)
		from := out.Local
		from.Port = s.LocalPort
		n.send(nowNs, from, s.Remote, s.Frame[frame.HeaderBytes:s.LengthBytes])
	}
	out.Seal()
	out.Release(out.Tail())
}

// promote makes r the writer: it applies the rest of the log, then its epoch.
func (l *simLane) promote(r *replica, nowNs int64) {
	l.primary.out.Muted = true
	l.primary.out.Reset(l.primary.out.Tail())
	l.catchUp(r, len(l.log))
	l.epoch++
	l.primary = r
	r.out.Muted = false
	r.out.Reset(r.out.Tail())
	l.commit(app.Draft{Type: app.RecordEpoch}, nowNs)
	r.m.Promote(nowNs, r.out)
}

// restored is a replica that starts from the state after so many records.
func (l *simLane) restored(t testing.TB, records int) *replica {
	from, r := l.build(), l.build()
	from.out.Muted, r.out.Muted = true, true
	l.catchUp(from, records)
	reload(t, from.m, r.m)
	r.applied = records
	return r
}

// simVenues is how many venues a lane has: symbol n goes to venue n-1.
const simVenues = simSymbols

func simVenueEndpoint(i int) app.Endpoint { return endpoint(byte(2+i), simVenuePort) }

// simVenueConfig: the second venue has a throttle, with a queue that cancels overtake.
func simVenueConfig(i int) VenueConfig {
	v := VenueConfig{Remote: simVenueEndpoint(i), LocalPort: uint16(simLocalPort + i), Session: sessionID(byte(99 - i)),
		Key: fixp.NewKey("venue"), Window: 256, ResendNs: 2_000_000, KeepAliveNs: 20_000_000}
	if i == 1 {
		v.Line = venue.Config{OrdersPerSecond: 20_000, Burst: 4, QueueMax: 16, CancelsFirst: true, BreakAfter: 1000, BreakWindowNs: 1, BreakOpenNs: 1, BreakTimeoutNs: 50_000_000}
	}
	return v
}

// trader is a client with a naive model of what it was told.
type trader struct {
	t         testing.TB
	c         *client.Client
	at        app.Endpoint
	next      uint64
	orders    map[uint64]*simOrder
	lastExec  uint64
	lastSeq   uint64
	rejects   map[sbe.RejectReason]int
	withdrawn int
	buf       [1500]byte
	net       *network
	nowNs     int64
	// forgetful: the lane may lose records, so the model does not hold.
	forgetful bool
}

type simOrder struct {
	symbol, account     uint32
	side                sbe.Side
	acknowledged, ended bool
	withdrawn           bool
	qty, cum, leaves    uint32
	leaving             bool // a cancel is at the venue
}

func (tr *trader) OnReport(a *client.Answer, r *sbe.ExecutionReport) {
	if tr.forgetful {
		return
	}
	if r.ExecID() <= tr.lastExec || a.SeqNo <= tr.lastSeq {
		tr.t.Fatalf("report %d (number %d) after %d (number %d)", r.ExecID(), a.SeqNo, tr.lastExec, tr.lastSeq)
	}
	tr.lastExec, tr.lastSeq = r.ExecID(), a.SeqNo
	id := r.OrigClOrdID()
	if id == 0 {
		id = r.ClOrdID()
	}
	o := tr.orders[id]
	if o == nil {
		tr.t.Fatalf("report %v for order %d that was never sent", r.ExecType(), id)
	}
	switch r.ExecType() {
	case sbe.ExecTypeNew, sbe.ExecTypeTrade, sbe.ExecTypeCancelled, sbe.ExecTypeReplaced:
		if r.Reason() == sbe.RejectReasonWithdrawn || r.ExecType() == sbe.ExecTypeCancelled && ours(r.Reason()) && !o.leaving {
			tr.withdrawn++
			o.withdrawn = true // no venue ever saw it
		}
		o.acknowledged = !o.withdrawn
	case sbe.ExecTypePendingCancel:
		o.leaving = true
	case sbe.ExecTypeRejected:
		tr.t.Fatalf("order %d rejected by the venue: %v", id, r.Reason())
	}
	if r.ExecType() == sbe.ExecTypeTrade {
		o.cum += r.LastQtyLots()
		if o.cum != r.CumQtyLots() {
			tr.t.Fatalf("order %d: cum %d, fills add up to %d", id, r.CumQtyLots(), o.cum)
		}
	}
	o.qty, o.leaves = r.OrderQtyLots(), r.LeavesQtyLots()
	o.ended = (o.acknowledged || o.withdrawn) && o.leaves == 0
}

// ours reports whether the gateway ends orders for this reason by itself.
func ours(why sbe.RejectReason) bool {
	return why == sbe.RejectReasonKilled || why == sbe.RejectReasonSelfMatch || why == sbe.RejectReasonOperator
}

func (tr *trader) OnReject(a *client.Answer, r *sbe.Reject) {
	if tr.forgetful {
		return
	}
	if a.SeqNo <= tr.lastSeq {
		tr.t.Fatalf("number %d after %d", a.SeqNo, tr.lastSeq)
	}
	tr.lastSeq = a.SeqNo
	tr.rejects[r.Reason()]++
	switch r.Reason() {
	case sbe.RejectReasonBadPrice, sbe.RejectReasonTooLateToCancel, sbe.RejectReasonUnknownOrder, sbe.RejectReasonBadQuantity, sbe.RejectReasonRequestPending,
		sbe.RejectReasonVenue:
		if r.RefTemplateID() == sbe.TemplateNewOrderSingle {
			tr.t.Fatalf("order %d refused: %v", r.ClOrdID(), r.Reason())
		}
	case sbe.RejectReasonPositionLimit, sbe.RejectReasonMaxQuantity, sbe.RejectReasonPriceCollar, sbe.RejectReasonVenueUnavailable,
		sbe.RejectReasonVenueThrottle, sbe.RejectReasonKilled, sbe.RejectReasonSelfMatch:
		if o := tr.orders[r.ClOrdID()]; o != nil {
			o.ended = true
		}
	default:
		tr.t.Fatalf("request %d refused: %v", r.ClOrdID(), r.Reason())
	}
}

func (tr *trader) Buffer() []byte { return tr.buf[:1024] }
func (tr *trader) Send(n int)     { tr.net.send(tr.nowNs, tr.at, endpoint(1, simClientPort), tr.buf[:n]) }

func (tr *trader) act(r *rand.Rand) {
	tr.next += 1 + uint64(r.IntN(3))
	id, account := tr.next, uint32(1+r.IntN(2))
	if r.IntN(4) > 0 || len(tr.orders) == 0 {
		o := client.Order{ClOrdID: id, PriceTicks: int64(95 + r.IntN(11)), SymbolID: uint32(1 + r.IntN(simSymbols)),
			QtyLots: uint32(1 + r.IntN(20)), Account: account, Side: sbe.Side(1 + r.IntN(2)), OrdType: sbe.OrdTypeLimit}
		if r.IntN(8) == 0 {
			o.OrdType, o.PriceTicks, o.TimeInForce = sbe.OrdTypeMarket, 0, sbe.TimeInForceImmediateOrCancel
		}
		if r.IntN(30) == 0 {
			o.PriceTicks, o.OrdType = 1000, sbe.OrdTypeLimit
		}
		if tr.c.SendOrder(&o, tr.nowNs) {
			tr.orders[id] = &simOrder{symbol: o.SymbolID, account: account, side: o.Side, qty: o.QtyLots}
		}
		return
	}
	for orig, o := range tr.anyOrder(r) {
		if r.IntN(2) == 0 {
			tr.c.SendCancel(&client.Cancel{ClOrdID: id, OrigClOrdID: orig, SymbolID: o.symbol, Account: o.account, Side: o.side}, tr.nowNs)
		} else {
			tr.c.SendReplace(&client.Replace{ClOrdID: id, OrigClOrdID: orig, PriceTicks: int64(95 + r.IntN(11)),
				SymbolID: o.symbol, QtyLots: uint32(1 + r.IntN(30)), Account: o.account, Side: o.side}, tr.nowNs)
		}
	}
}

// anyOrder picks one of the youngest orders, the same for the same seed.
func (tr *trader) anyOrder(r *rand.Rand) map[uint64]*simOrder {
	for id, tries := tr.next-uint64(r.IntN(30)), 0; tries < 60; id, tries = id-1, tries+1 {
		if o := tr.orders[id]; o != nil {
			return map[uint64]*simOrder{id: o}
		}
	}
	return nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newReplica(clients int) *replica {
	g := must(gateway.New(gateway.Config{Sessions: clients, OrdersMax: 4096, FinishedRetain: 512, PositionsMax: 64, ClOrdIDWindow: 4096,
		Symbols: []gateway.Symbol{{ID: 1, ReferencePriceTicks: 100}, {ID: 2, ReferencePriceTicks: 100, Venue: 1}},
		Limits:  limits(1000, 1<<40, 50, 3000)}))
	cfg := MachineConfig{Port: simClientPort, RetainMessages: 1024, App: g}
	for i := range simVenues {
		cfg.Venues = append(cfg.Venues, simVenueConfig(i))
	}
	for i := range clients {
		cfg.Sessions = append(cfg.Sessions, fixp.SessionConfig{ID: sessionID(byte(i)), Key: fixp.NewKey(fmt.Sprint("key", i))})
	}
	out := app.NewOutbox(laneEndpoint, 1)
	out.Muted = true
	return &replica{m: must(NewMachine(cfg)), g: g, out: out}
}
