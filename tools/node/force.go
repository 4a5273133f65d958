package node

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"onebeat/mirror"
	"onebeat/mirror/lane"
)

// ErrForce refuses an operator's word that does not say who gives it and why.
var ErrForce = errors.New("force-from")

// CheckForce checks an operator's word: it stays in the lane's log.
func CheckForce(by string) error {
	who, why, _ := strings.Cut(by, ":")
	switch {
	case strings.TrimSpace(who) == "" || strings.TrimSpace(why) == "":
		return fmt.Errorf("%w %q: say who and why, as in \"jane@desk: node-a burnt down\"", ErrForce, by)
	case len(by) > mirror.ForceMaxBytes:
		return fmt.Errorf("%w: %d bytes: at most %d are kept", ErrForce, len(by), mirror.ForceMaxBytes)
	}
	return nil
}

// force makes a lane go on from the log this node has, and waits until it does:
// a heartbeat of silence may have to pass first, and the arbiter be asked.
func (n *Node) force(id int, by string) error {
	p, err := n.lane(id)
	if err != nil {
		return err
	}
	if err := CheckForce(by); err != nil {
		return err
	}
	if lane.Load(p.mem.authority).State() == lane.Active {
		return fmt.Errorf("this node is ACTIVE for lane %d already", id)
	}
	n.log.Warn("an operator forces a lane", "lane", id, "by", by)
	if !p.replica.Commands.Force(by) {
		return errors.New("a command is under way: ask again in a moment")
	}
	deadline := time.Now().Add(handoverTimeout)
	for time.Now().Before(deadline) {
		if lane.Load(p.mem.authority).State() == lane.Active {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("lane %d does not go on after %v: its peer serves, or its host still speaks for it (power it off, or `onebeat node --cleanup` there), or the arbiter does not answer; the node's log says more", id, handoverTimeout)
}

// forceAll leaves the word this node was started with at each of its lanes.
func (n *Node) forceAll() error {
	if n.forceFrom == "" {
		return nil
	}
	if err := CheckForce(n.forceFrom); err != nil {
		return err
	}
	for _, p := range n.lanes {
		n.log.Warn("an operator forces a lane", "lane", p.cfg.ID, "by", n.forceFrom)
		p.replica.Commands.Force(n.forceFrom)
	}
	return nil
}
