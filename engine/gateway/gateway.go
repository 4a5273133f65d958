package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
	"onebeat/engine/table"
)

// ErrConfig is wrapped by every refusal of New.
var ErrConfig = errors.New("gateway configuration")

// Symbol is one instrument.
type Symbol struct {
	ID                  uint32
	ReferencePriceTicks int64   // 0: none yet
	Venue               uint32  // index of the venue its orders go to; NoVenue: nowhere
	Limits              *Limits // nil: it sets none
}

// NoVenue is the venue of a symbol without a route: its orders are refused.
const NoVenue = ^uint32(0)

// Config of a gateway; zero values of sizes mean the defaults in brackets.
type Config struct {
	Sessions int // of the lane; index below this
	Symbols  []Symbol
	// Limits are the defaults; nil: none. Those of sessions and accounts are where a
	// lane begins, too: operators' commands change them.
	Limits         *Limits
	SessionLimits  map[uint32]*Limits
	AccountLimits  map[uint32]*Limits
	AccountsMax    int // [4096]
	OrdersMax      int // open and remembered together [262144]
	FinishedRetain int // finished orders remembered at least, room permitting [16384]
	PositionsMax   int // pairs of account and symbol [16384]
	ClOrdIDWindow  int // reordering a session may show; a power of two [262144]
}

const (
	idBits = 48
	idMask = 1<<idBits - 1
	none   = table.None

	venueMost = 1<<16 - 1

	// requestsMax bounds the cancels and replaces at the venue at one time.
	requestsMax = 16384
)

// VenueClOrdID returns the identity of a client's request at the venue.
func VenueClOrdID(session uint32, clOrdID uint64) uint64 {
	return uint64(session)<<idBits | clOrdID&idMask
}

// order is one client order, open or finished.
type order struct {
	key          uint64 // VenueClOrdID
	orderID      uint64 // the venue's
	pendingID    uint64 // client ClOrdID of the cancel or replace at the venue
	priceTicks   int64
	pendingTicks int64 // of a replace at the venue; of a market order what it may cost at worst
	qtyLots      uint32
	cumLots      uint32
	pendingLots  uint32
	position     uint32
	symbol       uint16
	venue        uint16 // where it went
	inDoubt      bool   // the venue does not know it
	pending      uint16 // template of the request at the venue, 0: none
	side         sbe.Side
	ordType      sbe.OrdType
	tif          sbe.TimeInForce
	status       sbe.OrdStatus
}

func (o *order) session() uint32 { return uint32(o.key >> idBits) }
func (o *order) clOrdID() uint64 { return o.key & idMask }

func (o *order) open() bool {
	switch o.status {
	case sbe.OrdStatusPendingNew, sbe.OrdStatusNew, sbe.OrdStatusPartiallyFilled:
		return true
	}
	return false
}

// exposure is what the order could still trade, a replace under way included.
func (o *order) exposure() int64 {
	return int64(max(o.qtyLots, o.pendingLots)) - int64(o.cumLots)
}

type symbol struct {
	id             uint32
	venue          uint32
	referenceTicks int64
	limits         Limits
}

// Gateway is the application.
type Gateway struct {
	cfg        Config
	symbols    []symbol
	symbolByID *table.U64
	orders     []order
	places     table.Places // of orders
	byKey      *table.U64
	requests   *table.U64     // VenueClOrdID of a cancel or replace at the venue -> order
	windows    []table.Window // by session
	positions  []Position
	positionBy *table.U64
	positionIn int
	accounts   []account
	accountBy  *table.U64
	accountIn  int
	sessions   []sessionRisk
	nodes      []node // by place of the order
	contents   [][contentWays]content
	limits     Limits // the defaults
	resolved   []resolved

	limitsRevision uint64
	taken          uint64 // orders so far
	ownCancels     uint64 // that no client asked for, so far
	cancelBefore   uint64 // orders taken before this number are being cancelled
	killed         bool
	stops          Stops // what Stops says but for killed
	sweep          sweep
	open           int
	inDoubt        int         // of them
	reconciles     []reconcile // by venue
	execID         uint64
	digest         uint64
	counts         [countMax]uint64
	// the input being applied
	in         *app.Input
	out        app.Sink
	possResend uint8
	lastTicks  int64 // of the execution being reported
	checking   request
	compared   [CheckCount]compared // of the last request checked
	refusedBy  Check                // of it; CheckCount: it passed
	checks     uint64               // requests checked
	unchecked  bool                 // of a benchmark only: what the checks cost
	lastKey    uint64               // of the newest order
	warmed     uint64               // keeps Warm's loads alive
	warmedNew  uint64               // counts[countNew] when it was called last
}

