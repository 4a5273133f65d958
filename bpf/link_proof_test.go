package bpf

import (
	"testing"

	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
)

// standbyPeer is what a node needs to see before its kernel may fence: a
// successor in STANDBY of our epoch, heard within T. reset makes it so.
func probe(change func(*wire.Header)) func(*host) []byte {
	return func(h *host) []byte {
		return h.sent(wire.Probe, nil, nil, func(x *wire.Header) {
			x.Authority = lane.MakeWord(epoch, lane.Standby)
			if change != nil {
				change(x)
			}
		})
	}
}

func stuck(h *host) { h.table.Watch.StuckTicks = h.table.Config.HangTicks }

// woken: the count of a hang still stands, but progress was made since the last tick.
func woken(h *host) {
	stuck(h)
	h.table.Engine.ProgressNs = h.table.Watch.LastProgressNs + 1
}

func gone(h *host) { h.setOrder(false) }

func TestProbeVerdicts(t *testing.T) {
	fencedFor := func(why lane.Why) func(*host, []byte) {
		return func(h *host, _ []byte) {
			h.t.Helper()
			w := h.table.Watch
			if w.FencedNs == 0 || w.FencedWord != uint64(lane.MakeWord(epoch, lane.Active)) || w.CandidateWhy != uint64(why) {
				h.t.Errorf("watch %+v, want fenced for %v", w, why)
			}
		}
	}
	unfenced := func(h *host, _ []byte) {
		h.t.Helper()
		if w := h.table.Watch; w.FencedNs != 0 || w.FencedWord != 0 {
			h.t.Errorf("fenced: %+v", w)
		}
	}
	state := func(h *host) {
		h.table.Tail, h.table.Engine.Released, h.table.Engine.Applied = 640, 608, 512
	}
	const both = "fenced_by_probe probe_answered"
	none := func(*host) {}
	for _, c := range []struct {
		cause  string
		engine func(*host)
		why    lane.Why
	}{{"alive", none, lane.WhyNone}, {"just woken", woken, lane.WhyNone}, {"stuck", stuck, lane.WhyStuck}, {"slot empty", gone, lane.WhySlotEmpty}} {
		cases := []linkCase{
			{name: c.cause + ", successor silent", prepare: func(h *host) { c.engine(h); h.table.Watch.SilentTicks = h.table.Config.SilenceTicks }, frame: probe(nil), verdict: xdpTx, counted: "probe_answered", answer: wire.Life, check: unfenced},
			{name: c.cause + ", prober is not a standby", prepare: c.engine, frame: probe(func(x *wire.Header) { x.Authority = lane.MakeWord(epoch, lane.Syncing) }), verdict: xdpTx, counted: "probe_answered", answer: wire.Life, check: unfenced},
			{name: c.cause + ", prober of another epoch", prepare: c.engine, frame: probe(func(x *wire.Header) { x.Epoch, x.Authority = epoch-1, lane.MakeWord(epoch-1, lane.Standby) }), verdict: xdpTx, counted: "probe_answered", answer: wire.Life, check: unfenced},
			{name: c.cause + ", CANDIDATE", state: lane.Candidate, prepare: c.engine, frame: probe(nil), verdict: xdpTx, counted: "probe_answered", answer: wire.Life, check: unfenced},
			{name: c.cause + ", STANDBY", state: lane.Standby, prepare: c.engine, frame: probe(nil), verdict: xdpTx, counted: "probe_answered", answer: wire.Life, check: unfenced},
			{name: c.cause + ", FENCED already", state: lane.Fenced, prepare: c.engine, frame: probe(nil), verdict: xdpTx, counted: "probe_answered", answer: wire.Fenced, check: unfenced},
		}
		last := linkCase{name: c.cause, prepare: func(h *host) { state(h); c.engine(h) }, frame: probe(nil), verdict: xdpTx, tail: 640}
		if c.why == lane.WhyNone {
			last.counted, last.answer, last.check = "probe_answered", wire.Life, unfenced
		} else {
			last.counted, last.answer, last.check, last.word = both, wire.Fenced, fencedFor(c.why), lane.Fenced
		}
		runLinkCases(t, lane.Active, append(cases, last))
	}
	runLinkCases(t, lane.Active, []linkCase{
		{name: "newer epoch", frame: probe(func(x *wire.Header) { x.Epoch++ }), verdict: xdpRedirect, counted: "mirror_newer", word: lane.Syncing},
		{name: "authentication off", prepare: authOff, frame: probe(nil), verdict: xdpTx, counted: "probe_answered", answer: wire.Life},
	})
}

// A successor that probes for the first time is believed at once: the same
// frame tells that it is STANDBY.
func TestProbeTellsWhoAsks(t *testing.T) {
	h := newHost(t)
	h.reset(lane.Active)
	h.table.Peer.Authority = 0
	stuck(h)
	h.run(h.k.Link, probe(nil)(h))
	if h.wordNow().State() != lane.Fenced {
		t.Errorf("authority %v", h.wordNow())
	}
}

// FENCED and FORWARD as the writer's kernel sends them.
func proof(typ wire.Type, change func(*wire.Header)) func(*host) []byte {
	return func(h *host) []byte {
		var ride []byte
		if typ == wire.Forward {
			ride = orderFrame(70)
		}
		return h.sent(typ, nil, ride, func(x *wire.Header) {
			x.Path, x.Successor, x.Applied = lane.PathSteer, ourNode, 320
			x.Authority = lane.MakeWord(epoch, lane.Fenced)
			if change != nil {
				change(x)
			}
		})
	}
}

