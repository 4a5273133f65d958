package convert

import (
	"strings"
	"testing"
	"time"

	"onebeat/engine/sbe"
)

func names(t testing.TB, v Version) *Names {
	t.Helper()
	n, err := NewNames(v, []Instrument{{ID: 1, Name: "ONEB", Tick: Tick{Mantissa: 1, Digits: 2}}, {ID: 2, Name: "TWOB", Tick: Tick{Mantissa: 25, Digits: 3}}},
		map[string]uint32{"DESK-A": 7}, 7)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func fix(s string) []byte { return []byte(strings.ReplaceAll(s, "|", "\x01")) }

func TestPrices(t *testing.T) {
	for _, c := range []struct {
		tick, price string
		ticks       int64
		ok          bool
		back        string
	}{
		{"0.01", "100.25", 10025, true, "100.25"},
		{"0.01", "100.250", 10025, true, "100.25"},
		{"0.01", "100", 10000, true, "100"},
		{"0.01", "100.255", 0, false, ""},
		{"0.025", "0.05", 2, true, "0.05"},
		{"0.025", "0.06", 0, false, ""},
		{"1", "-3", -3, true, "-3"},
		{"0.01", "-0.5", -50, true, "-0.5"},
		{"1", "", 0, false, ""},
		{"1", ".", 0, false, ""},
		{"1", "1e3", 0, false, ""},
		{"1", "99999999999999999999", 0, false, ""},
		{"0.01", "92233720368547758.07", 0, false, ""},
	} {
		tick, err := ParseTick(c.tick)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := tick.Ticks([]byte(c.price))
		if ok != c.ok || got != c.ticks {
			t.Errorf("%s by %s: %d %v, want %d %v", c.price, c.tick, got, ok, c.ticks, c.ok)
		}
		if ok {
			if back := string(tick.AppendPrice(nil, got)); back != c.back {
				t.Errorf("%s by %s: back %s", c.price, c.tick, back)
			}
		}
	}
	if got := string(Tick{Mantissa: 1, Digits: 2}.AppendAverage(nil, 10001+2*10002, 3)); got != "100.016667" {
		t.Errorf("average %s", got)
	}
}

func TestTimes(t *testing.T) {
	for _, s := range []string{"19700101-00:00:00.000", "20240229-23:59:59.999", "20260101-00:00:00.001", "21000301-12:00:00.500", "20261231-23:59:59.000"} {
		at, err := time.Parse("20060102-15:04:05.000", s)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(AppendTime(nil, at.UnixNano())); got != s {
			t.Errorf("%s written as %s", s, got)
		}
		if ns, ok := Time([]byte(s)); !ok || ns != at.UnixNano() {
			t.Errorf("%s read as %d %v", s, ns, ok)
		}
	}
	for _, s := range []string{"", "20240230-00:00:00", "20240101-24:00:00", "2024010100:00:00.000", "20240101-00:00:00.", "20240101-00:00:0x"} {
		if _, ok := Time([]byte(s)); ok {
			t.Errorf("%q is a time", s)
		}
	}
}

func TestRequestsBothWays(t *testing.T) {
	for _, v := range []Version{FIX42, FIX44} {
		n := names(t, v)
		for _, c := range []struct {
			msgType byte
			body    string
		}{
			{'D', "11=A1|1=DESK-A|21=1|55=ONEB|54=1|60=20260101-00:00:00.000|38=100|40=2|44=100.25|59=3|"},
			{'D', "11=A1|1=DESK-A|21=1|55=TWOB|54=2|60=20260101-00:00:00.000|38=1|40=1|59=0|"},
			{'F', "41=A1|11=A2|1=DESK-A|21=1|55=ONEB|54=1|60=20260101-00:00:00.000|"},
			{'G', "41=A1|11=A3|1=DESK-A|21=1|55=ONEB|54=1|60=20260101-00:00:00.000|38=50|40=2|44=99|"},
		} {
			var r Request
			var b [sbe.MaxMessageBytes]byte
			if why := n.Request(c.msgType, fix(c.body), b[:], &r); why != nil {
				t.Fatalf("%c: %+v", c.msgType, *why)
			}
			at, _ := Time([]byte("20260101-00:00:00.000"))
			setIDs(&r)
			kind, body := n.AppendRequest(nil, r.Template, r.Block, at)
			want := strings.NewReplacer("=A1|", "=1|", "=A2|", "=2|", "=A3|", "=3|").Replace(c.body)
			if kind != c.msgType || string(body) != string(fix(want)) {
				t.Errorf("%v %c back:\n%s\nwant\n%s", v, kind, strings.ReplaceAll(string(body), "\x01", "|"), want)
			}
		}
	}
}

func setIDs(r *Request) {
	id := func(b []byte) (v uint64) {
		if len(b) > 0 {
			v = uint64(b[1] - '0')
		}
		return v
	}
	switch r.Template {
	case sbe.TemplateNewOrderSingle:
		sbe.AsNewOrderSingle(r.Block).SetClOrdID(id(r.ClOrdID))
	case sbe.TemplateOrderCancelRequest:
		sbe.AsOrderCancelRequest(r.Block).SetClOrdID(id(r.ClOrdID))
		sbe.AsOrderCancelRequest(r.Block).SetOrigClOrdID(id(r.OrigClOrdID))
	case sbe.TemplateOrderCancelReplaceRequest:
		sbe.AsOrderCancelReplaceRequest(r.Block).SetClOrdID(id(r.ClOrdID))
		sbe.AsOrderCancelReplaceRequest(r.Block).SetOrigClOrdID(id(r.OrigClOrdID))
	}
}

func TestRefusals(t *testing.T) {
	n := names(t, FIX44)
	for _, c := range []struct {
		msgType byte
		body    string
		tag     int
		answer  byte
	}{
		{'D', "55=ONEB|54=1|38=1|40=1|", 11, 'j'},
		{'D', "11=A|55=NONE|54=1|38=1|40=1|", 55, '8'},
		{'D', "11=A|55=ONEB|54=5|38=1|40=1|", 54, '8'},
		{'D', "11=A|55=ONEB|54=1|38=0|40=1|", 38, '8'},
		{'D', "11=A|55=ONEB|54=1|38=1.5|40=1|", 38, '8'},
		{'D', "11=A|55=ONEB|54=1|38=1|40=2|44=1.001|", 44, '8'},
		{'D', "11=A|55=ONEB|54=1|38=1|40=3|", 40, '8'},
		{'D', "11=A|55=ONEB|54=1|38=1|40=1|59=6|", 59, '8'},
		{'D', "11=A|1=OTHER|55=ONEB|54=1|38=1|40=1|", 1, '8'},
		{'D', "11=" + strings.Repeat("x", 37) + "|55=ONEB|54=1|38=1|40=1|", 11, '8'},
		{'F', "11=A|41=B|55=NONE|54=1|", 55, '9'},
		{'G', "11=A|41=B|55=ONEB|54=1|38=1|40=1|", 40, '9'},
		{'V', "11=A|55=ONEB|54=1|", 0, 'j'},
	} {
		var r Request
		var b [sbe.MaxMessageBytes]byte
		why := n.Request(c.msgType, fix(c.body), b[:], &r)
		if why == nil || why.Tag != c.tag {
			t.Errorf("%c %s: %+v", c.msgType, c.body, why)
			continue
		}
		if kind, _ := n.AppendRefusal(nil, c.msgType, fix(c.body), why, "x1", 0); kind != c.answer {
			t.Errorf("%c %s: answered by %c", c.msgType, c.body, kind)
		}
	}
}

func TestReportsBothWays(t *testing.T) {
	for _, v := range []Version{FIX42, FIX44} {
		n := names(t, v)
		for _, c := range []struct {
			exec   sbe.ExecType
			status sbe.OrdStatus
		}{
			{sbe.ExecTypeNew, sbe.OrdStatusNew}, {sbe.ExecTypeTrade, sbe.OrdStatusPartiallyFilled}, {sbe.ExecTypeTrade, sbe.OrdStatusFilled},
			{sbe.ExecTypeCancelled, sbe.OrdStatusCancelled}, {sbe.ExecTypeReplaced, sbe.OrdStatusNew},
			{sbe.ExecTypeRejected, sbe.OrdStatusRejected}, {sbe.ExecTypeOrderStatus, sbe.OrdStatusPartiallyFilled},
			{sbe.ExecTypePendingCancel, sbe.OrdStatusPendingCancel},
		} {
			var block [sbe.ExecutionReportBytes]byte
			r := sbe.AsExecutionReport(block[:])
			r.SetOrderID(77)
			r.SetExecID(5)
			r.SetClOrdID(1)
			r.SetTransactTimeNs(uint64(time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC).UnixNano()))
			r.SetPriceTicks(10_025)
			r.SetSymbolID(1)
			r.SetAccount(7)
			r.SetOrderQtyLots(10)
			r.SetCumQtyLots(4)
			r.SetLeavesQtyLots(6)
			if c.exec == sbe.ExecTypeTrade {
				r.SetLastPriceTicks(10_024)
				r.SetLastQtyLots(4)
			}
			r.SetSide(sbe.SideSell)
			r.SetOrdType(sbe.OrdTypeLimit)
			r.SetExecType(c.exec)
			r.SetOrdStatus(c.status)
			if c.exec == sbe.ExecTypeRejected {
				r.SetReason(sbe.RejectReasonUnknownSymbol)
			}
			body := n.AppendReport(nil, &Report{ExecutionReport: r, ClOrdID: []byte("1"), TradedSum: 4 * 10_024})
			var b [sbe.MaxMessageBytes]byte
			template, back, ok := n.FromVenue('8', body, b[:])
			if !ok || template != sbe.TemplateExecutionReport {
				t.Fatalf("%v %v not read back: %s", v, c.exec, body)
			}
			if string(back) != string(block[:]) {
				t.Errorf("%v %v %v:\n%x\n%x\n%s", v, c.exec, c.status, back, block, strings.ReplaceAll(string(body), "\x01", "|"))
			}
		}
	}
}

