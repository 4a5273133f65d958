package fixp

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// Open splits a datagram of the server and returns its number of messages.
func (i *Initiator) Open(payload []byte, nowNs int64) int {
	i.nowNs = nowNs
	i.Counts.count[CountDatagrams]++
	n, reason := sbe.Split(payload, &i.messages)
	if reason != sbe.OK {
		i.Counts.bad[reason]++
		return 0
	}
	m := &i.messages[0]
	block := m.Block(payload)
	i.payload, i.first, i.nextSeq = payload, 0, 0
	switch m.Template {
	case sbe.TemplateContext, sbe.TemplateRetransmission:
		i.first = 1
		i.nextSeq = sbe.AsContext(block).NextSeqNo() // at the same offset in both
	case sbe.TemplateNegotiationResponse, sbe.TemplateNegotiationReject, sbe.TemplateEstablishmentAck,
		sbe.TemplateEstablishmentReject, sbe.TemplateRetransmitReject, sbe.TemplateTerminate, sbe.TemplateRefused,
		sbe.TemplateFinishedSending, sbe.TemplateFinishedReceiving:
		if n != 1 {
			i.Counts.count[CountUnexpectedMessage]++
			return 0
		}
	default:
		i.Counts.count[CountUnexpectedMessage]++
		return 0
	}
	// The session stands first in each of them.
	if sbe.UUID(block[:len(i.cfg.Session)]) != i.cfg.Session {
		i.Counts.count[CountWrongSession]++
		return 0
	}
	i.count = n - i.first
	if i.first == 1 {
		if i.state != Linked {
			i.Counts.count[CountWrongState]++
			return 0
		}
		i.lastRxNs = nowNs
		i.noteBehind(m.Template)
		if end := i.nextSeq + uint64(i.count); m.Template == sbe.TemplateContext && end > i.gapTo {
			i.gapTo = end
		}
	}
	return i.count
}

// noteBehind establishes the session anew when the server keeps naming a number
// below what it sent before: it lost records (policy none), and only an
// EstablishmentAck may lower expectedIn. One such heartbeat may just be late.
func (i *Initiator) noteBehind(template uint16) {
	if template != sbe.TemplateContext || i.count > 0 {
		return
	}
	if i.nextSeq >= i.expectedIn {
		i.behind = 0
		return
	}
	if i.behind++; i.behind >= behindMax {
		i.behind = 0
		i.connect(Establishing)
	}
}

// Admit decides about message n of the opened datagram: on Commit the caller
// calls Accept (directly, or by applying the record made of raw and seqNo)
// before it admits the next.
func (i *Initiator) Admit(n int) (v app.Verdict, seqNo uint64, raw []byte) {
	m := &i.messages[i.first+n]
	raw = m.Raw(i.payload)
	block := raw[sbe.HeaderBytes:]
	if i.first == 1 {
		return i.admitSequenced(m.Template, raw)
	}
	switch m.Template {
	case sbe.TemplateNegotiationResponse:
		if i.state == Negotiating && sbe.AsNegotiationResponse(block).RequestTimestamp() == i.timestamp {
			i.connect(Establishing)
			return app.Drop, 0, nil
		}
	case sbe.TemplateEstablishmentAck:
		if i.state == Establishing && sbe.AsEstablishmentAck(block).RequestTimestamp() == i.timestamp {
			return app.Commit, 0, raw
		}
	case sbe.TemplateNegotiationReject:
		r := sbe.AsNegotiationReject(block)
		if i.state == Negotiating && r.RequestTimestamp() == i.timestamp {
			i.rejected(r.Code(), sbe.NegotiationRejectLastTimestamp(block))
			return app.Drop, 0, nil
		}
	case sbe.TemplateEstablishmentReject:
		r := sbe.AsEstablishmentReject(block)
		if i.state == Establishing && r.RequestTimestamp() == i.timestamp {
			i.rejected(r.Code(), sbe.EstablishmentRejectLastTimestamp(block))
			return app.Drop, 0, nil
		}
	case sbe.TemplateRetransmitReject:
		r := sbe.AsRetransmitReject(block)
		if i.state == Linked && r.Code() == sbe.SessionCodeTooOld && i.tooOld(r) {
			return app.Commit, 0, raw
		}
		return app.Drop, 0, nil // nothing to fetch, or known already
	case sbe.TemplateRefused:
		if i.state == Linked {
			i.noteRefused(sbe.AsRefused(block))
			return app.Drop, 0, nil
		}
	case sbe.TemplateTerminate:
		if i.state == Linked {
			i.terminated(sbe.AsTerminate(block).Code())
			return app.Drop, 0, nil
		}
	case sbe.TemplateFinishedSending:
		if i.state == Linked {
			i.noteFinished(sbe.AsFinishedSending(block).LastSeqNo())
			return app.Drop, 0, nil
		}
	case sbe.TemplateFinishedReceiving:
		if i.state == Linked && i.finishing {
			i.lastRxNs, i.closeWanted = i.nowNs, true
			return app.Drop, 0, nil
		}
	}
	i.Counts.count[CountWrongState]++
	return app.Drop, 0, nil
}

