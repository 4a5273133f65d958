package fence

import (
	"fmt"

	"onebeat/mirror/arbiter"
	"onebeat/mirror/internal/mutant"
)

// Switch takes a peer's power for those who wish it: a Target, or a simulator's.
// None of its methods blocks.
type Switch interface {
	// Node is the peer's number.
	Node() uint8
	// Want wishes the peer to be off and returns the number of the wish.
	Want() uint64
	// Covered reports whether the peer was seen off after the wish was made.
	Covered(wish uint64) bool
	// Leave ends a wish, fulfilled or not. An off that is under way is not called
	// back.
	Leave()
	// Sent reports whether an off is under way.
	Sent() bool
}

// Signs are what tells that a peer lives. Both only rise.
type Signs struct {
	Frames uint64 // authenticated frames
	Acked  uint64 // position it has ACKed
}

// lifeFrames of a peer are life, not a last frame that came late.
const lifeFrames = 3

// Arbiter puts a fence agent before a Pair. What Pair would decide by silence,
// and a writer's wish to go on without its standby, is answered only once the
// peer has no power: until then there is no answer, so the lane's CANDIDATE
// waits. It belongs to the loop's thread; the agents run in the Switch's worker.
type Arbiter struct {
	*arbiter.Pair
	target Switch
	signs  func() Signs
	// staleNs: a wish that the role machine has not repeated for so long is not
	// its wish any more.
	staleNs int64

	asked   arbiter.Request
	askedNs int64 // when it was last asked
	before  Signs // when it was first asked
	wish    uint64
	waiting bool
}

// leastStaleNs leaves room for a thread that got no core for a while.
const leastStaleNs = 1_000_000_000

// NewArbiter returns the arbiter of one lane. A request is repeated every
// againNs.
func NewArbiter(pair *arbiter.Pair, target Switch, signs func() Signs, againNs int64) *Arbiter {
	return &Arbiter{Pair: pair, target: target, signs: signs, staleNs: max(leastStaleNs, 4*againNs)}
}

// mustBeOff reports whether nothing but the peer's powerlessness makes a
// request right.
func mustBeOff(r *arbiter.Request) bool {
	return r.Proof == arbiter.Silence || r.Proof == arbiter.Writing && r.Next.Count() < r.Current.Count()
}

// withProof is the request that Pair is asked once the peer is off.
func withProof(r arbiter.Request) arbiter.Request {
	if r.Proof == arbiter.Silence {
		r.Proof = arbiter.PeerOff
	}
	return r
}

// Swap decides, or begins what the decision needs. A request asked again while
// it waits is the same wish.
func (a *Arbiter) Swap(r arbiter.Request, nowNs int64) {
	if proven := withProof(r); !mustBeOff(&r) || a.Refusal(&proven) != "" {
		a.forget()
		a.Pair.Swap(r, nowNs)
		return
	}
	a.askedNs = nowNs
	if a.waiting && a.asked == r {
		return
	}
	a.forget()
	a.asked, a.waiting, a.before = r, true, a.signs()
	a.wish = a.target.Want()
}

// Poll answers once the peer is off, or shows life before its power is taken:
// that ends the claim, and the two come together again.
func (a *Arbiter) Poll(nowNs int64) (arbiter.Answer, bool) {
	switch {
	case !a.waiting:
		return a.Pair.Poll(nowNs)
	case a.target.Covered(a.wish) || mutant.On(mutant.Unfenced):
		a.forget()
		a.Pair.Swap(withProof(a.asked), nowNs)
		return a.Pair.Poll(nowNs)
	case nowNs-a.askedNs > a.staleNs:
		a.forget()
	case !a.target.Sent() && a.lives():
		a.forget()
		return arbiter.Answer{Record: a.asked.Current,
			Reason: fmt.Sprintf("node %d lives and was not fenced: the lane stays as it was", a.target.Node())}, true
	}
	return arbiter.Answer{}, false
}

// lives reports whether the peer does again what it had stopped to do.
func (a *Arbiter) lives() bool {
	now := a.signs()
	if a.asked.Proof == arbiter.Silence {
		return now.Frames-a.before.Frames >= lifeFrames
	}
	return now.Acked > a.before.Acked
}

// forget ends a wish.
func (a *Arbiter) forget() {
	if a.waiting {
		a.waiting = false
		a.target.Leave()
	}
}
