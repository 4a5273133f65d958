package venue

import (
	"onebeat/engine/app"
	"onebeat/engine/sbe"
	"onebeat/engine/table"
)

// blockBytesMax bounds the block of a request to a venue.
const blockBytesMax = 40

// request waits for a token.
type request struct {
	clOrdID  uint64 // 0: it was withdrawn
	atNs     int64  // when it came
	template uint16
	block    [blockBytesMax]byte
}

// queue is a ring of requests, oldest first.
type queue struct {
	slots []request // a power of two
	most  uint64    // of them in use
	head  uint64
	tail  uint64
	byID  *table.U64
	live  int // not withdrawn
}

func newQueue(most int) queue {
	size := 1
	for size < most {
		size *= 2
	}
	return queue{slots: table.Touched[request](size), most: uint64(most), byID: table.NewU64(max(most, 16))}
}

func (q *queue) slot(n uint64) *request { return &q.slots[n&uint64(len(q.slots)-1)] }

// push adds a request and returns its zeroed block; nil: there is no room, or one
// with this ClOrdID waits.
func (q *queue) push(template uint16, clOrdID uint64, nowNs int64) []byte {
	if q.tail-q.head >= q.most || q.waits(clOrdID) || !q.byID.Put(clOrdID, uint32(q.tail)) {
		return nil
	}
	r := q.slot(q.tail)
	*r = request{clOrdID: clOrdID, template: template, atNs: nowNs}
	q.tail++
	q.live++
	return r.block[:sbe.BlockBytes(template)]
}

func (q *queue) waits(clOrdID uint64) bool {
	if q.live == 0 {
		return false
	}
	_, ok := q.byID.Get(clOrdID)
	return ok
}

// oldest returns the request that leaves next; nil: none waits.
func (q *queue) oldest() *request {
	for ; q.head < q.tail; q.head++ {
		if r := q.slot(q.head); r.clOrdID != 0 {
			return r
		}
	}
	return nil
}

// pop removes the oldest request.
func (q *queue) pop() {
	q.byID.Delete(q.slot(q.head).clOrdID)
	q.head++
	q.live--
}

// withdraw removes a request wherever it stands. Its place is free again once it
// is the oldest.
func (q *queue) withdraw(clOrdID uint64) bool {
	low, ok := q.byID.Get(clOrdID)
	if !ok {
		return false
	}
	q.byID.Delete(clOrdID)
	q.slot(uint64(low)).clOrdID = 0
	q.live--
	q.oldest()
	return true
}

func (q *queue) digest(d uint64) uint64 { return app.Fold(d, q.tail<<20^q.head^uint64(q.live)<<40) }

func (q *queue) save(w *app.StateWriter) {
	w.Int("most", int(q.most))
	w.U64("head", q.head)
	w.U64("tail", q.tail)
	q.byID.Save(w)
	for n := q.head; n < q.tail; n++ {
		r := q.slot(n)
		w.Row(n)
		w.U64("cl_ord_id", r.clOrdID)
		if r.clOrdID == 0 {
			continue
		}
		w.I64("at_ns", r.atNs)
		w.U16("template", r.template)
		w.Bytes("block", r.block[:])
	}
	w.Row(0)
}

func (q *queue) load(r *app.StateReader) {
	r.Is("the venue's queue", int(q.most))
	q.head, q.tail = r.U64(), r.U64()
	if r.Err() == nil && (q.head > q.tail || q.tail-q.head > q.most) {
		r.Fail("requests %d to %d in a queue of %d", q.head, q.tail, q.most)
		return
	}
	q.byID.Load(r, ^uint32(0))
	for n := q.head; n < q.tail && r.Err() == nil; n++ {
		x := q.slot(n)
		if *x = (request{clOrdID: r.U64()}); x.clOrdID == 0 {
			continue
		}
		x.atNs, x.template = r.I64(), r.U16()
		r.Bytes(x.block[:])
		if r.Err() != nil {
			return
		}
		if low, ok := q.byID.Get(x.clOrdID); !ok || low != uint32(n) || x.template < sbe.TemplateNewOrderSingle || x.template > sbe.TemplateOrderStatusRequest {
			r.Fail("request %d with ClOrdID %d and template %d", n, x.clOrdID, x.template)
			return
		}
		q.live++
	}
	if r.Err() == nil && q.live != q.byID.Count() {
		r.Fail("%d requests wait, %d are found by their ClOrdID", q.live, q.byID.Count())
	}
}
