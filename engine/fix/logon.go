package fix

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"fmt"
	"time"

	"onebeat/engine/fix/convert"
	"onebeat/engine/fix/store"
)

// logon decides about the first message of a connection; true: it is logged on. Who is
// not who he must be is sent away without a word, and without any number used up.
func (c *conn) logon(m []byte) bool {
	var h head
	if !h.parse(m) || string(h.msgType) != "A" {
		c.a.Counts.add(CountGarbage)
		return false
	}
	st, why, ok := c.identify(&h)
	if !ok {
		c.a.Counts.add(why)
		return false
	}
	c.a.logs.message(c.at, true, m)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.enter(&h, st); err != nil {
		c.a.Counts.add(CountLogonsRefused)
		c.a.cfg.Log.Warn("FIX logon refused", "session", c.cfg.Name, "from", c.addr.String(), "reason", err.Error())
		c.a.flush()
		return false
	}
	c.a.flush()
	return true
}

// identify finds out which session it is, whether it may be, and its state.
func (c *conn) identify(h *head) (st stateIs, why Counter, ok bool) {
	version, known := convert.ParseVersion(h.beginString)
	if !known || len(h.sender) == 0 || len(h.target) == 0 {
		return st, CountUnknownSession, false
	}
	c.id = store.ID{Version: version, Sender: string(h.target), SenderSub: string(h.targetSub),
		Target: string(h.sender), TargetSub: string(h.senderSub)}
	at, dynamic := c.find()
	if at < 0 {
		return st, CountUnknownSession, false
	}
	// All of a place's kind are configured alike.
	cfg := &c.a.cfg.Sessions[at]
	if why, ok := c.mayEnter(cfg, h); !ok {
		return st, why, false
	}
	if dynamic {
		if at, ok = c.place(cfg); !ok {
			return st, CountUnknownSession, false
		}
		cfg = &c.a.cfg.Sessions[at]
	}
	c.at = at
	if !c.a.claim(c, at) {
		return st, CountLoggedOnAlready, false
	}
	c.cfg = cfg
	if st, ok = c.askState(at); !ok {
		return st, CountNotServing, false
	}
	if st.blocked {
		return st, CountBlocked, false
	}
	if st.ID != c.id {
		// A place: it is this session's from now on.
		if c.a.submit(c.term, &store.Header{Session: uint16(at), Kind: store.Bind, Cookie: c.cookie, WallNs: c.wallNs()}, store.AppendID(nil, c.id)) != nil {
			return st, CountNotServing, false
		}
		st.NextIn, st.NextOut, st.Oldest, st.CreatedNs = 1, 1, 1, c.wallNs()
	}
	return st, 0, true
}

// find returns the session that was configured for these CompIDs, or the first place
// for others; -1: none.
func (c *conn) find() (at int, dynamic bool) {
	at = -1
	for i := range c.a.cfg.Sessions {
		s := &c.a.cfg.Sessions[i]
		if s.SessionConfig.Venue {
			continue // nobody logs on as a venue
		}
		if s.Target != "" && s.ID == c.id {
			return i, false
		}
		if s.Target == "" && at < 0 {
			at, dynamic = i, true
		}
	}
	return at, dynamic
}

// place finds a place: the one these CompIDs had, a fresh one, or one that nobody is
// logged on to.
func (c *conn) place(cfg *Session) (at int, ok bool) {
	best, bestNs := -1, int64(0)
	for i := range c.a.cfg.Sessions {
		s := &c.a.cfg.Sessions[i]
		if s.Target != "" {
			continue
		}
		st, ok := c.askState(i)
		if !ok {
			return 0, false
		}
		if st.ID == c.id {
			return i, true
		}
		if st.LoggedOn || st.blocked || !c.a.free(i) {
			continue
		}
		if best < 0 || st.CreatedNs < bestNs {
			best, bestNs = i, st.CreatedNs
		}
	}
	return best, best >= 0
}

func (a *Acceptor) free(at int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.users[at] == nil
}

