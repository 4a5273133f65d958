package book

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// Chaos is how an exchange simulator misbehaves: at random, the same for the same
// seed and inputs. The zero value behaves.
type Chaos struct {
	Seed uint64
	// RejectPercent of new orders are refused with reason Venue.
	RejectPercent int
	// FillPercent of orders that come to rest trade a part of what is left with
	// nobody, at their own price.
	FillPercent int
	// DelayMinNs to DelayMaxNs is how long requests wait, in their order, before the
	// book sees them.
	DelayMinNs, DelayMaxNs int64
}

// delayMost bounds the requests that wait; more are not delayed.
const delayMost = 4096

// delayed is a request that waits.
type delayed struct {
	dueNs    int64
	seqNo    uint64
	session  uint32
	template uint16
	bytes    uint8
	block    [40]byte
}

// known reports whether a request that was loaded could have been delayed.
func (x *delayed) known(sessions uint32) bool {
	if x.session >= sessions || x.template < sbe.TemplateNewOrderSingle || x.template > sbe.TemplateOrderStatusRequest {
		return false
	}
	return sbe.Fits(x.template, int(x.bytes))
}

// delays is a ring of them, oldest first, due in that order.
type delays struct {
	slots []delayed
	head  uint64
	tail  uint64
}

func (d *delays) at(n uint64) *delayed { return &d.slots[n%uint64(len(d.slots))] }

// due is when the oldest is to be seen; 0: none waits.
func (d *delays) due() int64 {
	if d.head == d.tail {
		return 0
	}
	return d.at(d.head).dueNs
}

// draw returns a random number below n.
func (b *Book) draw(n uint64) uint64 {
	b.dice += 0x9e3779b97f4a7c15
	z := (b.dice ^ b.dice>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return (z ^ z>>31) % n
}

func (b *Book) chance(percent int) bool { return percent > 0 && b.draw(100) < uint64(percent) }

// delay lets a request wait if the configuration wants it; false: it is seen now.
func (b *Book) delay(in *app.Input) bool {
	c, d := &b.cfg.Chaos, &b.delays
	if c.DelayMaxNs == 0 {
		return false
	}
	due := in.TimeNs + c.DelayMinNs + int64(b.draw(uint64(c.DelayMaxNs-c.DelayMinNs)+1))
	if d.head < d.tail {
		due = max(due, d.at(d.tail-1).dueNs)
	}
	if d.tail-d.head == uint64(len(d.slots)) {
		b.undelayOne() // the oldest makes room
	}
	x := d.at(d.tail)
	*x = delayed{dueNs: due, seqNo: in.SeqNo, session: in.Session, template: in.Template}
	x.bytes = uint8(copy(x.block[:], in.Block))
	d.tail++
	b.counts[countDelayed]++
	return true
}

// undelay lets the book see what has waited long enough, a bounded piece.
func (b *Book) undelay() {
	nowNs := b.in.TimeNs
	for range 8 {
		if due := b.delays.due(); due == 0 || due > nowNs {
			return
		}
		b.undelayOne()
	}
}

func (b *Book) undelayOne() {
	x, outer := b.delays.at(b.delays.head), b.in
	b.delays.head++
	b.late = app.Input{Kind: app.FromClient, TimeNs: outer.TimeNs, Session: x.session, SeqNo: x.seqNo, Template: x.template, Block: x.block[:x.bytes]}
	b.in = &b.late
	b.request()
	b.in = outer
}

// streetFill trades a part of a resting order with nobody.
func (b *Book) streetFill(i uint32) {
	o := &b.orders[i]
	left := o.qtyLots - o.cumLots
	if left < 2 || !b.chance(b.cfg.Chaos.FillPercent) {
		return
	}
	lots := 1 + uint32(b.draw(uint64(left-1)))
	o.cumLots += lots
	o.status = sbe.OrdStatusPartiallyFilled
	b.counts[countStreetFills]++
	b.report(o, sbe.ExecTypeTrade, o.clOrdID, 0, lots, o.priceTicks, sbe.RejectReasonNone)
}
