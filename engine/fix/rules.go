package fix

import (
	"time"

	"onebeat/engine/fix/convert"
	"onebeat/engine/fix/store"
	"onebeat/engine/sbe"
)

// draft hands a record of this session to the loop; c.mu is held.
func (c *conn) draft(h *store.Header, body []byte) error { return c.draftFor(c.term, h, body) }

func (c *conn) draftFor(term uint64, h *store.Header, body []byte) error {
	h.Session, h.Cookie, h.WallNs = uint16(c.at), c.cookie, c.wallNs()
	err := c.a.submit(term, h, body)
	if err != nil {
		c.close()
	}
	return err
}

// say sends a message of the session's own and, if seq is the next number of the
// client, uses that up. h is what it answers, for its routing; nil: nothing.
func (c *conn) say(seq uint64, h *head, msgType string, header, fields []byte) error {
	step := &store.Header{Kind: store.Step, Flags: store.Send}
	if seq != 0 && seq == c.nextIn {
		step.Flags |= store.Consume
		step.SeqNo = seq
		c.nextIn++
	}
	if h != nil && header == nil {
		header = h.reverse(nil)
	}
	c.body = store.AppendMessage(c.body[:0], msgType, header, fields)
	return c.draft(step, c.body)
}

// consume uses up the next number of the client.
func (c *conn) consume(seq uint64) error {
	if seq != c.nextIn {
		return nil
	}
	c.nextIn++
	return c.draft(&store.Header{Kind: store.Step, Flags: store.Consume, SeqNo: seq}, nil)
}

// logout begins to end the session.
func (c *conn) logout(text string, h *head) {
	if c.state != loggedOn {
		return
	}
	c.state, c.logoutNs = loggingOut, c.a.nowNs()
	var f []byte
	if text != "" {
		f = convert.AppendField(nil, 58, text)
	}
	_ = c.say(0, h, "5", nil, f)
}

// incoming takes one message; false: the connection ends. c.mu is held.
func (c *conn) incoming(m []byte) bool {
	var h head
	if !h.parse(m) {
		c.a.Counts.add(CountGarbled)
		return true
	}
	c.tested = false
	c.a.logs.message(c.at, true, m)
	if !c.dispatch(&h) {
		return false
	}
	return c.unstash()
}

// dispatch applies the rules to one message.
func (c *conn) dispatch(h *head) bool {
	if string(h.beginString) != c.id.Version.BeginString() {
		c.logout("Incorrect BeginString", nil)
		return true
	}
	var ok bool
	if h.number, ok = convert.Uint(h.seqNo); !ok {
		c.logout("Required tag missing: MsgSeqNum (34)", nil)
		return true
	}
	kind := byte(0)
	if len(h.msgType) == 1 {
		kind = h.msgType[0]
	}
	switch kind {
	case 'A':
		return c.logonAgain(h)
	case '5':
		return c.onLogout(h)
	case '2':
		return c.onResendRequest(h)
	case '4':
		return c.onSequenceReset(h)
	}
	if c.state != loggedOn {
		// We said goodbye: what is not a part of it stays unanswered, its number unused.
		return true
	}
	if !c.verify(h, true, true) {
		return true
	}
	if c.cfg.SessionConfig.Venue {
		switch kind {
		case '8', '9', '3', 'j':
			return c.onVenue(h, kind)
		}
	}
	switch kind {
	case '0', '3':
		return c.consume(h.number) == nil
	case '1':
		c.fields = convert.AppendField(c.fields[:0], 112, convert.Find(h.whole, 112))
		return c.say(h.number, nil, "0", nil, c.fields) == nil
	}
	return c.onApplication(h, kind)
}

// verify applies the checks of every message; false: it is answered, or kept for later.
func (c *conn) verify(h *head, high, low bool) bool {
	if r := c.compIDs(h); r != nil {
		c.reject(h, r)
		if r.reason == reasonCompID {
			c.logout("", nil)
		}
		return false
	}
	if c.gapEnd == 0 {
		if r := c.sendingTime(h); r != nil {
			c.reject(h, r)
			if r.reason == reasonSendingTime {
				c.logout("", nil)
			}
			return false
		}
	}
	if low && h.number < c.nextIn {
		c.tooLow(h)
		return false
	}
	if high && h.number > c.nextIn {
		c.keep(h, false)
		return false
	}
	r, garbled := c.check.check(h.whole)
	switch {
	case garbled:
		c.a.Counts.add(CountGarbled)
		return false
	case r == nil && h.badTag > 0:
		r = &reject{reason: reasonInvalidTag, text: "Invalid tag number"}
	}
	if r != nil {
		c.reject(h, r)
		return false
	}
	return true
}

func (c *conn) compIDs(h *head) *reject {
	for _, f := range []struct {
		tag   int
		value []byte
	}{{49, h.sender}, {56, h.target}} {
		if f.value == nil {
			return requiredMissing(f.tag)
		}
	}
	switch {
	case len(h.target) == 0:
		return noValue(56)
	case len(h.sender) == 0:
		return noValue(49)
	case string(h.target) != c.id.Sender || string(h.sender) != c.id.Target:
		return &reject{reason: reasonCompID, text: "CompID problem"}
	}
	return nil
}

