package drill

import (
	"errors"
	"fmt"
	"time"

	"onebeat/bench/lab"
	"onebeat/bpf"
	"onebeat/mirror/lane"
)

// Courses of lanes whose standby takes the primary's power before it goes on.

// openIsolation is every way from a node to its peer; clients still reach it.
func (r *run) openIsolation(place string) (*cut, error) {
	what := append(bothWays(place, lab.LinkNIC, bpf.FaultAll), bothWays(place, lab.WitnessNIC, bpf.FaultAll)...)
	return r.openCut(place, append(what, bothWays(place, lab.OrderNIC, bpf.FaultLinkKinds)...))
}

// fence cuts the primary off: it lives on, and must be off before the standby
// goes on.
func (r *run) fence() error {
	l := r.lanes[0]
	writer, _ := l.serving()
	c, err := r.openIsolation(writer)
	if err != nil {
		return err
	}
	defer c.close()
	m := l.mark(fmt.Sprintf("%s, the primary, is cut off from its peer, which takes its power", writer), Move, 2)
	r.say("%s", m.What)
	err = errors.Join(c.set(true), l.watchTakeover(r, m))
	r.supply.fencedFirst(m, writer)
	return err
}

// fenceHangs: the primary's host is gone, and the agent hangs until it is killed;
// the next one works. Nobody goes on before.
func (r *run) fenceHangs() error {
	if err := r.supply.agents(agentHangs); err != nil {
		return err
	}
	l := r.lanes[0]
	writer, _ := l.serving()
	c, err := r.openCut(writer, wholeHost(r.lab, writer))
	if err != nil {
		return err
	}
	defer c.close()
	m := l.mark(fmt.Sprintf("%s, the primary's host, is gone, and the fence agent hangs", writer), Move, 2)
	if err := errors.Join(c.set(true), r.killNode(writer)); err != nil {
		return err
	}
	r.say("%s", m.What)
	// The first try hangs by then.
	if err := errors.Join(r.rest(agentTimeout/2), r.supply.agents(agentWorks)); err != nil {
		return err
	}
	err = l.watchTakeover(r, m)
	r.supply.fencedFirst(m, writer)
	return err
}

// fenceLies: the primary is cut off and lives, and the agent says that it is off.
// The standby does not believe it; when the way is free again, the primary goes on.
func (r *run) fenceLies() error {
	if err := r.supply.agents(agentLies); err != nil {
		return err
	}
	l := r.lanes[0]
	writer, other := l.serving()
	c, err := r.openIsolation(writer)
	if err != nil {
		return err
	}
	defer c.close()
	m := l.mark(fmt.Sprintf("%s, the primary, is cut off from its peer, whose fence agent lies", writer), Stay, 2)
	r.say("%s, for %v", m.What, max(r.o.Asleep, agentTimeout))
	if err := c.set(true); err != nil {
		return err
	}
	for end := time.Now().Add(max(r.o.Asleep, agentTimeout)); time.Now().Before(end); {
		if w := l.word(other); w.State() == lane.Active {
			m.Problem = fmt.Sprintf("%s is %v on the word of an agent that lies", other, w)
		}
		if err := r.rest(time.Millisecond); err != nil {
			return err
		}
	}
	if err := c.set(false); err != nil {
		return err
	}
	return l.waitInSync(r, m)
}
