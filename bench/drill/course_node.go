package drill

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"onebeat/bench/lab"
	"onebeat/mirror/lane"
	"onebeat/tools/control"
)

// Courses that harm processes and hosts. A takeover explains two epochs: the
// new writer alone, and the other node taken in again.

func (r *run) nothing() error { return nil }

// killNode ends a node's process for good. One that is dead already stays so.
func (r *run) killNode(place string) error {
	if p := r.processes[place]; !p.ended() {
		r.setDead(place, true)
		return p.signal(syscall.SIGKILL)
	}
	return nil
}

// restart starts a dead node again and looks at it anew.
func (r *run) restart(place string) error {
	<-r.processes[place].done
	if err := r.begin(place); err != nil {
		return err
	}
	for _, l := range r.lanes {
		if !l.On(place) {
			continue
		}
		v, err := r.processes[place].waitFor(r.lab, l.ID, lane.Standby, r.stop)
		if err != nil {
			return err
		}
		if err := l.reopen(place, v); err != nil {
			return err
		}
	}
	return nil
}

// killPrimary is the plain one: mark, SIGKILL, takeover.
func (r *run) killPrimary(l *laneRun) (*Mark, error) {
	writer, _ := l.serving()
	m := l.mark(fmt.Sprintf("SIGKILL to %s, the primary", writer), Move, 2)
	if err := r.killNode(writer); err != nil {
		return nil, err
	}
	r.say("%s", m.What)
	return m, l.watchTakeover(r, m)
}

func (r *run) kill() error {
	_, err := r.killPrimary(r.lanes[0])
	return err
}

func (r *run) pause() error {
	l := r.lanes[0]
	writer, _ := l.serving()
	m := l.mark(fmt.Sprintf("SIGSTOP to %s, the primary", writer), Move, 2)
	if err := r.processes[writer].signal(syscall.SIGSTOP); err != nil {
		return err
	}
	r.say("%s, for %v", m.What, r.o.Asleep)
	wake := time.Now().Add(r.o.Asleep)
	err := l.watchTakeover(r, m)
	err = errors.Join(err, r.rest(time.Until(wake)), r.processes[writer].signal(syscall.SIGCONT))
	if err != nil {
		return err
	}
	r.say("SIGCONT to %s", writer)
	return l.waitInSync(r, m)
}

func (r *run) panicExit() error {
	l := r.lanes[0]
	writer, _ := l.serving()
	r.setDead(writer, true)
	m := l.mark(fmt.Sprintf("a panic in %s's engine", writer), Move, 2)
	// The process ends before it can answer.
	_ = call(r.lab, writer, l.ID, control.CmdPanic, nil)
	r.say("%s", m.What)
	return l.watchTakeover(r, m)
}

// power cuts all cables of the primary's host first, so that its kernel cannot
// say a last word, and ends its process. The carriers follow: taking one away
// takes the kernel milliseconds.
func (r *run) power() error {
	l := r.lanes[0]
	writer, _ := l.serving()
	cut, err := r.openCut(writer, wholeHost(r.lab, writer))
	if err != nil {
		return err
	}
	defer cut.close()
	m := l.mark(fmt.Sprintf("%s, the primary's host, is without power", writer), Move, 2)
	if err := errors.Join(cut.set(true), r.killNode(writer)); err != nil {
		return err
	}
	r.say("%s", m.What)
	pulled := make(chan error, 1)
	go func() { pulled <- cut.pull(true) }()
	return errors.Join(l.watchTakeover(r, m), <-pulled)
}

func (r *run) handover() error {
	l := r.lanes[0]
	writer, _ := l.serving()
	m := l.mark(fmt.Sprintf("planned handover by %s, the primary", writer), Move, 2)
	if err := call(r.lab, writer, l.ID, control.CmdPromote, nil); err != nil {
		return err
	}
	r.say("%s", m.What)
	return errors.Join(l.watchTakeover(r, m), l.waitInSync(r, m))
}

