package shapes

import (
	"context"
	"errors"
	"fmt"

	"onebeat/bench/steps"
	"onebeat/pin"
)

// instructionsWarmup orders come before those whose instructions are counted.
const instructionsWarmup = 2000

// Instructions is the child of a count of instructions: it sends orders of a setting
// and puts steps.Begin and steps.End around the primary's cycle with each of the
// last. Client, primary and standby are one thread; the kernel programs run within
// their system calls, and are not counted.
func (b *Bench) Instructions(ctx context.Context, s Setting, orders int) error {
	if err := s.Check(); err != nil {
		return err
	}
	if s.echo() || s.sockets() || s.stronger() {
		return fmt.Errorf("%s: instructions are counted of %s and %s", s.Name(), Order, Mirrored)
	}
	unlock, err := pin.LockThread(b.options.Layout.Client)
	if err != nil {
		return err
	}
	defer unlock()
	o := newOrderShooter(&s)
	one := &oneThread{}
	c, err := b.newScene(s)
	if err != nil {
		return err
	}
	c.one, c.shooter = one, o
	if err := c.openOrder(ctx, o); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", s.Name(), err), c.close())
	}
	h := NewHistogram()
	for i := range instructionsWarmup + orders {
		one.armed = i >= instructionsWarmup
		if !o.shoot(h) || one.late {
			return errors.Join(fmt.Errorf("%s: %w", s.Name(), ErrNoAnswer), c.close())
		}
	}
	return c.close()
}

// oneThread runs both nodes on the client's thread.
type oneThread struct {
	primary, standby looper
	armed            bool // the next cycle of the primary is counted
	late             bool // and found no order to take
}

// DoWork implements looper.
func (t *oneThread) DoWork(nowNs int64) int {
	work := 0
	if t.armed {
		t.armed = false
		steps.Begin()
		work = t.primary.DoWork(nowNs)
		steps.End()
		t.late = t.late || work == 0
	} else {
		work = t.primary.DoWork(nowNs)
	}
	if t.standby != nil {
		work += t.standby.DoWork(nowNs)
	}
	return work
}
