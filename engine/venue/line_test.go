package venue

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// session is a Session that keeps what it was given.
type session struct {
	room     int
	sent     []given
	building given
	block    [64]byte
	answered map[uint64]bool
	closed   bool
}

func (s *session) Closed() bool { return s.closed }

type given struct {
	clOrdID  uint64
	template uint16
	atNs     int64
	first    byte // of the block
}

func (s *session) Begin(template uint16, clOrdID uint64) []byte {
	if s.room == 0 {
		return nil
	}
	s.building = given{clOrdID: clOrdID, template: template}
	clear(s.block[:])
	return s.block[:sbe.BlockBytes(template)]
}

func (s *session) Commit(timeNs int64) {
	s.room--
	s.building.atNs, s.building.first = timeNs, s.block[0]
	s.sent = append(s.sent, s.building)
}

func (s *session) Overdue(from uint64, beforeNs int64, visit func(uint64, uint16)) (uint64, int64) {
	for n := from; n < uint64(len(s.sent)); n++ {
		g := s.sent[n]
		if s.answered[g.clOrdID] {
			continue
		}
		if visit == nil || g.atNs >= beforeNs {
			return n, g.atNs
		}
		visit(g.clOrdID, g.template)
	}
	return uint64(len(s.sent)), 0
}

func newLine(t testing.TB, cfg Config) (*Line, *session) {
	t.Helper()
	s := &session{room: 1 << 30, answered: map[uint64]bool{}}
	l, err := New(cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	return l, s
}

const (
	newOrder = sbe.TemplateNewOrderSingle
	cancel   = sbe.TemplateOrderCancelRequest
)

// give sends a request; its block begins with the low byte of its ClOrdID.
func give(l *Line, template uint16, clOrdID uint64, nowNs int64) sbe.RejectReason {
	block, why := l.Begin(template, clOrdID, nowNs)
	if block != nil {
		block[0] = byte(clOrdID)
		l.Commit(nowNs)
	}
	return why
}

// TestThrottleAgainstModel: over random requests no window of a second holds more
// than rate and burst, nothing overtakes but cancels that may, and nothing is lost.
func TestThrottleAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		cfg := Config{OrdersPerSecond: 1 + r.IntN(2000), Burst: 1 + r.IntN(20), QueueMax: r.IntN(64), CancelsFirst: seed%2 == 0}
		l, s := newLine(t, cfg)
		twin, ts := newLine(t, cfg)
		var want [2][]uint64 // accepted requests in order: cancels that may overtake, and the rest
		nowNs, withdrawn := int64(1_000_000_000), map[uint64]bool{}
		class := func(template uint16) int {
			if cfg.CancelsFirst && template == cancel {
				return 1
			}
			return 0
		}
		for id := uint64(1); id < 5000; id++ {
			nowNs += r.Int64N(2_000_000)
			for due := l.Due(); due != 0 && due <= nowNs; due = l.Due() {
				before := len(s.sent)
				l.Tick(max(due, 1), func() {})
				twin.Tick(max(due, 1), func() {})
				if len(s.sent) == before {
					t.Fatalf("seed %d: nothing was sent at %d, when it was due", seed, due)
				}
			}
			template := newOrder
			if r.IntN(3) == 0 {
				template = cancel
			}
			why := give(l, template, id, nowNs)
			if twinWhy := give(twin, template, id, nowNs); twinWhy != why {
				t.Fatalf("seed %d: %v here, %v there", seed, why, twinWhy)
			}
			switch why {
			case sbe.RejectReasonNone:
				want[class(template)] = append(want[class(template)], id)
			case sbe.RejectReasonVenueThrottle:
				if l.waiting.live < cfg.QueueMax && !cfg.CancelsFirst && l.waiting.tail-l.waiting.head < uint64(cfg.QueueMax) {
					t.Fatalf("seed %d: refused with %d of %d waiting", seed, l.Queued(), cfg.QueueMax)
				}
			default:
				t.Fatalf("seed %d: %v", seed, why)
			}
			if back := id - uint64(r.IntN(20)); r.IntN(5) == 0 && l.Withdraw(back) {
				twin.Withdraw(back)
				withdrawn[back] = true
			}
			if l.Digest(0) != twin.Digest(0) {
				t.Fatalf("seed %d: the lines differ after %d", seed, id)
			}
			if id%500 == 0 {
				l = reload(t, l, cfg, s)
			}
		}
		for l.Due() != 0 {
			l.Tick(l.Due(), func() {})
		}
		checkSent(t, seed, cfg, s.sent, want, withdrawn, class)
		_ = ts
	}
}

