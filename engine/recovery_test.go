package engine

import (
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/xdp/frame"
)

// line is one client and a book behind a wire that can be cut either way.
type line struct {
	t               *testing.T
	c               *client.Client
	m               *Machine
	out             *app.Outbox
	nowNs           int64
	cutUp, cutDown  bool
	buf             [1500]byte
	up              [][]byte
	execs           map[uint64][]sbe.ExecType
	rejects         map[uint64]sbe.RejectReason
	first, accepted map[uint64]int
	datagrams       int
}

func newLine(t *testing.T, retain int) *line {
	l := &line{t: t, nowNs: 1_000_000_000, execs: map[uint64][]sbe.ExecType{}, rejects: map[uint64]sbe.RejectReason{},
		first: map[uint64]int{}, accepted: map[uint64]int{}}
	b := must(book.New(book.Config{Symbols: []uint32{1}, OrdersMax: 1024, ClOrdIDWindow: 4096,
		OnAccept: func(_ uint32, id uint64, _ bool, _ int64) { l.accepted[id]++ }}))
	l.m = must(NewMachine(MachineConfig{Port: simClientPort, RetainMessages: retain, App: b,
		Sessions: []fixp.SessionConfig{{ID: sessionID(0), Key: fixp.NewKey("key0")}}}))
	l.out = app.NewOutbox(laneEndpoint, 1)
	l.newClient()
	return l
}

func (l *line) newClient() {
	l.c = must(client.New(client.Config{Session: sessionID(0), Key: fixp.NewKey("key0"), Window: 64, ResendNs: 1_000_000, KeepAliveNs: 50_000_000}, l))
}

func (l *line) OnReport(a *client.Answer, r *sbe.ExecutionReport) {
	l.execs[r.ClOrdID()] = append(l.execs[r.ClOrdID()], r.ExecType())
	l.note(a, r.ClOrdID())
}

func (l *line) OnReject(a *client.Answer, r *sbe.Reject) {
	l.rejects[r.ClOrdID()] = r.Reason()
	l.note(a, r.ClOrdID())
}

func (l *line) note(a *client.Answer, id uint64) {
	if a.First {
		l.first[id]++
		if a.SentNs == 0 {
			l.t.Errorf("first answer to %d without the time it was sent", id)
		}
	}
}

func (l *line) Buffer() []byte { return l.buf[:1024] }
func (l *line) Send(n int)     { l.up = append(l.up, append([]byte(nil), l.buf[:n]...)); l.datagrams++ }

func (l *line) step() {
	l.nowNs += 100_000
	l.c.Poll(l.nowNs, l)
	for _, b := range l.up {
		if l.cutUp {
			continue
		}
		n := l.m.Open(&app.Datagram{Payload: b, From: endpoint(10, 5000), LocalPort: simClientPort}, l.nowNs)
		for i := range n {
			if v, d := l.m.Admit(i, l.nowNs, l.out); v == app.Commit {
				l.apply(d)
			}
		}
	}
	l.up = l.up[:0]
	for v, d := l.m.Poll(l.nowNs, l.out); v == app.Commit; v, d = l.m.Poll(l.nowNs, l.out) {
		l.apply(d)
	}
	for ; l.out.Head() < l.out.Tail(); l.out.Release(l.out.Head() + 1) {
		if s := l.out.At(l.out.Head()); !l.cutDown {
			l.c.OnDatagram(s.Frame[frame.HeaderBytes:s.LengthBytes], l.nowNs)
		}
	}
	l.out.Seal()
}

func (l *line) apply(d app.Draft) {
	l.m.Apply(&app.Record{TimeNs: l.nowNs, Type: d.Type, Payload: append([]byte(nil), d.Payload...)}, l.out)
}

func (l *line) steps(n int) {
	for range n {
		l.step()
	}
}

func (l *line) send(ids ...uint64) {
	l.t.Helper()
	for _, id := range ids {
		if !l.c.SendOrder(&client.Order{ClOrdID: id, PriceTicks: int64(100 + id%50), SymbolID: 1, QtyLots: 1, Side: sbe.SideBuy, OrdType: sbe.OrdTypeLimit}, l.nowNs) {
			l.t.Fatalf("order %d refused", id)
		}
	}
}

// settled: everything sent was answered once and stands once in the book.
func (l *line) settled(ids ...uint64) {
	l.t.Helper()
	if n := l.c.Unanswered(); n != 0 {
		l.t.Fatalf("%d unanswered; %+v", n, l.c.Stats())
	}
	for _, id := range ids {
		if l.first[id] != 1 || l.accepted[id] != 1 {
			l.t.Errorf("order %d: %d first answers, %d times accepted, reports %v, reject %v", id, l.first[id], l.accepted[id], l.execs[id], l.rejects[id])
		}
	}
}

