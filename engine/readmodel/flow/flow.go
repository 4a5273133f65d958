package flow

import (
	"encoding/binary"
	"math/rand/v2"

	"onebeat/engine/app"
	"onebeat/engine/book"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
)

// Shape is who orders what.
type Shape struct {
	Seed     uint64
	Sessions int
	Symbols  []uint32
	Accounts int
	Gateway  bool // else a book
	Epochs   bool // the lane changes hands now and then
	// Operators give commands now and then, and time brings what they make due.
	Operators bool
	// PriceTicks is around where prices are.
	PriceTicks int64
}

// Machine is a lane's state, with the application behind what Watch made of it.
type Machine interface {
	Apply(rec *app.Record)
	Digest() uint64
}

// Flow makes records one after the other.
type Flow struct {
	shape   Shape
	r       *rand.Rand
	machine Machine
	venue   *book.Book // of a gateway
	in      app.Input
	reports reports

	forked   bool
	epoch    uint32
	timeNs   int64
	position uint64
	records  uint64
	seqNo    []uint64 // by session
	clOrdID  []uint64
	recent   []orderRef
	venueSeq uint64
	payload  []byte
	raw      [sbe.MaxMessageBytes]byte // the message being made
	rawBytes int
}

type orderRef struct {
	session uint32
	clOrdID uint64
}

const (
	recentMax   = 256
	digestEvery = 4096
)

// New makes a flow. Its machine is to be given with Use, and Watch to be applied
// to that one's application.
func New(s Shape) (*Flow, error) {
	f := &Flow{shape: s, r: rand.New(rand.NewPCG(s.Seed, 99)), seqNo: make([]uint64, s.Sessions), clOrdID: make([]uint64, s.Sessions),
		timeNs: 1_700_000_000_000_000_000, payload: make([]byte, 512)}
	f.reports.f = f
	if !s.Gateway {
		return f, nil
	}
	var err error
	f.venue, err = book.New(book.Config{Symbols: s.Symbols, OrdersMax: 1 << 16, FlowsMax: s.Sessions + 1})
	return f, err
}

// Use gives the machine.
func (f *Flow) Use(m Machine) { f.machine = m }

// Watch takes an application's place, to hear what it says to the venue.
func (f *Flow) Watch(a app.App) (app.App, error) { return &tap{App: a, f: f}, nil }

// Fork makes the log go on otherwise than it would have, with a new epoch: as
// after a failover that cut it here.
func (f *Flow) Fork(seed uint64) { f.r, f.forked = rand.New(rand.NewPCG(f.shape.Seed, seed)), true }

// Next makes the next record and applies it. It is valid until the next call.
func (f *Flow) Next() app.Record {
	f.timeNs += 1 + f.r.Int64N(20_000)
	kind, payload := f.make()
	rec := app.Record{Position: f.position, TimeNs: f.timeNs, Epoch: f.epoch, Type: kind, Payload: payload}
	f.records++
	f.machine.Apply(&rec)
	return rec
}

// Appended tells where the ring put the record that Next made.
func (f *Flow) Appended(end uint64) { f.position = end }

func (f *Flow) make() (app.RecordType, []byte) {
	switch {
	case f.records == 0 || f.forked || f.shape.Epochs && f.r.IntN(5000) == 0:
		f.epoch++
		f.forked = false
		r := lane.Record{Epoch: f.epoch, Writer: uint8(1 + f.epoch%2), Set: [lane.MaxMembers]lane.Member{{Node: 1, Incarnation: 5}, {Node: 2, Incarnation: 6}}}
		r.Put(f.payload)
		return app.RecordEpoch, f.payload[:lane.RecordBytes]
	case f.records == 1 && f.shape.Gateway:
		m := sbe.AsEstablishmentAck(f.message(sbe.TemplateEstablishmentAck))
		m.SetNextSeqNo(1)
		return app.RecordVenue, f.sealed(0, 0)
	case f.records%digestEvery == 0:
		binary.LittleEndian.PutUint64(f.payload, f.machine.Digest())
		return app.RecordDigest, f.payload[:8]
	case f.shape.Operators && f.r.IntN(100) == 0:
		return app.RecordOperator, f.command()
	case f.shape.Operators && f.r.IntN(20) == 0:
		return app.RecordTimer, nil
	case len(f.reports.waiting) > 0 && f.r.IntN(3) > 0:
		return app.RecordVenue, f.report()
	}
	return app.RecordMessage, f.request()
}

