package fixp

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
)

// Replies that consume no number.

func (s *Server) negotiationResponse(x *session, to *app.Endpoint, timestamp uint64, out *app.Outbox) {
	b := out.Open(*to, s.cfg.Port, 0)
	m := sbe.AsNegotiationResponse(sbe.Put(b, sbe.TemplateNegotiationResponse, sbe.NegotiationResponseBytes))
	*m = sbe.NegotiationResponse{}
	m.SetSessionID(&x.id)
	m.SetRequestTimestamp(timestamp)
	m.SetServerFlow(sbe.FlowTypeRecoverable)
	out.Close(sbe.PrefixBytes+sbe.NegotiationResponseBytes, 0)
}

func (s *Server) negotiationReject(x *session, timestamp uint64, code sbe.SessionCode, out *app.Outbox) (app.Verdict, app.Draft) {
	b := out.Open(s.from, s.cfg.Port, 0)
	block := sbe.Put(b, sbe.TemplateNegotiationReject, sbe.NegotiationRejectBytes)
	clear(block)
	m := sbe.AsNegotiationReject(block)
	m.SetSessionID(&x.id)
	m.SetRequestTimestamp(timestamp)
	m.SetCode(code)
	if code == sbe.SessionCodeStaleTimestamp {
		sbe.SetNegotiationRejectLastTimestamp(block, x.timestamp)
	}
	out.Close(sbe.PrefixBytes+sbe.NegotiationRejectBytes, 0)
	return app.Answered, app.Draft{}
}

func (s *Server) establishmentAck(x *session, to *app.Endpoint, out *app.Outbox) {
	b := out.Open(*to, s.cfg.Port, 0)
	block := sbe.Put(b, sbe.TemplateEstablishmentAck, sbe.EstablishmentAckBytes)
	clear(block)
	m := sbe.AsEstablishmentAck(block)
	m.SetSessionID(&x.id)
	m.SetRequestTimestamp(x.timestamp)
	m.SetNextSeqNo(x.nextOut)
	m.SetLastIncomingSeqNo(x.nextIn - 1)
	m.SetKeepAliveMs(uint32(x.keepAliveNs / 1_000_000))
	sbe.SetEstablishmentAckOrdersPerSecond(block, x.orders.perSecond)
	sbe.SetEstablishmentAckOrderBurst(block, x.orders.burst)
	sbe.SetEstablishmentAckRetainedMessages(block, uint32(x.retained()))
	sbe.SetEstablishmentAckCancelOnDisconnectMs(block, uint32(min(x.windowNs/1_000_000, 1<<32-1)))
	out.Close(sbe.PrefixBytes+sbe.EstablishmentAckBytes, 0)
	x.lastTxNs = s.nowNs
}

func (s *Server) establishReject(x *session, timestamp uint64, code sbe.SessionCode, out *app.Outbox) (app.Verdict, app.Draft) {
	b := out.Open(s.from, s.cfg.Port, 0)
	block := sbe.Put(b, sbe.TemplateEstablishmentReject, sbe.EstablishmentRejectBytes)
	clear(block)
	m := sbe.AsEstablishmentReject(block)
	m.SetSessionID(&x.id)
	m.SetRequestTimestamp(timestamp)
	m.SetCode(code)
	if code == sbe.SessionCodeStaleTimestamp {
		sbe.SetEstablishmentRejectLastTimestamp(block, x.timestamp)
	}
	out.Close(sbe.PrefixBytes+sbe.EstablishmentRejectBytes, 0)
	return app.Answered, app.Draft{}
}

func (s *Server) terminate(x *session, to *app.Endpoint, code sbe.SessionCode, out *app.Outbox) {
	b := out.Open(*to, s.cfg.Port, 0)
	m := sbe.AsTerminate(sbe.Put(b, sbe.TemplateTerminate, sbe.TerminateBytes))
	*m = sbe.Terminate{}
	m.SetSessionID(&x.id)
	m.SetCode(code)
	out.Close(sbe.PrefixBytes+sbe.TerminateBytes, 0)
}

// finishedSending writes that our flow ends, until the session is established again.
func (s *Server) finishedSending(b []byte, x *session) int {
	m := sbe.AsFinishedSending(sbe.Put(b, sbe.TemplateFinishedSending, sbe.FinishedSendingBytes))
	m.SetSessionID(&x.id)
	m.SetLastSeqNo(x.nextOut - 1)
	return sbe.PrefixBytes + sbe.FinishedSendingBytes
}

func (s *Server) finishedReceiving(x *session, out *app.Outbox) {
	b := out.Open(x.peer, s.cfg.Port, 0)
	sbe.AsFinishedReceiving(sbe.Put(b, sbe.TemplateFinishedReceiving, sbe.FinishedReceivingBytes)).SetSessionID(&x.id)
	out.Close(sbe.PrefixBytes+sbe.FinishedReceivingBytes, 0)
}

func (s *Server) retransmitReject(x *session, timestamp uint64, code sbe.SessionCode, out *app.Outbox) {
	s.Counts.count[CountRetransmitRefused]++
	b := out.Open(x.peer, s.cfg.Port, 0)
	m := sbe.AsRetransmitReject(sbe.Put(b, sbe.TemplateRetransmitReject, sbe.RetransmitRejectBytes))
	*m = sbe.RetransmitReject{}
	m.SetSessionID(&x.id)
	m.SetRequestTimestamp(timestamp)
	m.SetOldestSeqNo(x.oldest())
	m.SetCode(code)
	out.Close(sbe.PrefixBytes+sbe.RetransmitRejectBytes, 0)
}

// retransmit sends kept messages again, in at most datagrams datagrams; the
// client asks on for the rest.
func (s *Server) retransmit(x *session, from, count, timestamp uint64, datagrams int, out *app.Outbox) {
	end := from + count
	for ; datagrams > 0 && from < end && out.Room() > outboxReserve; datagrams-- {
		b := out.Open(x.peer, s.cfg.Port, 0)[:app.MaxDatagramBytes]
		m := sbe.AsRetransmission(sbe.Put(b, sbe.TemplateRetransmission, sbe.RetransmissionBytes))
		*m = sbe.Retransmission{}
		m.SetSessionID(&x.id)
		m.SetNextSeqNo(from)
		m.SetRequestTimestamp(timestamp)
		n, sent := sbe.PrefixBytes+sbe.RetransmissionBytes, uint32(0)
		for ; from < end; from++ {
			kept := s.keptMessage(x, from)
			if len(b)-n < len(kept) {
				break
			}
			n += copy(b[n:], kept)
			sent++
		}
		m.SetCount(sent)
		out.Close(n, 0)
	}
	x.lastTxNs = s.nowNs
}
