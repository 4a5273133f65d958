package book

import (
	"cmp"
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
	"onebeat/engine/table"
)

// ErrConfig is wrapped by every refusal of New.
var ErrConfig = errors.New("book configuration")

// Config of a book; zero values mean the defaults in brackets.
type Config struct {
	Symbols   []uint32 // ids
	OrdersMax int      // open and remembered together [262144]
	// FinishedRetain is how many finished orders are remembered at least, room
	// permitting [OrdersMax: a gateway that asks after a failover what became of
	// an order finds it].
	FinishedRetain int
	LevelsMax      int       // price levels a side and symbol [1024]
	FlowsMax       int       // [64]
	ClOrdIDWindow  int       // reordering a flow may show; a power of two [262144]
	SelfMatch      SelfMatch // of orders of one account of one session
	// Phase is what every symbol begins in, and Schedule what follows, by time.
	Phase    Phase
	Schedule []PhaseChange
	Chaos    Chaos
	// DropCopy are sessions that get a copy of every ExecutionReport and may say
	// nothing; SessionIDs are those of all sessions, for the copies.
	DropCopy   []uint32
	SessionIDs []sbe.UUID
	// OnAccept is called for every order that is taken, for a log; nil: none.
	OnAccept func(session uint32, clOrdID uint64, possResend bool, timeNs int64)
}

const (
	// FillsMax bounds the trades of one order in one go and so its outputs; the
	// rest of an order that would trade on is cancelled with TooManyFills.
	FillsMax = 200

	idBits = 48
	idMask = 1<<idBits - 1
	none   = table.None
)

// order is one order, open or finished. While it is open next and prev link
// its price level, oldest first.
type order struct {
	key        uint64 // flow<<48 | low bits of clOrdID
	clOrdID    uint64
	orderID    uint64
	priceTicks int64
	next, prev uint32
	qtyLots    uint32
	cumLots    uint32
	session    uint32
	account    uint32
	symbol     uint16 // index
	side       sbe.Side
	ordType    sbe.OrdType
	tif        sbe.TimeInForce
	status     sbe.OrdStatus
	inst       sbe.ExecInst
}

func (o *order) open() bool {
	return o.status == sbe.OrdStatusNew || o.status == sbe.OrdStatusPartiallyFilled
}

func (o *order) leaves() uint32 {
	if o.open() {
		return o.qtyLots - o.cumLots
	}
	return 0
}

// Book is the application.
type Book struct {
	cfg     Config
	symbols *table.U64 // id -> index
	sides   []side     // 2*index: bids, 2*index+1: asks
	orders  []order
	places  table.Places // of orders
	byKey   *table.U64
	flows   *table.U64 // session<<16 | prefix, plus 1 -> flow
	windows []table.Window
	flowIn  int // windows in use
	open    int
	markets []market // by symbol
	// crossings are the symbols that are to be uncrossed; startNs is the time of the
	// first input, and scheduled the next entry of the schedule.
	crossings int
	startNs   int64
	scheduled int
	dice      uint64
	delays    delays
	late      app.Input           // of a delayed request
	copied    sbe.ExecutionReport // for the drop copies
	orderID   uint64
	execID    uint64
	digest    uint64
	counts    [countMax]uint64
	// the request being applied
	in         *app.Input
	out        app.Sink
	possResend uint8
	lastKey    uint64 // of the newest order
	warmed     uint64 // keeps Warm's loads alive
	warmedNew  uint64 // counts[countNew] when it was called last
}

var _ app.App = (*Book)(nil)
var _ app.Warmer = (*Book)(nil)