// rejoin kills one node after the other; the first must be back in between.
func (r *run) rejoin() error {
	l := r.lanes[0]
	writer, _ := l.serving()
	m, err := r.killPrimary(l)
	if err != nil {
		return err
	}
	if err := r.rest(r.o.Asleep / 2); err != nil {
		return err
	}
	if r.o.Fault == FaultRejoinEmpty {
		if err := r.forget(writer); err != nil {
			return err
		}
	}
	m.BackNs = monotonicNs()
	if err := r.restart(writer); err != nil {
		return err
	}
	if err := l.waitInSync(r, m); err != nil {
		return err
	}
	r.say("%s is back and in sync %v after its start", writer, time.Duration(m.InSyncNs-m.BackNs))
	if err := r.rest(r.o.Asleep / 2); err != nil {
		return err
	}
	_, err = r.killPrimary(l)
	return err
}

// forget removes all that a dead node left in its host's memory.
func (r *run) forget(place string) error {
	<-r.processes[place].done
	args := append(r.commandOf(place), "--cleanup")
	c := r.lab.Command(place, r.o.Program, args...)
	c.Stdout, c.Stderr = r.o.Log, r.o.Log
	if err := c.Run(); err != nil {
		return fmt.Errorf("cleanup of %s: %w", place, err)
	}
	return nil
}

// slowStandby stops the standby's process longer than a heartbeat, again and
// again: its kernel goes on mirroring.
func (r *run) slowStandby() error {
	l := r.lanes[0]
	_, other := l.serving()
	m := l.mark(fmt.Sprintf("%s, the standby, stands still again and again", other), Stay, 0)
	r.say("%s", m.What)
	const pulses = 5
	for range pulses {
		for _, s := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
			if err := r.processes[other].signal(s); err != nil {
				return err
			}
			d := r.o.Asleep / (2 * pulses)
			if s == syscall.SIGSTOP {
				d = max(d, 2*r.o.HangBudget, 2*r.o.Heartbeat)
			}
			if err := r.rest(d); err != nil {
				return errors.Join(err, r.processes[other].signal(syscall.SIGCONT))
			}
		}
	}
	return l.waitInSync(r, m)
}

// jump is how far the wall clock goes ahead.
const jump = time.Hour

func (r *run) clockJump() error {
	l := r.lanes[0]
	var clocks []*wallClock
	for _, place := range []string{l.Primary, l.Standby} {
		c, err := takeWallClock(r.processes[place].cmd.Process.Pid)
		if err != nil {
			return err
		}
		clocks = append(clocks, c)
	}
	m := l.mark("the wall clocks of both nodes jump", Stay, 0)
	r.say("%s by %v, and back", m.What, jump)
	for _, by := range []time.Duration{jump, 0, -jump, 0} {
		for _, c := range clocks {
			if err := c.set(by); err != nil {
				return err
			}
		}
		if err := r.rest(r.o.Asleep / 4); err != nil {
			return err
		}
	}
	return nil
}

// loseNode kills the node that is primary of the last lane: its lanes move, the
// others stay, though one may lose its standby.
func (r *run) loseNode() error {
	victim, _ := r.lanes[len(r.lanes)-1].serving()
	moved := map[*laneRun]*Mark{}
	for _, l := range r.lanes {
		switch writer, other := l.serving(); victim {
		case writer:
			moved[l] = l.mark(victim+" is killed, the lane's primary", Move, 2)
		case other:
			l.mark(victim+" is killed, the lane's standby", Stay, 1)
		default:
			l.mark(victim+" is killed, a stranger to the lane", Stay, 0)
		}
	}
	if err := r.killNode(victim); err != nil {
		return err
	}
	r.say("SIGKILL to %s, primary of %d of %d lanes", victim, len(moved), len(r.lanes))
	for l, m := range moved {
		if err := l.watchTakeover(r, m); err != nil {
			return err
		}
	}
	return r.rest(2 * r.o.Wait)
}

// arbiterDown ends the arbiter; nothing may change. After it has come back and
// learnt what it must know, it is needed.
func (r *run) arbiterDown() error {
	l := r.lanes[0]
	m := l.mark("the arbiter dies", Stay, 0)
	r.setDead(lab.Witness, true)
	if err := r.processes[lab.Witness].signal(syscall.SIGKILL); err != nil {
		return err
	}
	r.say("%s", m.What)
	<-r.processes[lab.Witness].done
	if err := r.rest(r.o.Asleep); err != nil {
		return err
	}
	if err := r.startArbiter(); err != nil {
		return err
	}
	if err := r.rest(arbiterBack); err != nil {
		return err
	}
	_, err := r.killPrimary(l)
	return err
}
