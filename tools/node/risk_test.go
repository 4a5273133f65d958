package node

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"onebeat/bench/lab"
	"onebeat/engine/client"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
	"onebeat/tools/control"
	"onebeat/tools/inspect"
)

// beside runs f while everybody is stepped.
func (w *world) beside(f func()) {
	w.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	w.until("an answer to the operator", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}

// operate gives a command of lane 0 to a node.
func (w *world) operate(place string, o control.Operate) (r *control.Operated, err error) {
	w.t.Helper()
	o.Why = "test"
	w.beside(func() { r, err = w.nodes[place].operate(context.Background(), &o) })
	return r, err
}

func (w *world) mustOperate(place string, o control.Operate) *control.Operated {
	w.t.Helper()
	r, err := w.operate(place, o)
	if err != nil {
		w.t.Fatalf("%s on %s: %v%s", o.Kind, place, err, w.describe())
	}
	return r
}

func (w *world) riskOf(place string) (s *control.RiskStatus) {
	w.t.Helper()
	w.beside(func() {
		v, err := w.nodes[place].show(&control.Show{What: control.ShowRisk, Session: "client-1"})
		if err != nil {
			w.t.Error(err)
			return
		}
		s = v.(*control.RiskStatus)
	})
	return s
}

func (w *world) openOrders(place string) uint32 {
	w.t.Helper()
	return w.sessionsOf(place)[0].Orders
}

func (w *world) sessionsOf(place string) (list []control.SessionLine) {
	w.t.Helper()
	w.beside(func() {
		v, err := w.nodes[place].show(&control.Show{What: control.ShowSessions})
		if err != nil {
			w.t.Error(err)
			return
		}
		list = v.(*control.SessionList).Sessions
	})
	return list
}

// rest sends an order that nothing trades with.
func (c *testClient) rest(lots uint32) uint64 {
	c.w.t.Helper()
	c.nextID++
	if !c.c.SendOrder(&client.Order{ClOrdID: c.nextID, PriceTicks: 9500, SymbolID: 1, QtyLots: lots, Account: 7,
		Side: sbe.SideBuy, OrdType: sbe.OrdTypeLimit, TimeInForce: sbe.TimeInForceDay}, c.w.clock.NowNs()) {
		c.w.t.Fatalf("order %d not taken%s", c.nextID, c.w.describe())
	}
	return c.nextID
}

// refused sends an order and waits until it is refused.
func (c *testClient) refused(lots uint32) uint64 {
	c.w.t.Helper()
	id := c.rest(lots)
	c.w.until("a refusal", func() bool { return c.rejected[id] > 0 })
	return id
}

func (c *testClient) taken(lots uint32) uint64 {
	c.w.t.Helper()
	id := c.rest(lots)
	c.w.until("the venue's answer", func() bool { return len(c.answered[id]) >= 2 })
	if c.answered[id][1] != sbe.ExecTypeNew {
		c.w.t.Fatalf("order %d: %v", id, c.answered[id])
	}
	return id
}

func ended(answers []sbe.ExecType) bool {
	return len(answers) > 0 && answers[len(answers)-1] == sbe.ExecTypeCancelled
}

// TestLimitsSetAtRunTimeSurviveFailover: and who is asked in vain says who serves.
func TestLimitsSetAtRunTimeSurviveFailover(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	set := control.Operate{Kind: "risk set", Session: "client-1", Limit: "max_qty_lots", Value: 5}
	if _, err := w.operate(lab.NodeB, set); err == nil || !strings.Contains(err.Error(), "node 1 is ACTIVE, give the command there") {
		t.Errorf("a standby: %v", err)
	}
	first := w.client.taken(6)
	if r := w.mustOperate(lab.NodeA, set); r.Count < 2 || r.Position == 0 || !strings.Contains(r.Command, "risk set session 0") || !strings.Contains(r.Command, "test") {
		t.Errorf("%+v", r)
	}
	second := w.client.refused(6)
	for _, bad := range []control.Operate{{Kind: "risk set", Limit: "max_qty", Value: 1}, {Kind: "risk set", Session: "nobody", Limit: "max_qty_lots"},
		{Kind: "risk set", Limit: "collar_percent", Value: 101}, {Kind: "dance"}, {Kind: "risk enable"}} {
		if r, err := w.operate(lab.NodeA, bad); err == nil {
			t.Errorf("%+v: %+v", bad, r)
		}
	}
	w.until("the standby has it", func() bool { return w.at(lab.NodeB, 0).mem.table.Tail == w.at(lab.NodeA, 0).mem.table.Tail })
	w.kill(lab.NodeA)
	w.client.refused(6)
	w.client.taken(5)
	w.explains(first, "passed", 6, 1000, "default")
	w.explains(second, "refused", 6, 5, "session")
	s := w.riskOf(lab.NodeB)
	if l := s.Limits[0]; l.Name != "max_qty_lots" || l.Value != 5 || l.From != "session" || s.State != "ACTIVE" || len(s.Scopes) != 1 {
		t.Errorf("%+v", s)
	}
	w.mustOperate(lab.NodeB, control.Operate{Kind: "risk set", Session: "client-1", Limit: "max_qty_lots", Value: -1})
	w.client.taken(6)
}

// explains asks NodeB's ring why an order was taken, or was not.
func (w *world) explains(id uint64, verdict string, value, limit int64, from string) {
	w.t.Helper()
	r, err := inspect.OpenRing(w.lab.BPFFS(lab.NodeB), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	e, err := Explain(w.config(lab.NodeB), 0, control.OrderName{Session: "client-1", Text: fmt.Sprint(id)}, r)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range e.Checks {
		if c.Check == "quantity" {
			if c.Verdict != verdict || c.Value != value || c.Limit != limit || c.From != from || e.QtyLots != uint32(value) || e.Account != 7 {
				w.t.Errorf("%+v of %+v", c, e)
			}
			return
		}
	}
	w.t.Errorf("no check of the quantity: %+v", e)
}

// TestKillSwitchDuringFlowAndFailover: the node dies just after it said that the kill
// is in force, with orders of one step cancelled at most; its successor goes on.
func TestKillSwitchDuringFlowAndFailover(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	var resting []uint64
	for range 60 {
		resting = append(resting, w.client.taken(2))
	}
	for range 50 { // flow
		w.client.order()
	}
	r := w.mustOperate(lab.NodeA, control.Operate{Kind: "kill", Session: "client-1"})
	if r.Count < 60 {
		t.Errorf("%d open orders are to be cancelled", r.Count)
	}
	w.kill(lab.NodeA)
	w.untilState(lab.NodeB, lane.Active)
	for _, id := range resting {
		w.until("every order cancelled", func() bool { return ended(w.client.answered[id]) })
	}
	w.client.refused(1)
	w.until("nothing open", func() bool { return w.client.c.Unanswered() == 0 && w.openOrders(lab.NodeB) == 0 })
	if s := w.riskOf(lab.NodeB); len(s.Scopes) != 1 || !s.Scopes[0].Killed {
		t.Errorf("%+v", s)
	}
	w.mustOperate(lab.NodeB, control.Operate{Kind: "kill release", Session: "client-1"})
	w.client.taken(2)
}

// TestCancelOnDisconnect: not after a failover, which the client's session outlives;
// after the client's death, once its window is over.
func TestCancelOnDisconnect(t *testing.T) {
	w := steady(t, setting{app: "gateway", session: "cancel_on_disconnect = \"400ms\""})
	var resting []uint64
	for range 40 {
		resting = append(resting, w.client.taken(1))
	}
	w.kill(lab.NodeA)
	from := w.clock.NowNs()
	w.until("longer than the window", func() bool { return w.clock.NowNs()-from > 700_000_000 })
	if n := w.openOrders(lab.NodeB); n < 40 {
		t.Fatalf("%d orders are open behind a failover", n)
	}
	c := w.client
	w.client = nil // it is not stepped: it died
	defer func() { w.client = c }()
	w.until("its orders are cancelled", func() bool { return w.openOrders(lab.NodeB) == 0 })
	w.client = c // it comes back and hears of it
	for _, id := range resting {
		w.until("it was told", func() bool { return ended(c.answered[id]) })
	}
	c.taken(1)
}

// TestNobodyIsToldOfACommandThatOnlyOneNodeHas: as of an order. What it is about can be
// looked at meanwhile, and once the standby has it, it counts.
func TestNobodyIsToldOfACommandThatOnlyOneNodeHas(t *testing.T) {
	w := steady(t, setting{app: "gateway"})
	w.carrier(lab.NodeB, lab.LinkNIC, false)
	set := control.Operate{Kind: "risk set", Limit: "max_qty_lots", Value: 3}
	if r, err := w.operate(lab.NodeA, set); err == nil || !strings.Contains(err.Error(), "for certain") {
		t.Fatalf("%+v, %v", r, err)
	}
	if s := w.riskOf(lab.NodeA); s.Limits[0].Value != 3 {
		t.Errorf("%+v", s.Limits[0])
	}
	w.carrier(lab.NodeB, lab.LinkNIC, true)
	if r := w.mustOperate(lab.NodeA, set); r.Outcome != operator.Unchanged.String() {
		t.Errorf("%+v", r)
	}
}
