package engine

import (
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
)

// giver is a handler that gives up what is refused.
type giver struct {
	*line
	refused map[uint64]sbe.SessionCode
}

func (g *giver) OnRefused(clOrdID uint64, template uint16, code sbe.SessionCode) {
	if template != sbe.TemplateNewOrderSingle {
		g.t.Errorf("%s is refused", sbe.TemplateName(template))
	}
	g.refused[clOrdID] = code
}

// refuse hands a client's datagrams to the machine as a loop that refuses does.
func (l *line) refuse(why app.Refusal) {
	l.nowNs += 100_000
	l.c.Poll(l.nowNs, l)
	for _, b := range l.up {
		l.m.Open(&app.Datagram{Payload: b, From: endpoint(10, 5000), LocalPort: simClientPort}, l.nowNs)
		reply := make([]byte, app.MaxDatagramBytes)
		if n, _, _ := l.m.Refuse(why, reply); n > 0 && !l.cutDown {
			l.c.OnDatagram(reply[:n], l.nowNs)
		}
	}
	l.up = l.up[:0]
}

// An order that is refused is never done, and the session goes on behind it.
func TestRefusedOrderIsOver(t *testing.T) {
	l := newLine(t, 64)
	g := &giver{line: l, refused: map[uint64]sbe.SessionCode{}}
	l.c = must(client.New(client.Config{Session: sessionID(0), Key: fixp.NewKey("key0"), Window: 64, ResendNs: 1_000_000, KeepAliveNs: 50_000_000}, g))
	l.steps(20)
	l.send(1)
	l.steps(20)
	l.settled(1)
	l.send(2, 3)
	l.cutDown = true // the first refusals are lost
	for range 30 {
		l.refuse(app.RefusedWaiting)
	}
	l.cutDown = false
	for range 30 {
		l.refuse(app.RefusedStopped)
	}
	if len(g.refused) != 2 || g.refused[2] != sbe.SessionCodeStopped || l.c.Unanswered() != 0 {
		t.Fatalf("refused %v, %+v", g.refused, l.c.Stats())
	}
	for range 3000 { // longer than the session would last in silence
		l.refuse(app.RefusedWaiting)
	}
	if !l.c.Ready() {
		t.Error("the session ended")
	}
	l.send(4)
	l.steps(100)
	l.settled(1, 4)
	if l.accepted[2]+l.accepted[3] != 0 {
		t.Error("a refused order was done")
	}
	if s := l.c.Stats(); s.Refused != 2 || s.Establishes != 1 {
		t.Errorf("%+v", s)
	}
}

// A client that does not ask for refusals keeps its orders until they are taken.
func TestRefusedOrderIsSentAgain(t *testing.T) {
	l := newLine(t, 64)
	l.steps(20)
	l.send(1, 2)
	for range 60 {
		l.refuse(app.RefusedWaiting)
	}
	if l.c.Unanswered() != 2 {
		t.Fatal(l.c.Stats())
	}
	l.steps(200)
	l.settled(1, 2)
}
