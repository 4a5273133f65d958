package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/engine/fixp"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
)

// ErrConfig is wrapped by every refusal of a machine's configuration.
var ErrConfig = errors.New("machine configuration")

// VenueConfig is the session with the exchange.
type VenueConfig struct {
	Remote app.Endpoint
	// Resolved holds the venue's MAC in its low 48 bits, lowest byte first, once
	// somebody has found it; 0: not yet. It counts while Remote has none; nil: it has.
	Resolved  *atomic.Uint64
	LocalPort uint16 // of the lane address; differs from the clients' port
	Session   sbe.UUID
	Key       fixp.Key
	// Window bounds the messages that wait for the venue's answer, and with
	// them the queue while it is unreachable; a power of two [8192].
	Window      int
	ResendNs    int64 // [20 ms]
	KeepAliveNs int64 // [500 ms]
	ConnectNs   int64 // [1 ms]
}

// MachineConfig configures a Machine.
type MachineConfig struct {
	Port           uint16 // clients' port of the lane address
	Sessions       []fixp.SessionConfig
	RetainMessages int          // of each server flow [16384]
	Venue          *VenueConfig // nil: none
	App            app.App
}

// venueFlow is the outbox flow of the venue session; clients use 1 and up.
const venueFlow = 1 << 32

// outboxReserve outputs are left free by what can wait for the next cycle.
const outboxReserve = 128

// Machine is the replicated state of a lane. It implements app.Machine, and
// app.Sink towards the application.
type Machine struct {
	server *fixp.Server
	venue  *fixp.Initiator // nil: none
	vcfg   VenueConfig
	app    app.App
	warmer app.Warmer // app, if it is one
	timed  app.Timed  // the same
	// sessions take operators' commands about sessions, one after the other.
	sessions []sessionOperated
	port     uint16

	out       *app.Outbox // during Apply
	in        app.Input
	timeNs    int64 // of the record being applied
	fromVenue bool  // the opened datagram
	toServer  bool  // the same
	epoch     uint32
	writer    uint8
	diverged  bool
	// change is the payload of the last change of the lane's release policy: who
	// begins with this state behind it must know.
	change      [policy.ChangeMaxBytes]byte
	changeBytes int
	counts      [machineCounterCount]uint64
	command     operator.Command // being applied
	operated    operator.Result  // of the last one
	sender      venueOut
	scratch     [fixp.MessagePrefixBytes + sbe.MaxMessageBytes]byte
}

type machineCounter uint8

const (
	countWrongPort machineCounter = iota
	countVenueAddress
	countBadRecord
	countDigests
	countDigestDiffers
	countVenueRefused
	countCommands
	countCommandsRefused
	machineCounterCount
)

var machineCounterNames = [machineCounterCount]string{"wrong_port", "venue_wrong_endpoint", "bad_record",
	"digests", "digest_differs", "venue_refused", "commands", "commands_refused"}

var _ app.Machine = (*Machine)(nil)
var _ app.Sink = (*Machine)(nil)

// NewMachine allocates everything a machine will ever use.
func NewMachine(cfg MachineConfig) (*Machine, error) {
	if cfg.App == nil {
		return nil, fmt.Errorf("%w: no application", ErrConfig)
	}
	server, err := fixp.NewServer(fixp.ServerConfig{Sessions: cfg.Sessions, RetainMessages: cfg.RetainMessages, Port: cfg.Port})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	m := &Machine{server: server, app: cfg.App, port: cfg.Port}
	if s, ok := any(server).(sessionOperated); ok {
		m.sessions = append(m.sessions, s)
	}
	m.warmer, _ = cfg.App.(app.Warmer)
	m.timed, _ = cfg.App.(app.Timed)
	if cfg.Venue == nil {
		return m, nil
	}
	v := *cfg.Venue
	if v.LocalPort == cfg.Port {
		return nil, fmt.Errorf("%w: clients and venue share port %d: give the venue another local_port", ErrConfig, cfg.Port)
	}
	v.Window = cmp.Or(v.Window, 8192)
	v.ResendNs = cmp.Or(v.ResendNs, 20_000_000)
	v.KeepAliveNs = cmp.Or(v.KeepAliveNs, 500_000_000)
	v.ConnectNs = cmp.Or(v.ConnectNs, 1_000_000)
	m.vcfg = v
	m.venue, err = fixp.NewInitiator(fixp.InitiatorConfig{Session: v.Session, Key: v.Key, Window: v.Window,
		BatchMessages: 20, MaxDatagramBytes: app.MaxDatagramBytes, ResendNs: v.ResendNs, KeepAliveNs: v.KeepAliveNs, ConnectNs: v.ConnectNs,
		AskOnDuplicate: true})
	if err != nil {
		return nil, fmt.Errorf("%w: venue: %w", ErrConfig, err)
	}
	m.sender.m = m
	return m, nil
}