func TestClientRecoversFromLosses(t *testing.T) {
	l := newLine(t, 1024)
	l.send(1, 2) // before the session is up
	l.steps(5)
	if !l.c.Ready() {
		t.Fatal("not established")
	}
	l.settled(1, 2)
	l.cutUp = true
	l.send(3)
	l.steps(1)
	l.cutUp = false
	l.send(4) // 3 is lost: NotApplied, then again under a new number
	l.steps(3)
	l.settled(3, 4)
	if s := l.c.Stats(); s.Renumbered != 1 {
		t.Errorf("%+v", s)
	}
	l.cutDown = true
	l.send(5)
	l.steps(1)
	l.cutDown = false
	l.send(6) // the answer to 5 is lost: a gap
	l.steps(3)
	l.settled(5, 6)
	if s := l.c.Stats(); s.Gaps == 0 || s.Resent != 0 {
		t.Errorf("%+v", s)
	}
	l.cutUp = true
	l.send(7)
	l.steps(5)
	l.cutUp = false
	l.steps(20) // nothing else comes: resent
	l.settled(7)
	if s := l.c.Stats(); s.Resent == 0 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

func TestClientOutlivesWhatTheServerKeeps(t *testing.T) {
	l := newLine(t, 64)
	l.steps(5)
	l.cutDown = true
	next := uint64(0)
	for range 4 { // far more answers than are kept
		var ids []uint64
		for len(ids) < min(30, l.c.Room()) {
			next++
			ids = append(ids, next)
		}
		l.send(ids...)
		l.steps(3)
		for k := 0; k < 30 && len(ids) > 0; k++ {
			// Fills nobody hears of push the answers out.
			l.m.server.ToClient(0, sbe.TemplateExecutionReport)
			l.m.out = l.out
			l.m.SendToClient()
		}
	}
	l.cutDown = false
	l.steps(100)
	if s := l.c.Stats(); s.Lost == 0 || s.Renumbered == 0 {
		t.Errorf("%+v", s)
	}
	for id := uint64(1); id <= next; id++ {
		l.settled(id)
	}
}

func TestNewClientProcessGoesOn(t *testing.T) {
	l := newLine(t, 1024)
	l.send(1, 2, 3)
	l.steps(5)
	l.newClient()
	l.steps(5)
	l.send(4, 5)
	l.steps(5)
	l.settled(1, 2, 3, 4, 5)
	// One that sends before it knows the numbers.
	l.newClient()
	l.send(6, 7)
	l.steps(20)
	l.settled(6, 7)
	l.c.Terminate()
	l.steps(3)
	if l.c.Ready() {
		t.Error("still up after Terminate")
	}
	l.c.Open(l.nowNs)
	l.send(8)
	l.steps(5)
	l.settled(8)
}

func TestClientReconnectsAfterSilence(t *testing.T) {
	l := newLine(t, 1024)
	l.steps(5)
	l.cutUp, l.cutDown = true, true
	l.send(1)
	l.steps(2500) // 250 ms: both sides give up
	if state, _, _ := l.m.Server().SessionState(0); state != fixp.Terminated || l.c.Ready() {
		t.Fatalf("server %v, client ready %v", state, l.c.Ready())
	}
	l.cutUp, l.cutDown = false, false
	l.steps(1000)
	l.settled(1)
}

// TestDuplicateBecomesStatus: a venue that refuses a PossResend as a duplicate
// is asked for the order's status.
func TestDuplicateBecomesStatus(t *testing.T) {
	i := must(fixp.NewInitiator(fixp.InitiatorConfig{Session: sessionID(0), Window: 16, BatchMessages: 4, MaxDatagramBytes: 1024,
		ResendNs: 1, KeepAliveNs: 1e9, ConnectNs: 1}))
	sbe.AsNewOrderSingle(i.Begin(sbe.TemplateNewOrderSingle, 5)).SetClOrdID(5)
	i.Commit(1)
	i.NewEpoch()
	var r sbe.Reject
	r.SetClOrdID(5)
	r.SetReason(sbe.RejectReasonDuplicateClOrdID)
	r.SetPossResend(1)
	if a := i.Accept(1, sbe.TemplateReject, r[:]); a.Deliver || i.Unanswered() != 1 || i.NextOut() != 3 || i.Counts.Of(fixp.CountStatusRequests) != 1 {
		t.Fatalf("%+v, %d unanswered, next %d", a, i.Unanswered(), i.NextOut())
	}
	var s sbe.ExecutionReport
	s.SetClOrdID(5)
	if a := i.Accept(2, sbe.TemplateExecutionReport, s[:]); !a.Deliver || !a.First || i.Unanswered() != 0 {
		t.Fatalf("%+v, %d unanswered", a, i.Unanswered())
	}
}

func TestWindowAndQueueAreBounded(t *testing.T) {
	l := newLine(t, 1024)
	for id := uint64(1); id <= 64; id++ {
		l.send(id)
	}
	o := client.Order{ClOrdID: 65}
	if l.c.Room() != 0 || l.c.SendOrder(&o, l.nowNs) {
		t.Error("the window takes more than its size")
	}
	l.steps(10)
	for id := uint64(1); id <= 64; id++ {
		l.settled(id)
	}
	if l.datagrams > 12 {
		t.Errorf("%d datagrams for 64 orders: not batched", l.datagrams)
	}
	l.send(70)
	o.ClOrdID = 70
	if l.c.SendOrder(&o, l.nowNs) {
		t.Error("the same ClOrdID waits twice")
	}
}

func TestClientDoesNotAllocate(t *testing.T) {
	c := must(client.New(client.Config{Session: sessionID(0), Key: fixp.NewKey("key0"), Window: 64}, quiet{}))
	out, nowNs, id := &sinkOut{}, int64(1_000_000_000), uint64(0)
	o := client.Order{Side: sbe.SideBuy}
	frames := fuzzFrames()
	if n := testing.AllocsPerRun(1000, func() {
		id++
		nowNs += 1_000_000
		o.ClOrdID = id
		c.SendOrder(&o, nowNs)
		c.Poll(nowNs, out)
		c.OnDatagram(frames[id%uint64(len(frames))], nowNs)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