// admitSequenced delivers the server's flow in order, without gaps or repeats.
func (i *Initiator) admitSequenced(template uint16, raw []byte) (app.Verdict, uint64, []byte) {
	switch {
	case template == sbe.TemplateSequence || template == sbe.TemplateUnsequencedHeartbeat:
		return app.Drop, 0, nil
	case !sbe.IsAnswer(template) && template != sbe.TemplateNotApplied && template != sbe.TemplateDropCopy:
		i.Counts.count[CountUnexpectedMessage]++
		return app.Drop, 0, nil
	}
	seqNo := i.nextSeq
	i.nextSeq++
	switch {
	case seqNo < i.expectedIn:
		i.Counts.count[CountServerRepeats]++
		return app.Drop, 0, nil
	case seqNo > i.expectedIn:
		i.gapTo = max(i.gapTo, seqNo+1)
		return app.Drop, 0, nil
	}
	return app.Commit, seqNo, raw
}

// Accepted says what an accepted message meant to the window.
type Accepted struct {
	// Deliver: an ExecutionReport, Reject or DropCopy for the application.
	Deliver bool
	// Lost: the server's flow has a hole, or it began anew: what it said of orders
	// that were answered before may be gone.
	Lost bool
	// First: it is the first answer to a request of ours.
	First   bool
	FirstNs int64
	Sends   uint32
}

// Accept executes one message that Admit wanted committed. Replicated.
func (i *Initiator) Accept(seqNo uint64, template uint16, block []byte) Accepted {
	switch template {
	case sbe.TemplateEstablishmentAck:
		i.noteTerms(block)
		return Accepted{Lost: i.acceptAck(sbe.AsEstablishmentAck(block))}
	case sbe.TemplateRetransmitReject:
		return Accepted{Lost: i.acceptLoss(sbe.AsRetransmitReject(block))}
	}
	if seqNo != i.expectedIn {
		i.Counts.count[CountBadRecord]++
		return Accepted{}
	}
	i.expectedIn = seqNo + 1
	var clOrdID uint64
	switch template {
	case sbe.TemplateNotApplied:
		n := sbe.AsNotApplied(block)
		i.acceptNotApplied(n.FromSeqNo(), uint64(n.Count()))
		return Accepted{}
	case sbe.TemplateDropCopy:
		return Accepted{Deliver: true}
	case sbe.TemplateExecutionReport:
		clOrdID = sbe.AsExecutionReport(block).ClOrdID()
	case sbe.TemplateReject:
		r := sbe.AsReject(block)
		clOrdID = r.ClOrdID()
		if r.Reason() == sbe.RejectReasonDuplicateClOrdID && (r.PossResend() != 0 || i.cfg.AskOnDuplicate) {
			// Asked for its status; or answered in the meantime, and this only
			// echoes our own resend.
			i.askStatus(clOrdID)
			return Accepted{}
		}
	default:
		i.Counts.count[CountBadRecord]++
		return Accepted{}
	}
	if s := i.answered(clOrdID); s != nil {
		return Accepted{Deliver: true, First: true, FirstNs: s.firstNs, Sends: s.sends}
	}
	return Accepted{Deliver: true}
}

