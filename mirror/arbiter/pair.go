package arbiter

import (
	"errors"
	"fmt"
)

// ErrBoth refuses a configuration that would let both sides go on at once.
var ErrBoth = errors.New("a lane may degrade or promote on silence, not both: choose on_timeout other than degrade, or silence = \"never\"")

// PairConfig says what is granted without proof.
type PairConfig struct {
	// SilencePromotes accepts that all links may fail at once (silence = "links").
	SilencePromotes bool
	// Degrades lets the writer go on alone when its standby does not ACK.
	Degrades bool
}

// Pair arbitrates between two nodes with no third: it answers at once, by the
// proof alone. Each node has one of its own. That at most one side can have a
// proof for an epoch is the role machine's and the kernel's work:
//
//   - KernelProof: the writer's kernel cannot release in that epoch again.
//   - Writing: only a FENCED statement makes the other side promote, and the
//     swap of the authority word decides between it and a new epoch.
//   - Silence and degrading would each be right alone; together both sides of a
//     cut cable would go on.
//   - Left: the standby parked itself for good, so nobody is left who could go on
//     beside the writer.
//   - Operator is taken at its word: who gives it answers for what the other
//     side released.
type Pair struct {
	cfg    PairConfig
	answer Answer
	known  Record
	ready  bool
}

// NewPair returns the arbiter of a lane whose record, as far as this node
// knows, is current.
func NewPair(cfg PairConfig, current Record) (*Pair, error) {
	if cfg.SilencePromotes && cfg.Degrades {
		return nil, ErrBoth
	}
	return &Pair{cfg: cfg, known: current}, nil
}

// Read answers with the record this node knows.
func (p *Pair) Read(int64) { p.answer, p.ready = Answer{Granted: true, Record: p.known}, true }

// Swap decides.
func (p *Pair) Swap(r Request, _ int64) {
	p.answer, p.ready = Answer{Record: r.Current}, true
	if reason := p.Refusal(&r); reason != "" {
		p.answer.Reason = reason
		return
	}
	p.known = r.Next
	p.answer = Answer{Granted: true, Record: r.Next}
}

// Poll returns the answer.
func (p *Pair) Poll(int64) (Answer, bool) {
	ok := p.ready
	p.ready = false
	return p.answer, ok
}

// Refusal returns the reason against a request, "" if there is none.
func (p *Pair) Refusal(r *Request) string {
	cur, next := &r.Current, &r.Next
	if next.Epoch <= cur.Epoch || !next.Valid() || next.Writer != r.Self {
		return fmt.Sprintf("node %d cannot change %v to %v", r.Self, *cur, *next)
	}
	writer := cur.Writer == r.Self
	switch r.Proof {
	case Seed:
		if *cur != (Record{}) {
			return fmt.Sprintf("the lane exists already: %v", *cur)
		}
		return ""
	case Sole:
		if writer && cur.Count() == 1 {
			return ""
		}
		return fmt.Sprintf("others may have gone on from %v: start the peer too", *cur)
	case Writing:
		switch {
		case !writer:
			return fmt.Sprintf("node %d is not the writer of %v", r.Self, *cur)
		case next.Count() < cur.Count() && !p.cfg.Degrades:
			return "going on alone is not configured: set on_timeout = \"degrade\", or bring the standby back"
		}
		return ""
	case RingGone:
		if p.cfg.Degrades {
			return "the writer may have gone on alone before it lost its ring: say which node holds the truth with `onebeat promote`"
		}
		if cur.Names(r.Self) {
			return ""
		}
	case KernelProof, Parked, PeerOff:
		if cur.Names(r.Self) {
			return ""
		}
	case Operator:
		return ""
	case Left:
		if writer && next.Count() < cur.Count() {
			return ""
		}
	case Silence:
		if cur.Names(r.Self) && p.cfg.SilencePromotes {
			return ""
		}
		return "silence does not promote here: set silence = \"links\" if both links never fail at once"
	}
	return fmt.Sprintf("no proof (%s) that the writer of %v is through", r.Proof, *cur)
}
