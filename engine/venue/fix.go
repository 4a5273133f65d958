package venue

import (
	"fmt"

	"onebeat/engine/sbe"
	"onebeat/engine/table"
)

// FIXOut numbers and keeps a request as a FIX message of its session; its bytes
// leave as the release policy allows. It returns the message's MsgSeqNum.
type FIXOut interface {
	Request(template uint16, block []byte, timeNs int64) (seqNo uint64)
}

// FIX is the replicated state of a FIX session with a venue, beside its numbers and
// messages: what waits for an answer, and which ClOrdIDs a replaced order went by. It
// is a Session for a Line.
//
// Nothing is sent again from here: whoever logs on tells the other side the next
// number, and what did not arrive is asked for and sent as a possible duplicate, if
// it still waits for its answer. Only when the session's numbers were reset nobody
// knows what arrived: then every request that waits becomes a question for its status,
// but for those that no logon came behind: they never left, and are refused.
type FIX struct {
	out    FIXOut
	window []waiting
	head   uint64
	tail   uint64
	count  int
	byID   *table.U64 // ClOrdID -> low half of its place

	up     bool   // logged on, as far as the log says
	closed bool   // its hours are over, and it was not logged on since
	left   uint64 // requests below may have left: the session was logged on while they waited
	unsent int    // requests that never left and are to be refused

	// An order that was replaced goes by the ClOrdID of its last replacement.
	chains  []chain
	places  table.Places
	chainOf *table.U64 // any of its ClOrdIDs -> chain

	building waiting
	block    [blockBytesMax]byte
	message  [blockBytesMax]byte
	answer   [sbe.ExecutionReportBytes]byte
	counts   [fixCounterCount]uint64
}

// waiting is a request without an answer.
type waiting struct {
	clOrdID  uint64 // 0: it was answered
	seqNo    uint64
	atNs     int64
	symbol   uint32
	account  uint32
	template uint16
	unsent   bool // it never left, and never will
}

// chain is an order that was replaced.
type chain struct {
	root, before, current uint64
	done                  bool // it ended: its place may be taken
}

type fixCounter uint8

const (
	fixAsked fixCounter = iota
	fixUnknown
	fixForgotten
	fixResets
	fixUnsent
	fixCounterCount
)

var fixCounterNames = [fixCounterCount]string{"status_requests", "unknown_message", "chains_forgotten", "resets", "never_sent"}

// chainsMost bounds the replaced orders that are known.
const chainsMost = 16384

// NewFIX makes the state of a session with room for so many unanswered requests, a
// power of two.
func NewFIX(window int, out FIXOut) (*FIX, error) {
	if window < 16 || window&(window-1) != 0 {
		return nil, fmt.Errorf("%w: window of %d requests: give a power of two of at least 16", ErrConfig, window)
	}
	return &FIX{out: out, window: table.Touched[waiting](window), byID: table.NewU64(window), chains: table.Touched[chain](chainsMost),
		places: table.NewPlaces(chainsMost, chainsMost/2), chainOf: table.NewU64(3 * chainsMost)}, nil
}

func (f *FIX) at(n uint64) *waiting { return &f.window[n&uint64(len(f.window)-1)] }

// Begin implements Session.
func (f *FIX) Begin(template uint16, clOrdID uint64) []byte {
	if f.tail-f.head >= uint64(len(f.window)) || f.waits(clOrdID) || !f.byID.Put(clOrdID, uint32(f.tail)) {
		return nil
	}
	f.building = waiting{clOrdID: clOrdID, template: template}
	clear(f.block[:])
	return f.block[:sbe.BlockBytes(template)]
}

func (f *FIX) waits(clOrdID uint64) bool {
	_, ok := f.byID.Get(clOrdID)
	return ok
}

// Commit implements Session.
func (f *FIX) Commit(timeNs int64) {
	w := f.at(f.tail)
	*w = f.building
	w.atNs = timeNs
	block := f.message[:copy(f.message[:], f.block[:sbe.BlockBytes(w.template)])]
	f.aim(w, block)
	w.seqNo = f.out.Request(w.template, block, timeNs)
	f.tail++
	f.count++
	if f.up {
		f.left = f.tail
	}
}

