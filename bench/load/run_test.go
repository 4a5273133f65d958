package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"onebeat/engine/client"
	"onebeat/engine/client/conn"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/xdp/frame"
)

func testOptions() Options {
	return Options{
		Interface: "none0", Targets: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.9:9000")},
		Session: testSession, Key: fixp.NewKey("k"), RatePerSecond: 20_000, Duration: 200 * time.Millisecond,
		FirstClOrdID: 1000, Resend: 2 * time.Millisecond, Connect: 10 * time.Second, Drain: 30 * time.Second, Idle: IdleYield,
	}
}

// newTestRunner is what open makes, with a lane in memory for a NIC.
func newTestRunner(t testing.TB, o *Options) (*runner, *memoryLane, *conn.Clock) {
	t.Helper()
	if err := o.defaults(); err != nil {
		t.Fatal(err)
	}
	c, err := conn.NewClock()
	if err != nil {
		t.Fatal(err)
	}
	r := newRunner(o)
	l := newMemoryLane(t, c.NowNs)
	k, err := conn.New(r.config(o), r, l, frame.Endpoint{MAC: [6]byte{2, 0, 0, 0, 0, 1}, Port: 40_000, IP: frame.IPv4([4]byte{10, 0, 0, 1})},
		[]frame.Endpoint{{MAC: laneAt.MAC, Port: 9000, IP: laneAt.IP}})
	if err != nil {
		t.Fatal(err)
	}
	r.use(k)
	return r, l, &c
}

func TestEveryOrderIsAnswered(t *testing.T) {
	for _, c := range []struct {
		name string
		drop int
	}{{"good network", 0}, {"every 7th frame is lost", 7}} {
		t.Run(c.name, func(t *testing.T) {
			o := testOptions()
			o.Mark = o.Duration / 2
			if c.drop == 0 {
				o.Resend = 10 * time.Second // a machine that is slow is no bad network
			}
			r, l, clk := newTestRunner(t, &o)
			l.drop = c.drop
			res, err := r.run(&o, clk, nil)
			if err != nil {
				t.Fatal(err)
			}
			const orders = 4000
			if res.Due != orders || res.Sent != orders || res.Accepted != orders || res.Unanswered != 0 || res.Unknown != 0 {
				t.Fatal(brief(res))
			}
			if resent := res.Client.Resent + res.Client.Renumbered; (resent > 0) != (c.drop > 0) {
				t.Errorf("%d orders sent again", resent)
			}
			if res.Before.Count+res.After.Count != orders || res.Latency.P50 <= 0 || res.Latency.Max < res.Latency.P99 {
				t.Errorf("latencies %+v %+v %+v", res.Latency, res.Before, res.After)
			}
			for i := range res.Orders {
				if ord := &res.Orders[i]; ord.FirstSentNs < ord.IntendedNs || ord.FirstAnswerNs < ord.FirstSentNs || ord.Sends == 0 || ord.Accepts != 1 {
					t.Fatalf("order %d: %+v", i, ord)
				}
			}
			if len(res.Servers) != 1 || res.Servers[0].MAC[5] != 9 {
				t.Errorf("servers %+v", res.Servers)
			}
		})
	}
}

// TestOutageCounts: orders due while the lane is dead count from when they
// were due, and the new server is told apart.
func TestOutageCounts(t *testing.T) {
	o := testOptions()
	r, l, clk := newTestRunner(t, &o)
	const outageNs = 50_000_000
	if err := r.connect(&o, clk, nil); err != nil {
		t.Fatal(err)
	}
	r.schedule(clk.NowNs(), o.RatePerSecond)
	startNs := r.orders[0].IntendedNs
	for r.next < len(r.orders) {
		nowNs := clk.NowNs()
		l.dead = nowNs > startNs+outageNs && nowNs < startNs+2*outageNs
		if nowNs >= startNs+2*outageNs {
			l.mac = 10
		}
		r.cycle(nowNs, true)
	}
	l.dead = false
	r.drain(clk, o.Drain.Nanoseconds())
	res := r.result(&o, startNs, clk.NowNs())
	if res.Unanswered != 0 || len(res.Servers) != 2 {
		t.Fatalf("%d unanswered, servers %v", res.Unanswered, res.ServerList)
	}
	if res.Latency.Max < outageNs*9/10 {
		t.Errorf("the outage of 50 ms shows as %d ns", res.Latency.Max)
	}
	// A quarter of the orders were due in the outage: half of those waited
	// more than half of it.
	if p90 := Measure(res.Orders, 0, 0).P90; p90 < outageNs/4 {
		t.Errorf("p90 is %d ns: the orders that were due in the outage are not in it", p90)
	}
	if r.conn.Target().MAC[5] != 10 {
		t.Errorf("still sends to %v", r.conn.Target().MAC)
	}
}

