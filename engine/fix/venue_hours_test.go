package fix

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"onebeat/engine/app"
	"onebeat/engine/fix/store"
	"onebeat/engine/venue"
)

// TestOrdersWhileAFIXVenueIsClosed: orders of the night wait for the morning, or are
// refused at once, as the line's queue says, also those that a second primary takes.
// None is in doubt, for none left: not even what the first primary had numbered when its
// venue was gone already.
func TestOrdersWhileAFIXVenueIsClosed(t *testing.T) {
	for _, queue := range []int{0, 100} {
		t.Run(fmt.Sprintf("queue of %d", queue), func(t *testing.T) { ordersOfTheNight(t, queue) })
	}
}

func ordersOfTheNight(t *testing.T, queue int) {
	const each = 20
	hours, err := NewSchedule("09:00:00", "17:00:00", "UTC", nil, "", "")
	if err != nil {
		t.Fatal(err)
	}
	x := startExchange(t)
	tr := newTrader(t)
	var wall atomic.Pointer[time.Time]
	at := func(day, hour int) {
		v := time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC)
		wall.Store(&v)
	}
	var closed atomic.Bool
	var digest uint64
	live := func(log []app.Record, epoch uint32) *machineLane {
		return gatewayHours(t, tr, func() string { return x.listener.Addr().String() }, log, epoch, venue.Config{QueueMax: queue}, hours, func(l *machineLane) {
			if digest != 0 && l.m.Digest() != digest {
				t.Errorf("the log makes a state with digest %x of one with %x", l.m.Digest(), digest)
			}
			seen, step := 0, l.each
			l.now = func() time.Time { return *wall.Load() }
			l.each = func(nowNs int64) {
				for ; seen < len(l.log); seen++ {
					if h, _, ok := store.Parse(l.log[seen].Payload); ok && l.log[seen].Type == app.RecordFIX && h.Flags&(store.Closed|store.LoggedOn) != 0 {
						closed.Store(h.Flags&store.Closed != 0)
					}
				}
				step(nowNs)
			}
		})
	}
	answered := func(n int64) func() bool {
		return func() bool { return tr.taken.Load()+tr.refused.Load() >= n }
	}

	at(2, 10)
	l := live(nil, 1)
	tr.wanted.Store(each)
	waitFor(t, "the day's orders", func() bool { return tr.ackedMany.Load() == each })
	at(2, 18)
	waitFor(t, "the hours' end", closed.Load)
	tr.wanted.Store(2 * each)
	waitFor(t, "answers to the evening's orders", answered(2*each))
	l.kill()
	digest = l.m.Digest()
	closed.Store(false)
	l = live(l.log, 2)
	waitFor(t, "the hours' end at the second primary", closed.Load)
	tr.wanted.Store(3 * each)
	waitFor(t, "answers to the night's orders", answered(3*each))
	at(3, 10)
	waitFor(t, "the morning", func() bool { return !closed.Load() })
	tr.wanted.Store(4 * each)
	night := int64(0)
	if queue == 0 {
		night = 2 * each
	}
	waitFor(t, "orders acknowledged in the morning", func() bool { return tr.ackedMany.Load() == 4*each-night })
	l.kill()
	x.kill()
	if tr.inDoubt.Load() != 0 || int64(x.orders()) != tr.ackedMany.Load() {
		t.Errorf("%d orders in doubt, %d at the exchange, %d acknowledged", tr.inDoubt.Load(), x.orders(), tr.ackedMany.Load())
	}
	if tr.refused.Load() != night {
		t.Errorf("%d orders refused with a queue of %d", tr.refused.Load(), queue)
	}
}