// acceptAck takes over the numbers the server knows. It reports whether the server
// lost its state.
func (i *Initiator) acceptAck(a *sbe.EstablishmentAck) (lost bool) {
	i.Counts.count[CountEstablished]++
	last := a.LastIncomingSeqNo()
	switch {
	case i.expectedIn == 0:
		i.expectedIn = a.NextSeqNo()
	case a.NextSeqNo() < i.expectedIn:
		lost = true
		i.expectedIn = a.NextSeqNo()
	}
	if last >= i.nextOut || last+1 < i.oldest {
		i.rebase(last + 1)
	}
	i.state = Linked
	i.retryNs = i.cfg.ConnectNs
	i.endCode, i.finishedTo, i.finishedOwed = sbe.SessionCodeUnspecified, 0, false
	i.lastRxNs, i.lastTxNs = i.nowNs, i.nowNs
	i.sendNext = max(i.oldest, last+1)
	i.resendNext, i.gapTo, i.askedTo, i.askedAtNs = 0, a.NextSeqNo(), 0, 0
	return lost
}

// rebase moves the whole window to numbers from next on: the server has seen
// numbers we do not know of (records lost under policy none, a new client
// process), or forgotten ours. Every number keeps its slot, so the new base is
// the first one that falls on the same slot.
func (i *Initiator) rebase(next uint64) {
	if i.oldest == i.nextOut {
		i.oldest, i.nextOut = next, next
		return
	}
	i.overdueHint = 0
	size := uint64(len(i.slots))
	base := next + (i.oldest-next)&(size-1)
	shift := base - i.oldest // modulo 1<<64
	for n := i.oldest; n < i.nextOut; n++ {
		s := i.slot(n)
		s.seqNo = n + shift
		if s.state == sentUnanswered {
			i.markPossResend(s)
			i.Counts.count[CountRenumbered]++
			i.byID.Put(s.clOrdID, uint32(s.seqNo))
		}
	}
	i.oldest, i.nextOut = base, i.nextOut+shift
}

// acceptNotApplied sends the content of numbers the server gave up again,
// under new numbers and the same ClOrdID.
func (i *Initiator) acceptNotApplied(from, count uint64) {
	end := min(from+count, i.nextOut)
	for n := max(from, i.oldest); n < end; n++ {
		if s := i.slot(n); s.seqNo == n && s.state == sentUnanswered {
			i.renumber(s)
		}
	}
}

// tooOld reports whether a RetransmitReject still says something new: numbers
// of the server's flow are gone, or the answer to an unanswered message is.
func (i *Initiator) tooOld(r *sbe.RetransmitReject) bool {
	return r.OldestSeqNo() > i.expectedIn || i.waits(r.RequestTimestamp())
}

// waits reports whether the message of this number is unanswered.
func (i *Initiator) waits(seqNo uint64) bool {
	s := i.slot(seqNo)
	return seqNo >= i.oldest && seqNo < i.nextOut && s.seqNo == seqNo && s.state == sentUnanswered
}

// acceptLoss goes on behind what the server cannot send again. A server that
// can no longer answer a repeat names its number in RequestTimestamp: that
// message goes out under a new number, and PossResend makes the server tell
// the state of an order it knows, or take one that it does not. Messages whose
// answers are among the lost numbers get there by their resend.
func (i *Initiator) acceptLoss(r *sbe.RetransmitReject) (lost bool) {
	if oldest := r.OldestSeqNo(); oldest > i.expectedIn {
		i.Counts.count[CountLostMessages] += oldest - i.expectedIn
		i.expectedIn, lost = oldest, true
	}
	if seqNo := r.RequestTimestamp(); i.waits(seqNo) {
		i.renumber(i.slot(seqNo))
	}
	return lost
}

