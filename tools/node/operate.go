package node

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/engine/gateway"
	"onebeat/engine/operator"
	"onebeat/mirror/lane"
	"onebeat/tools/config"
	"onebeat/tools/control"
)

// ErrOperate is wrapped by every refusal of an operator's command.
var ErrOperate = errors.New("not done")

const (
	// lookTimeout bounds the wait for a loop to take a question.
	lookTimeout = time.Second
	// operateTimeout bounds the wait for a command to be where the lane's policy wants
	// a record before anybody is told.
	operateTimeout = 2 * time.Second
)

// operate puts an operator's command into a lane's log and says what became of it.
func (n *Node) operate(ctx context.Context, r *control.Operate) (*control.Operated, error) {
	p, err := n.lane(r.Lane)
	if err != nil {
		return nil, err
	}
	c, err := commandOf(p.cfg, r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOperate, err)
	}
	if err := n.mustServe(p); err != nil {
		return nil, err
	}
	if err := n.nameOrder(p.cfg, &c, r.Text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOperate, err)
	}
	peer, _ := control.PeerOf(ctx)
	c.UID, c.UnixNs, c.Who, c.Why = peer.UID, time.Now().UnixNano(), []byte(peer.Name()), []byte(r.Why)
	q := &engine.Question{Command: c.Put(make([]byte, operator.MaxBytes))}
	text := c.String()
	n.log.Warn("an operator's command", "lane", r.Lane, "command", text)
	switch state, err := n.ask(p, q, operateTimeout); {
	case err != nil:
		return nil, err
	case state == engine.NotServing:
		if err := n.mustServe(p); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: lane %d takes nothing in: who must hold its records does not answer (onebeat status)", ErrOperate, r.Lane)
	case state == engine.Lost:
		return nil, fmt.Errorf("%w for certain: this node ceased to serve lane %d before the standby had the command; look at the node that serves now, and give it again if it is not there", ErrOperate, r.Lane)
	}
	if !q.Result.Outcome.Done() {
		return nil, fmt.Errorf("%w: %v (record at %d)", ErrOperate, q.Result.Outcome, q.Position)
	}
	return &control.Operated{Lane: r.Lane, Command: text, Outcome: q.Result.Outcome.String(), Count: q.Result.Count,
		Who: string(c.Who), UnixNs: c.UnixNs, Position: q.Position, Epoch: q.Epoch}, nil
}

// mustServe refuses what only the lane's writer can do, and says who that is.
func (n *Node) mustServe(p *laneParts) error {
	w := lane.Load(p.mem.authority)
	if w.State() == lane.Active {
		return nil
	}
	peer := lane.Word(atomic.LoadUint64(&p.mem.table.Peer.Authority))
	if p.cfg.Peer != 0 && peer.State() == lane.Active {
		return fmt.Errorf("%w: this node, number %d, is %v for lane %d: node %d is ACTIVE, give the command there", ErrOperate, n.cfg.Node.Number, w.State(), p.cfg.ID, p.cfg.Peer)
	}
	return fmt.Errorf("%w: this node, number %d, is %v for lane %d, and its peer is not ACTIVE either as far as it knows: onebeat status shows who serves", ErrOperate, n.cfg.Node.Number, w.State(), p.cfg.ID)
}

// ask leaves a question at a lane's loop and waits for the answer.
func (n *Node) ask(p *laneParts, q *engine.Question, timeout time.Duration) (engine.AskState, error) {
	deadline := time.Now().Add(lookTimeout)
	for !p.loop.Ask(q) {
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%w: lane %d has another question before it, and its loop does not answer", ErrOperate, p.cfg.ID)
		}
		time.Sleep(100 * time.Microsecond)
	}
	for deadline = time.Now().Add(timeout); time.Now().Before(deadline); time.Sleep(100 * time.Microsecond) {
		if s := q.State(); s != engine.Asked {
			return s, nil
		}
	}
	if !q.Abandon() {
		return q.State(), nil
	}
	if q.Look == nil {
		return 0, fmt.Errorf("%w for certain: lane %d does not have the command where its policy wants it within %v (onebeat status); it may come into force yet", ErrOperate, p.cfg.ID, timeout)
	}
	return 0, fmt.Errorf("%w: the loop of lane %d does not answer within %v", ErrOperate, p.cfg.ID, timeout)
}

