package arbiter

import "fmt"

// Asker is a node's side of the frames, for one lane: it keeps one question
// until it is answered. It is pure: what Frame writes is to be sent, what
// arrives is to be given to Take.
//
// Its first frame of a life gets a ticket with its answer, and each SWAP
// carries it. A witness that was started again, or has another process of this
// node in mind, answers a SWAP with another ticket, which costs a second round
// trip.
type Asker struct {
	keys       Keys
	lane, node uint8
	nonce      uint64
	resendNs   int64

	ticket  uint64
	counter uint64

	asking  bool
	ask     Ask
	first   uint64 // counter of the question's first frame
	dueNs   int64  // when the next frame of it leaves
	waitNs  int64  // then the one after that
	untilNs int64  // when nobody wants to know any more
	sentNs  int64

	answer Answer
	ready  bool
	board  *Board
	counts [askerCountEnd]uint64
}

// askerCount is what an Asker counts.
type askerCount uint8

const (
	// The first of them are Check's, of frames that are no answer.
	askerStray    askerCount = askerCount(checkEnd) + iota // an answer to nothing that is asked
	askerAsked                                             // questions
	askerSent                                              // frames
	askerAnswered                                          // questions
	askerRefused                                           // of them
	askerTickets                                           // SWAPs that had to be asked twice
	askerGivenUp
	askerCountEnd
)

// askerNames are the counters', made once: a loop's thread tells them.
var askerNames = func() (names [askerCountEnd]string) {
	for c := range checkEnd {
		names[c] = "arbiter_bad_" + c.String()
	}
	for i, name := range [...]string{"stray", "asked", "sent", "answered", "refused", "tickets", "given_up"} {
		names[int(checkEnd)+i] = "arbiter_" + name
	}
	return names
}()

// Bounds of a question: frames are sent after 1, 2, 4 ... resendNs, at most
// this many apart, and for so long after the question was last asked.
const (
	resendWaits = 16
	giveUpWaits = 64
)

// NewAsker returns the asker of a node in a lane. nonce is random and of this
// process's life alone; resendNs is how long an answer may take.
func NewAsker(k Keys, laneID, node uint8, nonce uint64, resendNs int64, board *Board) *Asker {
	if nonce == 0 || node == 0 || resendNs <= 0 {
		panic(fmt.Sprintf("arbiter: asker of node %d, nonce %d, resend after %d ns", node, nonce, resendNs))
	}
	return &Asker{keys: k, lane: laneID, node: node, nonce: nonce, resendNs: resendNs, board: board}
}

// Read asks for the register. It takes the place of what was asked before.
func (a *Asker) Read(nowNs int64) { a.question(Ask{Type: FrameRead}, nowNs) }

// Swap asks for a change. It takes the place of what was asked before; the same
// request again is the same question.
func (a *Asker) Swap(r *Request, nowNs int64) {
	a.question(Ask{Type: FrameSwap, Request: *r}, nowNs)
}

func (a *Asker) question(q Ask, nowNs int64) {
	a.untilNs = nowNs + giveUpWaits*a.resendNs
	a.ready = false
	if a.asking && a.ask.Type == q.Type && a.ask.Request == q.Request {
		return
	}
	a.counts[askerAsked]++
	a.asking, a.ask, a.first = true, q, a.counter+1
	a.dueNs, a.waitNs = nowNs, a.resendNs
}

// Asking reports whether an answer is waited for.
func (a *Asker) Asking() bool { return a.asking }

// Frame writes what is to be sent now into the first n bytes of b; 0: nothing.
func (a *Asker) Frame(nowNs int64, b []byte) (n int) {
	if !a.asking || nowNs < a.dueNs {
		return 0
	}
	if nowNs > a.untilNs {
		a.asking = false
		a.counts[askerGivenUp]++
		return 0
	}
	a.dueNs = nowNs + a.waitNs
	a.waitNs = min(2*a.waitNs, resendWaits*a.resendNs)
	a.counter++
	a.counts[askerSent]++
	a.sentNs = nowNs
	q := &a.ask
	q.Lane, q.Node, q.Group, q.Nonce, q.Ticket, q.Counter = a.lane, a.node, a.keys.Group, a.nonce, a.ticket, a.counter
	q.Put(b, &a.keys)
	return AskBytes
}

// Take looks at a datagram. Only the answer to a frame of the present question
// counts.
func (a *Asker) Take(b []byte, nowNs int64) {
	var t Told
	if c := t.Parse(b, &a.keys); c != OK {
		a.counts[c]++
		return
	}
	if !a.asking || t.Lane != a.lane || t.Node != a.node || t.Nonce != a.nonce || t.Counter < a.first || t.Counter > a.counter ||
		(t.Verdict == VerdictRead) != (a.ask.Type == FrameRead) {
		a.counts[askerStray]++
		return
	}
	if t.Verdict == VerdictTicket {
		if t.Ticket != a.ticket { // else an answer from before the last one
			a.ticket, a.dueNs, a.waitNs = t.Ticket, nowNs, a.resendNs
			a.counts[askerTickets]++
		}
		return
	}
	a.ticket = t.Ticket
	a.asking, a.ready, a.answer = false, true, t.Answer()
	a.counts[askerAnswered]++
	if t.Refusal != NotRefused {
		a.counts[askerRefused]++
	}
	a.board.Answered(&a.answer, nowNs, nowNs-a.sentNs)
}

// Poll returns the answer once it is there.
func (a *Asker) Poll() (Answer, bool) {
	ready := a.ready
	a.ready = false
	return a.answer, ready
}

// Counters calls visit for what was counted.
func (a *Asker) Counters(visit func(name string, count uint64)) {
	for c := askerCount(1); c < askerCountEnd; c++ {
		visit(askerNames[c], a.counts[c])
	}
}
