package venue

import (
	"errors"
	"fmt"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// ErrConfig is wrapped by every refusal of New.
var ErrConfig = errors.New("venue configuration")

// Config of a Line; the zero value throttles nothing and never breaks.
type Config struct {
	OrdersPerSecond int  // 0: no throttle
	Burst           int  // at once [1]
	QueueMax        int  // requests that wait for the throttle; 0: they are refused
	CancelsFirst    bool // cancels leave the queue before everything else

	BreakAfter     int   // failures that open the breaker; 0: it never opens
	BreakWindowNs  int64 // within so long
	BreakOpenNs    int64 // new orders are refused so long
	BreakTimeoutNs int64 // a new order without any answer so long is a failure; 0: never
}

// Bounds of a Config.
const (
	rateMax       = 10_000_000
	queueMaxMost  = 1 << 16
	breakAfterMax = 1 << 12
)

// Session is what a Line sends to: fixp.Initiator, or a FIX session.
type Session interface {
	// Begin starts a request and returns its zeroed block; nil: there is no room,
	// or one with this ClOrdID waits for its answer. Commit must follow.
	Begin(template uint16, clOrdID uint64) []byte
	Commit(timeNs int64)
	// Overdue calls visit for requests given to the session before beforeNs that
	// have had no answer, from number from on, and returns the number to go on at
	// and when the request there was given; 0: there is none.
	Overdue(from uint64, beforeNs int64, visit func(clOrdID uint64, template uint16)) (next uint64, atNs int64)
	// Closed reports whether the session's hours are over: what would be given to it
	// now could not be sent under its number.
	Closed() bool
}

// Counter is one counted reason.
type Counter uint8

// Counters of a Line.
const (
	CountSent Counter = iota
	CountQueued
	CountQueueFull
	CountThrottled // refused: there is no queue
	CountWithdrawn
	CountWindowFull
	CountFailures
	CountTimeouts
	CountOpened
	CountClosed
	CountCircuitOpen // refused
	CountHoursOver   // refused: the session is closed, and there is no queue
	counterCount
)

var counterNames = [counterCount]string{"sent", "queued", "queue_full", "throttled", "withdrawn", "window_full", "failures",
	"timeouts", "breaker_opened", "breaker_closed", "circuit_open", "hours_over"}

// Line is the way of requests to one venue.
type Line struct {
	cfg     Config
	session Session
	bucket  bucket
	waiting queue // everything; without the cancels if those go first
	cancels queue // with CancelsFirst
	breaker breaker
	watched uint64 // number up to which requests were looked at for time
	counts  [counterCount]uint64

	building bool // Begin gave a block of the session
	failing  func(clOrdID uint64, template uint16)
	timeNs   int64 // of the Tick under way
}

// New makes the line to a session.
func New(cfg Config, s Session) (*Line, error) {
	switch {
	case cfg.OrdersPerSecond < 0 || cfg.OrdersPerSecond > rateMax || cfg.Burst < 0 || cfg.Burst > rateMax:
		return nil, fmt.Errorf("%w: %d orders a second, burst %d: give 0 to %d", ErrConfig, cfg.OrdersPerSecond, cfg.Burst, rateMax)
	case cfg.QueueMax < 0 || cfg.QueueMax > queueMaxMost:
		return nil, fmt.Errorf("%w: a queue of %d: give 0 to %d", ErrConfig, cfg.QueueMax, queueMaxMost)
	case cfg.BreakAfter < 0 || cfg.BreakAfter > breakAfterMax:
		return nil, fmt.Errorf("%w: a breaker of %d failures: give 0 to %d", ErrConfig, cfg.BreakAfter, breakAfterMax)
	case cfg.BreakAfter > 0 && (cfg.BreakWindowNs <= 0 || cfg.BreakOpenNs <= 0 || cfg.BreakTimeoutNs < 0):
		return nil, fmt.Errorf("%w: the breaker's window and open time must be positive", ErrConfig)
	}
	l := &Line{cfg: cfg, session: s, bucket: newBucket(cfg.OrdersPerSecond, cfg.Burst), waiting: newQueue(cfg.QueueMax),
		breaker: breaker{windowNs: cfg.BreakWindowNs, openNs: cfg.BreakOpenNs, failedNs: make([]int64, cfg.BreakAfter)}}
	if cfg.CancelsFirst {
		l.cancels = newQueue(cfg.QueueMax)
	} else {
		l.cancels = newQueue(0)
	}
	l.failing = func(clOrdID uint64, template uint16) {
		if template == sbe.TemplateNewOrderSingle {
			l.counts[CountTimeouts]++
			l.fail(clOrdID, l.timeNs)
		}
	}
	return l, nil
}

// Begin starts a request and returns its zeroed block, or nil and why it is
// refused. Commit must follow.
func (l *Line) Begin(template uint16, clOrdID uint64, timeNs int64) ([]byte, sbe.RejectReason) {
	if l.waiting.waits(clOrdID) || l.cancels.waits(clOrdID) {
		return nil, sbe.RejectReasonVenueUnavailable
	}
	if template == sbe.TemplateNewOrderSingle && !l.breaker.lets(clOrdID, timeNs) {
		l.counts[CountCircuitOpen]++
		return nil, sbe.RejectReasonVenueCircuitOpen
	}
	block, why := l.place(template, clOrdID, timeNs)
	if block == nil {
		l.breaker.withdrawn(clOrdID)
	}
	return block, why
}

// place finds room for a request: at the session, or in the queue.
func (l *Line) place(template uint16, clOrdID uint64, timeNs int64) ([]byte, sbe.RejectReason) {
	q := l.queueOf(template)
	closed := l.session.Closed()
	// What waits goes first, and a closed session takes nothing but questions about what
	// its venue has.
	free := l.waiting.live == 0 && l.cancels.live == 0 && !closed || closed && template == sbe.TemplateOrderStatusRequest
	if free && timeNs >= l.bucket.nextNs() {
		block := l.session.Begin(template, clOrdID)
		if block == nil {
			l.counts[CountWindowFull]++
			return nil, sbe.RejectReasonVenueUnavailable
		}
		l.bucket.take(timeNs)
		l.counts[CountSent]++
		l.building = true
		return block, sbe.RejectReasonNone
	}
	l.building = false
	if block := q.push(template, clOrdID, timeNs); block != nil {
		l.counts[CountQueued]++
		return block, sbe.RejectReasonNone
	}
	switch {
	case closed && l.cfg.QueueMax == 0:
		l.counts[CountHoursOver]++
		return nil, sbe.RejectReasonMarketClosed
	case l.cfg.QueueMax == 0:
		l.counts[CountThrottled]++
	default:
		l.counts[CountQueueFull]++
	}
	return nil, sbe.RejectReasonVenueThrottle
}

func (l *Line) queueOf(template uint16) *queue {
	if l.cfg.CancelsFirst && template == sbe.TemplateOrderCancelRequest {
		return &l.cancels
	}
	return &l.waiting
}

// Commit ends the request of Begin. It reports whether the session has it: then
// it may be sent now.
func (l *Line) Commit(timeNs int64) bool {
	if l.building {
		l.session.Commit(timeNs)
	}
	return l.building
}

// Withdraw takes back a request that waits for the throttle; false: it does not.
func (l *Line) Withdraw(clOrdID uint64) bool {
	if l.Queued() == 0 || !l.waiting.withdraw(clOrdID) && !l.cancels.withdraw(clOrdID) {
		return false
	}
	l.counts[CountWithdrawn]++
	l.breaker.withdrawn(clOrdID)
	return true
}

// Due returns the lane time from which on Tick has something to do; 0: nothing.
// It changes nothing that is replicated.
func (l *Line) Due() int64 {
	due := int64(0)
	if (l.waiting.live > 0 || l.cancels.live > 0) && !l.session.Closed() {
		due = max(l.bucket.nextNs(), 1)
	}
	if l.cfg.BreakAfter > 0 && l.cfg.BreakTimeoutNs > 0 {
		if _, atNs := l.session.Overdue(l.watched, 0, nil); atNs != 0 && (due == 0 || atNs+l.cfg.BreakTimeoutNs < due) {
			due = atNs + l.cfg.BreakTimeoutNs
		}
	}
	return due
}

// tickMax bounds the requests one Tick lets go: it runs within one record.
const tickMax = 16

// Tick lets go what the throttle allows by now and looks for orders without an
// answer. sent is called after each request given to the session.
func (l *Line) Tick(timeNs int64, sent func()) {
	if l.cfg.BreakAfter > 0 && l.cfg.BreakTimeoutNs > 0 {
		l.timeNs = timeNs
		l.watched, _ = l.session.Overdue(l.watched, timeNs-l.cfg.BreakTimeoutNs+1, l.failing)
	}
	if l.session.Closed() {
		return
	}
	for range tickMax {
		q := &l.cancels
		r := q.oldest()
		if r == nil {
			q = &l.waiting
			r = q.oldest()
		}
		if r == nil || timeNs < l.bucket.nextNs() {
			return
		}
		block := l.session.Begin(r.template, r.clOrdID)
		if block == nil {
			// The session's window is full: it goes on with its next answer.
			l.counts[CountWindowFull]++
			l.bucket.fullNs = max(l.bucket.fullNs, timeNs+windowRetryNs+l.bucket.aheadNs)
			return
		}
		copy(block, r.block[:sbe.BlockBytes(r.template)])
		l.bucket.take(timeNs)
		q.pop()
		l.counts[CountSent]++
		l.session.Commit(timeNs)
		sent()
	}
}

// windowRetryNs is how long a full window is left alone by the queue.
const windowRetryNs = 1_000_000

// NeverSent notes that a request never left the session: it says nothing of the venue.
func (l *Line) NeverSent(clOrdID uint64) { l.breaker.withdrawn(clOrdID) }

// Refused notes that the venue refused a new order.
func (l *Line) Refused(clOrdID uint64, timeNs int64) { l.fail(clOrdID, timeNs) }

func (l *Line) fail(clOrdID uint64, timeNs int64) {
	l.counts[CountFailures]++
	if l.breaker.failed(clOrdID, timeNs) {
		l.counts[CountOpened]++
	}
}

// Accepted notes that the venue took a new order.
func (l *Line) Accepted(clOrdID uint64) {
	if l.breaker.accepted(clOrdID) {
		l.counts[CountClosed]++
	}
}

// Breaker returns the breaker's state; Open changes to HalfOpen with the next
// order after its time.
func (l *Line) Breaker() BreakerState { return l.breaker.state }

// Queued returns how many requests wait for the throttle.
func (l *Line) Queued() int { return l.waiting.live + l.cancels.live }

// Of returns one counter.
func (l *Line) Of(c Counter) uint64 { return l.counts[c] }

// Counters names every counter.
func (l *Line) Counters(prefix string, visit func(name string, count uint64)) {
	for i, n := range l.counts {
		visit(prefix+counterNames[i], n)
	}
	visit(prefix+"queue", uint64(l.Queued()))
	visit(prefix+"breaker", uint64(l.breaker.state))
}

// Digest folds the replicated state.
func (l *Line) Digest(d uint64) uint64 {
	d = app.Fold(d, uint64(l.bucket.fullNs))
	d = l.cancels.digest(l.waiting.digest(d))
	return app.Fold(l.breaker.digest(d), l.watched)
}

const (
	wayVersion   = 2 // 2: hours_over
	queueVersion = 1
)

// Save writes the replicated state.
func (l *Line) Save(w *app.StateWriter) {
	w.Section("way to the venue", wayVersion)
	w.I64("full_ns", l.bucket.fullNs)
	w.U64("watched", l.watched)
	l.breaker.save(w)
	for i, n := range l.counts {
		w.U64(counterNames[i], n)
	}
	w.End()
	w.Section("queue to the venue", queueVersion)
	l.waiting.save(w)
	w.End()
	w.Section("cancels to the venue", queueVersion)
	l.cancels.save(w)
	w.End()
}

// Load takes a saved state into a fresh line of the same configuration.
func (l *Line) Load(r *app.StateReader) {
	counts := l.counts[:]
	if r.Section("way to the venue", wayVersion) < 2 {
		counts = counts[:CountHoursOver]
	}
	l.bucket.fullNs, l.watched = r.I64(), r.U64()
	l.breaker.load(r)
	for i := range counts {
		counts[i] = r.U64()
	}
	r.End()
	r.Section("queue to the venue", queueVersion)
	l.waiting.load(r)
	r.End()
	r.Section("cancels to the venue", queueVersion)
	l.cancels.load(r)
	r.End()
}
