package fixp

import "onebeat/engine/sbe"

// Refusal is what a server said that it does not take. Nothing of it is
// replicated: an initiator that is driven by records keeps what was refused and
// sends it again, under new numbers once the server takes orders.
type Refusal struct {
	FromSeqNo, EndSeqNo uint64 // of ours; equal: none of them, but orders would be refused
	Code                sbe.SessionCode
}

func (i *Initiator) noteRefused(r *sbe.Refused) {
	i.lastRxNs = i.nowNs
	from := r.FromSeqNo()
	i.refusal = Refusal{FromSeqNo: max(from, i.oldest), EndSeqNo: max(from, i.oldest), Code: r.Code()}
	if end := min(from+uint64(r.Count()), i.nextOut); end > i.refusal.FromSeqNo {
		i.Counts.count[CountRefused] += end - i.refusal.FromSeqNo
		i.refusal.EndSeqNo = end
	}
	i.refused = true
}

// TakeRefusal returns what the opened datagram refused, once.
func (i *Initiator) TakeRefusal() (Refusal, bool) {
	ok := i.refused
	i.refused = false
	return i.refusal, ok
}

// GiveUp takes a message that was refused out of the window; it is not sent
// again. clOrdID is 0 when the number is not unanswered.
func (i *Initiator) GiveUp(seqNo uint64) (clOrdID uint64, template uint16) {
	if !i.waits(seqNo) {
		return 0, 0
	}
	s := i.slot(seqNo)
	clOrdID, template = s.clOrdID, templateOf(s)
	i.byID.Delete(clOrdID)
	i.free(s)
	return clOrdID, template
}
