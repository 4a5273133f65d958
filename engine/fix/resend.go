package fix

import (
	"onebeat/engine/cold"
	"onebeat/engine/fix/convert"
	"onebeat/engine/fix/store"
)

// resend is a ResendRequest being answered: orders' messages again, gap fills for the
// session's own and for what is not kept any more.
type resend struct {
	next, to uint64 // next is the first number not answered yet
}

// resendsMax bounds the requests of one connection that wait for their answer.
const resendsMax = 16

// startResend begins to answer a request; c.mu is held.
func (c *conn) startResend(from, to uint64) error {
	c.a.Counts.add(CountResends)
	c.wmu.Lock()
	full := len(c.resends) >= resendsMax
	first := len(c.resends) == 0
	if !full {
		c.resends = append(c.resends, resend{next: from, to: to})
	}
	c.wmu.Unlock()
	if full || !first {
		return nil // it is asked for again, or comes behind the others
	}
	return c.a.ask(c.term, &store.Question{Kind: store.AskMessages, Session: uint16(c.at), Cookie: c.cookie, From: from, To: to})
}

// resend takes an answer of the store's.
func (p *pump) resend(c *conn, e *cold.Entry) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if len(c.resends) == 0 || c.isEnded() {
		return
	}
	r := &c.resends[0]
	if e.Kind == store.Kept {
		if !isAdmin(msgTypeOf(e.Payload)) && e.SeqNo >= r.next && e.SeqNo <= r.to {
			c.fillGap(r, e.SeqNo)
			c.out = c.appendAgain(c.out, e)
			r.next = e.SeqNo + 1
			p.a.Counts.add(CountResent)
			p.touch(c)
		}
		return
	}
	if e.SeqNo <= r.to {
		p.askOn(c, e.SeqNo, r.to)
		return
	}
	c.fillGap(r, r.to+1)
	c.resends = c.resends[1:]
	if len(c.resends) > 0 {
		p.askOn(c, c.resends[0].next, c.resends[0].to)
	} else if !c.greeting {
		c.out = append(c.out, c.hold...)
		c.hold = c.hold[:0]
	}
	p.touch(c)
}

func (p *pump) askOn(c *conn, from, to uint64) {
	p.later = append(p.later, laterAsk{c.term, store.Question{Kind: store.AskMessages, Session: uint16(c.at), Cookie: c.cookie, From: from, To: to}})
}

// fillGap tells the client to leave out the numbers up to before.
func (c *conn) fillGap(r *resend, before uint64) {
	if r.next >= before {
		return
	}
	c.a.Counts.add(CountGapFills)
	b := c.scratch[:0]
	b = convert.AppendField(b, 35, "4")
	b = convert.AppendInt(b, 34, int64(r.next))
	b = convert.AppendField(b, 43, "Y")
	now := c.a.cfg.Now().UnixNano()
	b = c.appendRoute(b, now)
	b = convert.AppendTimeField(b, 122, now)
	b = convert.AppendInt(b, 36, int64(before))
	b = convert.AppendField(b, 123, "Y")
	c.scratch = b
	c.out = c.appendWhole(c.out, b)
	r.next = before
}

// appendRoute writes tags 49 to 57.
func (c *conn) appendRoute(b []byte, nowNs int64) []byte {
	b = convert.AppendField(b, 49, c.id.Sender)
	if c.id.SenderSub != "" {
		b = convert.AppendField(b, 50, c.id.SenderSub)
	}
	b = convert.AppendTimeField(b, 52, nowNs)
	b = convert.AppendField(b, 56, c.id.Target)
	if c.id.TargetSub != "" {
		b = convert.AppendField(b, 57, c.id.TargetSub)
	}
	return b
}

// appendWhole writes a message of which body is all between BodyLength and CheckSum.
func (c *conn) appendWhole(to, body []byte) []byte {
	at := len(to)
	to = convert.AppendField(to, 8, c.id.Version.BeginString())
	to = convert.AppendInt(to, 9, int64(len(body)))
	to = append(to, body...)
	sum := store.AppendChecksum(to[at:])
	to = append(to, sum[len(to)-at:]...)
	c.a.logs.message(c.at, false, to[at:])
	return to
}

// appendAgain writes a kept message as a possible duplicate.
func (c *conn) appendAgain(to []byte, e *cold.Entry) []byte {
	b := c.scratch[:0]
	m := e.Payload
	orig := []byte(nil)
	for n := 0; len(m) > 0; n++ {
		tag, value, rest, ok := convert.Next(m)
		if !ok || tag == 10 {
			break
		}
		switch tag {
		case 8, 9:
		case 34:
			b = append(b, m[:len(m)-len(rest)]...)
			b = convert.AppendField(b, 43, "Y")
		case 52:
			orig = value
			b = convert.AppendTimeField(b, 52, c.a.cfg.Now().UnixNano())
		default:
			if orig != nil && tag != 56 && tag != 57 && (tag > 122 || !headerTag(tag)) {
				b = convert.AppendField(b, 122, orig)
				orig = nil
			}
			b = append(b, m[:len(m)-len(rest)]...)
		}
		m = rest
	}
	if orig != nil {
		b = convert.AppendField(b, 122, orig)
	}
	c.scratch = b
	return c.appendWhole(to, b)
}

// headerTag: of those the store writes behind TargetCompID.
func headerTag(tag int) bool {
	switch tag {
	case 97, 115, 116, 128, 129, 144, 145:
		return true
	}
	return false
}
