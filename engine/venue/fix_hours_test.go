package venue

import (
	"slices"
	"testing"

	"onebeat/engine/sbe"
)

// refusals takes all of them.
func (f *FIX) refusals() (ids []uint64) {
	for b := f.Refuse(); b != nil; b = f.Refuse() {
		ids = append(ids, sbe.AsReject(b).ClOrdID())
	}
	return ids
}

// TestWhatNeverLeftIsRefused: a request is asked about after a reset only if the session
// was logged on while it waited; with the hours' end the others are refused at once.
func TestWhatNeverLeftIsRefused(t *testing.T) {
	f, out := newFIX(t)
	f.order(t, 1) // before the first logon: it leaves with that
	f.Up()
	f.order(t, 2)
	f.Down()
	f.order(t, 3)
	f.replace(t, 4, 2)
	f = f.reloaded(t, out)
	if f.Unsent() != 0 || f.Closed() {
		t.Fatalf("%d requests given up while the session may come back", f.Unsent())
	}
	f.Close()
	f = f.reloaded(t, out)
	if f.Waits(3) || f.Waits(4) || !f.Waits(1) || !f.Waits(2) || !f.Closed() {
		t.Fatal("what was given up waits to be sent again, or what left does not")
	}
	if got := f.refusals(); !slices.Equal(got, []uint64{3, 4}) || f.Unanswered() != 2 {
		t.Fatalf("refused %v, %d unanswered", got, f.Unanswered())
	}
	before := len(out.sent)
	f.Reset(5)
	if got := f.refusals(); len(got) != 0 || len(out.sent)-before != 2 || out.last().template != sbe.TemplateOrderStatusRequest {
		t.Fatalf("refused %v, asked %d times", got, len(out.sent)-before)
	}
	f.Up()
	if f.Closed() {
		t.Fatal("logged on, and closed")
	}
	f.order(t, 5)
	f.Close() // the hours end with the connection still there
	f.order(t, 6)
	f.Down()
	if got := f.refusals(); len(got) != 0 {
		t.Fatalf("refused %v, which may have left", got)
	}
	f.order(t, 7)
	f.Reset(6)
	if got := f.refusals(); !slices.Equal(got, []uint64{7}) {
		t.Fatalf("refused %v", got)
	}
}

// TestClosedSessionTakesNoOrders: they wait, or are refused, as the line is configured;
// questions pass.
func TestClosedSessionTakesNoOrders(t *testing.T) {
	for _, queue := range []int{0, 4} {
		l, s := newLine(t, Config{QueueMax: queue})
		s.closed = true
		block, why := l.Begin(newOrder, 1, 1)
		switch {
		case queue == 0 && (block != nil || why != sbe.RejectReasonMarketClosed):
			t.Fatalf("without a queue: %v", why)
		case queue > 0 && (block == nil || l.Commit(1) || l.Queued() != 1):
			t.Fatalf("with a queue: %v, %d queued", why, l.Queued())
		}
		if block, why = l.Begin(sbe.TemplateOrderStatusRequest, 2, 1); block == nil || !l.Commit(1) {
			t.Fatalf("a question: %v", why)
		}
		l.Tick(2, func() { t.Error("sent while closed") })
		if l.Due() != 0 {
			t.Error("something is due while closed")
		}
		s.closed = false
		sent := 0
		l.Tick(3, func() { sent++ })
		if want := min(queue, 1); sent != want {
			t.Errorf("%d sent when it opened, want %d", sent, want)
		}
	}
}