// Server gives the cold side a look at the sessions.
func (m *Machine) Server() *fixp.Server { return m.server }

// Venue gives the cold side a look at the venue session; nil: none.
func (m *Machine) Venue() *fixp.Initiator { return m.venue }

// Diverged reports that a digest record differed from this machine's own
// digest: its state is not the primary's and it must not be promoted.
func (m *Machine) Diverged() bool { return m.diverged }

// Warm implements app.Machine.
func (m *Machine) Warm() {
	m.server.Warm()
	if m.warmer != nil {
		m.warmer.Warm()
	}
}

// Open implements app.Machine.
func (m *Machine) Open(dg *app.Datagram, nowNs int64) int {
	m.fromVenue, m.toServer = m.venue != nil && dg.LocalPort == m.vcfg.LocalPort, false
	if !m.fromVenue {
		if dg.LocalPort != m.port {
			m.counts[countWrongPort]++
			return 0
		}
		m.toServer = true
		return m.server.Open(dg, nowNs)
	}
	if dg.From.IP != m.vcfg.Remote.IP || dg.From.Port != m.vcfg.Remote.Port {
		m.counts[countVenueAddress]++
		return 0
	}
	n := m.venue.Open(dg.Payload, nowNs)
	if n > 0 && !dg.Relayed {
		m.vcfg.Remote.MAC = dg.From.MAC
	}
	return n
}

// Admit implements app.Machine.
func (m *Machine) Admit(i int, nowNs int64, out *app.Outbox) (app.Verdict, app.Draft) {
	if !m.fromVenue {
		return m.server.Admit(i, out)
	}
	v, seqNo, raw := m.venue.Admit(i)
	if v != app.Commit {
		return v, app.Draft{}
	}
	return v, app.Draft{Type: app.RecordVenue, Payload: fixp.PutMessage(m.scratch[:], 0, seqNo, raw)}
}

// Refuse implements app.Machine. What the venue sends is dropped: it sends it
// again when it is asked for what is missing.
func (m *Machine) Refuse(why app.Refusal, b []byte) (int, app.Endpoint, uint16) {
	if m.fromVenue {
		m.counts[countVenueRefused]++
	}
	if !m.toServer {
		return 0, app.Endpoint{}, 0
	}
	code := sbe.SessionCodeStandbyLost
	if why == app.RefusedStopped {
		code = sbe.SessionCodeStopped
	}
	n, to := m.server.Refuse(code, b)
	return n, to, m.port
}

// Apply implements app.Machine.
func (m *Machine) Apply(rec *app.Record, out *app.Outbox) {
	m.out, m.timeNs = out, rec.TimeNs
	switch rec.Type {
	case app.RecordMessage:
		if m.server.BeginMessage(rec, &m.in, out) {
			m.app.Apply(&m.in, m)
			m.server.EndMessage()
		}
	case app.RecordVenue:
		m.applyVenue(rec)
	case app.RecordSession:
		if kind, i := m.server.ApplySession(rec, out); kind != 0 {
			m.in = app.Input{Kind: kind, TimeNs: rec.TimeNs, Session: i}
			m.app.Apply(&m.in, m)
		}
	case app.RecordEpoch:
		m.applyEpoch(rec)
	case app.RecordDigest:
		m.applyDigest(rec)
	case app.RecordOperator:
		m.applyOperator(rec)
	case app.RecordTimer:
		m.in = app.Input{Kind: app.Timer, TimeNs: rec.TimeNs}
		m.app.Apply(&m.in, m)
	case app.RecordPadding:
	default:
		m.counts[countBadRecord]++
	}
	m.out = nil
}

func (m *Machine) applyVenue(rec *app.Record) {
	_, seqNo, template, block, ok := fixp.ParseMessage(rec.Payload)
	if !ok || m.venue == nil {
		m.counts[countBadRecord]++
		return
	}
	if a := m.venue.Accept(seqNo, template, block); a.Deliver {
		m.in = app.Input{Kind: app.FromVenue, TimeNs: rec.TimeNs, SeqNo: seqNo, Template: template, Block: block}
		m.app.Apply(&m.in, m)
	}
}