// message starts a message and returns its zeroed block.
func (f *Flow) message(template uint16) []byte {
	block := sbe.Put(f.raw[:], template, sbe.BlockBytes(template))
	clear(block)
	f.rawBytes = sbe.PrefixBytes + len(block)
	return block
}

// sealed makes a record's payload of the message.
func (f *Flow) sealed(session uint32, seqNo uint64) []byte {
	return fixp.PutMessage(f.payload, session, seqNo, f.raw[sbe.SOFHBytes:f.rawBytes])
}

// request makes what a client says.
func (f *Flow) request() []byte {
	session := uint32(f.r.IntN(f.shape.Sessions))
	f.seqNo[session]++
	f.clOrdID[session] += 1 + f.r.Uint64N(2)
	id := f.clOrdID[session]
	about := orderRef{session, f.r.Uint64N(20) + 1}
	if len(f.recent) > 0 {
		about = f.recent[f.r.IntN(len(f.recent))]
	}
	switch n := f.r.IntN(100); {
	case n < 60 || about.session != session:
		f.newOrder(session, id)
	case n < 78:
		m := sbe.AsOrderCancelRequest(f.message(sbe.TemplateOrderCancelRequest))
		m.SetClOrdID(id)
		m.SetOrigClOrdID(about.clOrdID)
	case n < 94:
		m := sbe.AsOrderCancelReplaceRequest(f.message(sbe.TemplateOrderCancelReplaceRequest))
		m.SetClOrdID(id)
		m.SetOrigClOrdID(about.clOrdID)
		m.SetPriceTicks(f.price())
		m.SetQtyLots(uint32(f.r.IntN(40)))
	default:
		m := sbe.AsOrderStatusRequest(f.message(sbe.TemplateOrderStatusRequest))
		m.SetClOrdID(about.clOrdID)
	}
	return f.sealed(session, f.seqNo[session])
}

func (f *Flow) price() int64 { return f.shape.PriceTicks - 5 + f.r.Int64N(11) }

func (f *Flow) newOrder(session uint32, id uint64) {
	m := sbe.AsNewOrderSingle(f.message(sbe.TemplateNewOrderSingle))
	m.SetClOrdID(id)
	m.SetSymbolID(f.shape.Symbols[f.r.IntN(len(f.shape.Symbols))])
	m.SetAccount(uint32(f.r.IntN(f.shape.Accounts)))
	m.SetPriceTicks(f.price())
	m.SetQtyLots(1 + uint32(f.r.IntN(30)))
	m.SetSide([]sbe.Side{sbe.SideBuy, sbe.SideSell}[f.r.IntN(2)])
	m.SetOrdType(sbe.OrdTypeLimit)
	switch f.r.IntN(40) {
	case 0:
		m.SetOrdType(sbe.OrdTypeMarket)
	case 1, 2:
		m.SetTimeInForce(sbe.TimeInForceImmediateOrCancel)
	case 3:
		m.SetSymbolID(1 << 30)
	case 4:
		m.SetQtyLots(0)
	case 5: // a repeat
		m.SetClOrdID(max(1, id-f.r.Uint64N(min(id, 50))))
		m.SetPossResend(uint8(f.r.IntN(2)))
		return
	}
	if len(f.recent) < recentMax {
		f.recent = append(f.recent, orderRef{})
	}
	f.recent[f.r.IntN(len(f.recent))] = orderRef{session, id}
}