var _ app.App = (*Gateway)(nil)
var _ app.Warmer = (*Gateway)(nil)

// New allocates everything a gateway will ever use.
func New(cfg Config) (*Gateway, error) {
	cfg.OrdersMax = cmp.Or(cfg.OrdersMax, 1<<18)
	cfg.FinishedRetain = cmp.Or(cfg.FinishedRetain, 16384)
	cfg.PositionsMax = cmp.Or(cfg.PositionsMax, 16384)
	cfg.AccountsMax = cmp.Or(cfg.AccountsMax, 4096)
	cfg.ClOrdIDWindow = cmp.Or(cfg.ClOrdIDWindow, 1<<18)
	switch {
	case cfg.Sessions < 1 || cfg.Sessions >= ownSession:
		return nil, fmt.Errorf("%w: %d sessions: give 1 to %d", ErrConfig, cfg.Sessions, ownSession-1)
	case len(cfg.Symbols) == 0 || len(cfg.Symbols) > 1<<16:
		return nil, fmt.Errorf("%w: %d symbols: give 1 to 65536", ErrConfig, len(cfg.Symbols))
	case cfg.OrdersMax < 2 || cfg.FinishedRetain < 1 || cfg.PositionsMax < 1 || cfg.AccountsMax < 1:
		return nil, fmt.Errorf("%w: %d orders, %d finished, %d positions, %d accounts: give at least 2, 1, 1 and 1",
			ErrConfig, cfg.OrdersMax, cfg.FinishedRetain, cfg.PositionsMax, cfg.AccountsMax)
	case cfg.ClOrdIDWindow < 64 || cfg.ClOrdIDWindow&(cfg.ClOrdIDWindow-1) != 0:
		return nil, fmt.Errorf("%w: ClOrdID window %d: give a power of two of at least 64", ErrConfig, cfg.ClOrdIDWindow)
	}
	g := &Gateway{cfg: cfg, symbols: make([]symbol, len(cfg.Symbols)), symbolByID: table.NewU64(len(cfg.Symbols)),
		orders: table.Touched[order](cfg.OrdersMax), places: table.NewPlaces(cfg.OrdersMax, cfg.FinishedRetain),
		byKey: table.NewU64(cfg.OrdersMax), requests: table.NewU64(requestsMax), windows: make([]table.Window, cfg.Sessions),
		positions: table.Touched[Position](cfg.PositionsMax), positionBy: table.NewU64(cfg.PositionsMax),
		accounts: table.Touched[account](cfg.AccountsMax), accountBy: table.NewU64(cfg.AccountsMax), sessions: make([]sessionRisk, cfg.Sessions),
		nodes: table.Touched[node](cfg.OrdersMax), contents: table.Touched[[contentWays]content](contentSets),
		resolved: table.Touched[resolved](limitsCached), limitsRevision: 1, refusedBy: CheckCount}
	for i, s := range cfg.Symbols {
		if _, ok := g.symbolByID.Get(uint64(s.ID) + 1); ok {
			return nil, fmt.Errorf("%w: symbol %d is configured twice", ErrConfig, s.ID)
		}
		g.symbolByID.Put(uint64(s.ID)+1, uint32(i))
		if s.Venue != NoVenue && s.Venue > venueMost {
			return nil, fmt.Errorf("%w: symbol %d goes to venue %d: give 0 to %d, or NoVenue", ErrConfig, s.ID, s.Venue, venueMost)
		}
		if s.Venue != NoVenue && int(s.Venue) >= len(g.reconciles) {
			g.reconciles = append(g.reconciles, make([]reconcile, int(s.Venue)+1-len(g.reconciles))...)
		}
		g.symbols[i] = symbol{id: s.ID, venue: s.Venue, referenceTicks: s.ReferencePriceTicks, limits: limitsOr(s.Limits)}
	}
	for i := range g.windows {
		g.windows[i] = table.NewWindow(cfg.ClOrdIDWindow)
	}
	err := g.useLimits()
	g.countStops()
	return g, err
}

// limitsOr returns a copy of limits, none of them set where there are none.
func limitsOr(l *Limits) Limits {
	if l == nil {
		return NoLimits()
	}
	return *l
}

