package node

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/engine/fix/convert"
	"onebeat/engine/fix/store"
	"onebeat/engine/fixp"
	"onebeat/engine/gateway"
	"onebeat/engine/sbe"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/snapshot"
	"onebeat/tools/config"
	"onebeat/tools/control"
	"onebeat/tools/inspect"
)

// ErrExplain is wrapped by what keeps an order from being explained.
var ErrExplain = errors.New("not explained")

// Explanation is what became of one request of a client, and why: the state before it
// is rebuilt from the log, and the request applied by the very code that applied it
// then.
type Explanation struct {
	Lane    int    `json:"lane"`
	Session string `json:"session"`
	ClOrdID uint64 `json:"clordid"`
	// ClOrdIDText is what a FIX client calls it.
	ClOrdIDText string `json:"clordid_text,omitempty"`
	Message     string `json:"message"`
	Position    uint64 `json:"position"`
	Epoch       uint32 `json:"epoch"`
	TimeNs      int64  `json:"time_ns"` // lane time, which the checks go by

	Account    uint32 `json:"account"`
	Symbol     uint32 `json:"symbol"`
	Side       string `json:"side,omitempty"`
	PriceTicks int64  `json:"price_ticks,omitempty"`
	QtyLots    uint32 `json:"qty_lots,omitempty"`

	// Checks are those that were made, in their order; none: it did not come as far.
	Checks []CheckLine `json:"checks"`
	Answer string      `json:"answer"` // what the client was told
	Reason string      `json:"reason,omitempty"`
	Text   string      `json:"text,omitempty"`
	Value  int64       `json:"value"`
	Limit  int64       `json:"limit"`
	Sent   int         `json:"sent"` // messages to a venue, cancels of other orders included

	Snapshot uint64 `json:"snapshot"` // position of that which the replay began with; 0: the log's beginning
	Records  uint64 `json:"records"`  // replayed
}

// CheckLine is what one check compared.
type CheckLine struct {
	Check   string `json:"check"`
	Value   int64  `json:"value"`
	Limit   int64  `json:"limit"`
	Verdict string `json:"verdict"` // passed, off or refused
	Name    string `json:"name,omitempty"`
	Set     int64  `json:"set"`  // the limit that was in force, 0: off
	From    string `json:"from"` // whose it was
}

// explainer stands before the application of a replay and waits for the request.
type explainer struct {
	app.App
	gateway *gateway.Gateway
	session uint32
	clOrdID uint64
	text    string // of a FIX client, instead of clOrdID
	fixp    bool   // the session's protocol
	first   uint32 // FIX session of the lane
	machine *engine.Machine
	found   bool
	e       *Explanation
}

// start makes a machine that the explainer watches.
func (x *explainer) start(l *config.Lane) (app.Machine, error) {
	m, err := NewMachine(l, x.watch)
	if err != nil {
		return nil, err
	}
	x.machine = m
	return m, nil
}

// asks reports whether it is the request that is asked for.
func (x *explainer) asks(in *app.Input) bool {
	if x.found || in.Kind != app.FromClient || in.Session != x.session || len(in.Block) < 8 {
		return false
	}
	if x.text != "" {
		return string(x.machine.FIX().Applying()) == x.text
	}
	return binary.LittleEndian.Uint64(in.Block) == x.clOrdID
}

// watch takes the application's place.
func (x *explainer) watch(a app.App) (app.App, error) {
	g, ok := a.(*gateway.Gateway)
	if !ok {
		return nil, fmt.Errorf("%w: %w", ErrExplain, errNoRisk)
	}
	x.App, x.gateway = a, g
	return x, nil
}

// Apply implements app.App.
func (x *explainer) Apply(in *app.Input, out app.Sink) {
	if !x.asks(in) {
		x.App.Apply(in, out)
		return
	}
	switch in.Template {
	case sbe.TemplateNewOrderSingle, sbe.TemplateOrderCancelRequest, sbe.TemplateOrderCancelReplaceRequest:
	default:
		x.App.Apply(in, out)
		return
	}
	x.found = true
	x.describe(in)
	h := &hearing{Sink: out, e: x.e}
	before := x.gateway.Checks()
	x.App.Apply(in, h)
	if x.gateway.Checks() != before {
		x.checks()
	}
}

