package fixp

import (
	"errors"
	"strings"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
	"onebeat/xdp/frame"
)

const port = 9001

var (
	id   = sbe.UUID{1, 2, 3}
	key  = NewKey("secret")
	home = app.Endpoint{MAC: [6]byte{2}, IP: app.IPv4([4]byte{10, 0, 0, 2}), Port: 4000}
)

// peer is a server under test: datagrams in, records applied at once, datagrams
// out. Every order is answered with one report.
type peer struct {
	t     *testing.T
	s     *Server
	out   *app.Outbox
	nowNs int64
	in    app.Input
	quiet bool            // the application does not answer
	kinds []app.InputKind // what else it heard
}

func newPeer(t *testing.T, retain int) *peer {
	s, err := NewServer(ServerConfig{Sessions: []SessionConfig{{ID: id, Key: key}, {ID: sbe.UUID{9}, Key: key}}, RetainMessages: retain, Port: port})
	if err != nil {
		t.Fatal(err)
	}
	return &peer{t: t, s: s, out: app.NewOutbox(app.Endpoint{IP: app.IPv4([4]byte{10, 0, 0, 1})}, 1), nowNs: 1_000_000_000}
}

func (p *peer) apply(d app.Draft) app.InputKind {
	rec := app.Record{TimeNs: p.nowNs, Type: d.Type, Payload: append([]byte(nil), d.Payload...)}
	if d.Type == app.RecordSession {
		kind, _ := p.s.ApplySession(&rec, p.out)
		if kind != 0 {
			p.kinds = append(p.kinds, kind)
		}
		return kind
	}
	if !p.s.BeginMessage(&rec, &p.in, p.out) {
		p.t.Fatal("record refused")
	}
	if !p.quiet {
		r := sbe.AsExecutionReport(p.s.ToClient(p.in.Session, sbe.TemplateExecutionReport))
		r.SetClOrdID(clOrdIDOf(p.in.Block))
		p.s.SendToClient(p.out)
	}
	p.s.EndMessage()
	return 0
}

// receive handles one datagram and returns how many records it made.
func (p *peer) receive(b []byte, from app.Endpoint) (commits int) {
	n := p.s.Open(&app.Datagram{Payload: b, From: from, LocalPort: port}, p.nowNs)
	for i := range n {
		if v, d := p.s.Admit(i, p.out); v == app.Commit {
			commits++
			p.apply(d)
		}
	}
	return commits
}

// take returns the messages sent since, as "Name" or "Name:number".
func (p *peer) take() string {
	var words []string
	for ; p.out.Head() < p.out.Tail(); p.out.Release(p.out.Head() + 1) {
		s := p.out.At(p.out.Head())
		b := s.Frame[frame.HeaderBytes:s.LengthBytes]
		var m [sbe.MaxMessages]sbe.Message
		n, why := sbe.Split(b, &m)
		if why != sbe.OK {
			p.t.Fatalf("sent a bad datagram: %v", why)
		}
		for i := range n {
			words = append(words, sbe.TemplateName(m[i].Template))
		}
	}
	p.out.Seal()
	return strings.Join(words, " ")
}

func (p *peer) want(what string) {
	p.t.Helper()
	if got := p.take(); got != what {
		p.t.Fatalf("sent %q, want %q", got, what)
	}
}

func negotiate(k Key, stamp uint64) []byte {
	b := make([]byte, sbe.PrefixBytes+sbe.NegotiateBytes)
	m := sbe.AsNegotiate(sbe.Put(b, sbe.TemplateNegotiate, sbe.NegotiateBytes))
	m.SetSessionID(&id)
	m.SetTimestamp(stamp)
	m.SetClientFlow(sbe.FlowTypeIdempotent)
	m.SetCredentials(k.Sign(sbe.TemplateNegotiate, &id, stamp))
	return b
}

func establish(k Key, stamp uint64) []byte {
	b := make([]byte, sbe.PrefixBytes+sbe.EstablishBytes)
	m := sbe.AsEstablish(sbe.Put(b, sbe.TemplateEstablish, sbe.EstablishBytes))
	m.SetSessionID(&id)
	m.SetTimestamp(stamp)
	m.SetKeepAliveMs(100)
	m.SetCredentials(k.Sign(sbe.TemplateEstablish, &id, stamp))
	return b
}