func (c *conn) sendingTime(h *head) *reject {
	if h.sendingTime == nil {
		return requiredMissing(52)
	}
	ns, ok := convert.Time(h.sendingTime)
	if !ok {
		return incorrectFormat(52)
	}
	off := time.Duration(c.wallNs() - ns)
	if c.cfg.Latency > 0 && (off >= c.cfg.Latency || off <= -c.cfg.Latency) {
		return &reject{reason: reasonSendingTime, text: "SendingTime accuracy problem"}
	}
	return nil
}

// tooLow: a number that was used. As a possible duplicate it is known already.
func (c *conn) tooLow(h *head) {
	if h.possDup != nil && !yes(h.possDup) && string(h.possDup) != "N" {
		c.reject(h, incorrectFormat(43))
		return
	}
	if !yes(h.possDup) {
		c.a.Counts.add(CountTooLow)
		c.logout(tooLowText(c.nextIn, h.number), nil)
		return
	}
	if h.origSendingTime == nil {
		c.reject(h, requiredMissing(122))
		return
	}
	orig, ok := convert.Time(h.origSendingTime)
	if !ok {
		c.reject(h, incorrectFormat(122))
		return
	}
	if sent, ok := convert.Time(h.sendingTime); ok && sent < orig {
		c.reject(h, &reject{reason: reasonSendingTime, text: "SendingTime accuracy problem"})
		c.logout("", nil)
	}
}

// reject answers by a Reject, or a BusinessMessageReject; a number that is the next one
// is used up.
func (c *conn) reject(h *head, r *reject) {
	c.a.Counts.add(CountRejects)
	f := c.fields[:0]
	if len(h.seqNo) > 0 {
		f = convert.AppendField(f, 45, h.seqNo)
	}
	f = convert.AppendField(f, 58, r.text)
	kind := "3"
	if r.business {
		kind = "j"
		f = convert.AppendField(f, 372, h.msgType)
		f = convert.AppendInt(f, 380, int64(r.reason))
	} else {
		if r.hasTag {
			f = convert.AppendInt(f, 371, int64(r.tag))
		}
		f = convert.AppendField(f, 372, h.msgType)
		// FIX 4.2 knows the reasons up to 11.
		if c.id.Version != convert.FIX42 || r.reason <= reasonInvalidMsgType {
			f = convert.AppendInt(f, 373, int64(r.reason))
		}
	}
	c.fields = f
	_ = c.say(h.number, h, kind, nil, f)
}

// onApplication takes a message for the lane's application.
func (c *conn) onApplication(h *head, kind byte) bool {
	if c.cfg.Echo {
		if kind != 'D' && kind != 'd' {
			c.reject(h, &reject{business: true, reason: convert.BusinessUnsupported, text: "Unsupported Message Type"})
			return true
		}
		return c.echo(h, kind)
	}
	switch {
	case !c.cfg.SessionConfig.Venue && (kind == 'D' || kind == 'F' || kind == 'G' || kind == 'H'):
	default:
		c.reject(h, &reject{business: true, reason: convert.BusinessUnsupported, text: "Unsupported Message Type"})
		return true
	}
	var r convert.Request
	if why := c.cfg.names(c.id.Version).Request(kind, h.whole, c.order[:sbe.MaxMessageBytes], &r); why != nil {
		return c.refuseOrder(h, kind, why)
	}
	c.body = store.AppendOrder(c.body[:0], r.ClOrdID, r.OrigClOrdID, r.Template, r.Block)
	seq := c.nextIn
	c.nextIn++
	return c.draft(&store.Header{Kind: store.Order, Flags: store.Consume, SeqNo: seq}, c.body) == nil
}

// names are those of a version: a place's sessions may have either.
func (s *Session) names(v convert.Version) *convert.Names {
	if s.Names.Version == v {
		return s.Names
	}
	n := *s.Names
	n.Version = v
	return &n
}

// refuseOrder answers what cannot be made an order of; the lane's application never
// hears of it.
func (c *conn) refuseOrder(h *head, kind byte, why *convert.Refusal) bool {
	if !why.Order {
		c.reject(h, &reject{business: true, reason: why.Reason, tag: why.Tag, text: why.Text})
		return true
	}
	c.a.Counts.add(CountRejects)
	n := c.cfg.names(c.id.Version)
	execID := "x" + string(convert.AppendTime(nil, c.createdAt.UnixNano())) + "-" + string(h.seqNo)
	msgType, f := n.AppendRefusal(c.fields[:0], kind, h.whole, why, execID, c.wallNs())
	c.fields = f
	return c.say(h.number, h, string(msgType), nil, f) == nil
}

// echo sends it back.
func (c *conn) echo(h *head, kind byte) bool {
	clOrdID := convert.Find(h.whole, 11)
	if len(clOrdID) > convert.ClOrdIDMaxBytes {
		clOrdID = nil
	}
	flags := store.Consume
	var header []byte
	if yes(h.possResend) {
		flags |= store.Again
		header = convert.AppendField(nil, 97, "Y")
	}
	b := store.AppendText(c.body[:0], clOrdID)
	b = store.AppendMessage(b, string(kind), header, c.check.body(h.whole))
	c.body = b
	seq := c.nextIn
	c.nextIn++
	return c.draft(&store.Header{Kind: store.Echo, Flags: flags, SeqNo: seq}, b) == nil
}