func TestCycleAllocatesNothing(t *testing.T) {
	o := testOptions()
	o.Duration = time.Second
	r, _, clk := newTestRunner(t, &o)
	if err := r.connect(&o, clk, nil); err != nil {
		t.Fatal(err)
	}
	r.schedule(clk.NowNs(), o.RatePerSecond)
	nowNs := r.orders[0].IntendedNs
	if n := testing.AllocsPerRun(5000, func() { nowNs += 50_000; r.cycle(nowNs, true) }); n != 0 {
		t.Errorf("%v allocations a cycle", n)
	}
	if r.answered.Load() < 4000 {
		t.Errorf("only %d orders were answered", r.answered.Load())
	}
}

func TestStop(t *testing.T) {
	o := testOptions()
	o.Duration = time.Minute
	r, _, clk := newTestRunner(t, &o)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for r.answered.Load() < 200 {
			time.Sleep(time.Millisecond)
		}
	}()
	res, err := r.run(&o, clk, stop)
	if err != nil || res.Due != res.Sent || res.Unanswered != 0 || res.Due < 100 || res.Due > 600_000 {
		t.Errorf("%s, %v", brief(res), err)
	}
}

// brief is a result without its orders.
func brief(res *Result) string {
	if res == nil {
		return "no result"
	}
	b := *res
	b.Orders = nil
	return fmt.Sprintf("%+v", b)
}

func TestNobodyAnswers(t *testing.T) {
	o := testOptions()
	o.Connect = 20 * time.Millisecond
	r, l, clk := newTestRunner(t, &o)
	l.dead = true
	if _, err := r.run(&o, clk, nil); !errors.Is(err, ErrConnect) {
		t.Errorf("got %v", err)
	}
}

// An order whose answer was lost, so that its status was asked for: whoever was
// refused is not taken for acknowledged, who asks twice is not for doubled.
func TestAnswersByStatus(t *testing.T) {
	o := testOptions()
	r, _, _ := newTestRunner(t, &o)
	r.orders, r.nowNs = make([]Order, 2), 5
	for i, status := range []sbe.OrdStatus{sbe.OrdStatusRejected, sbe.OrdStatusPendingNew} {
		var m sbe.ExecutionReport
		m.SetClOrdID(r.first + uint64(i))
		m.SetExecType(sbe.ExecTypeOrderStatus)
		m.SetOrdStatus(status)
		r.OnReport(&client.Answer{Sends: 2}, &m)
		r.OnReport(&client.Answer{Sends: 2}, &m)
	}
	if refused := &r.orders[0]; refused.Accepted() {
		t.Errorf("refused: %+v", refused)
	}
	if taken := &r.orders[1]; !taken.Accepted() || taken.Accepts != 1 || taken.Answers != 2 {
		t.Errorf("taken: %+v", taken)
	}
}

func TestCSVRoundTrip(t *testing.T) {
	servers := []Server{{MAC: [6]byte{2, 0, 0, 0, 0, 1}}, {MAC: [6]byte{2, 0, 0, 0, 0, 2}}}
	orders := []Order{
		{ClOrdID: 5, IntendedNs: 1, FirstSentNs: 2, FirstAnswerNs: 3, Sends: 1, Answers: 2, Accepts: 1, ExecType: 'A', Server: 0},
		{ClOrdID: 6, IntendedNs: 4, FirstSentNs: 5, Sends: 3},
		{ClOrdID: 7, IntendedNs: 6, FirstSentNs: 7, FirstAnswerNs: 9, Sends: 2, Answers: 1, ExecType: '8', Server: 1, Reason: uint16(sbe.RejectReasonDuplicateClOrdID)},
	}
	path := filepath.Join(t.TempDir(), "orders.csv")
	var b bytes.Buffer
	if err := WriteCSV(&b, orders, servers); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, gotServers, err := ReadCSV(path)
	if err != nil || !slices.Equal(got, orders) || len(gotServers) != 2 || gotServers[1].MAC != servers[1].MAC {
		t.Errorf("got %+v %+v, %v", got, gotServers, err)
	}
	bad := strings.Replace(b.String(), "\n5,", "\nfive,", 1)
	if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadCSV(path); err == nil || !strings.Contains(err.Error(), ":2:1:") {
		t.Errorf("got %v, want the place of the error", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.Interface = "" }, "no interface"},
		{func(o *Options) { o.Targets = nil }, "0 targets"},
		{func(o *Options) { o.Transport = "tcp" }, `transport "tcp" is not known`},
		{func(o *Options) { o.Transport = TransportUDP }, "no local address"},
		{func(o *Options) { o.RatePerSecond = 0 }, "rate 0 is out of range"},
		{func(o *Options) { o.Duration = -1 }, "is not positive"},
		{func(o *Options) { o.Idle = "doze" }, `idle "doze" is not known`},
		{func(o *Options) { o.RatePerSecond, o.Duration = 1_000_000, time.Hour }, "3600000000 orders"},
	} {
		o := testOptions()
		c.change(&o)
		if err := o.defaults(); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