func (x *explainer) describe(in *app.Input) {
	e := x.e
	e.Message, e.TimeNs = sbe.TemplateName(in.Template), in.TimeNs
	e.ClOrdID, e.ClOrdIDText = binary.LittleEndian.Uint64(in.Block), string(x.machine.FIX().Applying())
	switch in.Template {
	case sbe.TemplateNewOrderSingle:
		m := sbe.AsNewOrderSingle(in.Block)
		e.Account, e.Symbol, e.Side, e.PriceTicks, e.QtyLots = m.Account(), m.SymbolID(), m.Side().String(), m.PriceTicks(), m.QtyLots()
	case sbe.TemplateOrderCancelReplaceRequest:
		m := sbe.AsOrderCancelReplaceRequest(in.Block)
		e.Account, e.Symbol, e.Side, e.PriceTicks, e.QtyLots = m.Account(), m.SymbolID(), m.Side().String(), m.PriceTicks(), m.QtyLots()
	case sbe.TemplateOrderCancelRequest:
		m := sbe.AsOrderCancelRequest(in.Block)
		e.Account, e.Symbol, e.Side = m.Account(), m.SymbolID(), m.Side().String()
	}
}

// checks copies what the checks compared.
func (x *explainer) checks() {
	k := x.gateway.LastChecked()
	x.e.Account, x.e.Symbol = k.Account, k.Symbol
	for _, c := range k.Comparisons {
		l := CheckLine{Check: c.Check.String(), Value: c.Value, Limit: c.Limit, Verdict: "passed", Set: c.Set, From: c.From.String()}
		if limit, ok := c.Check.Limit(); ok {
			l.Name = limit.String()
		}
		switch {
		case c.Refused:
			l.Verdict = "refused"
		case c.Off:
			l.Verdict, l.Limit = "off", 0
		}
		x.e.Checks = append(x.e.Checks, l)
	}
}

// hearing listens to what an application says about a request.
type hearing struct {
	app.Sink
	e        *Explanation
	template uint16
	block    []byte
}

// ToClient implements app.Sink.
func (h *hearing) ToClient(session uint32, template uint16) []byte {
	h.template, h.block = template, h.Sink.ToClient(session, template)
	return h.block
}

// SendToClient implements app.Sink. The last answer about the request counts: before
// it others' orders may be cancelled.
func (h *hearing) SendToClient() {
	switch h.template {
	case sbe.TemplateReject:
		r := sbe.AsReject(h.block)
		h.e.Answer, h.e.Value, h.e.Limit = "Reject", r.Value(), r.Limit()
		h.reason(r.Reason())
	case sbe.TemplateExecutionReport:
		r := sbe.AsExecutionReport(h.block)
		h.e.Answer = r.ExecType().String()
		h.reason(r.Reason())
	}
	h.Sink.SendToClient()
}

func (h *hearing) reason(why sbe.RejectReason) {
	if h.e.Reason, h.e.Text = "", ""; why != sbe.RejectReasonNone {
		h.e.Reason, h.e.Text = why.String(), convert.ReasonText(why)
	}
}

// SendToVenue implements app.Sink.
func (h *hearing) SendToVenue() {
	h.e.Sent++
	h.Sink.SendToVenue()
}

// Explain finds a request in a lane's log and says what became of it. live is the
// lane's ring, for what is not archived; nil: there is none.
func Explain(cfg *config.Config, laneID int, name control.OrderName, live inspect.Source) (*Explanation, error) {
	l := cfg.Lane(laneID)
	if l == nil {
		return nil, fmt.Errorf("%s has no lane %d", cfg.File, laneID)
	}
	index, err := sessionIndex(l, name.Session)
	if err != nil {
		return nil, err
	}
	x := &explainer{session: index, clOrdID: name.ClOrdID, fixp: index < uint32(len(l.Sessions)), first: uint32(len(l.Sessions)),
		e: &Explanation{Lane: laneID, Session: sessionName(l, index)}}
	switch {
	case name.Text != "" && x.fixp:
		if x.clOrdID, err = parseClOrdID(name.Text); err != nil {
			return nil, err
		}
	default:
		x.text = name.Text
	}
	source := snapshot.Source{FS: disk.OS{}, New: func() (app.Machine, error) { return x.start(l) }}
	if err := x.search(cfg, laneID, source, live); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExplain, err)
	}
	if !x.found {
		return nil, fmt.Errorf("%w: the log has no request of session %s with ClOrdID %s", ErrExplain, x.e.Session, cmp.Or(x.text, strconv.FormatUint(x.clOrdID, 10)))
	}
	return x.e, nil
}

