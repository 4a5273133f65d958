package engine

import (
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
)

// throttled makes a line whose session may send a thousand orders a second, ten at
// once.
func throttled(t *testing.T) *line {
	l := newLine(t, 1024)
	b := must(book.New(book.Config{Symbols: []uint32{1}, OrdersMax: 1024, ClOrdIDWindow: 4096,
		OnAccept: func(_ uint32, id uint64, _ bool, _ int64) { l.accepted[id]++ }}))
	l.m = must(NewMachine(MachineConfig{Port: simClientPort, RetainMessages: 1024, App: b,
		Sessions: []fixp.SessionConfig{{ID: sessionID(0), Key: fixp.NewKey("key0"), OrdersPerSecond: 1000, OrderBurst: 10}}}))
	l.newClient()
	l.steps(20)
	if terms := l.c.Terms(); terms.OrdersPerSecond != 1000 || terms.OrderBurst != 10 {
		t.Fatalf("%+v", terms)
	}
	return l
}

// A client that keeps what is refused has all of it done in the end, each once, at
// the session's rate.
func TestThrottledClientGetsThereInTheEnd(t *testing.T) {
	l := throttled(t)
	var ids []uint64
	for id := uint64(1); id <= 60; id++ {
		ids = append(ids, id)
	}
	l.send(ids...)
	l.steps(50) // 5 ms: ten at once and five more
	if n := len(l.accepted); n < 10 || n > 20 {
		t.Fatalf("%d orders in the first 5 ms", n)
	}
	l.steps(3000)
	l.settled(ids...)
}

// One that wants to hear of refusals hears of each order that was not taken, and
// those are never done.
func TestThrottledOrdersAreOver(t *testing.T) {
	l := throttled(t)
	g := &giver{line: l, refused: map[uint64]sbe.SessionCode{}}
	l.c = must(client.New(client.Config{Session: sessionID(0), Key: fixp.NewKey("key0"), Window: 64, ResendNs: 1_000_000, KeepAliveNs: 50_000_000}, g))
	l.steps(100)
	if !l.c.Ready() {
		t.Fatal(l.c.Stats())
	}
	for id := uint64(1); id <= 60; id++ {
		l.send(id)
	}
	l.steps(200)
	if l.c.Unanswered() != 0 || len(g.refused)+len(l.accepted) != 60 || len(g.refused) < 30 {
		t.Fatalf("%d refused, %d accepted, %+v", len(g.refused), len(l.accepted), l.c.Stats())
	}
	for id, code := range g.refused {
		if code != sbe.SessionCodeThrottled || l.accepted[id] != 0 {
			t.Fatalf("order %d: %v, accepted %d times", id, code, l.accepted[id])
		}
	}
	l.send(61)
	l.steps(200)
	l.settled(61)
}

// BenchmarkHostile is what a datagram costs that leads to nothing: the time it
// takes from other sessions' orders.
func BenchmarkHostile(b *testing.B) {
	r := newBookRig()
	r.order()
	id, other := sessionID(0), sessionID(7)
	order := append([]byte(nil), r.payload[:r.length]...)
	establish := make([]byte, sbe.PrefixBytes+sbe.EstablishBytes)
	e := sbe.AsEstablish(sbe.Put(establish, sbe.TemplateEstablish, sbe.EstablishBytes))
	e.SetSessionID(&id)
	e.SetTimestamp(2)
	key := fixp.NewKey("key0")
	e.SetCredentials(key.Sign(sbe.TemplateEstablish, &id, 2))
	unknown := append([]byte(nil), order...)
	sbe.AsContext(unknown[sbe.PrefixBytes:]).SetSessionID(&other)
	for _, c := range []struct {
		name    string
		payload []byte
		from    app.Endpoint
	}{{"garbage", make([]byte, 200), endpoint(66, 6)}, {"a stranger's order", order, endpoint(66, 6)},
		{"an unknown session", unknown, endpoint(66, 6)}, {"a recorded Establish", establish, endpoint(66, 6)}} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				r.receive(c.payload, c.from, simClientPort)
				r.out.Release(r.out.Tail())
			}
		})
	}
}
