package fixp

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// connect enters a state that sends requests until they are answered.
func (i *Initiator) connect(s LinkState) {
	i.state, i.retryAtNs = s, 0
	if s == Establishing {
		i.resendNext = 0
	}
}

// Promote starts the local side anew: a fresh connection, from which everything
// unanswered is sent again.
func (i *Initiator) Promote(nowNs int64) {
	i.nowNs, i.retryNs = nowNs, i.cfg.ConnectNs
	i.closeWanted, i.finishing = false, false
	if i.nextOut == 1 && i.expectedIn <= 1 {
		i.connect(Negotiating)
	} else {
		i.connect(Establishing)
	}
}

// Anew makes the next request of a session that is not up go out at once, and the
// ones behind it soon: another host is asked now, and the waits of the one before
// say nothing of it. A person's word that keeps the session away is waited out.
func (i *Initiator) Anew() {
	switch i.endCode {
	case sbe.SessionCodeTakenOver, sbe.SessionCodeBlocked, sbe.SessionCodeOperator:
		return
	}
	if i.state == Negotiating || i.state == Establishing {
		i.retryAtNs, i.retryNs = 0, i.cfg.ConnectNs
	}
}

// Close ends the session at the next Poll; Open it again with Promote.
func (i *Initiator) Close() { i.closeWanted = true }

// Poll sends everything that is due and returns the number of datagrams.
func (i *Initiator) Poll(nowNs int64, out Out) int {
	i.nowNs = nowNs
	if i.state != Linked {
		return i.pollConnect(out)
	}
	if i.closeWanted {
		return i.sendTerminate(out)
	}
	datagrams := 0
	if i.expectedIn < i.gapTo {
		datagrams += i.ask(out)
	}
	if i.sendNext < i.nextOut {
		datagrams += i.sendNew(out)
	}
	if i.finishing || i.finishedOwed {
		datagrams += i.pollFinish(out)
	}
	if nowNs >= i.nextScanNs {
		datagrams += i.resend(out)
	}
	if datagrams > 0 {
		i.lastTxNs = nowNs
	} else if nowNs-i.lastTxNs >= i.cfg.KeepAliveNs {
		datagrams += i.heartbeat(out)
	}
	if nowNs-i.lastRxNs > silentIntervals*i.cfg.KeepAliveNs {
		i.connect(Establishing)
	}
	return datagrams
}

func (i *Initiator) pollConnect(out Out) int {
	if i.state == Closed || i.nowNs < i.retryAtNs {
		return 0
	}
	if i.closeWanted {
		i.state, i.closeWanted = Closed, false
		return 0
	}
	b := out.Buffer()
	if b == nil {
		return 0
	}
	// Rises within a process and marks which request an answer belongs to.
	i.timestamp = max(i.timestamp+1, uint64(i.nowNs), i.cfg.FirstTimestamp)
	n := 0
	if i.state == Negotiating {
		n = i.putNegotiate(b)
	} else {
		n = i.putEstablish(b)
	}
	out.Send(n)
	i.lastTxNs = i.nowNs
	i.retryAtNs = i.nowNs + i.jittered(i.retryNs)
	i.retryNs = min(2*i.retryNs, i.cfg.ConnectMaxNs)
	return 1
}

// jittered returns half of ns to all of it. It is local: no record depends on it.
func (i *Initiator) jittered(ns int64) int64 {
	i.dice += 0x9e3779b97f4a7c15 ^ i.timestamp
	z := (i.dice ^ i.dice>>30) * 0xbf58476d1ce4e5b9
	return ns/2 + int64((z^z>>31)%uint64(ns/2+1))
}

func (i *Initiator) putNegotiate(b []byte) int {
	m := sbe.AsNegotiate(sbe.Put(b, sbe.TemplateNegotiate, sbe.NegotiateBytes))
	*m = sbe.Negotiate{}
	m.SetSessionID(&i.cfg.Session)
	m.SetTimestamp(i.timestamp)
	m.SetCredentials(i.cfg.Key.Sign(sbe.TemplateNegotiate, &i.cfg.Session, i.timestamp))
	m.SetClientFlow(sbe.FlowTypeIdempotent)
	return sbe.PrefixBytes + sbe.NegotiateBytes
}

func (i *Initiator) putEstablish(b []byte) int {
	m := sbe.AsEstablish(sbe.Put(b, sbe.TemplateEstablish, sbe.EstablishBytes))
	*m = sbe.Establish{}
	m.SetSessionID(&i.cfg.Session)
	m.SetTimestamp(i.timestamp)
	m.SetCredentials(i.cfg.Key.Sign(sbe.TemplateEstablish, &i.cfg.Session, i.timestamp))
	m.SetNextSeqNo(i.nextOut)
	m.SetKeepAliveMs(uint32(i.cfg.KeepAliveNs / 1_000_000))
	return sbe.PrefixBytes + sbe.EstablishBytes
}

func (i *Initiator) sendTerminate(out Out) int {
	b := out.Buffer()
	if b == nil {
		return 0
	}
	m := sbe.AsTerminate(sbe.Put(b, sbe.TemplateTerminate, sbe.TerminateBytes))
	*m = sbe.Terminate{}
	m.SetSessionID(&i.cfg.Session)
	m.SetCode(sbe.SessionCodeFinished)
	out.Send(sbe.PrefixBytes + sbe.TerminateBytes)
	i.state, i.closeWanted = Closed, false
	return 1
}

