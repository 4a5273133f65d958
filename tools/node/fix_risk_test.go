package node

import (
	"fmt"
	"strings"
	"testing"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/tools/control"
	"onebeat/tools/inspect"
)

// setLimits gives a scope limits, "name=value", as an operator.
func (w *world) setLimits(place string, scope control.Operate, limits ...string) {
	w.t.Helper()
	for _, l := range limits {
		name, value, _ := strings.Cut(l, "=")
		scope.Kind, scope.Limit = "risk set", name
		if _, err := fmt.Sscan(value, &scope.Value); err != nil {
			w.t.Fatal(err)
		}
		w.mustOperate(place, scope)
	}
}

// TestFIXOrdersMeetEveryCheck: each refusal is an ExecutionReport with its reason and
// text, limits come from the file and from an operator, and a failover keeps them.
func TestFIXOrdersMeetEveryCheck(t *testing.T) {
	w := steadyUDP(t, setting{app: "gateway", calm: true, witness: true, session: fixLines(fixDesk + "\n[lane.fix.session.risk]\nmax_qty_lots = 50")})
	p := w.dialFIX(lab.NodeA, "DESK", nil)
	p.logon("")
	p.refused("q-1", "3", "Quantity exceeds the limit", "38=51") // of the file
	p.rests("q-2", "38=50")

	desk := control.Operate{Session: "desk"}
	account, symbol := uint32(1), control.Operate{Symbol: "ONEB"}
	of := control.Operate{Account: &account}
	w.mustOperate(lab.NodeA, control.Operate{Kind: "risk reference", Symbol: "ONEB", Price: 0})
	p.refused("r-1", "99", "No reference price", "40=1", "44=")
	w.mustOperate(lab.NodeA, control.Operate{Kind: "risk reference", Symbol: "ONEB", Price: 10_000})
	for i, c := range []struct {
		scope               control.Operate
		set, unset          string
		reason, text, order string
	}{
		{desk, "max_qty_lots=1", "max_qty_lots=50", "3", "Quantity exceeds the limit", "38=2"},
		{symbol, "collar_percent=2", "collar_percent=-1", "99", "Price is outside of the collar", "44=9799"},
		{desk, "max_notional=10000", "max_notional=-1", "3", "Notional exceeds the limit", "38=2"},
		{of, "max_position_lots=51", "max_position_lots=-1", "3", "Position limit", "38=2"},
		{of, "max_gross_lots=51", "max_gross_lots=-1", "3", "Gross position limit", "54=2|44=10900"},
		{desk, "max_open_orders=1", "max_open_orders=-1", "3", "Too many orders are open", ""},
		{of, "max_open_notional=480000", "max_open_notional=-1", "3", "Notional of open orders exceeds the limit", ""},
		{of, "max_credit=480000", "max_credit=-1", "3", "Credit exceeded", ""},
		{desk, "restricted=1", "restricted=-1", "99", "Trading is restricted", ""},
		{symbol, "restricted=1", "restricted=-1", "99", "Trading is restricted", ""},
		{of, "self_match=1", "self_match=-1", "99", "An order of the same account would meet it", "54=2|44=9500"},
	} {
		w.setLimits(lab.NodeA, c.scope, c.set)
		var change []string
		if c.order != "" {
			change = strings.Split(c.order, "|")
		}
		p.refused(fmt.Sprintf("c-%d", i), c.reason, c.text, change...)
		w.setLimits(lab.NodeA, c.scope, c.unset)
	}
	p.refused("u-1", "1", "Unknown symbol", "55=NONE")

	w.setLimits(lab.NodeA, desk, "duplicate_window_ms=60000")
	p.rests("d-1", "44=9400")
	p.refused("d-2", "99", "The same order was sent just before", "44=9400")
	w.setLimits(lab.NodeA, desk, "duplicate_window_ms=-1", "max_orders_per_second=3")
	for i := range 4 { // more than three of them in any second
		p.order(fmt.Sprintf("o-%d", i))
	}
	p.await("8", "11=o-3", "150=8", "103=99", "58=Too many orders in a second")
	w.setLimits(lab.NodeA, desk, "max_orders_per_second=-1")

	// The throttle stays, over a failover, until somebody enables the account again.
	w.setLimits(lab.NodeA, of, "max_repeated_executions=2", "repeat_window_ms=60000")
	for _, id := range []string{"t-1", "t-2"} {
		p.order(id, "54=2", "44=9500")
		p.await("8", "11="+id, "150=F")
	}
	throttled := func(id string) {
		t.Helper()
		p.refused(id, "99", "Stopped after repeated executions, until a person enables it again")
	}
	throttled("t-3")
	s := w.statusOf(lab.NodeA).Stops
	if s == nil || len(s.Throttled) != 1 || s.Throttled[0].Account != 1 {
		t.Errorf("status: %+v", s)
	}
	w.kill(lab.NodeA)
	w.untilState(lab.NodeB, lane.Active)
	next := p.out
	p = w.dialFIX(lab.NodeB, "DESK", nil)
	p.out = next
	p.logon("")
	throttled("t-4")
	w.mustOperate(lab.NodeB, control.Operate{Kind: "risk enable", Account: &account, Symbol: "ONEB"})
	p.rests("t-5")
	p.refused("q-3", "3", "Quantity exceeds the limit", "38=51")
	if s := w.statusOf(lab.NodeB).Stops; s != nil {
		t.Errorf("status: %+v", s)
	}
}

