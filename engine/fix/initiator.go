package fix

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"onebeat/engine/fix/convert"
	"onebeat/engine/fix/store"
	"onebeat/engine/sbe"
)

// Venue is how a session with a venue is begun: by us. Its Logon carries the next
// number of the lane's store, whichever node sends it, and never asks for a reset
// unless ResetOnLoss says so and the venue has lost its own numbers.
type Venue struct {
	// Dial connects to the venue.
	Dial func(ctx context.Context) (net.Conn, error)
	// TLS, if not nil, is what the connection begins with.
	TLS *tls.Config
	// Heartbeat is HeartBtInt [10 s]: whole seconds.
	Heartbeat time.Duration
	// Reconnect is the first wait between two tries; it doubles up to ReconnectMax, and
	// each is between half of it and all of it [10 ms, 1 s].
	Reconnect, ReconnectMax time.Duration
	// ResetOnLoss: a venue that names a number we had from it before has lost its state.
	// Then the next Logon resets both numbers, and every order that is open there is
	// asked about. Otherwise the session stays away until an operator decides.
	ResetOnLoss bool
}

// dialTimeout bounds one try to connect, greetTimeout the wait for the venue's Logon.
const (
	dialTimeout  = 2 * time.Second
	greetTimeout = 3 * time.Second
	servingEvery = 2 * time.Millisecond
)

func (v *Venue) complete() error {
	orDefault(&v.Heartbeat, 10*time.Second)
	orDefault(&v.Reconnect, 10*time.Millisecond)
	orDefault(&v.ReconnectMax, time.Second)
	if v.Dial == nil || v.Heartbeat < time.Second || v.Heartbeat%time.Second != 0 || v.Reconnect <= 0 || v.ReconnectMax < v.Reconnect {
		return fmt.Errorf("%w: a venue's heartbeat %v, reconnect %v to %v: give whole seconds, and rising waits", ErrConfig, v.Heartbeat, v.Reconnect, v.ReconnectMax)
	}
	return nil
}

// startInitiators begins to log on to the venues whenever the lane is served here.
func (a *Acceptor) startInitiators() {
	for at := range a.cfg.Sessions {
		if a.cfg.Sessions[at].SessionConfig.Venue {
			a.running.Add(1)
			go func() {
				defer a.running.Done()
				a.initiate(at)
			}()
		}
	}
}

// initiate keeps one session logged on.
func (a *Acceptor) initiate(at int) {
	v := &a.cfg.Sessions[at].Initiate
	dice := rand.New(rand.NewPCG(rand.Uint64(), uint64(at)))
	wait, reset, closed := v.Reconnect, false, uint64(0)
	for {
		term := a.port.Serving()
		if _, _, open := a.cfg.Sessions[at].Schedule.Session(a.cfg.Now()); open {
			closed = 0
		} else if term != 0 && closed != term && a.sayClosed(at, term) {
			closed = term
		}
		if term == 0 {
			if !a.pause(servingEvery) {
				return
			}
			wait = v.Reconnect // whoever serves now comes at once
			continue
		}
		on, lost := a.initiateOnce(at, term, reset)
		reset = lost && v.ResetOnLoss
		if on {
			wait = v.Reconnect
		}
		if !a.pause(wait/2 + time.Duration(dice.Int64N(int64(wait/2)+1))) {
			return
		}
		wait = min(2*wait, v.ReconnectMax)
	}
}

// sayClosed tells the lane, once a term, that a session's hours are over.
func (a *Acceptor) sayClosed(at int, term uint64) bool {
	h := store.Header{Session: uint16(at), Kind: store.Step, Flags: store.Closed, WallNs: a.cfg.Now().UnixNano()}
	if a.submit(term, &h, nil) != nil {
		return false
	}
	a.flush()
	return true
}