// stateTimeout is how long the loop may take to tell a session's state: long enough for
// a lane that waits for its standby for a moment.
const stateTimeout = 5 * time.Second

func (c *conn) askState(at int) (st stateIs, ok bool) {
	if c.a.ask(c.term, &store.Question{Kind: store.AskState, Session: uint16(at), Cookie: c.cookie}) != nil {
		return st, false
	}
	c.a.flush()
	select {
	case st = <-c.states:
		return st, true
	case <-c.ended:
	case <-time.After(stateTimeout):
	}
	return st, false
}

func (c *conn) wallNs() int64 { return c.a.cfg.Now().UnixNano() }

// mayEnter checks who it is.
func (c *conn) mayEnter(s *Session, h *head) (why Counter, ok bool) {
	allowed := len(s.Allowed) == 0
	for _, p := range s.Allowed {
		allowed = allowed || p.Contains(c.addr)
	}
	if !allowed {
		return CountWrongAddress, false
	}
	if s.CertificateName != "" {
		t, secure := c.net.(*tls.Conn)
		if !secure {
			return CountWrongCertificate, false
		}
		certs := t.ConnectionState().PeerCertificates
		if len(certs) == 0 || certs[0].VerifyHostname(s.CertificateName) != nil && certs[0].Subject.CommonName != s.CertificateName {
			return CountWrongCertificate, false
		}
	}
	if _, _, open := s.Schedule.Session(c.a.cfg.Now()); !open {
		return CountOutOfSchedule, false
	}
	if s.Username != "" || s.Password != "" {
		password := convert.Find(h.whole, 554)
		if c.id.Version == convert.FIX42 && password == nil {
			password = convert.Find(h.whole, 96)
		}
		user := convert.Find(h.whole, 553)
		right := same(password, s.Password)
		if s.Username != "" && (c.id.Version == convert.FIX44 || user != nil) {
			right &= same(user, s.Username)
		}
		if right != 1 {
			return CountCredentials, false
		}
	}
	return 0, true
}

// same compares in a time that tells nothing of the secret, its length included.
func same(got []byte, want string) int {
	a, b := sha256.Sum256(got), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:])
}

// enter applies the rules of a Logon; c.mu is held. What it returns was told to the
// client, if anything was.
func (c *conn) enter(h *head, st stateIs) error {
	var err error
	if c.check, err = newChecker(c.id.Version, c.cfg.Validate, c.cfg.AllowUser); err != nil {
		return err
	}
	c.nextIn = st.NextIn
	c.createdAt = time.Unix(0, st.CreatedNs)
	nextOut := st.NextOut
	now := c.a.cfg.Now()
	if st.CreatedNs == 0 {
		c.createdAt = now
	}
	reset := c.cfg.ResetOnLogon || st.CreatedNs != 0 && c.cfg.Schedule.Expired(c.createdAt, now)
	if r := c.sendingTime(h); r != nil {
		return fmt.Errorf("%s", r.text)
	}
	seq, ok := convert.Uint(h.seqNo)
	if !ok || seq == 0 {
		return fmt.Errorf("MsgSeqNum missing")
	}
	if r, garbled := c.checkLogon(h); r != nil || garbled {
		if garbled {
			return errGarbage
		}
		return fmt.Errorf("%s (tag %d)", r.text, r.tag)
	}
	flag := yes(convert.Find(h.whole, 141))
	if reset || flag {
		if err := c.reset(); err != nil {
			return err
		}
		nextOut = 1
	}
	beat, ok := convert.Uint(convert.Find(h.whole, 108))
	heartbeat := time.Duration(min(beat, 1<<20)) * time.Second
	if !ok || heartbeat < c.cfg.HeartbeatMin || heartbeat > c.cfg.HeartbeatMax {
		return c.refuse(h, seq, fmt.Sprintf("HeartBtInt must be from %d to %d", c.cfg.HeartbeatMin/time.Second, c.cfg.HeartbeatMax/time.Second))
	}
	if method := convert.Find(h.whole, 98); string(method) != "0" {
		return c.refuse(h, seq, "EncryptMethod must be 0")
	}
	if seq < c.nextIn && !yes(h.possDup) {
		c.a.Counts.add(CountTooLow)
		return c.refuse(h, seq, tooLowText(c.nextIn, seq))
	}
	wants, hasWants := convert.Uint(convert.Find(h.whole, 789))
	hasWants = hasWants && c.cfg.NextExpected
	if hasWants && wants > nextOut {
		return c.refuse(h, seq, fmt.Sprintf("Tag 789 (NextExpectedMsgSeqNum) is higher than expected. Expected %d, Received %d", nextOut, wants))
	}
	return c.answerLogon(h, seq, heartbeat, flag, hasWants, wants, nextOut)
}

