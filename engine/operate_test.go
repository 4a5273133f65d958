package engine

import (
	"fmt"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/gateway"
	"onebeat/engine/operator"
)

// operate puts a person's command into the log; what is killed is soon released.
func (w *world) operate() {
	c := operator.New(operator.Kill)
	switch w.r.IntN(3) {
	case 0:
		c.Session = w.r.Uint32N(uint32(len(w.traders)))
	case 1:
		c.Account = 1 + w.r.Uint32N(2)
	}
	switch w.r.IntN(6) {
	case 0:
		w.command(&c)
	case 1:
		c = operator.New(operator.RiskSet)
		c.What, c.Value = uint32(gateway.LimitSelfMatch), w.r.Int64N(3)
		w.command(&c)
	case 2:
		c = operator.New(operator.OrderCancel)
		c.Session = w.r.Uint32N(uint32(len(w.traders)))
		c.Order = max(1, w.traders[c.Session].next-w.r.Uint64N(20))
		w.command(&c)
	default:
		w.release()
	}
}

// release ends all kills.
func (w *world) release() {
	for n := range uint32(5) {
		c := operator.New(operator.KillRelease)
		switch {
		case n < 2:
			c.Session = n
		case n < 4:
			c.Account = n - 1
		}
		w.command(&c)
	}
}

func (w *world) command(c *operator.Command) {
	c.Who = []byte("jane")
	w.lane.commit(app.Draft{Type: app.RecordOperator, Payload: c.Put(make([]byte, operator.MaxBytes))}, w.nowNs)
}

// TestKillsThroughFailovers: what a killed scope has open is cancelled in the end,
// whoever of the writers dies in between, and replicas, clients and venue agree on what
// is left.
func TestKillsThroughFailovers(t *testing.T) {
	seeds := 12
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			w := newWorld(t, uint64(1000+seed), 2)
			w.operated = true
			for range 3000 {
				w.step(true)
			}
			kill := operator.New(operator.Kill)
			kill.Session = 0
			w.command(&kill)
			w.failover()
			w.net.lossPct, w.net.dupPct = 0, 0
			for range 40_000 {
				w.step(false)
			}
			if n := w.lane.primary.g.SessionRisk(0).Orders; n != 0 {
				g := w.lane.primary.g
				g.OpenOrders(func(o *app.OrderState) { t.Logf("%+v", *o) })
				t.Errorf("%d orders of the killed session are open, %d in doubt, due in %d ns", n, g.InDoubt(), g.Due()-w.nowNs)
			}
			w.checkVenues(t)
			w.check()
		})
	}
}