// aim notes what a request is about, and names the order as the venue knows it.
func (f *FIX) aim(w *waiting, block []byte) {
	switch w.template {
	case sbe.TemplateNewOrderSingle:
		m := sbe.AsNewOrderSingle(block)
		w.symbol, w.account = m.SymbolID(), m.Account()
	case sbe.TemplateOrderCancelRequest:
		m := sbe.AsOrderCancelRequest(block)
		w.symbol, w.account = m.SymbolID(), m.Account()
		m.SetOrigClOrdID(f.currentOf(m.OrigClOrdID()))
	case sbe.TemplateOrderCancelReplaceRequest:
		m := sbe.AsOrderCancelReplaceRequest(block)
		w.symbol, w.account = m.SymbolID(), m.Account()
		m.SetOrigClOrdID(f.currentOf(m.OrigClOrdID()))
	case sbe.TemplateOrderStatusRequest:
		m := sbe.AsOrderStatusRequest(block)
		w.symbol, w.account = m.SymbolID(), m.Account()
		m.SetClOrdID(f.currentOf(m.ClOrdID()))
	}
}

// Overdue implements Session.
func (f *FIX) Overdue(from uint64, beforeNs int64, visit func(clOrdID uint64, template uint16)) (next uint64, atNs int64) {
	n := max(from, f.head)
	for ; n < f.tail; n++ {
		w := f.at(n)
		if w.clOrdID == 0 {
			continue
		}
		if visit == nil || w.atNs >= beforeNs {
			return n, w.atNs
		}
		visit(w.clOrdID, w.template)
	}
	return n, 0
}

// Unanswered returns how many requests wait for their first answer.
func (f *FIX) Unanswered() int { return f.count }

// Waits reports whether the message of this number still waits for its answer: only
// then it is sent again. What was answered the venue has.
func (f *FIX) Waits(seqNo uint64) bool {
	for n := f.head; n < f.tail; n++ {
		if w := f.at(n); w.seqNo == seqNo {
			return w.clOrdID != 0 && !w.unsent
		}
	}
	return false
}

func (f *FIX) answered(clOrdID uint64) (w waiting, ok bool) {
	low, ok := f.byID.Get(clOrdID)
	if !ok {
		return w, false
	}
	f.byID.Delete(clOrdID)
	at := f.at(uint64(low))
	w = *at
	at.clOrdID, at.unsent = 0, false
	f.count--
	if w.unsent {
		f.unsent--
	}
	for f.head < f.tail && f.at(f.head).clOrdID == 0 {
		f.head++
	}
	return w, true
}

// Accept takes a message of the venue and returns it as the application is to see
// it, under the ClOrdIDs that it knows; template 0: there is nothing to see.
func (f *FIX) Accept(template uint16, block []byte, timeNs int64) (uint16, []byte) {
	switch template {
	case sbe.TemplateExecutionReport:
		return f.report(sbe.AsExecutionReport(f.answer[:copy(f.answer[:], block)]), timeNs)
	case sbe.TemplateReject:
		return f.reject(sbe.AsReject(f.answer[:copy(f.answer[:], block)]), timeNs)
	}
	f.counts[fixUnknown]++
	return 0, nil
}

func (f *FIX) report(r *sbe.ExecutionReport, timeNs int64) (uint16, []byte) {
	id, orig := r.ClOrdID(), r.OrigClOrdID()
	switch {
	case r.ExecType() == sbe.ExecTypeReplaced && orig != 0 && orig != id:
		r.SetOrigClOrdID(f.rootOf(orig))
		f.replaced(r.OrigClOrdID(), id)
	case orig != 0 && orig != id:
		r.SetOrigClOrdID(f.rootOf(orig))
	default:
		r.SetClOrdID(f.rootOf(id))
		r.SetOrigClOrdID(0)
	}
	w, asked := f.answered(id)
	if !asked {
		w, asked = f.answered(r.ClOrdID())
	}
	root := r.OrigClOrdID()
	if root == 0 {
		root = r.ClOrdID()
	}
	if r.OrdStatus() == sbe.OrdStatusRejected {
		switch {
		case r.Reason() == sbe.RejectReasonDuplicateClOrdID && (r.ExecType() == sbe.ExecTypeRejected):
			// The venue knows it: what became of it is another question.
			f.ask(root, w.symbol, w.account, timeNs)
			return 0, nil
		case r.ExecType() == sbe.ExecTypeOrderStatus && asked && w.template == sbe.TemplateOrderStatusRequest:
			return f.unknown(root)
		}
	}
	if r.LeavesQtyLots() == 0 && r.ExecType() != sbe.ExecTypeReplaced {
		f.ended(root)
	}
	return sbe.TemplateExecutionReport, f.answer[:sbe.ExecutionReportBytes]
}