// renumber moves an unanswered message to the next number. When the slots are
// full only the oldest can move: its own slot is the next. The others stay
// until their turn; their resends are answered as before.
func (i *Initiator) renumber(s *sent) {
	if i.nextOut-i.oldest >= uint64(len(i.slots)) {
		if s.seqNo == i.oldest {
			i.renumberOldest(s)
		}
		return
	}
	to := i.slot(i.nextOut)
	raw, firstNs := s.raw, s.firstNs
	*to = sent{seqNo: i.nextOut, clOrdID: s.clOrdID, bytes: s.bytes, state: sentUnanswered, raw: raw, firstNs: firstNs, sends: s.sends}
	i.markPossResend(to)
	i.byID.Put(to.clOrdID, uint32(i.nextOut))
	i.unanswered++
	i.nextOut++
	i.free(s)
	i.Counts.count[CountRenumbered]++
}

func (i *Initiator) renumberOldest(s *sent) {
	s.seqNo = i.nextOut
	i.markPossResend(s)
	i.byID.Put(s.clOrdID, uint32(s.seqNo))
	i.nextOut++
	i.oldest++
	for i.oldest < i.nextOut && i.slot(i.oldest).state == sentFree {
		i.oldest++
	}
	i.Counts.count[CountRenumbered]++
}

// askStatus replaces a message that the server refused as a duplicate although
// it was marked PossResend by a question for its status.
func (i *Initiator) askStatus(clOrdID uint64) {
	low, ok := i.byID.Get(clOrdID)
	if !ok || i.nextOut-i.oldest >= uint64(len(i.slots)) {
		return
	}
	s := i.slot(uint64(low))
	firstNs := s.firstNs
	symbolID, account := targetOf(s)
	m := sbe.AsOrderStatusRequest(i.place(sbe.TemplateOrderStatusRequest, clOrdID))
	m.SetClOrdID(clOrdID)
	m.SetSymbolID(symbolID)
	m.SetAccount(account)
	m.SetPossResend(1)
	i.byID.Put(clOrdID, uint32(i.building)) // an entry that exists always takes a new value
	i.Commit(firstNs)
	i.free(s)
	i.Counts.count[CountStatusRequests]++
}

func templateOf(s *sent) uint16 {
	return uint16(s.raw[sbe.SOFHBytes+2]) | uint16(s.raw[sbe.SOFHBytes+3])<<8
}

// targetOf returns symbol and account of a request.
func targetOf(s *sent) (symbolID, account uint32) {
	block := s.raw[sbe.PrefixBytes:]
	switch templateOf(s) {
	case sbe.TemplateNewOrderSingle:
		m := sbe.AsNewOrderSingle(block)
		return m.SymbolID(), m.Account()
	case sbe.TemplateOrderCancelRequest:
		m := sbe.AsOrderCancelRequest(block)
		return m.SymbolID(), m.Account()
	case sbe.TemplateOrderCancelReplaceRequest:
		m := sbe.AsOrderCancelReplaceRequest(block)
		return m.SymbolID(), m.Account()
	}
	m := sbe.AsOrderStatusRequest(block)
	return m.SymbolID(), m.Account()
}

func (i *Initiator) markPossResend(s *sent) {
	block := s.raw[sbe.PrefixBytes:]
	switch templateOf(s) {
	case sbe.TemplateNewOrderSingle:
		sbe.AsNewOrderSingle(block).SetPossResend(1)
	case sbe.TemplateOrderCancelRequest:
		sbe.AsOrderCancelRequest(block).SetPossResend(1)
	case sbe.TemplateOrderCancelReplaceRequest:
		sbe.AsOrderCancelReplaceRequest(block).SetPossResend(1)
	case sbe.TemplateOrderStatusRequest:
		sbe.AsOrderStatusRequest(block).SetPossResend(1)
	}
}

// NewEpoch marks everything unanswered PossResend: the writer of the old epoch
// may have sent it. Replicated.
func (i *Initiator) NewEpoch() {
	for n := i.oldest; n < i.nextOut; n++ {
		if s := i.slot(n); s.state == sentUnanswered {
			i.markPossResend(s)
		}
	}
}
