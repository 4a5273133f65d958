package fixp

import (
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/operator"
	"onebeat/engine/sbe"
	"onebeat/xdp/frame"
)

func (p *peer) counted(c Counter, want uint64) {
	p.t.Helper()
	if got := p.s.Counts.Of(c); got != want {
		p.t.Fatalf("%v counted %d times, want %d", c, got, want)
	}
}

// last returns the block of the only message sent since, which has this template.
func (p *peer) last(template uint16) []byte {
	p.t.Helper()
	if p.out.Tail()-p.out.Head() != 1 {
		p.t.Fatalf("%d outputs", p.out.Tail()-p.out.Head())
	}
	s := p.out.At(p.out.Head())
	b := append([]byte(nil), s.Frame[frame.HeaderBytes:s.LengthBytes]...)
	var m [sbe.MaxMessages]sbe.Message
	if n, why := sbe.Split(b, &m); n != 1 || m[0].Template != template {
		p.t.Fatalf("%d messages, %v, template %d; want one %s", n, why, m[0].Template, sbe.TemplateName(template))
	}
	p.take()
	return m[0].Block(b)
}

// What was recorded once gets nobody in again, and a client whose clock is behind
// is told from where to go on.
func TestCredentialsAreNotReplayed(t *testing.T) {
	p := newPeer(t, 64)
	attacker := home
	attacker.IP[15], attacker.Port = 66, 666
	p.receive(negotiate(key, 100), home)
	p.receive(establish(key, 200), home)
	p.take()
	p.receive(terminate(), home)
	p.take()
	for _, from := range []app.Endpoint{attacker, home} {
		if n := p.receive(establish(key, 200), from); n != 0 {
			t.Fatal("a replayed Establish was recorded")
		}
		r := p.last(sbe.TemplateEstablishmentReject)
		if sbe.AsEstablishmentReject(r).Code() != sbe.SessionCodeStaleTimestamp || sbe.EstablishmentRejectLastTimestamp(r) != 200 {
			t.Fatalf("%x", r)
		}
		p.receive(negotiate(key, 100), from)
		r = p.last(sbe.TemplateNegotiationReject)
		if sbe.AsNegotiationReject(r).Code() != sbe.SessionCodeStaleTimestamp || sbe.NegotiationRejectLastTimestamp(r) != 200 {
			t.Fatalf("%x", r)
		}
	}
	p.state(Terminated)
	p.receive(establish(key, 1<<62), home) // would keep everybody out for good
	if r := sbe.AsEstablishmentReject(p.last(sbe.TemplateEstablishmentReject)); r.Code() != sbe.SessionCodeOutOfRange {
		t.Fatal(r.Code())
	}
	p.counted(CountStaleTimestamp, 4)
	// An initiator whose clock is behind gets in with its second attempt.
	i, _ := NewInitiator(InitiatorConfig{Session: id, Key: key, Window: 16, BatchMessages: 8, MaxDatagramBytes: 1024,
		ResendNs: 1e6, KeepAliveNs: 1e8, ConnectNs: 1e6})
	i.connect(Establishing)
	w := &sentOut{}
	for n := range 3 {
		i.Poll(int64(n), w)
		for _, b := range w.take() {
			p.receive(b, home)
		}
		for _, b := range p.datagrams() {
			for k := range i.Open(b, int64(n)) {
				if v, seqNo, raw := i.Admit(k); v == app.Commit {
					i.Accept(seqNo, uint16(raw[2])|uint16(raw[3])<<8, raw[sbe.HeaderBytes:])
				}
			}
		}
	}
	if !i.Established() || i.Counts.Of(CountStaleTimestamp) != 1 {
		t.Fatalf("%v, %d stale", i.State(), i.Counts.Of(CountStaleTimestamp))
	}
	if terms := i.Terms(); terms.RetainedMessages != 64 || terms.OrdersPerSecond != 0 {
		t.Fatalf("%+v", terms)
	}
}

// sentOut keeps what an Initiator sends.
type sentOut struct {
	b    [1024]byte
	sent [][]byte
}

func (w *sentOut) Buffer() []byte { return w.b[:] }
func (w *sentOut) Send(n int)     { w.sent = append(w.sent, append([]byte(nil), w.b[:n]...)) }
func (w *sentOut) take() [][]byte {
	sent := w.sent
	w.sent = nil
	return sent
}

// datagrams takes the payloads of what the server sent.
func (p *peer) datagrams() (all [][]byte) {
	for ; p.out.Head() < p.out.Tail(); p.out.Release(p.out.Head() + 1) {
		s := p.out.At(p.out.Head())
		all = append(all, append([]byte(nil), s.Frame[frame.HeaderBytes:s.LengthBytes]...))
	}
	p.out.Seal()
	return all
}