// pause waits; false: the end.
func (a *Acceptor) pause(d time.Duration) bool {
	select {
	case <-a.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// initiateOnce is one connection. on: it was logged on; lost: the venue has lost its
// numbers.
func (a *Acceptor) initiateOnce(at int, term uint64, reset bool) (on, lost bool) {
	s := &a.cfg.Sessions[at]
	if _, _, open := s.Schedule.Session(a.cfg.Now()); !open {
		return false, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	nc, err := s.Initiate.Dial(ctx)
	if err != nil {
		a.Counts.add(CountDialsFailed)
		return false, false
	}
	if s.Initiate.TLS != nil {
		secure := tls.Client(nc, s.Initiate.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			a.Counts.add(CountHandshake)
			a.cfg.Log.Warn("no TLS with a venue", "session", s.Name, "error", err)
			_ = nc.Close()
			return false, false
		}
		nc = secure
	}
	c := &conn{a: a, net: nc, term: term, states: make(chan stateIs, 1), ended: make(chan struct{}), drained: make(chan struct{}), greeting: true}
	if !a.registerOwn(c) {
		abort(nc)
		return false, false
	}
	defer a.forget(c)
	defer c.close()
	r := reader{c: c, buf: make([]byte, 0, 16<<10)}
	if on, lost = c.greet(&r, at, reset); on {
		r.rest()
		c.leave()
	}
	return on, lost
}

// registerOwn takes a connection in that we made: no client's bound counts for it.
func (a *Acceptor) registerOwn(c *conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	for a.cookie++; a.cookie == 0 || a.conns[a.cookie] != nil; a.cookie++ {
	}
	c.cookie, c.past = a.cookie, true
	a.conns[c.cookie] = c
	return true
}

// greet logs on.
func (c *conn) greet(r *reader, at int, reset bool) (on, lost bool) {
	s := &c.a.cfg.Sessions[at]
	c.at, c.id = at, s.ID
	if !c.a.claim(c, at) {
		return false, false
	}
	c.mu.Lock()
	c.cfg = s
	c.mu.Unlock()
	st, ok := c.askState(at)
	if !ok || st.blocked {
		return false, false
	}
	if t, ok := c.net.(tcp); ok {
		_ = t.SetNoDelay(true)
		c.useRaw(t)
	}
	if err := c.sayLogon(st, reset); err != nil {
		return false, false
	}
	_ = c.net.SetDeadline(time.Now().Add(greetTimeout))
	m, err := r.first()
	if err != nil {
		c.a.Counts.add(CountLogonTimeout)
		return false, false
	}
	_ = c.net.SetDeadline(time.Time{})
	if on, lost = c.takeWelcome(m); !on {
		return false, lost
	}
	// The lane knows that we are logged on before anything else leaves: what was numbered
	// and cannot have left is no doubt.
	if _, ok := c.askState(at); !ok {
		c.leave()
		return false, false
	}
	c.endGreeting()
	return true, false
}

func (c *conn) takeWelcome(m []byte) (on, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.a.flush()
	return c.welcomed(m)
}

// sayLogon sends our Logon, behind a reset if there must be one.
func (c *conn) sayLogon(st stateIs, reset bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.a.flush()
	var err error
	if c.check, err = newChecker(c.id.Version, c.cfg.Validate, c.cfg.AllowUser); err != nil {
		return err
	}
	now := c.a.cfg.Now()
	c.nextIn, c.createdAt = st.NextIn, time.Unix(0, st.CreatedNs)
	if st.CreatedNs == 0 {
		c.createdAt = now
	}
	c.heartbeatNs = int64(c.cfg.Initiate.Heartbeat)
	reset = reset || c.cfg.ResetOnLogon || st.CreatedNs != 0 && c.cfg.Schedule.Expired(c.createdAt, now)
	f := convert.AppendField(c.fields[:0], 98, "0")
	f = convert.AppendInt(f, 108, c.heartbeatNs/1e9)
	step := &store.Header{Kind: store.Step, Flags: store.Send}
	if reset {
		// In one record: who dies between the two must not log on with old numbers that
		// the venue was told to forget.
		f = convert.AppendField(f, 141, "Y")
		c.nextIn, c.createdAt = 1, now
		step = &store.Header{Kind: store.Reset, Flags: store.Send}
	}
	if c.cfg.Username != "" && c.id.Version == convert.FIX44 {
		f = convert.AppendField(f, 553, c.cfg.Username)
	}
	if c.cfg.Password != "" && c.id.Version == convert.FIX44 {
		f = convert.AppendField(f, 554, c.cfg.Password)
	}
	c.fields = f
	return c.draft(step, store.AppendMessage(c.body[:0], "A", nil, f))
}

// welcomed takes the venue's answer to our Logon.
func (c *conn) welcomed(m []byte) (on, lost bool) {
	var h head
	log := c.a.cfg.Log.With("session", c.cfg.Name, "id", c.id.String())
	if !h.parse(m) {
		c.a.Counts.add(CountGarbled)
		return false, false
	}
	c.a.logs.message(c.at, true, m)
	seq, ok := convert.Uint(h.seqNo)
	if string(h.msgType) != "A" || !ok || c.compIDs(&h) != nil {
		c.a.Counts.add(CountLogonsRefused)
		log.Warn("the venue does not let us log on", "type", string(h.msgType), "text", string(convert.Find(m, 58)))
		return false, false
	}
	if seq < c.nextIn && !yes(h.possDup) {
		c.a.Counts.add(CountTooLow)
		log.Error("the venue has lost its numbers", "expected", c.nextIn, "received", seq, "reset", c.cfg.Initiate.ResetOnLoss)
		c.state = loggedOn
		c.logout(tooLowText(c.nextIn, seq), nil)
		return false, true
	}
	nowNs := c.a.nowNs()
	c.lastInNs.Store(nowNs)
	c.state = loggedOn
	step := &store.Header{Kind: store.Step, Flags: store.LoggedOn, Arg: uint64(c.heartbeatNs / 1e9)}
	if seq == c.nextIn {
		step.Flags |= store.Consume
		step.SeqNo = seq
		c.nextIn++
	}
	if c.draft(step, nil) != nil {
		return false, false
	}
	c.a.Counts.add(CountLogons)
	log.Info("logged on to a venue", "number", seq, "expected", c.nextIn)
	if seq > c.nextIn && c.askFor(seq) != nil {
		return false, false
	}
	return true, false
}

// endGreeting lets out what waited for the venue's Logon.
func (c *conn) endGreeting() {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.greeting = false
	if len(c.resends) == 0 {
		c.out = append(c.out, c.hold...)
		c.hold = c.hold[:0]
		c.send()
	}
}

// onVenue takes a venue's report or refusal for the lane's application.
func (c *conn) onVenue(h *head, kind byte) bool {
	template, block, ok := c.cfg.names(c.id.Version).FromVenue(kind, h.whole, c.order[:sbe.MaxMessageBytes])
	if !ok {
		c.a.Counts.add(CountNotUnderstood)
		c.a.cfg.Log.Warn("a message of a venue is not understood", "session", c.cfg.Name, "message", string(h.whole))
		return c.consume(h.number) == nil
	}
	c.body = store.AppendOrder(c.body[:0], nil, nil, template, block)
	seq := c.nextIn
	c.nextIn++
	return c.draft(&store.Header{Kind: store.Answer, Flags: store.Consume, SeqNo: seq}, c.body) == nil
}
