package fixp

import "onebeat/engine/sbe"

// How a session ends, is refused, and on which terms it goes on. Nothing of it is
// replicated.

// Terms are what a server allows a session, by its last EstablishmentAck; zero
// when it does not say.
type Terms struct {
	OrdersPerSecond, OrderBurst uint32 // 0: no bound
	RetainedMessages            uint32
	CancelOnDisconnectMs        uint32 // 0: orders stay
}

// Terms returns what the server last said.
func (i *Initiator) Terms() Terms { return i.terms }

func (i *Initiator) noteTerms(block []byte) {
	i.terms = Terms{sbe.EstablishmentAckOrdersPerSecond(block), sbe.EstablishmentAckOrderBurst(block),
		sbe.EstablishmentAckRetainedMessages(block), sbe.EstablishmentAckCancelOnDisconnectMs(block)}
}

// EndCode is why the server last refused or ended the session, Unspecified since
// it was established.
func (i *Initiator) EndCode() sbe.SessionCode { return i.endCode }

// rejected: a request for the session was refused.
func (i *Initiator) rejected(code sbe.SessionCode, lastTimestamp uint64) {
	i.endCode = code
	switch code {
	case sbe.SessionCodeUnnegotiated:
		i.connect(Negotiating)
	case sbe.SessionCodeStaleTimestamp:
		// Of a clock that is behind the one before it: once is enough.
		if lastTimestamp > i.timestamp && lastTimestamp < timestampMax {
			i.timestamp, i.retryAtNs = lastTimestamp, i.nowNs
		}
		i.Counts.count[CountStaleTimestamp]++
	case sbe.SessionCodeCredentials:
		i.Counts.count[CountBadCredentials]++
	case sbe.SessionCodeBlocked:
		i.Counts.count[CountBlocked]++
	default:
		i.Counts.count[CountWrongState]++
	}
}

// terminated: the server ended the session. An initiator that yields leaves it to
// who has it now; else it asks again, later when a person was behind it.
func (i *Initiator) terminated(code sbe.SessionCode) {
	i.Counts.count[CountTerminated]++
	i.endCode = code
	if code == sbe.SessionCodeTakenOver && i.cfg.Yield {
		i.state = Closed
		return
	}
	i.connect(Establishing)
	i.retryAtNs = i.nowNs + i.cfg.ConnectNs
	switch code {
	case sbe.SessionCodeTakenOver, sbe.SessionCodeBlocked, sbe.SessionCodeOperator:
		i.retryNs = max(i.cfg.KeepAliveNs, i.cfg.ConnectNs)
		i.retryAtNs = i.nowNs + i.retryNs
	}
}

// noteFinished: the server has said all up to a number; once all of it is here it
// is told so, each time it says so.
func (i *Initiator) noteFinished(last uint64) {
	i.lastRxNs = i.nowNs
	if last >= timestampMax {
		return
	}
	i.finishedTo, i.finishedOwed = last+1, true
	i.gapTo = max(i.gapTo, last+1)
}

// Finish ends the session once everything sent is answered: FinishedSending until
// FinishedReceiving, then Terminate. Nothing more can be sent; Promote opens it
// anew.
func (i *Initiator) Finish() { i.finishing = true }

// pollFinish sends what the end of either flow asks for.
func (i *Initiator) pollFinish(out Out) int {
	datagrams := 0
	if i.finishedOwed && i.expectedIn >= i.finishedTo {
		if b := out.Buffer(); b != nil {
			sbe.AsFinishedReceiving(sbe.Put(b, sbe.TemplateFinishedReceiving, sbe.FinishedReceivingBytes)).SetSessionID(&i.cfg.Session)
			out.Send(sbe.PrefixBytes + sbe.FinishedReceivingBytes)
			i.finishedOwed = false
			datagrams++
		}
	}
	if i.finishing && i.unanswered == 0 && i.nowNs >= i.finishAtNs {
		if b := out.Buffer(); b != nil {
			m := sbe.AsFinishedSending(sbe.Put(b, sbe.TemplateFinishedSending, sbe.FinishedSendingBytes))
			m.SetSessionID(&i.cfg.Session)
			m.SetLastSeqNo(i.nextOut - 1)
			out.Send(sbe.PrefixBytes + sbe.FinishedSendingBytes)
			i.finishAtNs = i.nowNs + i.cfg.ResendNs
			datagrams++
		}
	}
	return datagrams
}
