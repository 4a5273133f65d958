package fixp

import (
	"bytes"
	"encoding/binary"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// asOf makes a datagram's messages those of a client of version 256, as far as
// they are ours: the version in the header, no later fields.
func asOf256(t *testing.T, b []byte) []byte {
	t.Helper()
	var out []byte
	for len(b) > 0 {
		n := binary.BigEndian.Uint32(b)
		m := bytes.Clone(b[:n])
		m = m[:sbe.Shorten(m)]
		binary.LittleEndian.PutUint16(m[sbe.SOFHBytes+6:], 256)
		out, b = append(out, m...), b[n:]
	}
	return out
}

// readAs256 reads what a client of version 256 would: it knows the templates up to
// Refused and the orders', and takes longer blocks of a newer version.
func readAs256(t *testing.T, b []byte) (templates []uint16) {
	t.Helper()
	base := map[uint16]int{sbe.TemplateNegotiationResponse: 32, sbe.TemplateNegotiationReject: 32, sbe.TemplateEstablishmentAck: 48,
		sbe.TemplateEstablishmentReject: 32, sbe.TemplateContext: 24, sbe.TemplateRetransmission: 40, sbe.TemplateRetransmitReject: 40,
		sbe.TemplateTerminate: 24, sbe.TemplateNotApplied: 16, sbe.TemplateRefused: 32, sbe.TemplateExecutionReport: 88, sbe.TemplateReject: 40}
	for len(b) > 0 {
		n := binary.BigEndian.Uint32(b)
		block, template := int(binary.LittleEndian.Uint16(b[sbe.SOFHBytes:])), binary.LittleEndian.Uint16(b[sbe.SOFHBytes+2:])
		version := binary.LittleEndian.Uint16(b[sbe.SOFHBytes+6:])
		known, ok := base[template]
		if !ok || block < known || block > known && version <= 256 || version>>8 != 1 {
			t.Fatalf("a client of version 256 cannot read template %d, version %d, block of %d", template, version, block)
		}
		templates, b = append(templates, template), b[n:]
	}
	return templates
}

// A client that knows nothing of version 257 negotiates, trades, is refused,
// repeats, asks again, is throttled, loses its session and has it again.
func TestOldClientIsServed(t *testing.T) {
	p := newPeer(t, 64)
	p.s.sessions[0].orders = newRate(1000, 3)
	say := func(b []byte) {
		p.receive(asOf256(t, b), home)
		for _, d := range p.datagrams() {
			readAs256(t, d)
		}
	}
	say(negotiate(NewKey("wrong"), 1))
	say(establish(key, 1))
	say(negotiate(key, 1))
	say(establish(key, 2))
	say(establish(key, 1)) // stale
	p.state(Established)
	say(orders(1, 1, 2, 3, 4))
	say(orders(1, 1))
	say(ask(1, 2))
	say(ask(900, 2))
	p.nowNs += second
	p.s.sessions[0].turn.orderNs = 0
	say(orders(6, 6))
	if _, in, out := p.s.SessionState(0); in != 7 || out != 6 { // four reports and a NotApplied
		t.Fatal(in, out)
	}
	p.nowNs += second
	p.poll(0)
	for _, d := range p.datagrams() {
		readAs256(t, d)
	}
	p.state(Terminated)
	say(orders(7, 7))
	say(establish(key, 3))
	say(orders(7, 7))
	say(terminate())
}

// Everything that is replicated of a session is saved, and counts in the digest.
func TestSessionStateIsSaved(t *testing.T) {
	build := func() *peer {
		p := newPeer(t, 64)
		p.s.sessions[0].windowNs = 5 * second
		return p
	}
	steps := []func(p *peer){
		func(p *peer) { p.receive(negotiate(key, 1), home) },
		func(p *peer) { p.receive(establish(key, 2), home) },
		func(p *peer) { p.receive(orders(1, 1, 2), home) },
		func(p *peer) { p.receive(finished(sbe.TemplateFinishedSending, 3), home) },
		func(p *peer) { p.operate(5) }, // finish
		func(p *peer) { p.receive(terminate(), home) },
		func(p *peer) { p.operate(2) }, // block
		func(p *peer) { p.poll(6 * second) },
		func(p *peer) { p.operate(3) }, // unblock
		func(p *peer) { p.receive(establish(key, 9), home) },
	}
	p, digests := build(), map[uint64]int{}
	for i, step := range steps {
		step(p)
		p.take()
		digest := p.s.Digest(0)
		if before, ok := digests[digest]; ok {
			t.Fatalf("step %d has the digest of step %d", i, before)
		}
		digests[digest] = i
		var saved, again bytes.Buffer
		w := app.NewStateWriter(&saved)
		p.s.Save(w)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		q := build()
		if err := q.s.Load(app.NewStateReader(bytes.NewReader(saved.Bytes()))); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		w = app.NewStateWriter(&again)
		q.s.Save(w)
		if err := w.Flush(); err != nil || !bytes.Equal(saved.Bytes(), again.Bytes()) || q.s.Digest(0) != digest {
			t.Fatalf("step %d: what was loaded is not what was saved (%v)", i, err)
		}
		q.nowNs = p.nowNs
		q.s.Promote(q.nowNs, q.out)
		q.take()
	}
}
