package track

import (
	"fmt"
	"time"
)

// Policy is when a score hands a lane over.
type Policy struct {
	// At is the line; 0: a score hands nothing over.
	At int
	// Clear is what a score must fall to before the line counts anew.
	Clear int
	// Hold is how long the score must stay at the line.
	Hold time.Duration
	// MinInterval lies between two handovers by this node, and between its
	// becoming ACTIVE and the next one.
	MinInterval time.Duration
	// ChecksOnly: only failing checks count.
	ChecksOnly bool
}

// refusedAfter is how soon a handover that was not begun may be asked for again.
const refusedAfter = 250 * time.Millisecond

// maxDoublings of the interval: 10 s become at most 10 min.
const maxDoublings = 6

// Decider decides for one lane. It is pure: the time is an argument.
type Decider struct {
	policy      Policy
	active      bool
	activeSince time.Time
	above       bool
	aboveSince  time.Time
	last        gift
	before      gift      // the last but one
	refusedAt   time.Time // when the last one was not begun
	returns     int       // times the lane came back while the score was not clear
	cut         bool
	cutSince    time.Time
}

// gift is a handover.
type gift struct {
	ever bool // there was one
	at   time.Time
	sick bool // and the score has not been clear since
}

// NewDecider returns one that has seen nothing yet.
func NewDecider(p Policy) *Decider { return &Decider{policy: p} }

// View is what is decided about.
type View struct {
	Score  Score
	Active bool
	Ready  bool // the standby is in sync and was heard just now
	// Cut: the order NIC has no carrier.
	Cut bool
}

// Decision is what to do, and why (or why not, for a status).
type Decision struct {
	HandOver bool
	Reason   string
}

// Decide takes one look. A handover it asks for counts as done: if it fails, the
// interval passes before the next, unless Refused is told that it was not begun.
func (d *Decider) Decide(v View, now time.Time) Decision {
	p := &d.policy
	points := v.Score.Points
	if p.ChecksOnly {
		points = v.Score.Checks
	}
	d.follow(v.Active, now)
	if v.Cut && !d.cut {
		d.cutSince = now
	}
	d.cut = v.Cut
	sick := p.At > 0 && points >= p.At
	if points <= p.Clear && !v.Cut {
		d.last.sick, d.returns = false, 0
	}
	if sick && !d.above {
		d.aboveSince = now
	}
	d.above = sick
	switch {
	case !v.Active:
		return Decision{}
	case !sick && !v.Cut:
		return Decision{}
	case !v.Ready:
		return Decision{Reason: "no standby is ready"}
	case now.Sub(d.refusedAt) < refusedAfter:
		return Decision{Reason: "the standby was not ready just now"}
	}
	// A carrier that was lost while this node served is waited with for nothing
	// but this node's own last handover. A node that was cut off before it became
	// ACTIVE is treated like any other sick one.
	wait := d.interval()
	switch {
	case d.last.ever && now.Sub(d.last.at) < wait:
		return Decision{Reason: fmt.Sprintf("handed over %.1f s ago, the next one after %v", now.Sub(d.last.at).Seconds(), wait)}
	case v.Cut && d.cutSince.After(d.activeSince):
		return d.give(now, "the order NIC lost its carrier")
	case now.Sub(d.activeSince) < wait:
		return Decision{Reason: fmt.Sprintf("ACTIVE for %.1f s, a handover after %v", now.Sub(d.activeSince).Seconds(), wait)}
	case v.Cut:
		return d.give(now, "the order NIC has no carrier")
	case now.Sub(d.aboveSince) < p.Hold:
		return Decision{Reason: fmt.Sprintf("score %d is at the line of %d since %.1f s, a handover after %v", points, p.At, now.Sub(d.aboveSince).Seconds(), p.Hold)}
	}
	return d.give(now, fmt.Sprintf("score %d is at the line of %d", points, p.At))
}

// follow notes when the lane comes and goes.
func (d *Decider) follow(active bool, now time.Time) {
	if active && !d.active {
		d.activeSince = now
		if d.last.sick {
			d.returns = min(d.returns+1, maxDoublings)
		}
	}
	d.active = active
}

func (d *Decider) interval() time.Duration { return d.policy.MinInterval << d.returns }

// Refused takes back the handover that was asked for last: the standby, ready at the
// look, was not when asked, and nothing was begun.
func (d *Decider) Refused(now time.Time) {
	d.last, d.refusedAt = d.before, now
}

func (d *Decider) give(now time.Time, reason string) Decision {
	d.before, d.last = d.last, gift{ever: true, at: now, sick: true}
	return Decision{HandOver: true, Reason: reason}
}
