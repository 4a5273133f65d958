package fix

import (
	"onebeat/engine/cold"
	"onebeat/engine/fix/convert"
	"onebeat/engine/fix/store"
)

// stashed is a message that came too early.
type stashed struct {
	message []byte // nil: it was dealt with when it came; only its number counts
}

// Bounds of what may wait for a gap to be filled.
const (
	stashMessages = 4096
	stashBytes    = 4 << 20
)

// keep puts a message aside until the numbers before it are there, and asks for them.
func (c *conn) keep(h *head, onlyNumber bool) {
	if h.number < c.nextIn {
		return
	}
	c.a.Counts.add(CountTooHigh)
	if c.stash == nil {
		c.stash = map[uint64]stashed{}
	}
	if _, there := c.stash[h.number]; !there {
		if len(c.stash) >= stashMessages || c.stashBytes+len(h.whole) > stashBytes {
			c.a.Counts.add(CountStashFull) // it is asked for when its turn comes
		} else if onlyNumber {
			c.stash[h.number] = stashed{}
		} else {
			c.stash[h.number] = stashed{append([]byte(nil), h.whole...)}
			c.stashBytes += len(h.whole)
		}
	}
	if c.gapEnd == 0 && !onlyNumber {
		_ = c.askFor(h.number)
	}
}

// askFor asks for the numbers from the next one to the one before seq, and, as usual,
// for all behind them.
func (c *conn) askFor(seq uint64) error {
	c.gapEnd = seq - 1
	f := convert.AppendInt(nil, 7, int64(c.nextIn))
	f = convert.AppendInt(f, 16, 0)
	return c.say(0, nil, "2", nil, f)
}

// unstash takes what was put aside, once its turn has come; false: the connection ends.
func (c *conn) unstash() bool {
	if c.gapEnd == 0 || c.nextIn <= c.gapEnd {
		return true
	}
	c.gapEnd = 0
	for len(c.stash) > 0 {
		s, there := c.stash[c.nextIn]
		if !there {
			break
		}
		delete(c.stash, c.nextIn)
		c.stashBytes -= len(s.message)
		if s.message == nil {
			if c.consume(c.nextIn) != nil {
				return false
			}
			continue
		}
		var h head
		if !h.parse(s.message) {
			return false
		}
		before := c.nextIn
		if !c.dispatch(&h) {
			return false
		}
		if c.nextIn == before {
			break // it was refused without using its number up
		}
	}
	lowest := uint64(0)
	for n := range c.stash {
		if n < c.nextIn {
			c.stashBytes -= len(c.stash[n].message)
			delete(c.stash, n)
		} else if lowest == 0 || n < lowest {
			lowest = n
		}
	}
	if lowest > 0 && c.state == loggedOn {
		return c.askFor(lowest) == nil
	}
	return true
}

// onSequenceReset fills a gap, or sets the client's next number.
func (c *conn) onSequenceReset(h *head) bool {
	gapFill := yes(convert.Find(h.whole, 123))
	if !c.verify(h, gapFill, gapFill) {
		return true
	}
	next, ok := convert.Uint(convert.Find(h.whole, 36))
	switch {
	case !ok || next == 0 || next >= 1<<53:
		c.reject(h, incorrectFormat(36))
	case gapFill && next <= h.number:
		c.reject(h, incorrectValue(36))
	case next > c.nextIn:
		c.nextIn = next
		return c.draft(&store.Header{Kind: store.SetIn, SeqNo: next}, nil) == nil
	case next < c.nextIn:
		// Its own number is not used up: nothing is reset to what was before.
		n := h.number
		h.number = 0
		c.reject(h, incorrectValue(0))
		h.number = n
	}
	return true
}

// onResendRequest sends again what was asked for, whatever its own number: while
// something is missing on this side too, both may wait for each other.
func (c *conn) onResendRequest(h *head) bool {
	if !c.verify(h, false, false) {
		return true
	}
	from, okFrom := convert.Uint(convert.Find(h.whole, 7))
	to, okTo := convert.Uint(convert.Find(h.whole, 16))
	sent := c.sentUpTo()
	switch {
	case !okFrom || from == 0 || from > sent:
		c.reject(h, incorrectValue(7))
		return true
	case !okTo || to != 0 && to < from:
		c.reject(h, incorrectValue(16))
		return true
	}
	if to == 0 || to > sent {
		to = sent
	}
	if c.startResend(from, to) != nil {
		return false
	}
	if h.number > c.nextIn {
		c.keep(h, true)
		return true
	}
	return c.consume(h.number) == nil
}

// sentUpTo is the last number of ours that left this node.
func (c *conn) sentUpTo() uint64 { return c.a.status[c.at].out.Load() }

// onLogout ends the session.
func (c *conn) onLogout(h *head) bool {
	if !c.verify(h, false, false) {
		return true
	}
	c.a.Counts.add(CountLogouts)
	if c.state == loggingOut {
		_ = c.consume(h.number)
		return c.afterLogout()
	}
	c.state, c.logoutNs = loggingOut, c.a.nowNs()
	c.wmu.Lock()
	c.closeAfterLogout = true
	c.wmu.Unlock()
	if c.say(h.number, h, "5", nil, nil) != nil {
		return false
	}
	return c.afterLogout()
}

// afterLogout does what the session is configured to do at its end; what leaves is
// answered first, so the numbers of the answer are those before.
func (c *conn) afterLogout() bool {
	c.left = true
	if c.draft(&store.Header{Kind: store.Step, Flags: store.LoggedOff}, nil) == nil && c.cfg.ResetOnLogout {
		_ = c.draft(&store.Header{Kind: store.Reset}, nil)
	}
	return false
}

// leave tells the lane that the session has no connection any more.
func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.left {
		c.left = true
		// The lane hears of it even if it refused this client.
		term := cold.LaneTerm(c.term)
		if c.draftFor(term, &store.Header{Kind: store.Step, Flags: store.LoggedOff}, nil) == nil && c.cfg.ResetOnLeave {
			_ = c.draftFor(term, &store.Header{Kind: store.Reset}, nil)
		}
	}
	c.a.flush()
	c.a.release(c)
}

// logonAgain is a Logon within a session: with ResetSeqNumFlag both begin at 1 again.
func (c *conn) logonAgain(h *head) bool {
	if c.state != loggedOn {
		return true
	}
	flag := yes(convert.Find(h.whole, 141))
	if !c.verify(h, !flag, !flag) {
		return true
	}
	if flag {
		if h.number != 1 {
			c.logout("MsgSeqNum must be 1 with ResetSeqNumFlag", nil)
			return true
		}
		if c.reset() != nil {
			return false
		}
	}
	f := convert.AppendField(nil, 98, "0")
	f = convert.AppendInt(f, 108, c.heartbeatNs/1e9)
	if flag {
		f = convert.AppendField(f, 141, "Y")
	}
	return c.say(h.number, nil, "A", nil, f) == nil
}
