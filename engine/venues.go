package engine

import (
	"cmp"
	"fmt"

	"onebeat/engine/app"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/engine/venue"
)

// venueEnd is our end of the session with one venue: the line before it, which
// throttles, and the session itself, of one of two kinds.
type venueEnd struct {
	m       *Machine
	index   uint32
	cfg     VenueConfig
	prefix  string          // of its counters
	session *fixp.Initiator // nil: it is FIX
	fix     *venue.FIX      // nil: it is FIXP
	fixAt   int             // of fix: which one among the FIX venues
	line    *venue.Line
	out     *app.Outbox // during Poll
	sendNow func()      // what the line calls for each request it lets go
}

func (m *Machine) addVenues(list []VenueConfig) error {
	m.venues = make([]venueEnd, len(list))
	for i, v := range list {
		v.Name = cmp.Or(v.Name, fmt.Sprint(i))
		if v.FIX {
			if err := m.addFIXVenue(i, v); err != nil {
				return fmt.Errorf("%w: venue %s: %w", ErrConfig, v.Name, err)
			}
			continue
		}
		if v.LocalPort == m.port {
			return fmt.Errorf("%w: clients and venue %s share port %d: give the venue another local_port", ErrConfig, v.Name, m.port)
		}
		for j := range i {
			if !m.venues[j].cfg.FIX && m.venues[j].cfg.LocalPort == v.LocalPort {
				return fmt.Errorf("%w: venues %s and %s share port %d: give each a local_port of its own", ErrConfig, m.venues[j].cfg.Name, v.Name, v.LocalPort)
			}
		}
		v.Window = cmp.Or(v.Window, 8192)
		v.ResendNs = cmp.Or(v.ResendNs, 20_000_000)
		v.KeepAliveNs = cmp.Or(v.KeepAliveNs, 500_000_000)
		v.ConnectNs = cmp.Or(v.ConnectNs, 1_000_000)
		session, err := fixp.NewInitiator(fixp.InitiatorConfig{Session: v.Session, Key: v.Key, Window: v.Window,
			BatchMessages: 20, MaxDatagramBytes: app.MaxDatagramBytes, ResendNs: v.ResendNs, KeepAliveNs: v.KeepAliveNs,
			ConnectNs: v.ConnectNs, ConnectMaxNs: v.ConnectMaxNs, AskOnDuplicate: true})
		if err != nil {
			return fmt.Errorf("%w: venue %s: %w", ErrConfig, v.Name, err)
		}
		line, err := venue.New(v.Line, session)
		if err != nil {
			return fmt.Errorf("%w: venue %s: %w", ErrConfig, v.Name, err)
		}
		m.venues[i] = venueEnd{m: m, index: uint32(i), cfg: v, prefix: "venue_" + v.Name + "_", session: session, line: line}
		m.venues[i].sendNow = m.venues[i].send
	}
	if with := m.fix.Len() - m.fix.Clients(); with != len(m.fixVenues) {
		return fmt.Errorf("%w: %d FIX sessions with venues, and %d venues that speak FIX", ErrConfig, with, len(m.fixVenues))
	}
	return nil
}

// Venues returns how many venues there are.
func (m *Machine) Venues() int { return len(m.venues) }

// Venue gives the cold side a look at a venue's session, nil if it is FIX; VenueLine
// at what stands before it.
func (m *Machine) Venue(i int) *fixp.Initiator { return m.venues[i].session }

// VenueLine is described at Venue.
func (m *Machine) VenueLine(i int) *venue.Line { return m.venues[i].line }

// openVenue finds the venue of a datagram by the port it came to.
func (m *Machine) openVenue(dg *app.Datagram, nowNs int64) int {
	for i := range m.venues {
		v := &m.venues[i]
		if v.session == nil || v.cfg.LocalPort != dg.LocalPort {
			continue
		}
		m.fromVenue = v
		if dg.From.IP != v.cfg.Remote.IP || dg.From.Port != v.cfg.Remote.Port {
			m.counts[countVenueAddress]++
			return 0
		}
		n := v.session.Open(dg.Payload, nowNs)
		if n > 0 && !dg.Relayed {
			v.cfg.Remote.MAC = dg.From.MAC
		}
		return n
	}
	m.counts[countWrongPort]++
	return 0
}

