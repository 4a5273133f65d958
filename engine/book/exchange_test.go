package book

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// copies is a sink that keeps blocks of both kinds, by session.
type copies struct {
	sink
	all []heard
}

type heard struct {
	session  uint32
	template uint16
	block    [sbe.DropCopyBytes]byte
}

func (c *copies) SendToClient() {
	h := heard{session: c.open.session, template: c.open.template}
	copy(h.block[:], c.block[:])
	c.all = append(c.all, h)
}

// exchange is a book that misbehaves in every way, with a drop copy session.
func exchange(t *testing.T) *Book {
	t.Helper()
	b, err := New(Config{Symbols: []uint32{7, 8}, OrdersMax: 4096, ClOrdIDWindow: 4096, SelfMatch: Decrement, Phase: PreOpen,
		Schedule: []PhaseChange{{AtNs: 1_000_000, SymbolID: AllSymbols, Phase: Open}, {AtNs: 3_000_000, SymbolID: 7, Phase: Halted}, {AtNs: 4_000_000, SymbolID: 7, Phase: Open}},
		Chaos:    Chaos{Seed: 42, RejectPercent: 10, FillPercent: 30, DelayMinNs: 1000, DelayMaxNs: 50_000},
		DropCopy: []uint32{2}, SessionIDs: []sbe.UUID{{0: 1}, {0: 2}, {0: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tape is a random sequence of requests and, between them, what is due.
type tape struct {
	r     *rand.Rand
	nowNs int64
	id    uint64
}

// next gives a book its next input and what time brings before it.
func (p *tape) next(b *Book, out app.Sink) {
	p.nowNs += 5_000
	for due := b.Due(); due != 0 && due <= p.nowNs; due = b.Due() {
		in := app.Input{Kind: app.Timer, TimeNs: max(due, p.nowNs-5_000)}
		b.Apply(&in, out)
	}
	p.id++
	var q sbe.NewOrderSingle
	q.SetClOrdID(p.id)
	q.SetSymbolID(uint32(7 + p.r.IntN(2)))
	q.SetPriceTicks(int64(95 + p.r.IntN(11)))
	q.SetQtyLots(uint32(1 + p.r.IntN(30)))
	q.SetSide(sbe.Side(1 + p.r.IntN(2)))
	q.SetOrdType(sbe.OrdTypeLimit)
	in := app.Input{Kind: app.FromClient, TimeNs: p.nowNs, Session: uint32(p.r.IntN(2)), SeqNo: p.id, Template: sbe.TemplateNewOrderSingle, Block: q[:]}
	b.Apply(&in, out)
}

// TestMisbehaviourIsReplicated: a book that starts from another's state in the middle
// of everything goes on exactly as that one does.
func TestMisbehaviourIsReplicated(t *testing.T) {
	a, b := exchange(t), exchange(t)
	var heardA, heardB copies
	pa, pb := tape{r: rand.New(rand.NewPCG(1, 1)), nowNs: 1000}, tape{r: rand.New(rand.NewPCG(1, 1)), nowNs: 1000}
	for step := range 2000 {
		pa.next(a, &heardA)
		pb.next(b, &heardB)
		if a.Digest() != b.Digest() || len(heardA.all) != len(heardB.all) {
			t.Fatalf("step %d: the books differ", step)
		}
		if step%97 == 0 {
			var state bytes.Buffer
			w := app.NewStateWriter(&state)
			b.Save(w)
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			b = exchange(t)
			r := app.NewStateReader(bytes.NewReader(state.Bytes()))
			r.Sessions = 3
			if err := b.Load(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range heardA.all {
		if heardA.all[i] != heardB.all[i] {
			t.Fatalf("message %d differs", i)
		}
	}
	for _, c := range []counter{countTrades, countSelfMatches, countPhases, countDelayed, countStreetFills, countDropCopies, countRejects} {
		if a.counts[c] == 0 {
			t.Errorf("%s never happened", counterNames[c])
		}
	}
	if a.Phase(0) != Open || a.scheduled != 3 {
		t.Errorf("symbol 7 is %v after %d entries of the schedule", a.Phase(0), a.scheduled)
	}
}

// TestDropCopyIsEveryReport: the drop copy session hears each report behind the
// session that got it, in the same order, and may say nothing itself.
func TestDropCopyIsEveryReport(t *testing.T) {
	b := exchange(t)
	var out copies
	p := tape{r: rand.New(rand.NewPCG(2, 1)), nowNs: 1000}
	for range 1500 {
		p.next(b, &out)
	}
	var waiting *heard
	reports := 0
	for i := range out.all {
		h := &out.all[i]
		switch h.template {
		case sbe.TemplateExecutionReport:
			if waiting != nil {
				t.Fatalf("message %d: no copy of the report before it", i)
			}
			waiting = h
			reports++
		case sbe.TemplateDropCopy:
			m := sbe.AsDropCopy(h.block[:])
			if waiting == nil || h.session != 2 || m.SessionID()[0] != byte(1+waiting.session) {
				t.Fatalf("message %d: a copy to session %d of %x", i, h.session, *m.SessionID())
			}
			if !bytes.Equal(m[sessionIDBytes:], waiting.block[:sbe.ExecutionReportBytes]) || m.ExecID() != sbe.AsExecutionReport(waiting.block[:]).ExecID() {
				t.Fatalf("message %d: the copy differs", i)
			}
			waiting = nil
		}
	}
	if reports < 1000 {
		t.Fatalf("only %d reports", reports)
	}
	quiet, err := New(Config{Symbols: []uint32{7}, ClOrdIDWindow: 64, DropCopy: []uint32{0}})
	if err != nil {
		t.Fatal(err)
	}
	var q sbe.NewOrderSingle
	heard := &sink{keep: true}
	in := app.Input{Kind: app.FromClient, Template: sbe.TemplateNewOrderSingle, Block: q[:]}
	quiet.Apply(&in, heard)
	if got := heard.take(); len(got) != 1 || got[0].reject.Reason() != sbe.RejectReasonUnsupportedMessage {
		t.Fatal("a drop copy session sent an order")
	}
}

func TestNoAllocationsOfTheExchange(t *testing.T) {
	b := exchange(t)
	out := &sink{}
	p := tape{r: rand.New(rand.NewPCG(3, 1)), nowNs: 1000}
	var q sbe.NewOrderSingle
	var in app.Input
	q.SetOrdType(sbe.OrdTypeLimit)
	q.SetQtyLots(10)
	q.SetSymbolID(8)
	q.SetPriceTicks(100)
	if n := testing.AllocsPerRun(3000, func() {
		p.nowNs += 5_000
		p.id++
		q.SetClOrdID(p.id)
		q.SetSide(sbe.Side(1 + p.id&1))
		in = app.Input{Kind: app.FromClient, TimeNs: p.nowNs, SeqNo: p.id, Template: sbe.TemplateNewOrderSingle, Block: q[:]}
		b.Apply(&in, out)
		if due := b.Due(); due != 0 && due <= p.nowNs {
			in = app.Input{Kind: app.Timer, TimeNs: p.nowNs}
			b.Apply(&in, out)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestBadExchanges(t *testing.T) {
	for _, cfg := range []Config{{SelfMatch: 9}, {Phase: 9}, {Chaos: Chaos{RejectPercent: 101}}, {Chaos: Chaos{DelayMinNs: 2, DelayMaxNs: 1}},
		{Schedule: []PhaseChange{{AtNs: 2}, {AtNs: 1}}}} {
		cfg.Symbols = []uint32{1}
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	for _, name := range []string{"open", "pre-open", "halted", "closed"} {
		if p, ok := ParsePhase(name); !ok || p.String() != name {
			t.Errorf("phase %q is %v", name, p)
		}
	}
	for _, name := range []string{"trade", "cancel-newest", "cancel-oldest", "cancel-both", "decrement"} {
		if s, ok := ParseSelfMatch(name); !ok || s.String() != name {
			t.Errorf("rule %q is %v", name, s)
		}
	}
}
