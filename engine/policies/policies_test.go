package policies

import (
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/mirror/policy"
)

func order(position uint64, lots uint32) *app.Record {
	raw := make([]byte, sbe.PrefixBytes+sbe.NewOrderSingleBytes)
	sbe.AsNewOrderSingle(sbe.Put(raw, sbe.TemplateNewOrderSingle, sbe.NewOrderSingleBytes)).SetQtyLots(lots)
	return &app.Record{Position: position, Type: app.RecordMessage,
		Payload: fixp.PutMessage(make([]byte, 200), 0, 1, raw[sbe.SOFHBytes:])}
}

func make1(t *testing.T, text string) (policy.Policy, policy.Observer) {
	t.Helper()
	p, err := policy.New(text)
	if err != nil {
		t.Fatal(err)
	}
	return p, p.(policy.Bounded).Policy.(policy.Observer)
}

// Small orders leave when they are mirrored, large ones when they are archived,
// and what stands behind them with them.
func TestLargeOrders(t *testing.T) {
	p, o := make1(t, "large-orders:500")
	v := policy.View{PeerInSet: true}
	released := func(tail, mirrored, archived, want uint64) {
		t.Helper()
		v.Tail, v.PeerTail, v.PeerArchived = tail, mirrored, archived
		if got := p.Releasable(&v); got != want {
			t.Errorf("tail %d, mirrored %d, archived %d: %d, want %d", tail, mirrored, archived, got, want)
		}
	}
	o.Observe(order(0, 499), 128)
	released(128, 128, 0, 128)
	o.Observe(order(128, 500), 256)
	o.Observe(order(256, 1), 384)
	released(384, 384, 0, 128)
	released(384, 384, 128, 128)
	released(384, 256, 256, 256)
	released(384, 384, 256, 384) // the small one behind it
	o.Observe(order(384, 501), 512)
	o.Observe(order(512, 502), 640)
	released(640, 640, 256, 384)
	released(640, 640, 512, 512)
	released(640, 640, 640, 640)
}

// More large orders than are kept apart wait together: none leaves early.
func TestManyLargeOrders(t *testing.T) {
	p, o := make1(t, "large-orders:1")
	const orders = 3 * stretches
	for i := uint64(0); i < orders; i++ {
		o.Observe(order(i*128, 1), (i+1)*128)
	}
	v := policy.View{Tail: orders * 128, PeerTail: orders * 128, PeerInSet: true}
	for i := uint64(0); i <= orders; i++ {
		v.PeerArchived = i * 128
		if got := p.Releasable(&v); got != i*128 {
			t.Fatalf("archived %d, released %d", i*128, got)
		}
	}
}

func TestOutsideHours(t *testing.T) {
	p, o := make1(t, "outside-hours:08:00-16:30")
	v := policy.View{Tail: 256, PeerTail: 256, PeerArchived: 128, PeerInSet: true}
	for _, c := range []struct {
		hours, minutes int64
		want           uint64
	}{{7, 59, 128}, {8, 0, 256}, {16, 29, 256}, {16, 30, 128}, {0, 0, 128}, {23, 59, 128}} {
		o.Observe(&app.Record{TimeNs: 20_000*dayNs + (c.hours*60+c.minutes)*minuteNs}, 0)
		if got := p.Releasable(&v); got != c.want {
			t.Errorf("%02d:%02d: %d, want %d", c.hours, c.minutes, got, c.want)
		}
	}
}

func TestArgumentsAreRefused(t *testing.T) {
	for _, text := range []string{"large-orders", "large-orders:", "large-orders:0", "large-orders:-1", "large-orders:x",
		"outside-hours", "outside-hours:8-16", "outside-hours:16:00-08:00", "outside-hours:08:00-24:01", "outside-hours:08:60-09:00"} {
		if _, err := policy.New(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	for _, text := range []string{"large-orders:1", "outside-hours:08:00-16:30"} {
		p, o := make1(t, text)
		rec, v := order(0, 1), policy.View{}
		if n := testing.AllocsPerRun(100, func() {
			o.Observe(rec, 128)
			p.Releasable(&v)
		}); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}
