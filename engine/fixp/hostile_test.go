package fixp

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
	"onebeat/xdp/frame"
)

// crowded is a server with an honest client of session 0, and attackers that heard
// all it said: one with a session of its own, one with none.
type crowded struct {
	*peer
	honest             *Initiator
	w                  sentOut
	heard              [][]byte // of the honest client
	insider, stranger  app.Endpoint
	toStranger, fromIt int // bytes
	answered           int
	inside             *Initiator
}

func newCrowded(t *testing.T) *crowded {
	c := &crowded{peer: newPeer(t, 64), insider: home, stranger: home}
	c.insider.IP[15], c.insider.Port = 50, 5000
	c.stranger.IP[15], c.stranger.Port = 66, 6666
	initiator := func(id sbe.UUID) *Initiator {
		i, err := NewInitiator(InitiatorConfig{Session: id, Key: key, Window: 16, BatchMessages: 8, MaxDatagramBytes: 1024,
			ResendNs: 5_000_000, KeepAliveNs: 100_000_000, ConnectNs: 1_000_000, Adopt: true, RenumberAfterSends: 8})
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	c.honest, c.inside = initiator(id), initiator(sbe.UUID{9})
	return c
}

// from lets the server handle a datagram and checks what it makes records of.
func (c *crowded) from(b []byte, at app.Endpoint) {
	n := c.s.Open(&app.Datagram{Payload: b, From: at, LocalPort: port}, c.nowNs)
	for i := range n {
		v, d := c.s.Admit(i, c.out)
		if v != app.Commit {
			continue
		}
		if session := binary.LittleEndian.Uint32(d.Payload); session == 0 && at != home || session != 0 && at == c.stranger {
			c.t.Fatalf("a record about session %d by %v: %x", session, at, b)
		}
		if d.Type == app.RecordSession {
			c.peer.apply(d)
			continue
		}
		c.applyOrder(d)
	}
}

func (c *crowded) applyOrder(d app.Draft) {
	rec := app.Record{TimeNs: c.nowNs, Type: d.Type, Payload: append([]byte(nil), d.Payload...)}
	if !c.s.BeginMessage(&rec, &c.in, c.out) {
		c.t.Fatal("record refused")
	}
	r := sbe.AsExecutionReport(c.s.ToClient(c.in.Session, sbe.TemplateExecutionReport))
	r.SetClOrdID(clOrdIDOf(c.in.Block))
	c.s.SendToClient(c.out)
	c.s.EndMessage()
}

// deliver brings the server's outputs to whom they are for, and looks what the
// others could see.
func (c *crowded) deliver() {
	c.out.Seal()
	for ; c.out.Head() < c.out.Tail(); c.out.Release(c.out.Head() + 1) {
		s := c.out.At(c.out.Head())
		b := s.Frame[frame.HeaderBytes:s.LengthBytes]
		var m [sbe.MaxMessages]sbe.Message
		n, why := sbe.Split(b, &m)
		if why != sbe.OK {
			c.t.Fatalf("sent a bad datagram: %v", why)
		}
		switch s.Remote {
		case home:
			c.take(c.honest, b)
			continue
		case c.insider:
			c.take(c.inside, b)
		default:
			c.toStranger += len(b)
		}
		for i := range n {
			block := m[i].Block(b)
			if len(block) >= len(id) && sbe.UUID(block[:len(id)]) == id {
				switch m[i].Template {
				case sbe.TemplateNegotiationReject, sbe.TemplateEstablishmentReject, sbe.TemplateNegotiationResponse, sbe.TemplateTerminate:
				default:
					c.t.Fatalf("%v was sent a %s of session 0", s.Remote, sbe.TemplateName(m[i].Template))
				}
			}
			if s.Remote == c.stranger && (sbe.IsAnswer(m[i].Template) || m[i].Template == sbe.TemplateContext || m[i].Template == sbe.TemplateRetransmission) {
				c.t.Fatalf("a stranger was sent a %s", sbe.TemplateName(m[i].Template))
			}
		}
	}
}

func (c *crowded) take(i *Initiator, b []byte) {
	for k := range i.Open(b, c.nowNs) {
		if v, seqNo, raw := i.Admit(k); v == app.Commit {
			if a := i.Accept(seqNo, uint16(raw[2])|uint16(raw[3])<<8, raw[sbe.HeaderBytes:]); a.First && i == c.honest {
				c.answered++
			}
		}
	}
}

func (c *crowded) speak(i *Initiator, at app.Endpoint) {
	i.Poll(c.nowNs, &c.w)
	for _, b := range c.w.take() {
		if i == c.honest {
			c.heard = append(c.heard, b)
		}
		c.from(b, at)
	}
}

// forge makes a datagram of what was heard and of the attacker's own invention.
func (c *crowded) forge(r *rand.Rand) []byte {
	b := append([]byte(nil), c.heard[r.IntN(len(c.heard))]...)
	switch r.IntN(6) {
	case 0: // as it was
	case 1: // harmed
		for range 1 + r.IntN(4) {
			b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
		}
	case 2: // cut, or longer
		b = append(b, c.heard[r.IntN(len(c.heard))]...)
		b = b[:r.IntN(len(b)+1)]
	case 3: // of another number
		if len(b) >= sbe.PrefixBytes+sbe.ContextBytes {
			binary.LittleEndian.PutUint64(b[sbe.PrefixBytes+16:], r.Uint64()>>r.IntN(64))
		}
	case 4: // of another template, with the session in front
		template := uint16(r.IntN(30))
		m := make([]byte, sbe.MaxMessageBytes)
		if sbe.TemplateName(template) == "unknown" {
			return b
		}
		block := sbe.Put(m, template, sbe.BlockBytes(template))
		for k := range block {
			block[k] = byte(r.Uint32())
		}
		copy(block, id[:min(len(block), len(id))])
		b = m[:sbe.PrefixBytes+len(block)]
	case 5: // oversized
		binary.BigEndian.PutUint32(b, r.Uint32())
	}
	return b
}

// Attackers who heard everything send it again, harmed, renumbered, reordered: the
// honest client's orders are answered each, it never has to establish anew, nobody
// else gets in, and a stranger hears less than it says.
func TestHostileStream(t *testing.T) {
	for seed := range uint64(4) {
		c, r := newCrowded(t), rand.New(rand.NewPCG(seed, 7))
		sent := 0
		for step := range 6_000 {
			c.nowNs += 1_000_000
			if c.honest.Established() && step%3 == 0 && c.honest.Room() > 0 {
				sent++
				sbe.AsNewOrderSingle(c.honest.Begin(sbe.TemplateNewOrderSingle, uint64(sent))).SetClOrdID(uint64(sent))
				c.honest.Commit(c.nowNs)
			}
			c.speak(c.honest, home)
			c.speak(c.inside, c.insider)
			for range 10 {
				at := c.stranger
				if r.IntN(2) == 0 {
					at = c.insider
				}
				b := c.forge(r)
				if at == c.stranger {
					c.fromIt += len(b)
				}
				c.from(b, at)
			}
			c.poll(0)
			c.deliver()
		}
		for range 100 {
			c.nowNs += 1_000_000
			c.speak(c.honest, home)
			c.poll(0)
			c.deliver()
		}
		if sent < 1500 || c.answered != sent || c.honest.Counts.Of(CountEstablished) != 1 || c.honest.Counts.Of(CountTerminated) != 0 {
			t.Fatalf("seed %d: %d of %d orders answered, established %d times", seed, c.answered, sent, c.honest.Counts.Of(CountEstablished))
		}
		if c.toStranger > c.fromIt/2 {
			t.Errorf("seed %d: a stranger sent %d bytes and was sent %d", seed, c.fromIt, c.toStranger)
		}
	}
}

// Records are believed as little: a log that goes on otherwise than this state, or
// that is harmed, is counted and changes nothing it should not.
func TestArbitrarySessionRecords(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	p := newPeer(t, 64)
	b := make([]byte, sessionIPv6Bytes)
	for range 200_000 {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		n := r.IntN(len(b) + 1)
		if n > offNextSeqNo {
			binary.LittleEndian.PutUint32(b, uint32(r.IntN(3)))
			binary.LittleEndian.PutUint32(b[offEvent:], uint32(r.IntN(int(eventCount)+1)))
			binary.LittleEndian.PutUint64(b[offNextSeqNo:], r.Uint64()>>r.IntN(64))
		}
		p.s.ApplySession(&app.Record{TimeNs: p.nowNs, Type: app.RecordSession, Payload: b[:n]}, p.out)
		if r.IntN(10) == 0 {
			p.poll(int64(r.IntN(1_000_000_000)))
		}
		p.out.Seal()
		p.out.Release(p.out.Tail())
	}
	p.s.Digest(0)
	if p.s.Counts.Of(CountBadRecord) == 0 {
		t.Error("nothing was bad")
	}
}

// TestServerAllocatesNothing: neither what a hostile client causes nor what time
// brings.
func TestServerAllocatesNothing(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	p.s.sessions[0].orders = newRate(1, 1)
	order, stray, old := orders(5, 5), orders(1, 1), establish(key, 1)
	dg := app.Datagram{From: home, LocalPort: port}
	if n := testing.AllocsPerRun(200, func() {
		p.nowNs += 1_000_000
		for _, b := range [][]byte{order, stray, old} {
			dg.Payload = b
			for i := range p.s.Open(&dg, p.nowNs) {
				p.s.Admit(i, p.out)
			}
		}
		p.s.Poll(p.nowNs, p.out)
		p.out.Seal()
		p.out.Release(p.out.Tail())
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