func TestReportsDoNotAllocate(t *testing.T) {
	n := names(t, FIX44)
	var block [sbe.ExecutionReportBytes]byte
	r := Report{ExecutionReport: sbe.AsExecutionReport(block[:]), ClOrdID: []byte("A1")}
	r.SetSymbolID(1)
	r.SetAccount(7)
	b := make([]byte, 0, 1024)
	if a := testing.AllocsPerRun(100, func() { b = n.AppendReport(b[:0], &r) }); a != 0 {
		t.Errorf("%v allocations", a)
	}
	var in [sbe.MaxMessageBytes]byte
	var q Request
	order := fix("11=A1|1=DESK-A|55=ONEB|54=1|38=100|40=2|44=100.25|59=3|")
	if a := testing.AllocsPerRun(100, func() { n.Request('D', order, in[:], &q) }); a != 0 {
		t.Errorf("%v allocations in", a)
	}
}

func FuzzFromAnywhere(f *testing.F) {
	f.Add(byte('D'), []byte("11=A\x0155=ONEB\x0154=1\x0138=1\x0140=2\x0144=1\x01"))
	f.Add(byte('8'), []byte("11=1\x0155=ONEB\x01150=F\x0139=1\x0131=1\x0132=3\x01"))
	n := names(f, FIX42)
	f.Fuzz(func(t *testing.T, msgType byte, body []byte) {
		var b [sbe.MaxMessageBytes]byte
		var r Request
		if why := n.Request(msgType, body, b[:], &r); why != nil {
			n.AppendRefusal(nil, msgType, body, why, "x", 0)
		}
		n.FromVenue(msgType, body, b[:])
	})
}