// look lets f see a lane's machine, between two records. What it sees is copied by f.
func (n *Node) look(laneID int, f func(m app.Machine) error) error {
	p, err := n.lane(laneID)
	if err != nil {
		return err
	}
	var result error
	_, err = n.ask(p, &engine.Question{Look: func(m app.Machine) { result = f(m) }}, lookTimeout)
	return errors.Join(err, result)
}

// commandOf turns names into what stands in the log.
func commandOf(l *config.Lane, r *control.Operate) (operator.Command, error) {
	kind, ok := operator.ParseKind(r.Kind)
	if !ok {
		return operator.Command{}, fmt.Errorf("no command %q", r.Kind)
	}
	c := operator.New(kind)
	var err error
	if r.Session != "" {
		if c.Session, err = sessionIndex(l, r.Session); err != nil {
			return c, err
		}
	}
	if r.Symbol != "" {
		if c.Symbol, err = symbolID(l, r.Symbol); err != nil {
			return c, err
		}
	}
	if r.Account != nil {
		if c.Account = *r.Account; c.Account == operator.None {
			return c, fmt.Errorf("account %d stands for none", c.Account)
		}
	}
	c.Order, c.Value, c.Price = r.ClOrdID, r.Value, r.Price
	if kind == operator.RiskSet {
		limit, ok := gateway.ParseLimit(r.Limit)
		if !ok {
			return c, fmt.Errorf("no limit %q: onebeat risk show names them", r.Limit)
		}
		if c.Value < gateway.Inherit || c.Value > limit.Most() {
			return c, fmt.Errorf("%v = %d: give 0 (off) to %d, or %d to take it away", limit, c.Value, limit.Most(), gateway.Inherit)
		}
		c.What = uint32(limit)
	}
	return c, nil
}

// sessionIndex finds a session by its name, its UUID or its index.
func sessionIndex(l *config.Lane, text string) (uint32, error) {
	for i := range l.Sessions {
		if s := &l.Sessions[i]; s.Name == text || strings.EqualFold(s.ID.String(), text) {
			return uint32(i), nil
		}
	}
	for i, s := range l.FIXSessions() {
		if s.Name == text && s.Places == 0 {
			return uint32(len(l.Sessions) + i), nil
		}
	}
	if i, err := strconv.ParseUint(text, 10, 32); err == nil && i < uint64(l.SessionCount()) {
		return uint32(i), nil
	}
	return 0, fmt.Errorf("lane %d has no session %q: give its name, its UUID or its index (onebeat session list)", l.ID, text)
}

// nameOrder finds the number of the order that a command's session calls so.
func (n *Node) nameOrder(l *config.Lane, c *operator.Command, text string) error {
	switch {
	case text == "":
		return nil
	case c.Session == operator.None:
		return fmt.Errorf("order %q of no session: a client's ClOrdID is its session's", text)
	case c.Session < uint32(len(l.Sessions)):
		var err error
		c.Order, err = parseClOrdID(text)
		return err
	}
	return n.look(l.ID, func(m app.Machine) error {
		machine, ok := m.(*engine.Machine)
		if ok {
			c.Order, ok = machine.FIX().OrderNumber(c.Session, []byte(text))
		}
		if !ok {
			return fmt.Errorf("session %s has no order %q, or has not any more: the ClOrdID that the venue has also names it", sessionName(l, c.Session), text)
		}
		return nil
	})
}

// parseClOrdID reads a ClOrdID of FIXP.
func parseClOrdID(text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 0, 64)
	if err != nil || id == 0 {
		return 0, fmt.Errorf("%q is no ClOrdID of a FIXP session: give a number above 0", text)
	}
	return id, nil
}

// symbolID finds a symbol by its name or its number.
func symbolID(l *config.Lane, text string) (uint32, error) {
	for _, s := range l.Symbols {
		if s.Name == text || strconv.FormatUint(uint64(s.ID), 10) == text {
			return s.ID, nil
		}
	}
	return 0, fmt.Errorf("lane %d has no symbol %q", l.ID, text)
}
