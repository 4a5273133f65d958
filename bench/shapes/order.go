package shapes

import (
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/mark"
	"onebeat/engine/sbe"
	"onebeat/pin"
	"onebeat/tools/config"
	"onebeat/xdp/frame"
)

// orderShooter sends orders, buying and selling in turn so that they trade and
// the book stays small.
type orderShooter struct {
	wirePort
	gateway bool
	toVenue bool // measures to the venue's copy
	id      sbe.UUID
	session *client.Client
	venue   *venue // nil: the lane is the book itself
	standby looper // nil: there is none, or it has a thread of its own
	// eager: the standby's engine must run for an answer to come (UDP), not
	// only to stay close behind.
	eager  bool
	sleeps bool // while an answer is late

	order      client.Order
	clOrdID    uint64 // of the last order sent
	orders     int    // of a datagram
	unanswered int    // of them
	arrivedNs  int64  // when the frames being taken arrived
	answeredNs int64
	atVenueNs  int64 // when the first datagram after the order came to the venue; 0: none yet
	settled    bool  // the venue's report on the order has come through
	refused    uint64
}

func newOrderShooter(s *Setting) *orderShooter {
	return &orderShooter{id: clientSession, gateway: s.App == config.AppGateway, toVenue: s.ToVenue, orders: s.orders(), order: client.Order{PriceTicks: priceTicks,
		SymbolID: symbolID, QtyLots: 1, OrdType: sbe.OrdTypeLimit, TimeInForce: sbe.TimeInForceDay}}
}

// wire implements orderClient.
func (o *orderShooter) wire(w wirePort) (err error) {
	o.wirePort = w
	o.session, err = client.New(client.Config{Session: o.id, Key: fixp.NewKey(clientKey), ResendNs: overdueNs,
		BatchMessages: o.orders, MaxDatagramBytes: sbe.MaxDatagramBytes}, o)
	if err != nil || !o.gateway {
		return err
	}
	venueAt := w.local
	venueAt.Port = venuePort
	o.venue, err = newVenue(venueAt, o.clock.NowNs())
	return err
}

// follow implements orderClient.
func (o *orderShooter) follow(standby looper, eager bool) { o.standby, o.eager = standby, eager }

// ready implements orderClient.
func (o *orderShooter) ready() bool { return o.session.Ready() }

// turn implements orderClient.
func (o *orderShooter) turn(nowNs int64) {
	if n := o.port.Recv(rxBatch); n > 0 {
		o.take(n)
	}
	o.rest(nowNs)
}

func (o *orderShooter) shoot(h *hdr.Histogram) bool {
	o.unanswered, o.settled, o.atVenueNs = o.orders, o.venue == nil, 0
	nowNs := o.clock.NowNs()
	for range o.orders {
		o.clOrdID++
		o.order.ClOrdID = o.clOrdID
		o.order.Side = sbe.SideBuy + sbe.Side(o.clOrdID&1)
		if !o.session.SendOrder(&o.order, nowNs) {
			return false
		}
	}
	if o.session.Poll(nowNs, o) == 0 {
		return false
	}
	o.fire()
	overdue := false
	for looks := 1; o.unanswered > 0 || o.toVenue && o.atVenueNs == 0; looks++ {
		if n := o.port.Recv(rxBatch); n > 0 {
			o.take(n)
			continue
		}
		if o.eager {
			o.standby.DoWork(o.clock.NowNs())
		}
		if looks%lookEvery != 0 {
			continue
		}
		nowNs := o.clock.NowNs()
		if !overdue && nowNs-o.sentNs > overdueNs {
			overdue = true
			o.lost++
		}
		if nowNs-o.sentNs > deadNs {
			return false
		}
		if o.eager || nowNs-o.sentNs > patienceNs {
			o.rest(nowNs)
		}
		if o.sleeps && nowNs-o.sentNs > sleepsAfterNs {
			pin.Sleep(sleepsFor)
		}
	}
	if o.toVenue {
		o.record(h, o.atVenueNs)
	} else {
		o.record(h, o.answeredNs)
	}
	return o.settle()
}

// patienceNs is how long a client that waits for an answer does nothing else: the
// standby's engine and the venue have their turn between two orders. Behind it
// something was lost, or waits for one of them.
const patienceNs = 50_000

// A client that comes before all others on its core sleeps while an answer is late: they
// may be who it waits for.
const (
	sleepsAfterNs = 300_000
	sleepsFor     = 20 * time.Microsecond
)

// settle lets everybody finish with the order before the next one is sent.
func (o *orderShooter) settle() bool {
	o.rest(o.clock.NowNs())
	for looks := 1; !o.settled; looks++ {
		n := o.port.Recv(rxBatch)
		if n == 0 && looks%lookEvery != 0 && !o.eager {
			continue
		}
		if n > 0 {
			o.take(n)
		}
		nowNs := o.clock.NowNs()
		if nowNs-o.answeredNs > deadNs {
			return false
		}
		o.rest(nowNs)
	}
	return true
}

// rest does what the client's thread has to do besides waiting for an answer.
func (o *orderShooter) rest(nowNs int64) {
	o.session.Poll(nowNs, o)
	if o.venue != nil {
		o.venue.work(nowNs, o.port)
	}
	o.port.Kick()
	if o.standby != nil {
		for range standbyCycles {
			if o.standby.DoWork(o.clock.NowNs()) == 0 {
				break
			}
		}
	}
}

// standbyCycles bounds how long the standby's engine keeps the client waiting.
const standbyCycles = 8

// take gives n received frames to whom they are for, and back.
func (o *orderShooter) take(n int) {
	o.look(n)
	o.port.Done()
}

// look gives n received frames to whom they are for.
func (o *orderShooter) look(n int) {
	o.arrivedNs = o.clock.NowNs()
	if o.unanswered > 0 {
		mark.At(mark.Answered)
	}
	for i := range n {
		var from frame.Endpoint
		payload, port, ok := frame.Parse(o.port.Frame(i), &from)
		switch {
		case !ok:
		case port == o.local.Port:
			o.session.OnDatagram(payload, o.arrivedNs)
		case o.venue != nil && port == venuePort:
			before := o.venue.orders
			o.venue.take(payload, &from, o.arrivedNs)
			if o.atVenueNs == 0 && o.venue.orders > before {
				o.atVenueNs = o.arrivedNs
			}
		}
	}
}

// OnReport implements client.Handler.
func (o *orderShooter) OnReport(a *client.Answer, r *sbe.ExecutionReport) {
	if a.First {
		o.unanswered--
		o.answeredNs = o.arrivedNs
	}
	if r.ClOrdID() == o.clOrdID && r.ExecType() == sbe.ExecTypeNew {
		o.settled = true
	}
}

// OnReject implements client.Handler. None of the orders is wrong.
func (o *orderShooter) OnReject(*client.Answer, *sbe.Reject) { o.refused++ }