// applyEpoch: a new writer, or one that started again, cannot know what of the
// last one's outputs arrived. A record that says the same epoch again, or that
// only takes a standby in, changes nothing here.
func (m *Machine) applyEpoch(rec *app.Record) {
	var r lane.Record
	sameWriter := r.Parse(rec.Payload) && r.Count() > 1 && r.Writer == m.writer
	if rec.Epoch == m.epoch || sameWriter {
		m.epoch = rec.Epoch
		return
	}
	m.epoch, m.writer = rec.Epoch, r.Writer
	if m.venue != nil {
		m.venue.NewEpoch()
	}
	m.in = app.Input{Kind: app.NewEpoch, TimeNs: rec.TimeNs}
	m.app.Apply(&m.in, m)
}

// applyDigest compares the writer's digest, taken before this record, with ours.
func (m *Machine) applyDigest(rec *app.Record) {
	if len(rec.Payload) < 8 {
		m.counts[countBadRecord]++
		return
	}
	m.counts[countDigests]++
	if binary.LittleEndian.Uint64(rec.Payload) != m.Digest() {
		m.counts[countDigestDiffers]++
		m.diverged = true
	}
}

// Poll implements app.Machine.
func (m *Machine) Poll(nowNs int64, out *app.Outbox) (app.Verdict, app.Draft) {
	if m.venue != nil {
		m.sender.out = out
		m.venue.Poll(nowNs, &m.sender)
	}
	if m.timed != nil {
		if due := m.timed.Due(); due != 0 && nowNs >= due {
			return app.Commit, app.Draft{Type: app.RecordTimer}
		}
	}
	return m.server.Poll(nowNs, out)
}

// Promote implements app.Machine.
func (m *Machine) Promote(nowNs int64, out *app.Outbox) {
	m.server.Promote(nowNs, out)
	if m.venue != nil {
		m.venue.Promote(nowNs)
	}
}

// Digest implements app.Machine.
func (m *Machine) Digest() uint64 {
	d := m.server.Digest(m.app.Digest())
	if m.venue != nil {
		d = m.venue.Digest(d)
	}
	for _, c := range m.change[:m.changeBytes] {
		d = app.Fold(d, uint64(c))
	}
	return d
}

// PolicyChange implements app.Machine.
func (m *Machine) PolicyChange() []byte { return m.change[:m.changeBytes] }

// Counters implements app.Machine.
func (m *Machine) Counters(visit func(name string, count uint64)) {
	m.server.Counts.Visit("session_", visit)
	if m.venue != nil {
		m.venue.Counts.Visit("venue_", visit)
	}
	for i, n := range m.counts {
		visit("machine_"+machineCounterNames[i], n)
	}
	m.app.Counters(visit)
}

// ToClient implements app.Sink.
func (m *Machine) ToClient(session uint32, template uint16) []byte {
	return m.server.ToClient(session, template)
}

// SendToClient implements app.Sink.
func (m *Machine) SendToClient() { m.server.SendToClient(m.out) }

// ToVenue implements app.Sink.
func (m *Machine) ToVenue(template uint16, clOrdID uint64) []byte {
	if m.venue == nil {
		return nil
	}
	return m.venue.Begin(template, clOrdID)
}

// SendToVenue implements app.Sink.
func (m *Machine) SendToVenue() {
	m.venue.Commit(m.timeNs)
	m.venue.SendNow(m.out, &m.vcfg.Remote, m.vcfg.LocalPort, venueFlow)
}

// venueFound reports whether frames can be sent to the venue.
func (m *Machine) venueFound() bool {
	at := &m.vcfg.Remote.MAC
	if *at != [6]byte{} || m.vcfg.Resolved == nil {
		return true
	}
	found := m.vcfg.Resolved.Load()
	for i := range at {
		at[i] = byte(found >> (8 * i))
	}
	return found != 0
}

// venueOut turns the outbox into the initiator's Out.
type venueOut struct {
	m   *Machine
	out *app.Outbox
}

// Buffer implements fixp.Out.
func (v *venueOut) Buffer() []byte {
	if v.out.Room() <= outboxReserve || !v.m.venueFound() {
		return nil
	}
	return v.out.Open(v.m.vcfg.Remote, v.m.vcfg.LocalPort, 0)[:app.MaxDatagramBytes]
}

// Send implements fixp.Out.
func (v *venueOut) Send(payloadBytes int) { v.out.Close(payloadBytes, 0) }