// checkLogon: the dictionary knows no credentials in FIX 4.2, which come as RawData or
// as the tags of later versions.
func (c *conn) checkLogon(h *head) (*reject, bool) {
	r, garbled := c.check.check(h.whole)
	if r != nil && (r.tag == 553 || r.tag == 554 || r.tag == 789) {
		return nil, false
	}
	return r, garbled
}

func tooLowText(expected, got uint64) string {
	return fmt.Sprintf("MsgSeqNum too low, expecting %d but received %d", expected, got)
}

// refuse answers a Logon by a Logout, and that is the end.
func (c *conn) refuse(h *head, seq uint64, text string) error {
	c.wmu.Lock()
	c.closeAfterLogout = true
	c.wmu.Unlock()
	c.fields = convert.AppendField(c.fields[:0], 58, text)
	if err := c.say(seq, h, "5", nil, c.fields); err != nil {
		return err
	}
	return fmt.Errorf("%s", text)
}

func (c *conn) reset() error {
	c.nextIn = 1
	c.createdAt = c.a.cfg.Now()
	clear(c.stash)
	c.stashBytes, c.gapEnd = 0, 0
	return c.draft(&store.Header{Kind: store.Reset}, nil)
}

// answerLogon lets the session in.
func (c *conn) answerLogon(h *head, seq uint64, heartbeat time.Duration, flag, hasWants bool, wants, nextOut uint64) error {
	f := convert.AppendField(c.fields[:0], 98, "0")
	f = convert.AppendInt(f, 108, int64(heartbeat/time.Second))
	if flag {
		f = convert.AppendField(f, 141, "Y")
	}
	expects := c.nextIn
	if seq == c.nextIn {
		expects++
	}
	if hasWants {
		f = convert.AppendInt(f, 789, int64(expects))
	}
	c.fields = f
	c.heartbeatNs = int64(heartbeat)
	c.state = loggedOn
	nowNs := c.a.nowNs()
	c.lastInNs.Store(nowNs)
	c.lastOutNs.Store(nowNs)
	c.tokens, c.tokensAtNs = float64(c.cfg.Burst), nowNs
	step := &store.Header{Kind: store.Step, Flags: store.Send | store.LoggedOn, Arg: uint64(heartbeat / time.Second)}
	if seq == c.nextIn {
		step.Flags |= store.Consume
		step.SeqNo = seq
		c.nextIn++
	}
	if err := c.draft(step, store.AppendMessage(c.body[:0], "A", nil, f)); err != nil {
		return err
	}
	c.a.Counts.add(CountLogons)
	c.a.cfg.Log.Info("FIX logon", "session", c.cfg.Name, "id", c.id.String(), "from", c.addr.String(), "number", seq, "expected", c.nextIn)
	if hasWants && wants < nextOut {
		// The Logon's own number is a gap fill's too: the client reads it before.
		if err := c.startResend(wants, nextOut); err != nil {
			return err
		}
	}
	switch {
	case seq < expects:
	case seq > c.nextIn && !hasWants:
		return c.askFor(seq)
	case seq > c.nextIn:
		c.gapEnd = seq // it sends again what our 789 says is missing
	}
	return nil
}