// search replays archive and ring from the newest snapshot before the request on. Where
// that is nobody knows of a FIX session's number, whose records have text: then it
// looks behind the newest snapshot first, and goes back from one to the next.
func (x *explainer) search(cfg *config.Config, laneID int, s snapshot.Source, live inspect.Source) (err error) {
	if cfg.Archive == nil {
		m, err := s.New()
		if err != nil {
			return err
		}
		return x.replayRing(m, 0, live)
	}
	s.Archive = archive.LaneDir(cfg.Archive.Dir, cfg.Node.Name, laneID)
	if dir := SnapshotDir(cfg, laneID); dir != "" {
		if s.Store, err = snapshot.Look(s.FS, dir); err != nil {
			s.Store = nil // there are none yet
		}
	}
	limit := ^uint64(0)
	if x.fixp || x.text != "" {
		if limit, err = x.place(s.Archive); err != nil {
			return err
		}
	}
	m, end, err := x.replayArchive(s, limit, ^uint64(0))
	if err == nil && !x.found {
		err = x.replayRing(m, end, live)
	}
	for err == nil && !x.found && x.e.Snapshot > 0 {
		from := x.e.Snapshot
		_, _, err = x.replayArchive(s, from-1, from)
	}
	return err
}

// replayArchive begins with the newest snapshot not beyond limit and ends where the
// request is found, or at to.
func (x *explainer) replayArchive(s snapshot.Source, limit, to uint64) (m app.Machine, end uint64, err error) {
	r, err := s.Start(limit)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if x.e.Snapshot = 0; r.From != nil {
		x.e.Snapshot = r.From.Header.Position
	}
	first := r.Place().Records
	for more := true; more && !x.found; {
		if _, more, err = r.Step(1, to, nil); err != nil {
			return nil, 0, err
		}
	}
	h := r.Place()
	if x.e.Records = h.Records - first; x.found {
		x.e.Position, x.e.Epoch = h.Last, h.Epoch
	}
	return r.Machine, h.Position, nil
}

// place looks where in an archive the request stands: a snapshot behind it is of no
// use. What the archive does not have comes after all of it.
func (x *explainer) place(dir string) (at uint64, err error) {
	r, err := archive.OpenReader(disk.OS{}, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := r.Seek(r.Begin()); err != nil {
		return 0, err
	}
	at = ^uint64(0)
	kind := app.RecordMessage
	if x.text != "" {
		kind = app.RecordFIX
	}
	err = inspect.Each(r, &inspect.Filter{Types: []string{kind.String()}}, func(*archive.Gap) {}, func(rec *app.Record) error {
		if x.stands(rec.Payload) {
			at = min(at, rec.Position)
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return at, err
}

var errFound = errors.New("found")

// stands reports whether a record is the request.
func (x *explainer) stands(payload []byte) bool {
	if x.text != "" {
		session, clOrdID, ok := store.ClOrdIDOf(payload)
		return ok && x.first+uint32(session) == x.session && string(clOrdID) == x.text
	}
	session, _, _, block, ok := fixp.ParseMessage(payload)
	return ok && session == x.session && len(block) >= 8 && binary.LittleEndian.Uint64(block) == x.clOrdID
}

// replayRing goes on with what only the ring has.
func (x *explainer) replayRing(m app.Machine, from uint64, live inspect.Source) error {
	switch {
	case live == nil:
		return nil
	case live.Begin() > from:
		return fmt.Errorf("the ring begins at %d, the archive ends at %d: what lies between is needed, too", live.Begin(), from)
	}
	if err := live.Seek(from); err != nil {
		return err
	}
	out := app.NewOutbox(app.Endpoint{}, 0)
	out.Muted = true
	for !x.found {
		var rec app.Record
		more, err := live.Next(&rec)
		if err != nil || !more {
			return err
		}
		m.Apply(&rec, out)
		x.e.Records++
		if m.Diverged() {
			return fmt.Errorf("position %d: %w", rec.Position, snapshot.ErrDiverged)
		}
		x.e.Position, x.e.Epoch = rec.Position, rec.Epoch
	}
	return nil
}