func checkSent(t *testing.T, seed uint64, cfg Config, sent []given, want [2][]uint64, withdrawn map[uint64]bool, class func(uint16) int) {
	t.Helper()
	interval := (int64(1_000_000_000) + int64(cfg.OrdersPerSecond) - 1) / int64(cfg.OrdersPerSecond)
	for i, g := range sent {
		if g.first != byte(g.clOrdID) || withdrawn[g.clOrdID] {
			t.Fatalf("seed %d: request %d was sent with block %d, withdrawn %v", seed, g.clOrdID, g.first, withdrawn[g.clOrdID])
		}
		if j := i + cfg.Burst; j < len(sent) && sent[j].atNs-g.atNs < interval {
			t.Fatalf("seed %d: %d requests within %d ns, the burst is %d", seed, cfg.Burst+1, sent[j].atNs-g.atNs, cfg.Burst)
		}
		q := &want[class(g.template)]
		for len(*q) > 0 && withdrawn[(*q)[0]] {
			*q = (*q)[1:]
		}
		if len(*q) == 0 || (*q)[0] != g.clOrdID {
			t.Fatalf("seed %d: request %d out of its turn: %v", seed, g.clOrdID, (*q)[:min(len(*q), 3)])
		}
		*q = (*q)[1:]
	}
	for _, q := range want {
		for _, id := range q {
			if !withdrawn[id] {
				t.Fatalf("seed %d: request %d was never sent", seed, id)
			}
		}
	}
}