func (i *Initiator) heartbeat(out Out) int {
	b := out.Buffer()
	if b == nil {
		return 0
	}
	out.Send(sbe.PutContext(b, &i.cfg.Session, i.nextOut))
	i.lastTxNs = i.nowNs
	i.Counts.count[CountHeartbeats]++
	return 1
}

// ask requests what is missing, a bounded piece at a time: the next one as soon
// as this one is here.
func (i *Initiator) ask(out Out) int {
	if i.expectedIn < i.askedTo && i.nowNs-i.askedAtNs < askRetryNs {
		return 0
	}
	b := out.Buffer()
	if b == nil {
		return 0
	}
	count := min(i.gapTo-i.expectedIn, askMessages)
	i.askedTo, i.askedAtNs = i.expectedIn+count, i.nowNs
	m := sbe.AsRetransmitRequest(sbe.Put(b, sbe.TemplateRetransmitRequest, sbe.RetransmitRequestBytes))
	*m = sbe.RetransmitRequest{}
	m.SetSessionID(&i.cfg.Session)
	m.SetTimestamp(uint64(i.nowNs))
	m.SetFromSeqNo(i.expectedIn)
	m.SetCount(uint32(count))
	out.Send(sbe.PrefixBytes + sbe.RetransmitRequestBytes)
	i.Counts.count[CountGaps]++
	return 1
}

// sendNew sends what was numbered since, several messages to a datagram.
func (i *Initiator) sendNew(out Out) int {
	i.sendNext = max(i.sendNext, i.oldest)
	datagrams := 0
	for ; datagrams < sendMaxSent; datagrams++ {
		for i.sendNext < i.nextOut && i.slot(i.sendNext).state != sentUnanswered {
			i.sendNext++
		}
		if i.sendNext >= i.nextOut {
			break
		}
		next := i.sendRun(i.sendNext, i.nextOut, out)
		if next == i.sendNext {
			break
		}
		i.sendNext = next
	}
	return datagrams
}

// sendRun sends the unanswered messages from number from on that stand without
// a hole, as many as one datagram takes, and returns the number behind them.
func (i *Initiator) sendRun(from, end uint64, out Out) uint64 {
	b := out.Buffer()
	if b == nil {
		return from
	}
	b = b[:min(len(b), i.cfg.MaxDatagramBytes)]
	n, k := sbe.PutContext(b, &i.cfg.Session, from), from
	for ; k < end && k-from < uint64(i.cfg.BatchMessages); k++ {
		s := i.slot(k)
		if s.state != sentUnanswered || len(b)-n < int(s.bytes) {
			break
		}
		n += copy(b[n:], s.raw[:s.bytes])
		s.lastNs = i.nowNs
		s.sends++
	}
	out.Send(n)
	return k
}

// resend sends again what has had no answer for ResendNs, oldest first. A pass
// walks the window to the first message that is not due, over several Polls if
// need be, and ends at resendPassMax: to a server that is behind, a whole window
// again and again would be more work than its orders.
func (i *Initiator) resend(out Out) int {
	if i.resendNext == 0 {
		i.resendNext, i.passResent = i.oldest, 0
	}
	datagrams := 0
	for n := max(i.resendNext, i.oldest); i.passResent < resendPassMax; {
		for n < i.sendNext && i.slot(n).state != sentUnanswered {
			n++
		}
		if n >= i.sendNext || i.nowNs-i.slot(n).lastNs < i.cfg.ResendNs {
			break
		}
		if s := i.slot(n); i.cfg.RenumberAfterSends > 0 && s.sends > 0 && s.sends%i.cfg.RenumberAfterSends == 0 {
			s.sends++ // count what follows, so that it is moved once
			i.renumber(s)
			n++
			continue
		}
		if datagrams == resendMaxSent {
			i.resendNext = n
			return datagrams
		}
		next := i.sendRun(n, i.sendNext, out)
		if next == n {
			i.resendNext = n
			return datagrams
		}
		i.Counts.count[CountResent] += next - n
		i.passResent += next - n
		n = next
		datagrams++
	}
	i.nextScanNs = i.nowNs + i.cfg.ResendNs/4
	if i.passResent >= resendPassMax {
		i.nextScanNs = i.nowNs + i.cfg.ResendNs
	}
	i.resendNext = 0
	return datagrams
}

// SendNow sends the message just committed without waiting for Poll, if nothing
// older waits: behind the newest output of flow, or as an output of its own.
func (i *Initiator) SendNow(out *app.Outbox, remote *app.Endpoint, localPort uint16, flow uint64) {
	seqNo := i.nextOut - 1
	if i.state != Linked || max(i.sendNext, i.oldest) != seqNo {
		return
	}
	s := i.slot(seqNo)
	i.sendNext = i.nextOut
	s.lastNs, i.lastTxNs = i.nowNs, i.nowNs
	s.sends++
	message := s.raw[:s.bytes]
	if b := out.Grow(flow, seqNo); len(b) >= len(message) {
		out.Grown(copy(b, message), seqNo+1, app.NoSum)
		return
	}
	b := out.Open(*remote, localPort, flow)
	n := sbe.PutContext(b, &i.cfg.Session, seqNo)
	out.Close(n+copy(b[n:], message), seqNo+1)
}
