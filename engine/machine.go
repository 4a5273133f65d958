package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"onebeat/engine/app"
	"onebeat/engine/fix/store"
	"onebeat/engine/fixp"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
	"onebeat/engine/venue"
	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
)

// ErrConfig is wrapped by every refusal of a machine's configuration.
var ErrConfig = errors.New("machine configuration")

// VenueConfig is the session with one exchange.
type VenueConfig struct {
	Name   string // of its counters
	Remote app.Endpoint
	// Resolved holds the venue's MAC in its low 48 bits, lowest byte first, once
	// somebody has found it; 0: not yet. It counts while Remote has none; nil: it has.
	Resolved  *atomic.Uint64
	LocalPort uint16 // of the lane address; differs from the clients' port and other venues'
	Session   sbe.UUID
	Key       fixp.Key
	// Window bounds the messages that wait for the venue's answer, and with
	// them the queue while it is unreachable; a power of two [8192].
	Window       int
	ResendNs     int64 // [20 ms]
	KeepAliveNs  int64 // [500 ms]
	ConnectNs    int64 // [1 ms]
	ConnectMaxNs int64 // [KeepAliveNs]
	// FIX: the session is the next one with a venue of MachineConfig.FIX, and not FIXP:
	// what concerns addresses, times, Session and Key is not used.
	FIX bool
	// Line is the throttle, the queue and the circuit breaker before the session.
	Line venue.Config
}

// MachineConfig configures a Machine.
type MachineConfig struct {
	Port           uint16 // clients' port of the lane address
	Sessions       []fixp.SessionConfig
	RetainMessages int // of each server flow [16384]
	Venues         []VenueConfig
	FIX            store.Config // no sessions: none; First is set here
	App            app.App
}

// venueFlow is the outbox flow of the first venue session; clients use 1 and up.
const venueFlow = 1 << 32

// outboxReserve outputs are left free by what can wait for the next cycle.
const outboxReserve = 128

// Machine is the replicated state of a lane. It implements app.Machine, and
// app.Sink towards the application.
type Machine struct {
	server *fixp.Server
	fix    *store.Sessions
	venues []venueEnd
	// fixVenues are the indices of those that speak FIX, in the order of their sessions.
	fixVenues []uint32
	app       app.App
	warmer    app.Warmer // app, if it is one
	timed     app.Timed  // the same
	// sessions take operators' commands about sessions, one after the other.
	sessions []sessionOperated
	port     uint16

	out       *app.Outbox // during Apply
	in        app.Input
	timeNs    int64     // of the record being applied
	fromVenue *venueEnd // the opened datagram; nil: it is not a venue's
	toServer  bool      // the same
	toVenue   *venueEnd // the message ToVenue started
	toFIX     bool      // the message being built by ToClient
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
	cfg.FIX.First = uint32(len(cfg.Sessions))
	var m *Machine
	cfg.FIX.Waits = func(venue int, seqNo uint64) bool { return m.fixVenue(uint32(venue)).fix.Waits(seqNo) }
	cfg.FIX.Link = func(venue int, now store.Link) { m.fixLink(venue, now) }
	fix, err := store.New(cfg.FIX)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	m = &Machine{server: server, fix: fix, app: cfg.App, port: cfg.Port}
	if s, ok := any(server).(sessionOperated); ok {
		m.sessions = append(m.sessions, s)
	}
	m.sessions = append(m.sessions, fix)
	m.warmer, _ = cfg.App.(app.Warmer)
	m.timed, _ = cfg.App.(app.Timed)
	if err := m.addVenues(cfg.Venues); err != nil {
		return nil, err
	}
	return m, nil
}

// Server gives the cold side a look at the sessions.
func (m *Machine) Server() *fixp.Server { return m.server }

// App gives the cold side a look at the application.
func (m *Machine) App() app.App { return m.app }

// FIX gives the cold side a look at the FIX sessions.
func (m *Machine) FIX() *store.Sessions { return m.fix }

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
	m.fromVenue, m.toServer = nil, dg.LocalPort == m.port
	if m.toServer {
		return m.server.Open(dg, nowNs)
	}
	return m.openVenue(dg, nowNs)
}

// Admit implements app.Machine.
func (m *Machine) Admit(i int, nowNs int64, out *app.Outbox) (app.Verdict, app.Draft) {
	if m.fromVenue == nil {
		return m.server.Admit(i, out)
	}
	v, seqNo, raw := m.fromVenue.session.Admit(i)
	if v != app.Commit {
		return v, app.Draft{}
	}
	return v, app.Draft{Type: app.RecordVenue, Payload: fixp.PutMessage(m.scratch[:], m.fromVenue.index, seqNo, raw)}
}

// Refuse implements app.Machine. What the venue sends is dropped: it sends it
// again when it is asked for what is missing.
func (m *Machine) Refuse(why app.Refusal, b []byte) (int, app.Endpoint, uint16) {
	if m.fromVenue != nil {
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
	if m.fix.Len() > 0 {
		m.fix.Aim(!out.Muted, out.RecordEnd)
	}
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
		m.tickVenues()
		m.in = app.Input{Kind: app.Timer, TimeNs: rec.TimeNs}
		m.app.Apply(&m.in, m)
	case app.RecordFIX:
		m.applyFIX(rec)
	case app.RecordPadding:
	default:
		m.counts[countBadRecord]++
	}
	m.out = nil
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
	for i := range m.venues {
		m.venues[i].newEpoch()
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
	if m.pollVenues(nowNs, out) {
		return app.Commit, app.Draft{Type: app.RecordTimer}
	}
	if m.timed != nil {
		if due := m.timed.Due(); due != 0 && nowNs >= due {
			return app.Commit, app.Draft{Type: app.RecordTimer}
		}
	}
	if v, d := m.fix.Poll(nowNs); v == app.Commit {
		return v, d
	}
	return m.server.Poll(nowNs, out)
}

// Ask answers a question of the FIX sessions' cold side, by way of their port.
func (m *Machine) Ask(question []byte) { m.fix.Ask(question) }

// Promote implements app.Machine.
func (m *Machine) Promote(nowNs int64, out *app.Outbox) {
	m.server.Promote(nowNs, out)
	m.fix.Promote()
	for i := range m.venues {
		m.venues[i].promote(nowNs)
	}
}

// Digest implements app.Machine.
func (m *Machine) Digest() uint64 {
	d := m.fix.Digest(m.server.Digest(m.app.Digest()))
	for i := range m.venues {
		d = m.venues[i].digest(d)
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
	m.fix.Counters(visit)
	for i := range m.venues {
		m.venues[i].counters(visit)
	}
	for i, n := range m.counts {
		visit("machine_"+machineCounterNames[i], n)
	}
	m.app.Counters(visit)
}

// ToClient implements app.Sink.
func (m *Machine) ToClient(session uint32, template uint16) []byte {
	if m.toFIX = m.fix.Owns(session); m.toFIX {
		return m.fix.ToClient(session, template)
	}
	return m.server.ToClient(session, template)
}

// SendToClient implements app.Sink.
func (m *Machine) SendToClient() {
	if m.toFIX {
		m.fix.SendToClient(m.timeNs)
		return
	}
	m.server.SendToClient(m.out)
}