// TestOperatorsAndFIXSessions: kill, order, session and explain know a FIX session and
// its orders by their names.
func TestOperatorsAndFIXSessions(t *testing.T) {
	w := steadyUDP(t, setting{app: "gateway", calm: true, witness: true, session: fixLines(fixDesk + "\nversion = \"FIX.4.2\"")})
	p := w.dialFIX(lab.NodeA, "DESK", nil)
	p.version = "FIX.4.2"
	p.logon("")
	p.rests("a:1/x")
	p.rests("a:2/x", "44=9400")

	order := func(place string, do string, id string) control.Operate {
		return control.Operate{Kind: do, Session: "desk", Text: id}
	}
	if _, err := w.operate(lab.NodeA, order(lab.NodeA, "order cancel", "a:9")); err == nil || !strings.Contains(err.Error(), `no order "a:9"`) {
		t.Errorf("an order that never was: %v", err)
	}
	var o *control.OrderStatus
	w.beside(func() {
		v, err := w.nodes[lab.NodeB].show(&control.Show{What: control.ShowOrder, Session: "desk", Text: "a:1/x"})
		if err != nil {
			t.Error(err)
			return
		}
		o = v.(*control.OrderStatus)
	})
	if o == nil || o.Text != "a:1/x" || o.Session != "desk" || !o.Open || o.PriceTicks != 9500 {
		t.Errorf("status of an order, at the standby: %+v", o)
	}
	w.mustOperate(lab.NodeA, order(lab.NodeA, "order cancel", "a:1/x"))
	p.await("8", "11=a:1/x", "150=4", "58=By an operator")

	// Numbers of the session go on behind an end that the operator wants.
	w.mustOperate(lab.NodeA, control.Operate{Kind: "session terminate", Session: "desk"})
	p.ends()
	p = p.again(lab.NodeA)
	p.logon("")
	w.mustOperate(lab.NodeA, control.Operate{Kind: "session block", Session: "desk"})
	p.ends()
	p = p.again(lab.NodeA)
	p.send("A", "98=0|108=30|")
	p.ends()
	p.out-- // nobody took it
	w.untilCounted(lab.NodeA, "fix_tcp_blocked", 1)
	w.mustOperate(lab.NodeA, control.Operate{Kind: "session unblock", Session: "desk"})
	p = p.again(lab.NodeA)
	p.logon("")

	r := w.mustOperate(lab.NodeA, control.Operate{Kind: "kill", Session: "desk"})
	if r.Count != 1 {
		t.Errorf("%d orders are to go", r.Count)
	}
	p.await("8", "11=a:2/x", "150=4", "58=Blocked by the kill switch")
	p.refused("k-1", "99", "Blocked by the kill switch")
	if s := w.statusOf(lab.NodeA).Stops; s == nil || len(s.Sessions) != 1 || s.Sessions[0] != "desk" {
		t.Errorf("status: %+v", s)
	}
	w.kill(lab.NodeA)
	w.untilState(lab.NodeB, lane.Active)
	p = p.again(lab.NodeB)
	p.logon("")
	p.refused("k-2", "99", "Blocked by the kill switch")
	w.mustOperate(lab.NodeB, control.Operate{Kind: "kill release", Session: "desk"})
	p.rests("k-3")

	// Numbers begin where the operator says, and its client knows.
	w.mustOperate(lab.NodeB, control.Operate{Kind: "session reset", Session: "desk", Value: 500})
	p.ends()
	p = p.again(lab.NodeB)
	p.out = 500
	p.logon("", "34=500")
	p.rests("k-4")
	w.explainsFIX("k-1", "kill switch", "a:2/x", "self-match")
}

// again connects as the same client, which goes on with its next number.
func (p *fixPeer) again(place string) *fixPeer {
	p.w.t.Helper()
	_ = p.conn.Close()
	n := p.w.dialFIX(place, p.target, nil)
	n.out, n.version = p.out, p.version
	return n
}

// explainsFIX asks NodeB's log why an order of desk was refused, by which check, and
// another one taken, whose last check is given.
func (w *world) explainsFIX(refused, by, taken, last string) {
	w.t.Helper()
	cfg := w.config(lab.NodeB)
	explain := func(id string) (*Explanation, error) {
		r, err := inspect.OpenRingFile(filePath(cfg, 0))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return Explain(cfg, 0, control.OrderName{Session: "desk", Text: id}, r)
	}
	for id, check := range map[string]string{refused: by, taken: last} {
		e, err := explain(id)
		if err != nil {
			w.t.Errorf("%s: %v", id, err)
			continue
		}
		n := len(e.Checks)
		if n == 0 || e.Checks[n-1].Check != check || e.ClOrdIDText != id || (e.Checks[n-1].Verdict == "refused") != (id == refused) {
			w.t.Errorf("%s: %+v", id, e)
		}
	}
	if _, err := explain("never"); err == nil {
		w.t.Error("an order that never was is explained")
	}
}