// unknown makes a refusal of the answer that an order is not known.
func (f *FIX) unknown(clOrdID uint64) (uint16, []byte) {
	clear(f.answer[:])
	r := sbe.AsReject(f.answer[:sbe.RejectBytes])
	r.SetClOrdID(clOrdID)
	r.SetReason(sbe.RejectReasonUnknownOrder)
	r.SetRefTemplateID(sbe.TemplateOrderStatusRequest)
	return sbe.TemplateReject, f.answer[:sbe.RejectBytes]
}

// reject takes an OrderCancelReject, a Reject or a BusinessMessageReject; the last
// two name the message, not the order.
func (f *FIX) reject(r *sbe.Reject, timeNs int64) (uint16, []byte) {
	if r.ClOrdID() == 0 {
		for n := f.head; n < f.tail; n++ {
			if w := f.at(n); w.seqNo == r.RefSeqNo() && w.clOrdID != 0 {
				r.SetClOrdID(w.clOrdID)
				r.SetRefTemplateID(w.template)
			}
		}
	}
	w, asked := f.answered(r.ClOrdID())
	switch {
	case r.ClOrdID() == 0:
		f.counts[fixUnknown]++
		return 0, nil
	case r.Reason() == sbe.RejectReasonDuplicateClOrdID && asked:
		f.ask(r.ClOrdID(), w.symbol, w.account, timeNs)
		return 0, nil
	case asked && w.template == sbe.TemplateOrderStatusRequest:
		return f.unknown(r.ClOrdID())
	}
	return sbe.TemplateReject, f.answer[:sbe.RejectBytes]
}

// ask asks for the status of an order, or of a request about one.
func (f *FIX) ask(clOrdID uint64, symbol, account uint32, timeNs int64) {
	block := f.Begin(sbe.TemplateOrderStatusRequest, clOrdID)
	if block == nil {
		return
	}
	m := sbe.AsOrderStatusRequest(block)
	m.SetClOrdID(clOrdID)
	m.SetSymbolID(symbol)
	m.SetAccount(account)
	f.counts[fixAsked]++
	f.Commit(timeNs)
}

// Reset takes that the session's numbers began anew, and the venue with them, as far
// as anybody knows: each request that waits is asked about, once, or refused, if it
// cannot have left.
func (f *FIX) Reset(timeNs int64) {
	f.counts[fixResets]++
	f.giveUp()
	end := f.tail
	for n := f.head; n < end; n++ {
		w := *f.at(n)
		if w.clOrdID == 0 || w.unsent {
			continue
		}
		f.answered(w.clOrdID)
		f.ask(w.clOrdID, w.symbol, w.account, timeNs)
	}
}

func (f *FIX) rootOf(id uint64) uint64 {
	if i, ok := f.chainOf.Get(id); ok {
		return f.chains[i].root
	}
	return id
}

func (f *FIX) currentOf(id uint64) uint64 {
	if i, ok := f.chainOf.Get(id); ok {
		return f.chains[i].current
	}
	return id
}

// replaced notes that an order goes by another ClOrdID from now on. The one before
// is still understood: reports that crossed have it.
func (f *FIX) replaced(root, current uint64) {
	i, ok := f.chainOf.Get(root)
	if !ok {
		var forget bool
		if i, forget = f.places.Take(); i == table.None {
			f.counts[fixForgotten]++
			return
		} else if forget {
			f.forget(&f.chains[i])
		}
		f.chains[i] = chain{root: root}
		if !f.chainOf.Put(root, i) {
			f.chains[i] = chain{done: true}
			f.places.Finish(i)
			f.counts[fixForgotten]++
			return
		}
	}
	c := &f.chains[i]
	if c.before != 0 {
		f.chainOf.Delete(c.before)
	}
	c.before, c.current = c.current, current
	if !f.chainOf.Put(current, i) {
		f.counts[fixForgotten]++
	}
}

func (f *FIX) forget(c *chain) {
	for _, id := range []uint64{c.root, c.before, c.current} {
		if id != 0 {
			f.chainOf.Delete(id)
		}
	}
}

// ended lets the place of a chain be taken, some day.
func (f *FIX) ended(root uint64) {
	if i, ok := f.chainOf.Get(root); ok && !f.chains[i].done {
		f.chains[i].done = true
		f.places.Finish(i)
	}
}