func TestProofVerdicts(t *testing.T) {
	for typ, name := range map[wire.Type]string{wire.Fenced: "fenced_received", wire.Forward: "forward_received"} {
		promoted := func(h *host, _ []byte) {
			h.t.Helper()
			w, p := h.table.Watch, h.table.Peer
			if w.CandidateNs == 0 || w.CandidateWhy != uint64(lane.WhyFenced) || p.Released != 320 || p.Authority != uint64(lane.MakeWord(epoch, lane.Fenced)) {
				h.t.Errorf("watch %+v peer %+v", w, p)
			}
		}
		unpromoted := func(h *host, _ []byte) {
			h.t.Helper()
			if h.table.Watch.CandidateNs != 0 {
				h.t.Errorf("watch %+v", h.table.Watch)
			}
		}
		cases := []linkCase{
			{name: "promotes", frame: proof(typ, nil), verdict: xdpRedirect, counted: "candidate " + name, word: lane.Candidate, check: promoted},
			{name: "own engine stuck", prepare: stuck, frame: proof(typ, nil), verdict: xdpDrop, counted: "candidate_refused", check: unpromoted},
			{name: "own engine gone", prepare: gone, frame: proof(typ, nil), verdict: xdpDrop, counted: "candidate_refused", check: unpromoted},
			{name: "another successor", frame: proof(typ, func(x *wire.Header) { x.Successor = 9 }), verdict: xdpDrop, counted: "link_node", check: unpromoted},
			{name: "writer is not fenced", frame: proof(typ, func(x *wire.Header) { x.Authority = lane.MakeWord(epoch, lane.Active) }), verdict: xdpDrop, counted: "link_type", check: unpromoted},
			{name: "fenced in another epoch", frame: proof(typ, func(x *wire.Header) { x.Authority = lane.MakeWord(epoch-1, lane.Fenced) }), verdict: xdpDrop, counted: "link_type", check: unpromoted},
			{name: "of an older epoch", frame: proof(typ, func(x *wire.Header) { x.Epoch, x.Authority = epoch-1, lane.MakeWord(epoch-1, lane.Fenced) }), verdict: xdpRedirect, counted: name, check: unpromoted},
			{name: "of a newer epoch", frame: proof(typ, func(x *wire.Header) { x.Epoch, x.Authority = epoch+1, lane.MakeWord(epoch+1, lane.Fenced) }), verdict: xdpRedirect, counted: "mirror_newer", word: lane.Syncing, check: unpromoted},
			{name: "link socket gone", prepare: func(h *host) { h.setLink(false) }, frame: proof(typ, nil), verdict: xdpDrop, counted: "candidate link_no_engine", word: lane.Candidate, check: promoted},
		}
		for _, s := range []lane.State{lane.Syncing, lane.Candidate, lane.Active, lane.Fenced} {
			cases = append(cases, linkCase{name: "to the engine in " + s.String(), state: s, frame: proof(typ, nil), verdict: xdpRedirect, counted: name, check: unpromoted})
		}
		t.Run(typ.String(), func(t *testing.T) { runLinkCases(t, lane.Standby, cases) })
	}
}

// What the kernel only passes on or takes note of.
func TestOtherTypes(t *testing.T) {
	hello := func(h *host) []byte {
		// Of an incarnation nobody knows yet, sealed with nothing.
		return h.sent(wire.HelloFrame, bytesOf(wire.HelloBytes, 1), nil, func(x *wire.Header) { x.Incarnation = 99 })
	}
	life := func(e uint32) func(*host) []byte {
		return func(h *host) []byte {
			return h.sent(wire.Life, nil, nil, func(x *wire.Header) { x.Epoch, x.Authority = e, lane.MakeWord(e, lane.Candidate) })
		}
	}
	knows := func(w lane.Word) func(*host, []byte) {
		return func(h *host, _ []byte) {
			if h.table.Peer.Authority != uint64(w) {
				h.t.Errorf("peer's authority %v, want %v", lane.Word(h.table.Peer.Authority), w)
			}
		}
	}
	stale := func(h *host) []byte { return h.sent(wire.Stale, nil, nil, nil) }
	runLinkCases(t, lane.Standby, []linkCase{
		{name: "HELLO", frame: hello, verdict: xdpRedirect, counted: "hello"},
		{name: "HELLO, no socket", prepare: func(h *host) { h.setLink(false) }, frame: hello, verdict: xdpDrop, counted: "link_no_engine"},
		{name: "LIFE", frame: life(epoch), verdict: xdpDrop, counted: "life", check: knows(lane.MakeWord(epoch, lane.Candidate))},
		{name: "LIFE of an older epoch", frame: life(epoch - 1), verdict: xdpDrop, counted: "life", check: knows(lane.MakeWord(epoch, lane.Active))},
		{name: "STALE", frame: stale, verdict: xdpRedirect, counted: "stale"},
		{name: "STALE of a newer epoch", frame: func(h *host) []byte { return h.sent(wire.Stale, nil, nil, func(x *wire.Header) { x.Epoch++ }) }, verdict: xdpRedirect, counted: "mirror_newer", word: lane.Syncing},
	})
}