// Requests beyond the rate are refused, all of a datagram by one answer, and cost
// no record; the rate comes back with time, and whole after a failover.
func TestThrottle(t *testing.T) {
	p := newPeer(t, 64)
	p.s.sessions[0].orders = newRate(1000, 3)
	p.connect()
	if n := p.receive(orders(1, 1, 2, 3, 4, 5), home); n != 3 {
		t.Fatalf("%d taken", n)
	}
	p.want("Context ExecutionReport ExecutionReport ExecutionReport Refused")
	if n := p.receive(orders(6, 6), home); n != 0 {
		t.Fatal("taken")
	}
	r := sbe.AsRefused(p.last(sbe.TemplateRefused))
	if r.Code() != sbe.SessionCodeThrottled || r.FromSeqNo() != 6 || r.Count() != 1 {
		t.Fatalf("%v from %d, %d", r.Code(), r.FromSeqNo(), r.Count())
	}
	p.nowNs += 1_000_000
	p.receive(orders(5, 5), home) // was refused and stays so
	p.want("RetransmitReject")
	if n := p.receive(orders(7, 7, 8), home); n != 1 {
		t.Fatalf("%d taken", n)
	}
	p.want("Context NotApplied ExecutionReport Refused") // 4 to 6
	p.receive(orders(1, 1), home)                        // repeats are no new requests
	p.want("Retransmission ExecutionReport")
	p.counted(CountThrottled, 4)
	p.s.Promote(p.nowNs, p.out)
	p.take()
	if n := p.receive(orders(9, 9, 10, 11, 12), home); n != 3 {
		t.Fatalf("%d taken", n)
	}
}

func TestRetransmitLimits(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	p.receive(orders(1, 1), home)
	p.take()
	for range asks.burst {
		p.receive(ask(1, 1), home)
		p.want("Retransmission ExecutionReport")
	}
	p.receive(ask(1, 1), home)
	if r := sbe.AsRetransmitReject(p.last(sbe.TemplateRetransmitReject)); r.Code() != sbe.SessionCodeThrottled {
		t.Fatal(r.Code())
	}
	p.nowNs += 1_000_000
	p.receive(ask(1, RetransmitCountMax+1), home)
	if r := sbe.AsRetransmitReject(p.last(sbe.TemplateRetransmitReject)); r.Code() != sbe.SessionCodeRequestLimit {
		t.Fatal(r.Code())
	}
}

// Establishes of who has the key are records; no more of them than the log bears.
func TestEstablishesAreBounded(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	records := 0
	for n := range uint64(1000) {
		records += p.receive(establish(key, 10+n), home)
		p.take()
	}
	if records > int(binds.burst) || records < 8 {
		t.Fatalf("%d records", records)
	}
	// Two clients of one session that both are heard take turns only so often.
	other := home
	other.Port++
	for n := range uint64(400) {
		p.nowNs += 20_000_000
		from := home
		if n%2 == 0 {
			from = other
		}
		p.receive(establish(key, 10_000+n), from)
		p.take()
	}
	if n := p.s.Counts.Of(CountTakeovers); n < 4 || n > 13 {
		t.Fatalf("%d takeovers in 8 s", n)
	}
}

// A client that only says that it sent something is told that it did not arrive;
// one that is merely overtaken is not.
func TestHeartbeatAheadGivesUpNumbers(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	heartbeat := func(next uint64) []byte {
		b := make([]byte, 64)
		return b[:sbe.PutContext(b, &id, next)]
	}
	p.receive(heartbeat(4), home)
	p.want("")
	p.nowNs += 40_000_000
	p.receive(orders(1, 1), home)
	p.receive(heartbeat(4), home)
	p.want("Context ExecutionReport")
	p.nowNs += 50_000_000
	p.receive(heartbeat(4), home)
	p.want("Context NotApplied") // 2 and 3
	if _, in, _ := p.s.SessionState(0); in != 4 {
		t.Fatal(in)
	}
	p.receive(heartbeat(4+1000), home)
	p.nowNs += 50_000_000
	p.receive(heartbeat(4+1000), home)
	p.want("")
	p.counted(CountSequenceTooFar, 1)
}

// A Sequence numbers what stands behind it in its datagram; without a Context
// nobody knows whose it is.
func TestSequenceNumbersWhatFollows(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	b := make([]byte, 512)
	n := sbe.PutContext(b, &id, 1)
	put := func(number, order uint64) {
		sbe.AsSequence(sbe.Put(b[n:], sbe.TemplateSequence, sbe.SequenceBytes)).SetNextSeqNo(number)
		n += sbe.PrefixBytes + sbe.SequenceBytes
		n += copy(b[n:], orders(1, order)[sbe.PrefixBytes+sbe.ContextBytes:])
	}
	put(1, 11)
	put(3, 13)
	if n := p.receive(b[:n], home); n != 2 {
		t.Fatalf("%d taken", n)
	}
	p.want("Context ExecutionReport NotApplied ExecutionReport")
	p.receive(b[sbe.PrefixBytes+sbe.ContextBytes:n], home)
	p.counted(CountUnexpectedMessage, 1)
}

