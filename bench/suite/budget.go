package suite

import (
	"context"
	"time"
)

// noTime is why a suite with a budget leaves something out.
const noTime = "no time left: the machine is busy"

// budget is the context of a suite that ends within a time. It is checked where a
// round begins and by whatever is measured, so that a machine on which everything takes
// three times as long gets fewer rounds, not a longer run.
type budget struct {
	context.Context
	outer context.Context
	// longest is the longest round, ramp what is kept for the ramp.
	longest, ramp time.Duration
}

func newBudget(ctx context.Context, o *Options) (*budget, context.CancelFunc) {
	t := &budget{Context: ctx, outer: ctx, ramp: time.Duration(len(o.RampRates)*o.RampRounds) * rampStepTimes * o.RampEach}
	if o.Budget == 0 {
		return t, func() {}
	}
	var cancel context.CancelFunc
	t.Context, cancel = context.WithTimeout(ctx, o.Budget)
	return t, cancel
}

// rampStepTimes is how many times its length a step of a ramp takes when it is not
// kept up with, about.
const rampStepTimes = 4

// roundFits reports whether another round would end in time.
func (t *budget) roundFits() bool {
	ends, limited := t.Deadline()
	return !limited || time.Until(ends) > t.longest+t.ramp
}

// round notes how long one took.
func (t *budget) round(took time.Duration) { t.longest = max(t.longest, took) }

// ended tells an error from the end of the time, which only leaves the rest out.
func (t *budget) ended(r *Report, what string, err error) error {
	if t.Err() == nil || t.outer.Err() != nil {
		return err
	}
	r.leave(what, noTime)
	return nil
}