func orders(seqNo uint64, ids ...uint64) []byte {
	b := make([]byte, 1400)
	n := sbe.PutContext(b, &id, seqNo)
	for _, o := range ids {
		m := sbe.AsNewOrderSingle(sbe.Put(b[n:], sbe.TemplateNewOrderSingle, sbe.NewOrderSingleBytes))
		m.SetClOrdID(o)
		n += sbe.PrefixBytes + sbe.NewOrderSingleBytes
	}
	return b[:n]
}

func ask(from uint64, count uint32) []byte {
	b := make([]byte, sbe.PrefixBytes+sbe.RetransmitRequestBytes)
	m := sbe.AsRetransmitRequest(sbe.Put(b, sbe.TemplateRetransmitRequest, sbe.RetransmitRequestBytes))
	m.SetSessionID(&id)
	m.SetFromSeqNo(from)
	m.SetCount(count)
	return b
}

func terminate() []byte {
	b := make([]byte, sbe.PrefixBytes+sbe.TerminateBytes)
	sbe.AsTerminate(sbe.Put(b, sbe.TemplateTerminate, sbe.TerminateBytes)).SetSessionID(&id)
	return b
}

func (p *peer) connect() {
	p.receive(negotiate(key, 1), home)
	p.receive(establish(key, 2), home)
	p.want("NegotiationResponse EstablishmentAck")
}

func (p *peer) state(want State) {
	p.t.Helper()
	if got, _, _ := p.s.SessionState(0); got != want {
		p.t.Fatalf("session is %v, want %v", got, want)
	}
}

func TestSessionLife(t *testing.T) {
	p := newPeer(t, 64)
	p.receive(establish(key, 1), home)
	p.want("EstablishmentReject")
	p.receive(orders(1, 1), home)
	p.want("Terminate")
	p.receive(negotiate(NewKey("wrong"), 1), home)
	p.want("NegotiationReject")
	p.state(NotNegotiated)
	p.receive(negotiate(key, 1), home)
	p.want("NegotiationResponse")
	if n := p.receive(negotiate(key, 1), home); n != 0 {
		t.Fatal("a repeated Negotiate was recorded")
	}
	p.want("NegotiationResponse")
	p.receive(establish(NewKey("wrong"), 2), home)
	p.want("EstablishmentReject")
	p.state(Negotiated)
	p.receive(establish(key, 2), home)
	p.want("EstablishmentAck")
	if n := p.receive(establish(key, 2), home); n != 0 {
		t.Fatal("a repeated Establish was recorded")
	}
	p.want("EstablishmentAck")
	p.receive(orders(1, 11, 12), home)
	p.want("Context ExecutionReport ExecutionReport") // both answers in one datagram
	p.receive(terminate(), home)
	p.want("Terminate")
	p.state(Terminated)
	p.receive(orders(3, 13), home)
	p.want("Terminate")
	p.receive(establish(key, 3), home)
	p.want("EstablishmentAck")
	p.receive(orders(3, 13), home)
	p.want("Context ExecutionReport")
	if p.s.Counts.Of(CountBadCredentials) != 2 {
		t.Errorf("%d bad credentials counted", p.s.Counts.Of(CountBadCredentials))
	}
}

func TestClientFlowIsIdempotent(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	p.receive(orders(1, 11), home)
	p.want("Context ExecutionReport")
	if n := p.receive(orders(1, 11), home); n != 0 {
		t.Fatal("a repeat was recorded")
	}
	p.want("Retransmission ExecutionReport")
	p.receive(orders(1, 99), home) // other content under a used number
	p.want("RetransmitReject")
	if p.s.Counts.Of(CountReplayedSequence) != 1 {
		t.Error("not counted")
	}
	p.receive(orders(4, 14), home)
	p.want("Context NotApplied ExecutionReport")
	p.receive(orders(2, 12), home) // late: it was given up
	p.want("Retransmission NotApplied")
	p.receive(orders(5, 12), home)
	p.want("Context ExecutionReport")
	p.receive(orders(1000, 15), home)
	p.want("")
	if p.s.Counts.Of(CountSequenceTooFar) != 1 {
		t.Error("not counted")
	}
	p.quiet = true
	p.receive(orders(6, 16), home)
	p.receive(orders(6, 16), home)
	p.want("")
	if p.s.Counts.Of(CountRepeatUnanswered) != 1 {
		t.Error("not counted")
	}
}