// reload moves a line's state into a fresh one.
func reload(t *testing.T, l *Line, cfg Config, s *session) *Line {
	t.Helper()
	var b, again bytes.Buffer
	w := app.NewStateWriter(&b)
	l.Save(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	fresh, err := New(cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	r := app.NewStateReader(bytes.NewReader(b.Bytes()))
	if fresh.Load(r); r.Err() != nil {
		t.Fatal(r.Err())
	}
	w = app.NewStateWriter(&again)
	fresh.Save(w)
	if err := w.Flush(); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) || fresh.Digest(0) != l.Digest(0) {
		t.Fatalf("what was loaded is saved otherwise (%v)", err)
	}
	return fresh
}

func TestNothingWaitsWithoutAThrottle(t *testing.T) {
	l, s := newLine(t, Config{})
	for id := uint64(1); id <= 1000; id++ {
		if why := give(l, newOrder, id, 1); why != sbe.RejectReasonNone {
			t.Fatal(why)
		}
	}
	if len(s.sent) != 1000 || l.Due() != 0 || l.Queued() != 0 {
		t.Fatalf("%d sent, due %d", len(s.sent), l.Due())
	}
	s.room = 0
	if why := give(l, newOrder, 1001, 1); why != sbe.RejectReasonVenueUnavailable || l.Of(CountWindowFull) != 1 {
		t.Fatal(why)
	}
}

// TestFullWindowHoldsTheQueue: what waits is not lost when the session has no room.
func TestFullWindowHoldsTheQueue(t *testing.T) {
	l, s := newLine(t, Config{OrdersPerSecond: 1000, Burst: 1, QueueMax: 8})
	for id := uint64(1); id <= 4; id++ {
		give(l, newOrder, id, 1)
	}
	s.room = 0
	for range 10 {
		l.Tick(l.Due(), func() {})
	}
	if l.Queued() != 3 || len(s.sent) != 1 {
		t.Fatalf("%d wait, %d sent", l.Queued(), len(s.sent))
	}
	s.room = 10
	for l.Due() != 0 {
		l.Tick(l.Due(), func() {})
	}
	if len(s.sent) != 4 {
		t.Fatalf("%d sent", len(s.sent))
	}
}

func TestBreaker(t *testing.T) {
	const second = 1_000_000_000
	cfg := Config{BreakAfter: 3, BreakWindowNs: second, BreakOpenNs: 5 * second, BreakTimeoutNs: second / 10}
	l, s := newLine(t, cfg)
	id, nowNs := uint64(0), int64(second)
	order := func() sbe.RejectReason { id++; return give(l, newOrder, id, nowNs) }
	refuse := func() { order(); s.answered[id] = true; l.Refused(id, nowNs) }
	// Failures that are far enough apart never open it.
	for range 10 {
		refuse()
		nowNs += second
	}
	if l.Breaker() != Closed {
		t.Fatalf("%v after failures a second apart", l.Breaker())
	}
	for range 3 {
		refuse()
		nowNs += second / 10
	}
	if l.Breaker() != Open || order() != sbe.RejectReasonVenueCircuitOpen || l.Of(CountCircuitOpen) != 1 {
		t.Fatalf("%v after three failures", l.Breaker())
	}
	if why := give(l, cancel, 1_000_000, nowNs); why != sbe.RejectReasonNone {
		t.Fatalf("a cancel was refused: %v", why)
	}
	s.answered[1_000_000] = true
	l = reload(t, l, cfg, s)
	nowNs += 5 * second
	if order() != sbe.RejectReasonNone || l.Breaker() != HalfOpen || order() != sbe.RejectReasonVenueCircuitOpen {
		t.Fatalf("%v: one probe, and no more, was to pass", l.Breaker())
	}
	// The probe stays unanswered.
	nowNs = l.Due()
	if l.Tick(nowNs, func() {}); l.Breaker() != Open || l.Of(CountTimeouts) != 1 {
		t.Fatalf("%v after a probe without an answer, %d timeouts", l.Breaker(), l.Of(CountTimeouts))
	}
	nowNs += 5 * second
	if order() != sbe.RejectReasonNone {
		t.Fatal("no second probe")
	}
	s.answered[id] = true
	l.Accepted(id - 1) // another order's report closes nothing
	if l.Breaker() != HalfOpen {
		t.Fatalf("%v after a report of another order", l.Breaker())
	}
	if l.Accepted(id); l.Breaker() != Closed || order() != sbe.RejectReasonNone {
		t.Fatalf("%v after the probe was accepted", l.Breaker())
	}
	// Silence alone opens it too.
	for range 2 {
		order()
	}
	nowNs = l.Due()
	if l.Tick(nowNs, func() {}); l.Breaker() != Open {
		t.Fatalf("%v after three orders without an answer", l.Breaker())
	}
}

func TestBadConfigs(t *testing.T) {
	for _, cfg := range []Config{{OrdersPerSecond: -1}, {QueueMax: 1 << 20}, {BreakAfter: 1}, {BreakAfter: 1 << 20}, {Burst: -1}} {
		if _, err := New(cfg, &session{}); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	l, s := newLine(t, Config{OrdersPerSecond: 1_000_000, Burst: 4, QueueMax: 64, CancelsFirst: true, BreakAfter: 4, BreakWindowNs: 1, BreakOpenNs: 1, BreakTimeoutNs: 100})
	s.sent = make([]given, 0, 1<<20)
	id, nowNs := uint64(0), int64(1)
	sent := func() {}
	if n := testing.AllocsPerRun(2000, func() {
		for range 8 {
			id++
			give(l, newOrder, id, nowNs)
		}
		l.Withdraw(id)
		l.Refused(id, nowNs)
		nowNs += 8_000
		for l.Due() != 0 && l.Due() <= nowNs {
			l.Tick(nowNs, sent)
		}
		l.Digest(0)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
