package drill

import (
	"errors"
	"fmt"
	"time"

	"onebeat/bench/lab"
	"onebeat/bpf"
)

// Courses that harm cables.

// nicOf is one direction of a place's cable.
type nicOf struct {
	place, nic string
	direction  lab.Direction
	kinds      uint32
}

// cut holds the fault boxes of a harm open, so that harming all of them takes
// microseconds.
type cut struct {
	lab   *lab.Lab
	what  []nicOf
	boxes []*bpf.FaultBox
}

func (r *run) openCut(place string, what []nicOf) (*cut, error) {
	c := &cut{lab: r.lab, what: what}
	for _, w := range what {
		b, err := r.lab.Fault(w.place, w.nic, w.direction)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cables of %s: %w", place, err), c.close())
		}
		c.boxes = append(c.boxes, b)
	}
	return c, nil
}

func (c *cut) close() error {
	var errs []error
	for _, b := range c.boxes {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// set loses everything, or nothing any more.
func (c *cut) set(out bool) error {
	f := bpf.Fault{}
	if out {
		f.Loss = bpf.FaultScale
	}
	return c.harm(f)
}

// harm sets a fault for the kinds of each direction.
func (c *cut) harm(f bpf.Fault) error {
	var errs []error
	for i, b := range c.boxes {
		f.Kinds = c.what[i].kinds
		errs = append(errs, b.Set(f))
		f.Seed++
	}
	return errors.Join(errs...)
}

// pull takes the carriers, or gives them back.
func (c *cut) pull(out bool) error {
	var errs []error
	for _, w := range c.what {
		if w.direction == lab.Out {
			errs = append(errs, c.lab.Pull(w.place, w.nic, out))
		}
	}
	return errors.Join(errs...)
}

func bothWays(place, nic string, kinds uint32) []nicOf {
	return []nicOf{{place, nic, lab.Out, kinds}, {place, nic, lab.In, kinds}}
}

// wholeHost is every cable of a node.
func wholeHost(l *lab.Lab, place string) []nicOf {
	what := append(bothWays(place, lab.OrderNIC, bpf.FaultAll), bothWays(place, lab.WitnessNIC, bpf.FaultAll)...)
	for _, end := range l.Links(place) {
		what = append(what, bothWays(place, end.NIC, bpf.FaultAll)...)
	}
	return what
}

// repair is a harm for a while: it is done, lasts, ends, and the lane has its
// standby again.
func (r *run) repair(l *laneRun, m *Mark, harm, heal func() error) error {
	r.say("%s, for %v", m.What, r.o.Asleep)
	end := time.Now().Add(r.o.Asleep)
	if err := harm(); err != nil {
		return err
	}
	if m.Moves == Move {
		if err := l.watchTakeover(r, m); err != nil {
			return err
		}
	}
	if err := r.rest(time.Until(end)); err != nil {
		return err
	}
	l.noteWriter(m)
	if err := heal(); err != nil {
		return err
	}
	return l.waitInSync(r, m)
}

// noteWriter notes a successor where none had to be.
func (l *laneRun) noteWriter(m *Mark) {
	writer, other := l.serving()
	if m.Successor == [6]byte{} && [6]byte(lab.OrderMAC(writer)) != m.Writer {
		m.note(l, other, writer)
	}
}

func (r *run) link() error {
	l := r.lanes[0]
	writer, _ := l.serving()
	c, err := r.openCut(writer, bothWays(writer, lab.LinkNIC, bpf.FaultAll))
	if err != nil {
		return err
	}
	defer c.close()
	m := l.mark("the cable between the nodes is pulled", Either, 2)
	return r.repair(l, m, func() error { return errors.Join(c.set(true), c.pull(true)) },
		func() error { return errors.Join(c.pull(false), c.set(false)) })
}

func (r *run) orderNIC() error {
	l := r.lanes[0]
	writer, _ := l.serving()
	c, err := r.openCut(writer, bothWays(writer, lab.OrderNIC, bpf.FaultAll))
	if err != nil {
		return err
	}
	defer c.close()
	m := l.mark(fmt.Sprintf("the order NIC of %s, the primary, loses its carrier", writer), Move, 2)
	return r.repair(l, m, func() error { return errors.Join(c.set(true), c.pull(true)) },
		func() error { return errors.Join(c.pull(false), c.set(false)) })
}

func (r *run) oneWay() error {
	l := r.lanes[0]
	writer, _ := l.serving()
	way := bothWays(writer, lab.LinkNIC, bpf.FaultAll)[r.number%2:][:1]
	c, err := r.openCut(writer, way)
	if err != nil {
		return err
	}
	defer c.close()
	m := l.mark(fmt.Sprintf("the cable loses what goes %s of %s, the primary", way[0].direction, writer), Either, 2)
	return r.repair(l, m, func() error { return c.set(true) }, func() error { return c.set(false) })
}

// isolate leaves the primary its clients: it must not answer them.
func (r *run) isolate() error {
	l := r.lanes[0]
	writer, _ := l.serving()
	c, err := r.openIsolation(writer)
	if err != nil {
		return err
	}
	defer c.close()
	m := l.mark(fmt.Sprintf("%s, the primary, is cut off from peer and arbiter", writer), Move, 2)
	return r.repair(l, m, func() error { return c.set(true) }, func() error { return c.set(false) })
}

// lossy harms a part of all frames of both nodes.
func (r *run) lossy() error {
	l := r.lanes[0]
	what := bothWays(l.Primary, lab.LinkNIC, bpf.FaultAll)
	for _, place := range []string{l.Primary, l.Standby} {
		what = append(what, bothWays(place, lab.OrderNIC, bpf.FaultAll)...)
	}
	c, err := r.openCut(l.Primary, what)
	if err != nil {
		return err
	}
	defer c.close()
	rate := uint32(r.o.Percent / 100 * bpf.FaultScale)
	f := bpf.Fault{Seed: uint64(r.number+1) << 32}
	switch r.o.Fault {
	case FaultLoss:
		f.Loss = rate
	case FaultDup:
		f.Twice = rate
	case FaultReorder:
		f.Hold, f.HoldFrames = rate, 1+uint32(r.number)%3
	case FaultCorrupt:
		f.Corrupt = rate
	}
	m := l.mark(fmt.Sprintf("%s of %v percent of the frames on link and order NICs", r.o.Fault, r.o.Percent), Stay, 0)
	return r.repair(l, m, func() error { return c.harm(f) }, func() error { return c.set(false) })
}

// flaps is how often the cable's carrier goes and comes.
const flaps = 4

func (r *run) flap() error {
	l := r.lanes[0]
	writer, _ := l.serving()
	c, err := r.openCut(writer, bothWays(writer, lab.LinkNIC, bpf.FaultAll))
	if err != nil {
		return err
	}
	defer c.close()
	m := l.mark("the carrier of the cable between the nodes flaps", Either, 2*flaps)
	return r.repair(l, m, func() error {
		for range flaps {
			for _, out := range []bool{true, false} {
				if err := errors.Join(c.pull(out), r.rest(r.o.Asleep/(2*flaps))); err != nil {
					return err
				}
			}
		}
		return nil
	}, func() error { return nil })
}