func TestServerFlowIsRecoverable(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	for n := uint64(1); n <= 70; n++ {
		p.receive(orders(n, n), home)
	}
	p.take()
	p.receive(ask(60, 2), home)
	p.want("Retransmission ExecutionReport ExecutionReport")
	p.receive(ask(71, 1), home)
	p.want("RetransmitReject")
	p.receive(ask(1, 1), home)
	p.want("RetransmitReject")
	p.receive(orders(1, 1), home) // its answer is no longer kept
	p.want("RetransmitReject")
	p.receive(ask(7, 64), home)
	if got := strings.Count(p.take(), "ExecutionReport"); got != 64 {
		t.Errorf("%d messages again, want 64", got)
	}
}

func TestHeartbeatTailAndExpiry(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	p.receive(orders(1, 1), home)
	p.take()
	poll := func(ns int64) bool {
		p.nowNs += ns
		v, d := p.s.Poll(p.nowNs, p.out)
		if v == app.Commit {
			p.apply(d)
		}
		return v == app.Commit
	}
	poll(2_000_000)
	p.want("")
	poll(4_000_000) // the tail is announced soon
	p.want("Context")
	poll(50_000_000)
	p.want("")
	poll(60_000_000)
	p.want("Context")
	p.receive(orders(2), home) // a heartbeat of the client
	if poll(299_000_000) || !poll(3_000_000) {
		t.Fatal("expires after three intervals, not before")
	}
	p.state(Terminated)
	p.take()
	p.receive(establish(key, 9), home)
	p.want("EstablishmentAck")
	p.s.Promote(p.nowNs, p.out)
	p.want("Context")
}

func TestTakeover(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	other, moved := home, home
	other.IP[15], moved.Port = 77, 4001
	p.receive(establish(key, 5), other)
	p.want("EstablishmentReject") // the old one is alive
	p.receive(orders(1, 1), other)
	p.want("")
	p.receive(ask(1, 1), other)
	p.receive(terminate(), other)
	p.want("")
	if p.s.Counts.Of(CountWrongEndpoint) != 3 || p.s.Counts.Of(CountTakeoversRefused) != 1 {
		t.Error("not counted")
	}
	p.receive(establish(key, 6), moved) // the same host, a new process; the old one is told
	p.want("Terminate EstablishmentAck")
	p.nowNs += 150_000_000
	p.receive(establish(key, 7), other) // the old one is silent
	p.want("Terminate EstablishmentAck")
	p.receive(orders(1, 1), other)
	p.want("Context ExecutionReport")
	p.receive(orders(2, 2), home)
	p.want("")
}

func TestBadDatagramsAreCounted(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	unknown := orders(1, 1)
	unknown[sbe.PrefixBytes] ^= 0xff
	p.receive(unknown, home)
	report := make([]byte, 512)
	n := sbe.PutContext(report, &id, 1)
	sbe.Put(report[n:], sbe.TemplateExecutionReport, sbe.ExecutionReportBytes)
	p.receive(report[:n+sbe.PrefixBytes+sbe.ExecutionReportBytes], home)
	p.receive(append(negotiate(key, 1), establish(key, 2)...), home)
	p.receive([]byte("random bytes that are no message"), home)
	p.receive(orders(1, 1)[:40], home)
	p.want("")
	c := &p.s.Counts
	if c.Of(CountWrongSession) != 1 || c.Of(CountUnexpectedMessage) != 2 || c.Bad(sbe.BadEncoding) != 1 || c.Bad(sbe.Truncated) != 1 || c.BadTotal() != 2 {
		c.Visit("", func(name string, n uint64) { t.Log(name, n) })
		t.Error("not counted as they are")
	}
}

func TestConfigIsRefused(t *testing.T) {
	_, a := NewServer(ServerConfig{})
	_, b := NewServer(ServerConfig{Sessions: []SessionConfig{{ID: id}, {ID: id}}})
	_, c := NewServer(ServerConfig{Sessions: []SessionConfig{{ID: id}}, RetainMessages: 100})
	_, d := NewInitiator(InitiatorConfig{Window: 3})
	for _, err := range []error{a, b, c, d} {
		if !errors.Is(err, ErrConfig) {
			t.Errorf("%v", err)
		}
	}
}

func TestIllegalTransitionPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NotNegotiated.next(EventTerminate)
}

// TestSignIsSipHash: session, timestamp and template are 32 bytes, as clients
// in other languages compute them; the hash is tested against its vectors in
// mirror/wire.
func TestSignIsSipHash(t *testing.T) {
	k := Key{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	session := sbe.UUID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	if got := k.Sign(sbe.TemplateEstablish, &session, 0x1716151413121110); got != 0xaa605c4777f3ffbc {
		t.Errorf("%#x", got)
	}
}