// useLimits takes those of the configuration, with which a lane begins.
func (g *Gateway) useLimits() error {
	g.limits = limitsOr(g.cfg.Limits)
	err := g.limits.check()
	for i := range g.sessions {
		g.sessions[i].limits = limitsOr(g.cfg.SessionLimits[uint32(i)])
		err = errors.Join(err, g.sessions[i].limits.check())
	}
	for i := range g.symbols {
		err = errors.Join(err, g.symbols[i].limits.check())
	}
	// In the order of their numbers: both nodes give them the same places.
	for _, id := range slices.Sorted(maps.Keys(g.cfg.AccountLimits)) {
		i := g.accountOf(id)
		if i == none {
			return fmt.Errorf("%w: limits of %d accounts: at most %d have room", ErrConfig, len(g.cfg.AccountLimits), len(g.accounts))
		}
		g.accounts[i].limits = limitsOr(g.cfg.AccountLimits[id])
		err = errors.Join(err, g.accounts[i].limits.check())
	}
	return err
}

// Digest implements app.App: a chain over every decision.
func (g *Gateway) Digest() uint64 { return g.digest }

// Open returns the number of open orders.
func (g *Gateway) Open() int { return g.open }

// Positions calls visit for every position, for the cold side and tests.
func (g *Gateway) Positions(visit func(p *Position)) {
	for i := range g.positionIn {
		visit(&g.positions[i])
	}
}

// Apply implements app.App.
func (g *Gateway) Apply(in *app.Input, out app.Sink) {
	g.in, g.out, g.possResend = in, out, 0
	switch in.Kind {
	case app.FromClient:
		g.applyClient(in)
	case app.FromVenue:
		g.applyVenue(in)
	case app.NewEpoch:
		// The venue sessions send again what is unanswered; order state stays.
	case app.VenueLost:
		g.venueLost(in.Venue, in.TimeNs)
	case app.SessionLost:
		g.sessionLost(in.Session)
	case app.Timer:
		g.timer()
	case app.FromOperator:
		in.Result = g.operate(in.Command)
	}
}

func (g *Gateway) applyClient(in *app.Input) {
	if in.Session >= uint32(len(g.windows)) {
		g.reject(clientRef{}, sbe.RejectReasonUnsupportedMessage, int64(in.Session), int64(len(g.windows)))
		return
	}
	switch in.Template {
	case sbe.TemplateNewOrderSingle:
		g.newOrder(sbe.AsNewOrderSingle(in.Block))
	case sbe.TemplateOrderCancelRequest:
		g.cancel(sbe.AsOrderCancelRequest(in.Block))
	case sbe.TemplateOrderCancelReplaceRequest:
		g.replace(sbe.AsOrderCancelReplaceRequest(in.Block))
	case sbe.TemplateOrderStatusRequest:
		m := sbe.AsOrderStatusRequest(in.Block)
		g.possResend = m.PossResend()
		if o := g.find(m.ClOrdID()); o != nil {
			g.report(o, sbe.ExecTypeOrderStatus, m.ClOrdID(), 0, sbe.RejectReasonNone)
			return
		}
		g.reject(g.ref(m.ClOrdID()), sbe.RejectReasonUnknownOrder, int64(m.ClOrdID()&idMask), 0)
	default:
		g.reject(clientRef{session: in.Session, seqNo: in.SeqNo, template: in.Template}, sbe.RejectReasonUnsupportedMessage, int64(in.Template), 0)
	}
}

// find returns the order a ClOrdID of the session named, or nil.
func (g *Gateway) find(clOrdID uint64) *order {
	if clOrdID > idMask {
		return nil
	}
	return g.findKey(VenueClOrdID(g.in.Session, clOrdID))
}

func (g *Gateway) findKey(key uint64) *order {
	i, ok := g.byKey.Get(key)
	if !ok {
		return nil
	}
	return &g.orders[i]
}

// look says whether a ClOrdID may be taken.
func (g *Gateway) look(clOrdID uint64) sbe.RejectReason {
	if clOrdID == 0 || clOrdID > idMask {
		return sbe.RejectReasonClOrdIDOutOfRange
	}
	switch g.windows[g.in.Session].Look(clOrdID) {
	case table.Used:
		return sbe.RejectReasonDuplicateClOrdID
	case table.TooLow:
		return sbe.RejectReasonClOrdIDTooLow
	}
	return sbe.RejectReasonNone
}
