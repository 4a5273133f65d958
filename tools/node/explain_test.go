package node

import (
	"errors"
	"path/filepath"
	"testing"

	"onebeat/bench/lab"
	"onebeat/engine/app"
	"onebeat/mirror/disk"
	"onebeat/mirror/snapshot"
	"onebeat/tools/control"
)

// TestExplainFromArchiveAndSnapshots: an order is explained by the state before it,
// whatever is needed for that; the node need not run.
func TestExplainFromArchiveAndSnapshots(t *testing.T) {
	s := archived(setting{app: "gateway", session: fixLines(fixDesk)}, filepath.Join(t.TempDir(), "archive"))
	s.sections += "[snapshot]\nrecords = 1000\nkeep = 3\n"
	w := steady(t, s)
	early := w.client.taken(7)
	desk := w.dialFIX(lab.NodeA, "DESK", nil)
	desk.logon("")
	desk.rests("early:1")
	desk.refused("early:2", "99", "Price is outside of the collar", "44=100")
	w.mustOperate(lab.NodeA, control.Operate{Kind: "risk set", Session: "client-1", Limit: "max_open_orders", Value: 1})
	refused := w.client.refused(7)
	w.mustOperate(lab.NodeA, control.Operate{Kind: "risk set", Session: "client-1", Limit: "max_open_orders", Value: -1})
	w.until("a snapshot", func() bool {
		w.burst(500, 20)
		return w.snapshots(lab.NodeA).Written >= 1
	})
	late := w.client.taken(7)
	w.drained()
	w.kill(lab.NodeA)
	cfg := w.config(lab.NodeA)
	explain := func(id uint64) *Explanation {
		t.Helper()
		e, err := Explain(cfg, 0, control.OrderName{Session: "client-1", ClOrdID: id}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := explain(early)
	if e.Snapshot != 0 || len(e.Checks) != 15 || e.Answer != "PendingNew" || e.Sent != 1 || e.Position == 0 {
		t.Errorf("%+v", e)
	}
	r := explain(refused)
	if last := r.Checks[len(r.Checks)-1]; last.Check != "open orders" || last.Value != 2 || last.Limit != 1 || last.Verdict != "refused" || last.From != "session" ||
		r.Reason != "OpenOrders" || r.Value != 2 || r.Limit != 1 || r.Text == "" || r.Position <= e.Position {
		t.Errorf("%+v", r)
	}
	if l := explain(late); l.Snapshot == 0 || len(l.Checks) != 15 || l.Records > 2000 || l.Position < l.Snapshot { // a snapshot may end where the order begins
		t.Errorf("%+v", l)
	}
	// A FIX client's, by what it called them.
	named := func(id string) *Explanation {
		t.Helper()
		e, err := Explain(cfg, 0, control.OrderName{Session: "desk", Text: id}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := named("early:1"); e.ClOrdIDText != "early:1" || e.Snapshot != 0 || len(e.Checks) != 15 || e.Answer != "PendingNew" || e.PriceTicks != 9500 {
		t.Errorf("%+v", e)
	}
	if r := named("early:2"); r.Reason != "PriceCollar" || r.Limit != 9000 || r.Value != 100 || r.Checks[len(r.Checks)-1].Verdict != "refused" {
		t.Errorf("%+v", r)
	}
	// By the venue's number, which its records do not have.
	x := &explainer{session: 0, clOrdID: early, e: &Explanation{}}
	if err := x.search(cfg, 0, snapshot.Source{FS: disk.OS{}, New: func() (app.Machine, error) { return x.start(cfg.Lane(0)) }}, nil); err != nil || !x.found || x.e.Position != e.Position {
		t.Errorf("%v, %+v", err, x.e)
	}
	if _, err := Explain(cfg, 0, control.OrderName{Session: "client-1", ClOrdID: 1 << 40}, nil); !errors.Is(err, ErrExplain) {
		t.Errorf("an order that never was: %v", err)
	}
}