// applyVenue takes a venue's message: into its session, into the breaker, and on
// to the application.
func (m *Machine) applyVenue(rec *app.Record) {
	i, seqNo, template, block, ok := fixp.ParseMessage(rec.Payload)
	if !ok || i >= uint32(len(m.venues)) || m.venues[i].session == nil {
		m.counts[countBadRecord]++
		return
	}
	v := &m.venues[i]
	a := v.session.Accept(seqNo, template, block)
	if a.Deliver {
		v.judge(template, block, rec.TimeNs)
		m.in = app.Input{Kind: app.FromVenue, TimeNs: rec.TimeNs, Venue: i, SeqNo: seqNo, Template: template, Block: block}
		m.app.Apply(&m.in, m)
	}
	if a.Lost {
		m.in = app.Input{Kind: app.VenueLost, TimeNs: rec.TimeNs, Venue: i}
		m.app.Apply(&m.in, m)
	}
}

// judge tells the breaker what became of a new order.
func (v *venueEnd) judge(template uint16, block []byte, timeNs int64) {
	switch template {
	case sbe.TemplateExecutionReport:
		r := sbe.AsExecutionReport(block)
		switch {
		case r.ExecType() != sbe.ExecTypeRejected:
			v.line.Accepted(r.ClOrdID())
		case r.Reason() != sbe.RejectReasonDuplicateClOrdID:
			v.line.Refused(r.ClOrdID(), timeNs)
		}
	case sbe.TemplateReject:
		r := sbe.AsReject(block)
		if r.RefTemplateID() == sbe.TemplateNewOrderSingle && r.Reason() != sbe.RejectReasonDuplicateClOrdID {
			v.line.Refused(r.ClOrdID(), timeNs)
		}
	}
}

// tickVenues executes a RecordTimer: what the throttles let go by its time.
func (m *Machine) tickVenues() {
	for i := range m.venues {
		v := &m.venues[i]
		if v.fix != nil && v.fix.Unsent() > 0 {
			v.refuseUnsent()
		}
		v.line.Tick(m.timeNs, v.sendNow)
	}
}

// pollVenues lets the sessions send what is due. It reports whether a line has
// something to do that takes a RecordTimer.
func (m *Machine) pollVenues(nowNs int64, out *app.Outbox) bool {
	due := false
	for i := range m.venues {
		v := &m.venues[i]
		if v.session != nil {
			v.out = out
			v.session.Poll(nowNs, v)
		}
		at := v.line.Due()
		due = due || at != 0 && at <= nowNs || v.fix != nil && v.fix.Unsent() > 0
	}
	return due
}

// ToVenue implements app.Sink.
func (m *Machine) ToVenue(i uint32, template uint16, clOrdID uint64) ([]byte, sbe.RejectReason) {
	if i >= uint32(len(m.venues)) {
		return nil, sbe.RejectReasonNoRoute
	}
	m.toVenue = &m.venues[i]
	return m.toVenue.line.Begin(template, clOrdID, m.timeNs)
}

// SendToVenue implements app.Sink.
func (m *Machine) SendToVenue() {
	if v := m.toVenue; v.line.Commit(m.timeNs) {
		v.send()
	}
}

// Withdraw implements app.Sink.
func (m *Machine) Withdraw(i uint32, clOrdID uint64) bool {
	return i < uint32(len(m.venues)) && m.venues[i].line.Withdraw(clOrdID)
}

// send sends the request that the session was given last.
func (v *venueEnd) send() {
	if v.session == nil {
		return // it is with its port since it was numbered
	}
	v.session.SendNow(v.m.out, &v.cfg.Remote, v.cfg.LocalPort, venueFlow+uint64(v.index))
}

func (v *venueEnd) counters(visit func(name string, count uint64)) {
	if v.session != nil {
		v.session.Counts.Visit(v.prefix, visit)
		visit(v.prefix+"state", uint64(v.session.State()))
		visit(v.prefix+"unanswered", uint64(v.session.Unanswered()))
	} else {
		v.fix.Counters(v.prefix, visit)
		visit(v.prefix+"state", uint64(v.fixState()))
	}
	v.line.Counters(v.prefix, visit)
}

// found reports whether frames can be sent to the venue.
func (v *venueEnd) found() bool {
	at := &v.cfg.Remote.MAC
	if *at != [6]byte{} || v.cfg.Resolved == nil {
		return true
	}
	found := v.cfg.Resolved.Load()
	for i := range at {
		at[i] = byte(found >> (8 * i))
	}
	return found != 0
}

// Buffer implements fixp.Out.
func (v *venueEnd) Buffer() []byte {
	if v.out.Room() <= outboxReserve || !v.found() {
		return nil
	}
	return v.out.Open(v.cfg.Remote, v.cfg.LocalPort, 0)[:app.MaxDatagramBytes]
}

// Send implements fixp.Out.
func (v *venueEnd) Send(payloadBytes int) { v.out.Close(payloadBytes, 0) }
