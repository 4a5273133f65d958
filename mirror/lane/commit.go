package lane

import "sync/atomic"

// CommitRule says how far the log is committed: held by every member of the
// in-sync set, so that no failover cuts it (enum ob_commit).
type CommitRule uint64

const (
	// CommitPosition: up to Commit.Position; this node is between two parts.
	CommitPosition CommitRule = iota
	// CommitTail: all there is. This node is the set's only member, or a STANDBY
	// that has nothing but what the writer sent it.
	CommitTail
	// CommitPeer: what the peer has ACKed.
	CommitPeer

	commitRules = 4 // the number of changes is counted in steps of it
)

// Committed returns the position up to which the log is committed. It may be
// called in any thread and process; it falls only when an operator's word makes a
// lane go on without what it had.
func (t *Table) Committed() uint64 {
	for {
		rule := atomic.LoadUint64(&t.Commit.Rule)
		committed := atomic.LoadUint64(&t.Commit.Position)
		tail := atomic.LoadUint64(&t.Tail)
		switch CommitRule(rule % commitRules) {
		case CommitTail:
			committed = max(committed, tail)
		case CommitPeer:
			committed = max(committed, min(tail, atomic.LoadUint64(&t.Peer.Tail)))
		}
		if atomic.LoadUint64(&t.Commit.Rule) == rule {
			return committed
		}
	}
}

// SetCommit changes the rule. It belongs to the engine's thread, and comes
// before the first record that the old rule is wrong for.
func (t *Table) SetCommit(rule CommitRule) {
	c := &t.Commit
	atomic.StoreUint64(&c.Position, t.Committed())
	changes := c.Rule/commitRules + 1
	atomic.StoreUint64(&c.Rule, changes*commitRules+uint64(rule))
}

// CutCommit is told that the log was cut.
func (t *Table) CutCommit(position uint64) {
	if position < t.Commit.Position {
		atomic.StoreUint64(&t.Commit.Position, position)
	}
}
