package venue

import (
	"bytes"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// fixOut numbers requests and keeps them.
type fixOut struct {
	sent []fixSent
}

type fixSent struct {
	template uint16
	block    [blockBytesMax]byte
}

func (o *fixOut) Request(template uint16, block []byte, _ int64) uint64 {
	s := fixSent{template: template}
	copy(s.block[:], block)
	o.sent = append(o.sent, s)
	return uint64(len(o.sent))
}

func (o *fixOut) last() fixSent { return o.sent[len(o.sent)-1] }

func newFIX(t *testing.T) (*FIX, *fixOut) {
	t.Helper()
	out := &fixOut{}
	f, err := NewFIX(64, out)
	if err != nil {
		t.Fatal(err)
	}
	return f, out
}

func (f *FIX) order(t *testing.T, id uint64) {
	t.Helper()
	b := f.Begin(newOrder, id)
	if b == nil {
		t.Fatalf("order %d finds no room", id)
	}
	sbe.AsNewOrderSingle(b).SetClOrdID(id)
	sbe.AsNewOrderSingle(b).SetSymbolID(7)
	f.Commit(1)
}

func (f *FIX) replace(t *testing.T, id, orig uint64) {
	t.Helper()
	b := f.Begin(sbe.TemplateOrderCancelReplaceRequest, id)
	if b == nil {
		t.Fatalf("replace %d finds no room", id)
	}
	sbe.AsOrderCancelReplaceRequest(b).SetClOrdID(id)
	sbe.AsOrderCancelReplaceRequest(b).SetOrigClOrdID(orig)
	f.Commit(1)
}

// said gives the session a report of the venue and returns what the application sees.
func (f *FIX) said(exec sbe.ExecType, status sbe.OrdStatus, id, orig uint64, leaves uint32, why sbe.RejectReason) (uint16, []byte) {
	var r sbe.ExecutionReport
	r.SetExecType(exec)
	r.SetOrdStatus(status)
	r.SetClOrdID(id)
	r.SetOrigClOrdID(orig)
	r.SetLeavesQtyLots(leaves)
	r.SetReason(why)
	return f.Accept(sbe.TemplateExecutionReport, r[:], 2)
}

// TestReplacedOrdersKeepTheirName: the venue calls an order by its last replacement,
// the application by its first ClOrdID.
func TestReplacedOrdersKeepTheirName(t *testing.T) {
	f, out := newFIX(t)
	f.order(t, 1)
	f.said(sbe.ExecTypeNew, sbe.OrdStatusNew, 1, 0, 10, 0)
	orig := uint64(1)
	for id := uint64(2); id <= 4; id++ {
		f.replace(t, id, 1)
		m := out.last()
		if got := sbe.AsOrderCancelReplaceRequest(m.block[:]).OrigClOrdID(); got != orig {
			t.Fatalf("replace %d is sent about %d, the venue knows the order as %d", id, got, orig)
		}
		_, block := f.said(sbe.ExecTypeReplaced, sbe.OrdStatusNew, id, orig, 10, 0)
		if r := sbe.AsExecutionReport(block); r.ClOrdID() != id || r.OrigClOrdID() != 1 {
			t.Fatalf("replaced: %d of %d", r.ClOrdID(), r.OrigClOrdID())
		}
		for _, name := range []uint64{id, orig} { // also what crossed on the way
			_, block = f.said(sbe.ExecTypeTrade, sbe.OrdStatusPartiallyFilled, name, 0, 5, 0)
			if r := sbe.AsExecutionReport(block); r.ClOrdID() != 1 || r.OrigClOrdID() != 0 {
				t.Fatalf("a fill of %d became one of %d (%d)", name, r.ClOrdID(), r.OrigClOrdID())
			}
		}
		orig = id
	}
	if f.Unanswered() != 0 {
		t.Fatalf("%d unanswered", f.Unanswered())
	}
}

// TestOnlyWhatWaitsIsSentAgain: and after a reset of the numbers it is asked about.
func TestOnlyWhatWaitsIsSentAgain(t *testing.T) {
	f, out := newFIX(t)
	f.Up()
	for id := uint64(1); id <= 4; id++ {
		f.order(t, id)
	}
	f.said(sbe.ExecTypeNew, sbe.OrdStatusNew, 2, 0, 10, 0)
	for seq, want := range map[uint64]bool{1: true, 2: false, 3: true, 4: true, 5: false} {
		if f.Waits(seq) != want {
			t.Errorf("message %d waits: %v", seq, !want)
		}
	}
	f = f.reloaded(t, out)
	f.Reset(5)
	asked := map[uint64]bool{}
	for _, s := range out.sent[4:] {
		m := sbe.AsOrderStatusRequest(s.block[:])
		if s.template != sbe.TemplateOrderStatusRequest || m.SymbolID() != 7 {
			t.Fatalf("template %d in symbol %d", s.template, m.SymbolID())
		}
		asked[m.ClOrdID()] = true
	}
	if len(asked) != 3 || asked[2] || f.Unanswered() != 3 {
		t.Fatalf("asked about %v, %d unanswered", asked, f.Unanswered())
	}
	// One is known, one is not, one was refused as a duplicate before it was asked about.
	template, _ := f.said(sbe.ExecTypeOrderStatus, sbe.OrdStatusFilled, 1, 0, 0, 0)
	if template != sbe.TemplateExecutionReport {
		t.Fatalf("a known order's status became template %d", template)
	}
	template, block := f.said(sbe.ExecTypeOrderStatus, sbe.OrdStatusRejected, 3, 0, 0, sbe.RejectReasonUnknownOrder)
	if r := sbe.AsReject(block); template != sbe.TemplateReject || r.ClOrdID() != 3 || r.RefTemplateID() != sbe.TemplateOrderStatusRequest {
		t.Fatalf("an unknown order's status became template %d", template)
	}
	if f.Unanswered() != 1 {
		t.Fatalf("%d unanswered", f.Unanswered())
	}
}

// TestDuplicateIsAskedAbout: a refusal as duplicate is no rejection.
func TestDuplicateIsAskedAbout(t *testing.T) {
	f, out := newFIX(t)
	f.order(t, 1)
	if template, _ := f.said(sbe.ExecTypeRejected, sbe.OrdStatusRejected, 1, 0, 0, sbe.RejectReasonDuplicateClOrdID); template != 0 {
		t.Fatalf("the application saw template %d", template)
	}
	if out.last().template != sbe.TemplateOrderStatusRequest || f.Unanswered() != 1 {
		t.Fatalf("template %d, %d unanswered", out.last().template, f.Unanswered())
	}
	// A Reject names only the message: it is the one that waits under that number.
	var r sbe.Reject
	r.SetRefSeqNo(2)
	template, block := f.Accept(sbe.TemplateReject, r[:], 3)
	if template != sbe.TemplateReject || sbe.AsReject(block).ClOrdID() != 1 || f.Unanswered() != 0 {
		t.Fatalf("template %d, %d unanswered", template, f.Unanswered())
	}
	if template, _ = f.Accept(sbe.TemplateReject, r[:], 3); template != 0 {
		t.Fatal("a rejection of nothing was passed on")
	}
}

func (f *FIX) reloaded(t *testing.T, out FIXOut) *FIX {
	t.Helper()
	var b, again bytes.Buffer
	w := app.NewStateWriter(&b)
	f.Save(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	fresh, err := NewFIX(len(f.window), out)
	if err != nil {
		t.Fatal(err)
	}
	r := app.NewStateReader(bytes.NewReader(b.Bytes()))
	if fresh.Load(r); r.Err() != nil {
		t.Fatal(r.Err())
	}
	w = app.NewStateWriter(&again)
	fresh.Save(w)
	if err := w.Flush(); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) || fresh.Digest(0) != f.Digest(0) {
		t.Fatalf("what was loaded is saved otherwise (%v)", err)
	}
	return fresh
}

// TestManyReplacedOrders: chains end with their orders and make room.
func TestManyReplacedOrders(t *testing.T) {
	f, out := newFIX(t)
	for n := range uint64(3 * chainsMost) {
		id := 10 * (n + 1)
		f.order(t, id)
		f.said(sbe.ExecTypeNew, sbe.OrdStatusNew, id, 0, 10, 0)
		f.replace(t, id+1, id)
		f.said(sbe.ExecTypeReplaced, sbe.OrdStatusNew, id+1, id, 10, 0)
		f.said(sbe.ExecTypeTrade, sbe.OrdStatusFilled, id+1, 0, 0, 0)
		out.sent = out.sent[:0]
	}
	if f.counts[fixForgotten] != 0 {
		t.Fatalf("%d chains found no room", f.counts[fixForgotten])
	}
	f.reloaded(t, out)
}
