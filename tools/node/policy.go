package node

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	_ "onebeat/engine/policies" // known by name from here on
	"onebeat/mirror"
	"onebeat/mirror/lane"
	"onebeat/mirror/policy"
	"onebeat/tools/config"
	"onebeat/tools/control"
)

// releaseStatus is what a lane's outputs wait for now.
func releaseStatus(p *laneParts) control.Release {
	in := p.replica.InForce()
	s := control.Release{Policy: in.Policy, Copies: int(in.Copies), Wait: config.WaitForever.String(), Revision: in.Revision, Position: in.Position, By: in.By,
		PeerApplied: atomic.LoadUint64(&p.mem.table.Peer.Applied), PeerArchived: atomic.LoadUint64(&p.mem.table.Peer.Archived)}
	if in.WaitNs != policy.Forever {
		s.Wait, s.OnTimeout = time.Duration(in.WaitNs).String(), in.OnTimeout.String()
	}
	return s
}

// degraded says what a lane's answers leave without.
func degraded(s mirror.Shortage) string {
	switch {
	case s.Standby && s.Holders:
		return "no standby, and no copies or disk"
	case s.Standby:
		return "no standby"
	case s.Holders:
		return "too few copies"
	}
	return ""
}

// hurryArchives makes a lane's archive look for records more often while answers
// wait for it.
func (n *Node) hurryArchives() {
	for _, p := range n.lanes {
		if p.archive != nil {
			p.archive.Hurry(p.replica.InForce().Policy != policy.NameNone && !p.replica.InForce().Rides())
		}
	}
}

// StepArchives moves the lanes' archives on, for callers that run everything
// themselves; it returns how many bytes that were.
func (n *Node) StepArchives(nowNs int64) int {
	bytes := 0
	for _, p := range n.lanes {
		if p.archive != nil {
			bytes += p.archive.Step(nowNs)
		}
	}
	return bytes
}

// setPolicyTimeout bounds the wait for a loop to take a change.
const setPolicyTimeout = time.Second

// setPolicy changes what a lane's outputs wait for, from a record of its log on.
// What the request leaves open stays as it is.
func (n *Node) setPolicy(r *control.SetPolicy) (*control.Release, error) {
	p, err := n.lane(r.Lane)
	if err != nil {
		return nil, err
	}
	if err := CheckForce(r.By); err != nil {
		return nil, fmt.Errorf("by: %w", err)
	}
	if w := lane.Load(p.mem.authority); w.State() != lane.Active {
		return nil, fmt.Errorf("this node is %v for lane %d: ask the one that is ACTIVE", w.State(), r.Lane)
	}
	before := p.replica.InForce()
	t, err := termsWanted(before.Terms, r)
	if err != nil {
		return nil, err
	}
	if t == before.Terms {
		s := releaseStatus(p)
		return &s, nil
	}
	if err := n.mayChange(p, &t); err != nil {
		return nil, err
	}
	n.log.Warn("an operator changes the release policy", "lane", r.Lane, "to", t.String(), "by", r.By)
	if !p.replica.Commands.ChangeTerms(t, r.By) {
		return nil, errors.New("a command is under way: ask again in a moment")
	}
	for deadline := time.Now().Add(setPolicyTimeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		refusal, ok := p.replica.Commands.Answer()
		if ok && refusal != "" {
			return nil, errors.New(refusal)
		}
		if in := p.replica.InForce(); ok && in.Revision > before.Revision && in.Terms == t {
			s := releaseStatus(p)
			return &s, nil
		}
	}
	return nil, fmt.Errorf("lane %d: its loop does not answer within %v", r.Lane, setPolicyTimeout)
}

// termsWanted are the terms in force with what a request changes.
func termsWanted(t policy.Terms, r *control.SetPolicy) (policy.Terms, error) {
	if r.Policy != "" {
		t.Policy = r.Policy
	}
	if r.Copies != nil {
		t.Copies = uint8(min(max(*r.Copies, 0), 255))
	}
	if r.OnTimeout != "" {
		on, err := policy.ParseOnTimeout(r.OnTimeout)
		if err != nil {
			return t, err
		}
		t.OnTimeout = on
	}
	switch {
	case r.Wait == "":
	case r.Wait == config.WaitForever.String():
		t.WaitNs, t.OnTimeout = policy.Forever, policy.Degrade
	default:
		d, err := time.ParseDuration(r.Wait)
		if err != nil || d <= 0 {
			return t, fmt.Errorf("wait %q: give a duration like 20ms, or forever", r.Wait)
		}
		if t.WaitNs == policy.Forever && r.OnTimeout == "" {
			return t, errors.New("wait ends, but what then? say on_timeout: degrade, reject or stop")
		}
		t.WaitNs = d.Nanoseconds()
	}
	if t.WaitNs == policy.Forever && r.OnTimeout != "" {
		return t, errors.New("on_timeout is never reached: wait is forever")
	}
	if t.Policy == policy.NameNone {
		if r.Wait+r.OnTimeout != "" || r.Copies != nil && *r.Copies != 0 {
			return t, errors.New("policy none waits for nobody: leave wait, on_timeout and copies out")
		}
		t.WaitNs, t.OnTimeout, t.Copies = policy.Forever, policy.Degrade, 0
	}
	return t, t.Check()
}

// mayChange refuses what only the node's configuration can tell.
func (n *Node) mayChange(p *laneParts, t *policy.Terms) error {
	if t.Archives() && n.cfg.Archive != nil && n.cfg.Archive.Sync == config.SyncNone {
		return errors.New(t.Policy + ": archive.sync is \"none\", so nothing would be on a disk when it is answered")
	}
	if have := n.cfg.Holders(p.cfg); int(t.Copies) > have {
		return fmt.Errorf("%d copies: only %d holders beside this node count here: the standby, and each [[site]] with counts = true", t.Copies, have)
	}
	return nil
}
