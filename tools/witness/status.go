package witness

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"onebeat/mirror/arbiter"
	"onebeat/tools/control"
)

func (p *Process) status() *control.WitnessStatus {
	s := &control.WitnessStatus{
		Name: p.cfg.Witness.Name, PID: os.Getpid(), Version: Version, Listen: p.server.Addr().String(),
		Boot: fmt.Sprintf("%x", p.server.Boot()), Since: p.since.UTC(), Counters: map[string]uint64{},
	}
	for _, g := range p.cfg.Groups {
		s.Groups = append(s.Groups, g.Name)
	}
	p.server.Each(func(group string, laneID uint8, g arbiter.Register) {
		r := control.Register{Group: group, Lane: int(laneID), Known: g.Known}
		if g.Known {
			r.Record = g.Record.String()
		}
		s.Registers = append(s.Registers, r)
	})
	p.server.Counters(func(name string, count uint64) { s.Counters[name] = count })
	p.mu.Lock()
	s.Seeds = slices.Clone(p.seeds)
	p.mu.Unlock()
	return s
}

// sameAgainAfter is how often a refusal that comes again and again is logged: a
// candidate asks until it is answered.
const sameAgainAfter = time.Second

// asker is who asks for what.
type asker struct {
	group      string
	lane, node uint8
}

// told is what was last logged about an asker.
type told struct {
	change arbiter.Change
	at     time.Time
	left   int
}

// logChanges writes down what was asked of the registers.
func (p *Process) logChanges(ctx context.Context) {
	last := map[asker]*told{}
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-p.server.Changes():
			key := asker{c.Group, c.Lane, c.Node}
			before := last[key]
			if before != nil && before.change == c && time.Since(before.at) < sameAgainAfter {
				before.left++
				continue
			}
			left := 0
			if before != nil {
				left = before.left
			}
			last[key] = &told{change: c, at: time.Now()}
			p.logChange(&c, left)
		}
	}
}

func (p *Process) logChange(c *arbiter.Change, left int) {
	line := p.log.With("group", c.Group, "lane", c.Lane, "node", c.Node, "proof", c.Proof.String(), "to", c.To.String())
	if c.From != (arbiter.Record{}) {
		line = line.With("register", c.From.String())
	}
	if left > 0 {
		line = line.With("left_out", left)
	}
	switch {
	case c.Refusal != arbiter.NotRefused:
		line.Warn("refused", "reason", c.Refusal.Name())
	case c.Repeated:
		line.Debug("granted again")
	case c.Proof == arbiter.Seed:
		line.Warn("seeded")
	default:
		line.Info("changed")
	}
}