// New allocates everything a book will ever use.
func New(cfg Config) (*Book, error) {
	cfg.OrdersMax = cmp.Or(cfg.OrdersMax, 1<<18)
	cfg.FinishedRetain = cmp.Or(cfg.FinishedRetain, cfg.OrdersMax)
	cfg.LevelsMax = cmp.Or(cfg.LevelsMax, 1024)
	cfg.FlowsMax = cmp.Or(cfg.FlowsMax, 64)
	cfg.ClOrdIDWindow = cmp.Or(cfg.ClOrdIDWindow, 1<<18)
	if len(cfg.Symbols) == 0 || len(cfg.Symbols) > 4096 {
		return nil, fmt.Errorf("%w: %d symbols: give 1 to 4096", ErrConfig, len(cfg.Symbols))
	}
	if cfg.FlowsMax < 1 || cfg.FlowsMax >= 1<<16 || cfg.OrdersMax < 2 || cfg.FinishedRetain < 1 || cfg.LevelsMax < 1 {
		return nil, fmt.Errorf("%w: %d flows, %d orders, %d finished, %d levels: each must be positive, flows below 65536",
			ErrConfig, cfg.FlowsMax, cfg.OrdersMax, cfg.FinishedRetain, cfg.LevelsMax)
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if w := cfg.ClOrdIDWindow; w < 64 || w&(w-1) != 0 {
		return nil, fmt.Errorf("%w: ClOrdID window %d: give a power of two of at least 64", ErrConfig, w)
	}
	b := &Book{cfg: cfg, symbols: table.NewU64(len(cfg.Symbols)), sides: make([]side, 2*len(cfg.Symbols)),
		orders: table.Touched[order](cfg.OrdersMax), places: table.NewPlaces(cfg.OrdersMax, cfg.FinishedRetain), byKey: table.NewU64(cfg.OrdersMax),
		flows: table.NewU64(cfg.FlowsMax), windows: make([]table.Window, cfg.FlowsMax), markets: make([]market, len(cfg.Symbols)), dice: cfg.Chaos.Seed}
	if cfg.Chaos.DelayMaxNs > 0 {
		b.delays.slots = table.Touched[delayed](delayMost)
	}
	for i := range b.markets {
		b.markets[i].phase = cfg.Phase
	}
	for i, id := range cfg.Symbols {
		if _, ok := b.symbols.Get(uint64(id) + 1); ok {
			return nil, fmt.Errorf("%w: symbol %d is configured twice", ErrConfig, id)
		}
		b.symbols.Put(uint64(id)+1, uint32(i))
		b.sides[2*i] = side{levels: table.Touched[level](cfg.LevelsMax)}
		b.sides[2*i+1] = side{levels: table.Touched[level](cfg.LevelsMax)}
	}
	for i := range b.windows {
		b.windows[i] = table.NewWindow(cfg.ClOrdIDWindow)
	}
	return b, nil
}

func (cfg *Config) check() error {
	c := &cfg.Chaos
	switch {
	case cfg.SelfMatch >= selfMatchCount || cfg.Phase >= phaseCount:
		return fmt.Errorf("%w: %v, %v", ErrConfig, cfg.SelfMatch, cfg.Phase)
	case c.RejectPercent < 0 || c.RejectPercent > 100 || c.FillPercent < 0 || c.FillPercent > 100:
		return fmt.Errorf("%w: %d%% rejects, %d%% fills: give 0 to 100", ErrConfig, c.RejectPercent, c.FillPercent)
	case c.DelayMinNs < 0 || c.DelayMaxNs < c.DelayMinNs:
		return fmt.Errorf("%w: delays of %d to %d ns", ErrConfig, c.DelayMinNs, c.DelayMaxNs)
	}
	for i, s := range cfg.Schedule {
		if s.Phase >= phaseCount || s.AtNs < 0 || i > 0 && s.AtNs < cfg.Schedule[i-1].AtNs {
			return fmt.Errorf("%w: entry %d of the schedule: %v at %d ns: give rising times", ErrConfig, i, s.Phase, s.AtNs)
		}
	}
	return nil
}

// Digest implements app.App: a chain over every report and refusal.
func (b *Book) Digest() uint64 { return b.digest }

// Open returns the number of open orders.
func (b *Book) Open() int { return b.open }

// Apply implements app.App.
func (b *Book) Apply(in *app.Input, out app.Sink) {
	b.in, b.out, b.possResend = in, out, 0
	if b.startNs == 0 {
		b.startNs = max(in.TimeNs, 1)
	}
	switch in.Kind {
	case app.FromClient:
		if !b.delay(in) {
			b.request()
		}
	case app.Timer:
		b.timer()
	case app.FromOperator:
		b.operate()
	}
}

// request executes a client's request.
func (b *Book) request() {
	in := b.in
	if len(b.cfg.DropCopy) > 0 && b.copiesOnly(in.Session) {
		b.reject(0, sbe.RejectReasonUnsupportedMessage, int64(in.Template), 0)
		return
	}
	switch in.Template {
	case sbe.TemplateNewOrderSingle:
		b.newOrder(sbe.AsNewOrderSingle(in.Block))
	case sbe.TemplateOrderCancelRequest:
		b.cancel(sbe.AsOrderCancelRequest(in.Block))
	case sbe.TemplateOrderCancelReplaceRequest:
		b.replace(sbe.AsOrderCancelReplaceRequest(in.Block))
	case sbe.TemplateOrderStatusRequest:
		b.status(sbe.AsOrderStatusRequest(in.Block))
	default:
		b.reject(0, sbe.RejectReasonUnsupportedMessage, int64(in.Template), 0)
	}
}

// flow returns the flow of a ClOrdID, opening it if there is room; none if not.
func (b *Book) flow(clOrdID uint64, create bool) uint32 {
	id := (uint64(b.in.Session)<<16 | clOrdID>>idBits) + 1
	if f, ok := b.flows.Get(id); ok {
		return f
	}
	if !create || b.flowIn == len(b.windows) || !b.flows.Put(id, uint32(b.flowIn)) {
		return none
	}
	b.flowIn++
	return uint32(b.flowIn - 1)
}

// find returns the order a ClOrdID of the session named, or nil.
func (b *Book) find(clOrdID uint64) *order {
	f := b.flow(clOrdID, false)
	if f == none {
		return nil
	}
	i, ok := b.byKey.Get(uint64(f)<<idBits | clOrdID&idMask)
	if !ok {
		return nil
	}
	return &b.orders[i]
}

// take marks a ClOrdID used and returns its key; 0 when it must be refused.
func (b *Book) take(clOrdID uint64) (key uint64, why sbe.RejectReason) {
	if clOrdID&idMask == 0 {
		return 0, sbe.RejectReasonClOrdIDOutOfRange
	}
	f := b.flow(clOrdID, true)
	if f == none {
		return 0, sbe.RejectReasonFlowTableFull
	}
	w, id := &b.windows[f], clOrdID&idMask
	switch w.Look(id) {
	case table.Used:
		return 0, sbe.RejectReasonDuplicateClOrdID
	case table.TooLow:
		return 0, sbe.RejectReasonClOrdIDTooLow
	}
	w.Mark(id)
	return uint64(f)<<idBits | id, sbe.RejectReasonNone
}
