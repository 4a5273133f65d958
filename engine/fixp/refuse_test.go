package fixp

import (
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// refuse handles a datagram as a loop does that must not append.
func (p *peer) refuse(b []byte, from app.Endpoint) (r *sbe.Refused, to app.Endpoint) {
	p.t.Helper()
	p.s.Open(&app.Datagram{Payload: b, From: from, LocalPort: port}, p.nowNs)
	reply := make([]byte, app.MaxDatagramBytes)
	n, to := p.s.Refuse(sbe.SessionCodeStandbyLost, reply)
	if n == 0 {
		return nil, to
	}
	var m [sbe.MaxMessages]sbe.Message
	if count, why := sbe.Split(reply[:n], &m); count != 1 || why != sbe.OK || m[0].Template != sbe.TemplateRefused {
		p.t.Fatalf("%d messages, %v, %s", count, why, sbe.TemplateName(m[0].Template))
	}
	return sbe.AsRefused(m[0].Block(reply)), to
}

func TestRefuse(t *testing.T) {
	p := newPeer(t, 64)
	if r, _ := p.refuse(negotiate(key, 1), home); r != nil || p.s.Counts.Of(CountRefusedSession) != 1 {
		t.Error("a session is refused in silence: its client asks again")
	}
	if r, _ := p.refuse(orders(1, 100), home); r != nil {
		t.Error("who is not established gets no refusal")
	}
	p.connect()
	p.receive(orders(1, 100), home)
	p.take()
	digest := p.s.Digest(0)
	for _, c := range []struct {
		name        string
		seqNo       uint64
		ids         []uint64
		from, count uint64
		answered    bool
	}{
		{"one order", 2, []uint64{101}, 2, 1, true},
		{"several", 3, []uint64{102, 103, 104}, 3, 3, true},
		{"a repeat of what is in the log waits for its answer", 1, []uint64{100}, 0, 0, false},
		{"a repeat and a new one", 1, []uint64{100, 101}, 2, 1, true},
		{"a heartbeat", 6, nil, 6, 0, true},
		{"a late heartbeat", 1, nil, 2, 0, true},
		{"too far", 1000, []uint64{105}, 0, 0, false},
	} {
		r, to := p.refuse(orders(c.seqNo, c.ids...), home)
		if (r != nil) != c.answered {
			t.Errorf("%s: answered %t", c.name, r != nil)
			continue
		}
		if r != nil && (r.FromSeqNo() != c.from || uint64(r.Count()) != c.count || r.Code() != sbe.SessionCodeStandbyLost || to != home) {
			t.Errorf("%s: from %d, %d messages, %v to %v", c.name, r.FromSeqNo(), r.Count(), r.Code(), to)
		}
	}
	if r, _ := p.refuse(orders(2, 101), app.Endpoint{IP: app.IPv4([4]byte{9}), Port: 9}); r != nil {
		t.Error("a stranger was answered")
	}
	if p.s.Digest(0) != digest || p.out.Tail() != p.out.Head() {
		t.Error("a refusal changed the state")
	}
	// Orders are taken again: a number that was refused is not, until its client
	// has gone on behind it.
	if n := p.receive(orders(2, 101), home); n != 0 || p.s.Counts.Of(CountRefusedAgain) != 1 {
		t.Error("a refused number became an order")
	}
	p.want("RetransmitReject")
	if n := p.receive(orders(6, 200), home); n != 1 {
		t.Error("the next number was not taken")
	}
	p.want("Context NotApplied ExecutionReport")
	if n := p.receive(orders(3, 102), home); n != 0 {
		t.Error("a number that was given up became an order")
	}
}

// Another node knows nothing of it: what was refused may have been forgotten by
// everybody.
func TestPromotedServerForgetsRefusals(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	p.refuse(orders(1, 100), home)
	p.s.Promote(p.nowNs, p.out)
	p.take()
	if n := p.receive(orders(1, 100), home); n != 1 {
		t.Error("not taken")
	}
}

func TestRefuseAllocatesNothing(t *testing.T) {
	p := newPeer(t, 64)
	p.connect()
	dg, reply := app.Datagram{Payload: orders(1, 100, 101), From: home, LocalPort: port}, make([]byte, app.MaxDatagramBytes)
	if n := testing.AllocsPerRun(100, func() {
		p.s.Open(&dg, p.nowNs)
		p.s.Refuse(sbe.SessionCodeStopped, reply)
	}); n != 0 {
		t.Error(n)
	}
}