func finished(template uint16, last uint64) []byte {
	b := make([]byte, sbe.PrefixBytes+sbe.BlockBytes(template))
	block := sbe.Put(b, template, sbe.BlockBytes(template))
	copy(block, id[:])
	if template == sbe.TemplateFinishedSending {
		sbe.AsFinishedSending(block).SetLastSeqNo(last)
	}
	return b
}

// FIXP's finalisation, the client's way.
func TestClientFinishes(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	p.receive(orders(1, 1), home)
	p.take()
	if n := p.receive(finished(sbe.TemplateFinishedSending, 2), home); n != 1 {
		t.Fatal("not recorded")
	}
	p.want("Context NotApplied FinishedReceiving") // number 2 never came
	if n := p.receive(finished(sbe.TemplateFinishedSending, 2), home); n != 0 {
		t.Fatal("recorded twice")
	}
	p.want("FinishedReceiving")
	p.receive(orders(3, 3, 4), home)
	if r := sbe.AsRefused(p.last(sbe.TemplateRefused)); r.Code() != sbe.SessionCodeFinished || r.Count() != 2 {
		t.Fatal(r.Code())
	}
	p.receive(orders(1, 1), home) // what was said can be said again
	p.want("Retransmission ExecutionReport")
	p.receive(terminate(), home)
	p.want("Terminate")
	p.receive(establish(key, 9), home)
	p.take()
	p.receive(orders(5, 5), home)
	p.want("Context NotApplied ExecutionReport")
}

func (p *peer) operate(k operator.Kind) operator.Outcome {
	c := operator.New(k)
	c.Session = 0
	r, ok := p.s.Operate(&c, p.nowNs, p.out)
	if !ok {
		p.t.Fatal("not handled")
	}
	return r.Outcome
}

// And the operator's way: the client gets everything, then the session ends.
func TestOperatorFinishes(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	p.receive(orders(1, 1), home)
	p.take()
	if o := p.operate(operator.SessionFinish); o != operator.Applied {
		t.Fatal(o)
	}
	p.poll(3_000_000)
	if f := sbe.AsFinishedSending(p.last(sbe.TemplateFinishedSending)); f.LastSeqNo() != 1 {
		t.Fatal(f.LastSeqNo())
	}
	p.receive(orders(2, 2), home) // its answer waits for the next time
	p.want("")
	p.poll(110_000_000)
	p.want("FinishedSending")
	p.receive(ask(1, 1), home)
	p.want("Retransmission ExecutionReport")
	p.receive(finished(sbe.TemplateFinishedReceiving, 0), home)
	p.want("Terminate")
	p.state(Terminated)
	p.receive(establish(key, 9), home)
	p.take()
	p.operate(operator.SessionFinish)
	for range 7 {
		p.poll(70_000_000)
		p.receive(orders(3, 3), home) // alive, but never FinishedReceiving
	}
	p.state(Terminated)
}

func TestOperatorBlocksAndResets(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	if o := p.operate(operator.SessionReset); o != operator.SessionInUse {
		t.Fatal(o)
	}
	if o := p.operate(operator.SessionBlock); o != operator.Applied {
		t.Fatal(o)
	}
	if r := sbe.AsTerminate(p.last(sbe.TemplateTerminate)); r.Code() != sbe.SessionCodeBlocked {
		t.Fatal(r.Code())
	}
	p.receive(establish(key, 9), home)
	if r := sbe.AsEstablishmentReject(p.last(sbe.TemplateEstablishmentReject)); r.Code() != sbe.SessionCodeBlocked {
		t.Fatal(r.Code())
	}
	p.receive(orders(1, 1), home)
	if r := sbe.AsTerminate(p.last(sbe.TemplateTerminate)); r.Code() != sbe.SessionCodeBlocked {
		t.Fatal(r.Code())
	}
	if o := p.operate(operator.SessionUnblock); o != operator.Applied {
		t.Fatal(o)
	}
	p.receive(establish(key, 10), home)
	p.want("EstablishmentAck")
	p.receive(orders(1, 1), home)
	p.want("Context ExecutionReport")
	if o := p.operate(operator.SessionTerminate); o != operator.Applied {
		t.Fatal(o)
	}
	p.want("Terminate")
	if o := p.operate(operator.SessionReset); o != operator.Applied {
		t.Fatal(o)
	}
	p.state(NotNegotiated)
	p.connect() // with the first timestamps again
	p.receive(orders(1, 1), home)
	p.want("Context ExecutionReport")
	if _, in, out := p.s.SessionState(0); in != 2 || out != 2 {
		t.Fatal(in, out)
	}
}
