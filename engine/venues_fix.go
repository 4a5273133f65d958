package engine

import (
	"onebeat/engine/app"
	"onebeat/engine/fix/store"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/engine/venue"
)

// addFIXVenue makes the end of a session that stands in the FIX sessions' store.
func (m *Machine) addFIXVenue(i int, cfg VenueConfig) error {
	v := &m.venues[i]
	*v = venueEnd{m: m, index: uint32(i), cfg: cfg, prefix: "venue_" + cfg.Name + "_", fixAt: len(m.fixVenues)}
	if cfg.Window == 0 {
		cfg.Window = 8192
	}
	var err error
	if v.fix, err = venue.NewFIX(cfg.Window, v); err != nil {
		return err
	}
	if v.line, err = venue.New(cfg.Line, v.fix); err != nil {
		return err
	}
	v.sendNow = v.send
	m.fixVenues = append(m.fixVenues, uint32(i))
	return nil
}

// fixVenue returns the venue of a FIX session, by its place among those.
func (m *Machine) fixVenue(at uint32) *venueEnd { return &m.venues[m.fixVenues[at]] }

// Request implements venue.FIXOut.
func (v *venueEnd) Request(template uint16, block []byte, timeNs int64) uint64 {
	return v.m.fix.Request(v.fixAt, template, block, timeNs)
}

// applyFIX executes a RecordFIX. What a client said is the application's input; what
// a venue said goes through its session's state first.
func (m *Machine) applyFIX(rec *app.Record) {
	if !m.fix.Begin(rec, &m.in) {
		return
	}
	in := &m.in
	if in.Kind != app.FromVenue && in.Kind != app.VenueLost {
		m.app.Apply(in, m)
		m.fix.End()
		return
	}
	v := m.fixVenue(in.Venue)
	in.Venue = v.index
	if in.Kind == app.VenueLost {
		v.fix.Reset(rec.TimeNs)
	} else {
		v.judge(in.Template, in.Block, rec.TimeNs)
		if in.Template, in.Block = v.fix.Accept(in.Template, in.Block, rec.TimeNs); in.Template == 0 {
			return
		}
	}
	m.app.Apply(in, m)
}

// fixLink takes what became of the connection with a venue.
func (m *Machine) fixLink(at int, now store.Link) {
	switch v := m.fixVenue(uint32(at)); now {
	case store.LinkUp:
		v.fix.Up()
	case store.LinkDown:
		v.fix.Down()
	case store.LinkClosed:
		v.fix.Close()
	}
}

// refusedAtOnce bounds the requests that one record refuses.
const refusedAtOnce = 16

// refuseUnsent tells the application of requests that never left, and never will.
func (v *venueEnd) refuseUnsent() {
	m := v.m
	for range refusedAtOnce {
		block := v.fix.Refuse()
		if block == nil {
			return
		}
		v.line.NeverSent(sbe.AsReject(block).ClOrdID())
		m.in = app.Input{Kind: app.FromVenue, TimeNs: m.timeNs, Venue: v.index, Template: sbe.TemplateReject, Block: block}
		m.app.Apply(&m.in, m)
	}
}

// fixState is whether we are logged on, in the words of FIXP.
func (v *venueEnd) fixState() fixp.LinkState {
	if v.m.fix.State(v.m.fix.Clients() + v.fixAt).LoggedOn {
		return fixp.Linked
	}
	return fixp.Establishing
}

func (v *venueEnd) newEpoch() {
	if v.session != nil {
		v.session.NewEpoch()
	} else {
		v.fix.Down()
	}
}

func (v *venueEnd) promote(nowNs int64) {
	if v.session != nil {
		v.session.Promote(nowNs)
	}
}

func (v *venueEnd) digest(d uint64) uint64 {
	if v.session != nil {
		d = v.session.Digest(d)
	} else {
		d = v.fix.Digest(d)
	}
	return v.line.Digest(d)
}

func (v *venueEnd) save(w *app.StateWriter) {
	if v.session != nil {
		v.session.Save(w)
	} else {
		v.fix.Save(w)
	}
	v.line.Save(w)
}

func (v *venueEnd) load(r *app.StateReader, withLine bool) error {
	if v.session != nil {
		if err := v.session.Load(r); err != nil {
			return err
		}
	} else {
		v.fix.Load(r)
	}
	if withLine {
		v.line.Load(r)
	}
	return r.Err()
}
